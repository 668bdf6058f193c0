# SPDX-License-Identifier: Apache-2.0
"""Which files' bytes this process has put on stable storage, so that none is synced twice.

Driver: filesystem. A file counts as synced while its inode, its time of change and its size are
what they were at the sync. A sync that fails is never tried again: the kernel has dropped the pages
by then and the next one would report success, so the file goes (see ``spoil``).
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator

#: Files remembered; a forgotten one is synced again. Arbitrary.
_REMEMBERED = 4096


class FailedSync(OSError):
    """What the system said to a sync; another one of the same file may pass, and say nothing."""


@contextlib.contextmanager
def syncing() -> Iterator[None]:
    """A span of syncs.

    Raises:
        FailedSync: one of them failed.
    """
    try:
        yield
    except OSError as err:
        raise FailedSync(err.errno, err.strerror) from err


class SyncedFiles:
    """Syncs files, and remembers which.

    Args:
        is_on: False makes syncing do nothing.
    """

    def __init__(self, *, is_on: bool) -> None:
        self._is_on = is_on
        self._lock = threading.Lock()
        self._files: OrderedDict[tuple[int, int], tuple[int, int, bool]] = OrderedDict()

    def sync(self, descriptor: int) -> None:
        """Sync a file unless that is known to be done.

        Raises:
            FailedSync: it failed; what the file holds now is not to be trusted.
        """
        if not self._is_on:
            return
        status = os.fstat(descriptor)
        key, stamp = (status.st_dev, status.st_ino), (status.st_mtime_ns, status.st_size)
        with self._lock:
            known = self._files.get(key)
        if known is not None and known[:2] == stamp:
            if known[2]:
                return
            raise FailedSync(errno.EIO, "its sync failed before")
        try:
            with syncing():
                os.fdatasync(descriptor)
        except OSError:
            self._note(key, (*stamp, False))
            raise
        self._note(key, (*stamp, True))

    def _note(self, key: tuple[int, int], outcome: tuple[int, int, bool]) -> None:
        with self._lock:
            self._files[key] = outcome
            self._files.move_to_end(key)
            if len(self._files) > _REMEMBERED:
                self._files.popitem(last=False)


def spoil(full: str, descriptor: int) -> None:
    """Remove the file that is open as ``descriptor`` if it is still at ``full``: its sync
    failed.
    """
    with contextlib.suppress(OSError):
        if os.path.samestat(os.lstat(full), os.fstat(descriptor)):
            os.unlink(full)
