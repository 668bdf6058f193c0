# SPDX-License-Identifier: Apache-2.0
"""Reading a shared file descriptor without ever making the reactor wait for a disk.

Room: web. Must not know HTTP. Offsets are explicit, since the descriptor is shared. What is in the
page cache is read here and now; ``RWF_NOWAIT`` tells. Anything else is read by a thread first. A
file system that can't tell (NFS) is read by threads only, but for those that live in memory
altogether.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from attrs import frozen

T = TypeVar("T")

#: f_type of tmpfs and ramfs, the first member of struct statfs (statfs(2)); the whole has 120
#: bytes.
_IN_MEMORY = frozenset((0x01021994, 0x858458F6))
_STATFS_SIZE = 256

_libc = ctypes.CDLL(None, use_errno=True)

#: How much a thread reads at once, in bytes.
_PIECE = 256 * 1024


class Run(Protocol):
    """Runs a blocking function where it may block: in one of a bounded number of threads."""

    def __call__(self, function: Callable[[], T]) -> Awaitable[T]: ...


class Truncated(Exception):
    """The file ended before the span that was promised."""


def is_cached(file: int, start: int, stop: int) -> bool:
    """Say whether the first and last byte of ``[start, stop)`` could be read without waiting."""
    return _is_byte_cached(file, start) and (stop - start <= 1 or _is_byte_cached(file, stop - 1))


def _is_byte_cached(file: int, offset: int) -> bool:
    try:
        return os.preadv(file, [bytearray(1)], offset, os.RWF_NOWAIT) == 1
    except OSError:  # it would wait, or the file system can't tell
        return False


def is_in_memory(file: int) -> bool:
    """Say whether the file system of ``file`` keeps all in memory, so that no read waits for a
    disk.
    """
    status = ctypes.create_string_buffer(_STATFS_SIZE)
    if _libc.fstatfs(file, status) != 0:
        return False
    return int.from_bytes(status.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder) in _IN_MEMORY


def warm(file: int, start: int, stop: int) -> None:
    """Read ``[start, stop)`` so that it is cached. Blocks."""
    buffer = bytearray(_PIECE)
    while start < stop:
        count = os.preadv(file, [memoryview(buffer)[: stop - start]], start)
        if not count:
            raise Truncated
        start += count


@frozen
class FileLane:
    """Reads one descriptor, which is not ours to close.

    Attributes:
        file: a read-only descriptor of a regular file.
    """

    file: int
    _run: Run

    async def read(self, start: int, limit: int) -> bytes:
        """Return between one and ``limit`` bytes at ``start``.

        Raises:
            Truncated: there are none.
        """
        buffer = bytearray(limit)
        try:
            count = os.preadv(self.file, [buffer], start, os.RWF_NOWAIT)
        except OSError:
            count = await self._run(lambda: os.preadv(self.file, [buffer], start))
        if not count:
            raise Truncated
        return bytes(buffer) if count == limit else bytes(memoryview(buffer)[:count])

    async def read_exactly(self, start: int, stop: int) -> bytes:
        """Return ``[start, stop)``.

        Raises:
            Truncated: the file ends before ``stop``.
        """
        pieces = []
        while start < stop:
            pieces.append(await self.read(start, stop - start))
            start += len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
