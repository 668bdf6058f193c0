# SPDX-License-Identifier: Apache-2.0
"""An upload on the driver's side: pumps a lane into a writer and confirms what is stored.

Room: ipc.

    PUMPING --lane ended--> ENDED --CloseWriter--> closed: size, digests
       |  \\--the writer refused--> BROKEN (the lane is closed; CloseWriter is refused with the reason)
       \\--connection ended--> ORPHAN: what arrived is stored, the writer is closed, nobody is told

The lane is closed at each of these ends: that is how the front end learns of one that it did not
ask for.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from txregistry.ipc.lanes import CHUNK, Inlet
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
        self._ended: Deferred[None] = Deferred()
        self._closed: Deferred[None] = Deferred()
        self._failure: StorageError | None = None
        self._is_closing = False

    def start(self) -> None:
        """Begin pumping; the lane owns it, and ends it."""
        self._writer.progress = self._lane.confirm
        Deferred.fromCoroutine(self._pump())

    async def close(self) -> Closing:
        """Wait for the lane's end, then close the writer.

        Raises:
            StorageError: why the lane ended early.
        """
        if self._is_closing:
            raise Closed("the writer was closed before")
        self._is_closing = True
        try:
            await self._ended
            if self._failure is not None:
                raise self._failure
            return await self._writer.close()
        finally:
            self._lane.close()
            self._closed.callback(None)

    async def abandon(self) -> None:
        """End at once; what is confirmed stays."""
        self._failure = self._failure or Closed("the writer was abandoned")
        self._lane.close()
        await self._writer.abandon()

    def orphan(self) -> Deferred[None]:
        """The connection is gone: take what still is on the lane, then close the writer; fires
        afterwards.
        """
        self._lane.stop_waiting()
        return Deferred.fromCoroutine(self._close_quietly())

    async def _close_quietly(self) -> None:
        if self._is_closing:  # by a CloseWriter, whose answer goes nowhere
            await self._closed
            return
        try:
            await self.close()
        except StorageError as error:
            _log.info("a writer without a connection ended: {error}", error=str(error))

    async def _pump(self) -> None:
        try:
            while chunk := await self._lane.receive(min(CHUNK, self._writer.appetite)):
                await self._writer.write(chunk)
                self._moved(len(chunk))
        except StorageError as error:
            await self._break(error)
        except Exception as error:  # a driver author's code, as in the responder
            _log.failure("the driver failed at a write")
            await self._break(Internal(f"{type(error).__name__}: {error}"))
        finally:
            self._ended.callback(None)

    async def _break(self, reason: StorageError) -> None:
        self._failure = self._failure or reason
        self._lane.close()
        await self._writer.abandon()
