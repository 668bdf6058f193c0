# SPDX-License-Identifier: Apache-2.0
"""The body of an upload request, as the registry sees it.

Room: registry. Must not know HTTP: whoever serves gives something that yields chunks and raises
:class:`BodyCut` when no more will come although more was promised.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from attrs import field, frozen
from twisted.internet.defer import CancelledError


class BodyCut(Exception):
    """The client went away, was too slow, or sent less than it had declared."""


class Body(Protocol):
    """Bytes that arrive, pulled once from the start to the end.

    The first pull is what tells the client to send (``100 Continue``), so nothing is pulled before
    the request was judged. Iterating gives non-empty chunks and raises :class:`BodyCut` after the
    last one that arrived, if that was not the end.
    """

    @property
    def length(self) -> int | None:
        """Bytes that the client declared, None if it did not say."""

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

    @property
    def is_complete(self) -> bool:
        """Whether it ended well and is as long as was declared."""
        return self.failure is None and sum(map(len, self.chunks)) == self.length

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
