# SPDX-License-Identifier: Apache-2.0
"""The front end's reads: from a descriptor that the driver handed over, or from a stream lane that
may break and be opened again.

Room: ipc. Both are ``storage.contract.Reading``. A file lane outlives the driver; a stream lane is
re-opened at the offset reached, so that the consumer sees nothing of a driver's death.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from twisted.internet.interfaces import IReactorFDSet

from txregistry.ipc.lanes import CHUNK, Inlet
from txregistry.ipc.link import Link
from txregistry.storage.errors import Corrupt, Unavailable

#: How blocking reads are run: in a thread.
Run = Callable[[Callable[[], bytes]], Awaitable[bytes]]

#: Deaths of the driver without a byte in between, at which a read is given up.
FRUITLESS_LIMIT = 5


class FileReading:
    """A span of a regular file.

    Args:
        descriptor: owned from here on.
        run: runs one blocking ``pread``.
    """

    def __init__(self, descriptor: int, size: int, start: int, stop: int, run: Run) -> None:
        self.size = size
        self.start = start
        self.stop = stop
        self.file: int | None = descriptor
        self._run = run

    async def __aiter__(self) -> AsyncIterator[bytes]:
        offset = self.start
        while offset < self.stop:
            chunk = await self._chunk(min(CHUNK, self.stop - offset), offset)
            if not chunk:
                raise Corrupt(f"the file ends at {offset} of {self.stop} bytes")
            offset += len(chunk)
            yield chunk

    async def _chunk(self, count: int, offset: int) -> bytes:
        chunk = await self._run(partial(self._read, self.file, count, offset))
        if self.file is None:  # meanwhile the number may have become another file's
            raise Unavailable("the read was closed")
        return chunk

    def _read(self, descriptor: int | None, count: int, offset: int) -> bytes:
        """Called in a thread."""
        try:
            return os.pread(descriptor, count, offset) if descriptor is not None else b""
        except OSError as error:
            if self.file is None:
                raise Unavailable("the read was closed") from error
            raise Corrupt(f"the file can't be read at {offset}: {error.strerror}") from error

    async def aclose(self) -> None:
        descriptor, self.file = self.file, None
        if descriptor is not None:
            os.close(descriptor)


class LinkInlet(Inlet):
    """A lane for reading that ends with the connection it was asked for on: a driver that hangs
    keeps its end open for ever.
    """

    def __init__(self, reactor: IReactorFDSet, end: socket.socket, link: Link) -> None:
        super().__init__(reactor, end)
        self._link = link
        link.watch(self._link_lost)

    def _link_lost(self, link: Link) -> None:
        self.close()

    def close(self) -> None:
        self._link.unwatch(self._link_lost)
        super().close()


class StreamReading:
    """A span that comes over stream lanes.

    Args:
        lane: the first one, opened at ``start``.
        reopen: opens another one at an offset; raises StorageError.
        fruitless_limit: lanes that end one after the other without a byte, until it is given up.
    """

    file: int | None = None

    def __init__(
        self,
        lane: Inlet,
        size: int,
        start: int,
        stop: int,
        reopen: Callable[[int], Awaitable[Inlet]],
        *,
        fruitless_limit: int = FRUITLESS_LIMIT,
    ) -> None:
        self.size = size
        self.start = start
        self.stop = stop
        self._lane = lane
        self._reopen = reopen
        self._fruitless_limit = fruitless_limit
        self._is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        offset, fruitless = self.start, 0
        while offset < self.stop:
            chunk = await self._lane.receive(min(CHUNK, self.stop - offset))
            if chunk:
                offset += len(chunk)
                fruitless = 0
                yield chunk
                continue
            fruitless += 1
            if self._is_closed or fruitless >= self._fruitless_limit:
                raise Unavailable(f"the driver's stream ended at {offset} of {self.stop} bytes")
            self._lane.close()
            self._lane = await self._reopen(offset)
            if self._is_closed:
                self._lane.close()

    async def aclose(self) -> None:
        self._is_closed = True
        self._lane.close()
