# SPDX-License-Identifier: Apache-2.0
"""Open reads: what :meth:`Driver.read <txregistry.storage.contract.Driver.read>` gives.

Room: storage. Must not know where the content lies: a store opened it, as a descriptor of a regular
file or as a stream. Both kinds read in threads, one piece at a time, and are freed only when no
thread is using them: a descriptor that was closed under a ``pread`` may already be another file's.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

from txregistry.storage.blocking import Run, shielded
from txregistry.storage.contract import FileContent, StreamContent
from txregistry.storage.errors import Closed, Corrupt

#: Bytes read at once: large enough that the hop into a thread costs little, small enough for many
#: readers at a time. Arbitrary.
PIECE = 256 * 1024


def read_piece(content: FileContent | StreamContent, offset: int, limit: int) -> bytes:
    """The next bytes of ``content``, blocking; never none.

    Args:
        offset: where they begin; a stream stands there already.

    Raises:
        Corrupt: there are none, although the size says so, or they can't be read.
    """
    try:
        if isinstance(content, FileContent):
            piece = os.pread(content.descriptor, limit, offset)
        else:
            piece = content.read(limit)
    except OSError as err:
        raise Corrupt(f"unreadable at offset {offset}: {err.strerror}") from err
    if not piece:
        raise Corrupt(f"the content ends at {offset}, not at {content.size}")
    return piece


def close_content(content: FileContent | StreamContent) -> None:
    """Free what a store opened; blocking."""
    if isinstance(content, FileContent):
        os.close(content.descriptor)
    else:
        content.close()


def pieces(content: FileContent | StreamContent, start: int, stop: int) -> Iterator[bytes]:
    """The bytes ``[start, stop)`` of ``content`` in pieces, blocking."""
    while start < stop:
        piece = read_piece(content, start, min(PIECE, stop - start))
        start += len(piece)
        yield piece


class HostedReading:
    """A :class:`~txregistry.storage.contract.Reading` of what a store opened.

    Args:
        content: open, a stream standing at ``start``; this frees it.
    """

    def __init__(
        self, run: Run, content: FileContent | StreamContent, start: int, stop: int
    ) -> None:
        self.size = content.size
        self.start = start
        self.stop = stop
        self.file = content.descriptor if isinstance(content, FileContent) else None
        self._run = run
        self._content = content
        self._position = start
        self._is_reading = False
        self._is_closed = False
        self._is_torn = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._is_closed or self._is_reading or self._is_torn:
            raise Closed("the read was closed, or a piece of it was asked for and not awaited")
        if self._position >= self.stop:
            raise StopAsyncIteration
        return await shielded(self._read(), self._tear)

    async def aclose(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            if not self._is_reading:  # else the reader frees it when its thread is back
                await shielded(self._free())

    async def _read(self) -> bytes:
        position, limit = self._position, min(PIECE, self.stop - self._position)
        self._is_reading = True
        try:
            piece = await self._run(lambda: read_piece(self._content, position, limit))
        finally:
            self._is_reading = False
            if self._is_closed:
                await self._free()
        self._position += len(piece)
        return piece

    def _tear(self, piece: bytes) -> None:
        """Nobody took this piece: going on would leave it out in silence."""
        self._is_torn = True

    async def _free(self) -> None:
        self.file = None
        await self._run(lambda: close_content(self._content))
