# SPDX-License-Identifier: Apache-2.0
"""Removes what crashes of this driver left behind: temporary names, and the trash.

Driver: filesystem. Some time after the first write, and once a day from then on, a thread walks the
tree. A temporary name goes if nobody has touched it for a day; what is younger may be somebody's
work, and leftovers of another registry are that one's affair. Symbolic links are not followed, but
for those near the top of the tree.

The thread begins with the first write, not with the process, because a process that confines itself
has to do so before it has threads.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence

from txregistry_drivers.filesystem.temporary import is_own_leftover
from txregistry_drivers.filesystem.trash import Trash, remove_entry

#: Seconds from the first write to the first sweep. Arbitrary: a driver that dies again and again is
#: not to spend its lives on it.
FIRST_AFTER = 60.0

#: Seconds between two sweeps.
INTERVAL = 86_400.0

#: Age at which a temporary name is a leftover, nanoseconds.
AGE = 86_400 * 10**9

#: Seconds of rest after each directory, so that others have the disk. Arbitrary.
_REST = 0.001


class Sweeping:
    """Sweeps below some directories (full paths).

    Args:
        now: the clock, nanoseconds since the epoch.
    """

    def __init__(self, directories: Sequence[str], trash: Trash, now: Callable[[], int]) -> None:
        self._directories = directories
        self._trash = trash
        self._now = now
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Sweep from now on, in the background; repeatable."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name="sweeping", daemon=True)
                    thread.start()
                    self._thread = thread

    def stop(self) -> None:
        """End it; repeatable."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def sweep(self) -> int:
        """Remove what is left over now; returns how many temporary names that were."""
        self._trash.sweep()
        waiting, removed = list(self._directories), 0
        while waiting and not self._stopped.wait(_REST):
            directory = waiting.pop()
            with contextlib.suppress(OSError), os.scandir(directory) as entries:
                for entry in entries:
                    if is_own_leftover(entry.name):
                        removed += self._remove_if_old(entry)
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        return removed

    def _run(self) -> None:
        wait = FIRST_AFTER
        while not self._stopped.wait(wait):
            self.sweep()
            wait = INTERVAL

    def _remove_if_old(self, entry: os.DirEntry[str]) -> bool:
        with contextlib.suppress(FileNotFoundError):
            status = entry.stat(follow_symlinks=False)
            if max(status.st_mtime_ns, status.st_ctime_ns) < self._now() - AGE:
                remove_entry(entry.path)
                return True
        return False
