# SPDX-License-Identifier: Apache-2.0
"""An upload on the driver's side: pumps a lane into a writer and confirms what is stored.

Room: ipc.

    PUMPING --lane ended--> ENDED --CloseWriter--> closed: size, digests
       |  \\--the writer refused--> BROKEN (the lane is closed; CloseWriter is refused with the reason)
       \\--connection ended--> ORPHAN: what arrived is stored, the writer is closed, nobody is told
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from txregistry.ipc.lanes import Inlet
from txregistry.storage.contract import Closing, Writer
from txregistry.storage.errors import Closed, Internal, StorageError

_log = Logger()


class Inflow:
    """One writer and its lane.

    Args:
        lane: what the front end writes into.
        writer: where it goes.
        moved: told of each chunk's size in bytes.
    """

    def __init__(self, lane: Inlet, writer: Writer, moved: Callable[[int], None]) -> None:
        self._lane = lane
        self._writer = writer
        self._moved = moved
        self._pumping: Deferred[None] | None = None
        self._ended: Deferred[None] = Deferred()
        self._failure: StorageError | None = None
        self._is_closed = False

    def start(self) -> None:
        """Begin pumping."""
        self._writer.progress = self._lane.confirm
        self._pumping = Deferred.fromCoroutine(self._pump())

    async def close(self) -> Closing:
        """Wait for the lane's end, then close the writer.

        Raises:
            StorageError: why the lane ended early.
        """
        await self._ended
        if self._failure is not None:
            raise self._failure
        if self._is_closed:
            raise Closed("the writer was closed before")
        self._is_closed = True
        return await self._writer.close()

    async def abandon(self) -> None:
        """End at once; what is confirmed stays."""
        self._is_closed = True
        self._lane.close()
        await self._writer.abandon()

    def orphan(self) -> Deferred[None]:
        """The connection is gone: take what still is on the lane, then close the writer; fires
        afterwards.
        """
        self._lane.stop_waiting()
        return Deferred.fromCoroutine(self._close_quietly())

    async def _close_quietly(self) -> None:
        try:
            await self.close()
        except StorageError as error:
            _log.info("a writer without a connection ended: {error}", error=str(error))

    async def _pump(self) -> None:
        try:
            while chunk := await self._lane.receive():
                await self._writer.write(chunk)
                self._moved(len(chunk))
        except StorageError as error:
            await self._break(error)
        except CancelledError:
            await self._break(Closed("the writer was stopped"))
        except Exception as error:
            _log.failure("the driver failed at a write")
            await self._break(Internal(f"{type(error).__name__}: {error}"))
        finally:
            self._ended.callback(None)

    async def _break(self, reason: StorageError) -> None:
        self._failure = reason
        self._lane.close()
        await self._writer.abandon()
