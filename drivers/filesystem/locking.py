# SPDX-License-Identifier: Apache-2.0
"""Locks between the threads of this process, and between the processes that share a root.

Driver: filesystem. ``flock`` is the kernel's: it ends with its process, however that ends. Where a
file system has no locks (some network ones), those between processes are left out.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_NO_LOCKS_HERE = frozenset(
    {errno.ENOLCK, errno.EBADF, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}
)

_STRIPES = 64


def try_lock(descriptor: int, *, is_shared: bool = False) -> bool:
    """Lock a file that is open, without waiting; False if somebody else has it."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as err:
        if err.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
            return False
        if err.errno not in _NO_LOCKS_HERE:
            raise
    return True


class NameLocks:
    """One holder at a time for the names of a directory, so that looking and replacing are one
    step.
    """

    def __init__(self) -> None:
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]

    @contextmanager
    def held(self, directory: str) -> Iterator[None]:
        """Hold the names of a directory (a full path).

        Raises:
            OSError: the directory can't be opened.
        """
        with self._stripes[hash(directory) % _STRIPES]:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                except OSError as err:
                    if err.errno not in _NO_LOCKS_HERE:
                        raise
                yield
            finally:
                os.close(descriptor)
