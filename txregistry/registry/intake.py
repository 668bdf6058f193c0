# SPDX-License-Identifier: Apache-2.0
"""Puts the body of one request behind what an upload holds.

Room: registry. Must not know rules or tokens: the request was judged, the place is free to be
claimed. The writer is claimed when the first chunk has come, so a client that sends nothing fences
nobody.

    run()    pull, write, pull, write ... close
    stop()   nobody waits any more: what has arrived is still written, then close

Whatever ends it, what arrived is stored, unless storing it is what failed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from txregistry.oci.errors import OciError
from txregistry.registry.body import Body, BodyCut
from txregistry.storage.contract import Writer
from txregistry.storage.errors import StorageError

log = Logger()


class Intake:
    """One body on its way.

    Args:
        open_writer: claims the place.
        most: bytes after which nothing more is taken; None for no limit.
        check: told before more is taken how many bytes that will have been; what it raises ends
            the body.

    Attributes:
        received: bytes that were taken.
        has_excess: more than ``most`` bytes came; those of the chunk that went beyond were not
            taken.
    """

    def __init__(
        self,
        body: Body,
        open_writer: Callable[[], Awaitable[Writer]],
        most: int | None,
        *,
        check: Callable[[int], None] = lambda received: None,
    ) -> None:
        self.received = 0
        self.has_excess = False
        self._stream = aiter(body)
        self._open_writer = open_writer
        self._most = most
        self._check = check
        self._writer: Writer | None = None
        self._pull: Deferred[bytes | None] | None = None
        self._is_stopped = False

    async def run(self) -> None:
        """Take the body in.

        Raises:
            BodyCut, CancelledError, OciError: the body ended early, or ``check`` ended it; what
                arrived is stored.
            StorageError: storing failed; what is stored must be asked for.
        """
        try:
            while (chunk := await self._next()) is not None:
                if self._most is not None and self.received + len(chunk) > self._most:
                    self.has_excess = True
                    break
                self._check(self.received + len(chunk))
                if self._writer is None:
                    self._writer = await self._open_writer()
                self.received += len(chunk)
                await self._writer.write(chunk)
        except StorageError:
            if self._writer is not None:
                with suppress(StorageError):
                    await self._writer.abandon()
            raise
        except (BodyCut, CancelledError, OciError):
            try:
                await self._close()
            except StorageError as error:
                log.warn("the end of a body that was cut could not be stored: {error}", error=error)
            raise
        await self._close()

    def stop(self) -> None:
        """Take what has arrived and nothing else."""
        self._is_stopped = True
        if self._pull is not None:
            self._pull.cancel()

    async def _next(self) -> bytes | None:
        """Return the next chunk, None at the end of the body."""
        pull: Deferred[bytes | None] = Deferred.fromCoroutine(_pull(self._stream))
        if self._is_stopped and not pull.called:
            pull.cancel()
        self._pull = pull
        try:
            return await pull
        finally:
            self._pull = None

    async def _close(self) -> None:
        if self._writer is not None:
            await self._writer.close()


async def _pull(stream: AsyncIterator[bytes]) -> bytes | None:
    try:
        return await anext(stream)
    except StopAsyncIteration:
        return None
