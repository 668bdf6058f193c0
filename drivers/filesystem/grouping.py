# SPDX-License-Identifier: Apache-2.0
"""Syncs of a directory that come together are one.

Driver: filesystem. Whoever comes first syncs at once; those who come while he is at it wait for him
to end, and then one of them syncs for all of them::

    A  |--fsync--|
    B     ......  |--fsync--|          B came while A synced, so A's may have begun before B's
    change C        ...  . . . . . .          C came before B began: B's sync is C's, too

So nobody who is alone waits, nobody is answered by a sync that began before his change, and any
number of threads in one directory need no more than two syncs' time. If a sync fails, it fails for
all of its group.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable


class _Group:
    """Those who share a sync; ``failure`` is None when it has succeeded."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.failure: OSError | None = OSError(errno.EIO, "its sync did not end")


class GroupedSyncs:
    """Syncs directories, one at a time each.

    Args:
        sync: syncs one, or raises OSError.
    """

    def __init__(self, sync: Callable[[str], None]) -> None:
        self._sync = sync
        self._lock = threading.Lock()
        self._forming: dict[str, _Group] = {}
        self._running: dict[str, _Group] = {}

    def sync(self, directory: str) -> None:
        """Sync ``directory`` after now, alone or with others.

        Raises:
            OSError: as ``sync``.
        """
        with self._lock:
            group, before = self._forming.get(directory), self._running.get(directory)
            is_first = group is None
            if group is None:
                group = self._forming[directory] = _Group()
        if is_first:
            self._lead(directory, group, before)
            return
        group.ended.wait()
        if group.failure is not None:
            raise type(group.failure)(*group.failure.args)

    def _lead(self, directory: str, group: _Group, before: _Group | None) -> None:
        if before is not None:
            before.ended.wait()
        with self._lock:  # from here on nobody joins: the sync is about to begin
            del self._forming[directory]
            self._running[directory] = group
        try:
            self._sync(directory)
            group.failure = None
        except OSError as err:
            group.failure = err
            raise
        finally:
            with self._lock:
                del self._running[directory]
            group.ended.set()
