# SPDX-License-Identifier: Apache-2.0
"""A request's body as it arrives: pushed in by the connection, pulled out by a route.

Room: web. Must not know what the bytes are for. Nothing is spooled: what waits to be pulled is
bounded, for each body and for all together, and beyond that the client is not read
(``Line.pause``). What was pulled counts until the next pull: it is being stored meanwhile.

    push* ( finish | fail )          from the connection
    async for chunk in body          in the route, once; a chunk is all that waited

A body that fails first gives what had arrived, then raises ``BodyCut``, so that an upload keeps
every byte that reached us.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from txregistry.oci.errors import Code, OciError
from txregistry.registry.body import BodyCut
from txregistry.web.room import Room

#: Bytes that wait to be pulled before the client is no longer read. Arbitrary: about a read of the
#: largest receive buffer, so that at most twice this waits.
HIGH_WATER = 1024 * 1024


class Line(Protocol):
    """The connection, as a body sees it."""

    def body_wanted(self) -> None:
        """The route pulls for the first time: an expected 100 is due, and a large receive
        buffer.
        """

    def pause(self) -> None:
        """Stop reading the client."""

    def resume(self) -> None:
        """Read the client again."""

    def taken(self, size: int) -> None:
        """``size`` bytes that had arrived are where they were to go."""

    def seconds(self) -> float:
        """The clock."""


class Body:
    """One request's body; registry's ``Body`` protocol.

    Args:
        length: bytes that the client declared, None for a chunked body.
        queues: where what waits is counted; while that is full nothing is read ahead.
        wholes: where what is read whole is counted; while that is full nothing is.

    Attributes:
        received: bytes that arrived so far.
        is_complete: all of it has arrived.
    """

    def __init__(self, line: Line, length: int | None, *, queues: Room, wholes: Room) -> None:
        self.length = length
        self.received = 0
        self.is_complete = False
        self._line = line
        self._queues = queues
        self._wholes = wholes
        self._whole_bytes = 0
        self._chunks: list[bytes] = []
        self._waiting_bytes = 0
        self._pulled_bytes = 0
        self._is_wanted = False
        self._is_discarded = False
        self._is_paused = False
        self._failure: BodyCut | None = None
        self._puller: Deferred[None] | None = None
        self._waited = 0.0
        self._waits_since: float | None = None

    # --- from the connection

    def push(self, data: bytes) -> None:
        """Take bytes that arrived."""
        self.received += len(data)
        if self._is_discarded:
            self._line.taken(len(data))
            return
        self._chunks.append(data)
        self._waiting_bytes += len(data)
        self._queues.used += len(data)
        if self._puller is not None:
            self._wake()  # which may pull again before it returns
        if self._puller is None and not self._is_paused and self._is_full():
            self._is_paused = True
            self._line.pause()

    def finish(self) -> None:
        """All of it has arrived."""
        self.is_complete = True
        self._wake()

    def fail(self, why: str) -> None:
        """No more will come although the body is not complete. Repeatable."""
        if not self.is_complete and self._failure is None:
            self._failure = BodyCut(why)
            self._wake()

    def discard(self) -> None:
        """Throw away what waits and what comes; nobody will pull again. Repeatable."""
        self._is_discarded = True
        self._take()
        self._settle()
        self._resume()
        self._wholes.used -= self._whole_bytes
        self._whole_bytes = 0

    def seconds_waited(self) -> float:
        """How long a puller has waited for the client so far, in seconds."""
        since = self._waits_since
        return self._waited if since is None else self._waited + self._line.seconds() - since

    def _wake(self) -> None:
        puller = self._puller
        if puller is not None:
            self._stop_waiting()
            puller.callback(None)

    def _stop_waiting(self) -> None:
        self._puller = None
        self._waited = self.seconds_waited()
        self._waits_since = None

    # --- from the route

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        """Return all that waits, waiting for the client if nothing does.

        Raises:
            BodyCut: the client went away, sent less than it declared, or was too slow.
        """
        if not self._is_wanted:
            self._is_wanted = True
            self._line.body_wanted()
        self._settle()
        while not self._chunks:
            if self.is_complete:
                raise StopAsyncIteration
            if self._failure is not None:
                raise self._failure
            self._resume()
            await self._more()
        chunks = self._take()
        if not self._is_full():
            self._resume()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _take(self) -> list[bytes]:
        chunks, self._chunks = self._chunks, []
        self._pulled_bytes += self._waiting_bytes
        self._waiting_bytes = 0
        return chunks

    def _settle(self) -> None:
        """What was pulled is where it was to go."""
        if self._pulled_bytes:
            self._queues.used -= self._pulled_bytes
            self._line.taken(self._pulled_bytes)
            self._pulled_bytes = 0

    def _is_full(self) -> bool:
        return self._waiting_bytes >= HIGH_WATER or self._queues.is_full

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._line.resume()

    def _more(self) -> Deferred[None]:
        self._waits_since = self._line.seconds()
        # A pull may be cancelled (by who only wants what waits); the next one goes on.
        self._puller = Deferred(lambda _: self._stop_waiting())
        return self._puller

    async def read_whole(self, limit: int) -> bytes:
        """Return all of it, for bodies that are small by their nature; it counts until it is
        discarded.

        Raises:
            OciError: MANIFEST_INVALID, too large: more than ``limit`` bytes were declared (nothing
                was read) or came. UNAVAILABLE: too much is in memory already.
            BodyCut: as for iteration.
        """
        if self.length is not None and self.length > limit:
            raise _too_large(limit)
        chunks = []
        async for chunk in self:
            if self.received > limit:
                raise _too_large(limit)
            if self._wholes.is_full:
                raise OciError(Code.UNAVAILABLE, "too many manifests at once")
            self._wholes.used += len(chunk)
            self._whole_bytes += len(chunk)
            chunks.append(chunk)
        return b"".join(chunks)


class NoBody:
    """The body of a request that has none; one serves all."""

    length = 0
    received = 0
    is_complete = True

    def __aiter__(self) -> NoBody:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    async def read_whole(self, limit: int) -> bytes:
        """Return nothing."""
        return b""

    def fail(self, why: str) -> None:
        """There is nothing to miss."""

    def seconds_waited(self) -> float:
        """Nobody waits."""
        return 0.0

    def discard(self) -> None:
        """There is nothing to throw away."""


NO_BODY = NoBody()


def _too_large(limit: int) -> OciError:
    return OciError(Code.MANIFEST_INVALID, f"a manifest has at most {limit} bytes", too_large=True)
