# SPDX-License-Identifier: Apache-2.0
"""Copying a file's bytes, where a link can't go: to another file system, or away from a published
file.

Driver: filesystem. The kernel copies where it can (and shares the blocks where the file system
can).
"""

from __future__ import annotations

import errno
import os

from txregistry.driver import Corrupt

#: What ``link`` answers where the bytes have to be copied instead.
UNLINKABLE = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})

_CHUNK = 64 * 1024 * 1024
_PIECE = 1024 * 1024
_NOT_BY_KERNEL = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})


def copy_bytes(source: int, target: int, size: int) -> None:
    """Copy the first ``size`` bytes of one descriptor to the start of another.

    Raises:
        Corrupt: there are fewer.
        OSError: as the system says.
    """
    try:
        _copy_by_kernel(source, target, size)
    except OSError as err:
        if err.errno not in _NOT_BY_KERNEL:
            raise
        _copy_by_hand(source, target, size)


def _copy_by_kernel(source: int, target: int, size: int) -> None:
    position = 0
    while position < size:
        count = min(_CHUNK, size - position)
        copied = os.copy_file_range(source, target, count, position, position)
        if not copied:
            raise Corrupt(f"{position} bytes could be copied, not {size}")
        position += copied


def _copy_by_hand(source: int, target: int, size: int) -> None:
    position = 0
    while position < size:
        piece = os.pread(source, min(_PIECE, size - position), position)
        if not piece:
            raise Corrupt(f"{position} bytes could be copied, not {size}")
        write_all(target, piece, position)
        position += len(piece)


def write_all(descriptor: int, data: bytes | memoryview, position: int) -> None:
    """Write all of ``data`` at ``position``, however often the system takes only some of it.

    Raises:
        OSError: as the system says; EIO if it takes nothing and says nothing.
    """
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, position)
        if not count:
            raise OSError(errno.EIO, "nothing was written")
        view = view[count:]
        position += count
