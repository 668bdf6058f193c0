# SPDX-License-Identifier: Apache-2.0
"""The body of an upload request, as the registry sees it.

Room: registry. Must not know HTTP: whoever serves gives something that yields chunks and raises
:class:`BodyCut` when no more will come although more was promised.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from attrs import field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure


class BodyCut(Exception):
    """The client went away, was too slow, or sent less than it had declared."""


class Body(Protocol):
    """Bytes that arrive, pulled once from the start to the end.

    The first pull is what tells the client to send (``100 Continue``), so nothing is pulled before
    the request was judged.

    Attributes:
        length: bytes that the client declared, None if it did not say.

    Iterating gives non-empty chunks and raises :class:`BodyCut` after the last one that arrived, if
    that was not the end.
    """

    length: int | None

    def __aiter__(self) -> AsyncIterator[bytes]: ...


def is_empty(body: Body | None) -> bool:
    """Say whether it is known before the first pull that nothing will come."""
    return body is None or body.length == 0


@frozen
class Held:
    """A body that was read into memory: what arrived, and how it ended if not by its end."""

    chunks: tuple[bytes, ...] = field(repr=False)
    failure: BodyCut | CancelledError | None
    length: int | None

    @property
    def data(self) -> bytes:
        """All that arrived."""
        return b"".join(self.chunks)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk
        if self.failure is not None:
            raise self.failure


async def hold(body: Body) -> Held:
    """Read all of a body whose length is known to be small; a failure of it is held, too."""
    chunks: list[bytes] = []
    failure: BodyCut | CancelledError | None = None
    try:
        async for chunk in body:
            chunks.append(chunk)
    except (BodyCut, CancelledError) as error:
        failure = error
    return Held(tuple(chunks), failure, body.length)


async def waiting(stream: AsyncIterator[bytes]) -> list[bytes]:
    """Pull what has arrived and nobody has pulled yet, without waiting for the client."""
    chunks: list[bytes] = []
    while True:
        pull: Deferred[bytes | None] = Deferred.fromCoroutine(_next(stream))
        if not pull.called:
            pull.addErrback(_stopped)
            pull.cancel()
            return chunks
        chunk = await pull
        if chunk is None:
            return chunks
        chunks.append(chunk)


async def _next(stream: AsyncIterator[bytes]) -> bytes | None:
    """Return the next chunk, None where the stream ends, well or not."""
    try:
        return await anext(stream)
    except (StopAsyncIteration, BodyCut):
        return None


def _stopped(failure: Failure) -> Failure | None:
    return None if isinstance(failure.value, CancelledError) else failure
