# SPDX-License-Identifier: Apache-2.0
"""Answers as values: what a route returns, and how its head is spelled.

Room: web. Must not know sockets: ``egress`` sends these. Content-Length, and what stands on every
answer, is added there; a route names only the headers of its own.

    HTTP/1.1 200 OK\\r\\n                           status line, from a table
    Server: txregistry\\r\\n ...                    the standing headers, formatted once
    Docker-Content-Digest: sha256:...\\r\\n         the answer's own
    Content-Length: 2\\r\\n
    \\r\\n
    {}
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol, TypeAlias

from attrs import frozen

from txregistry.oci.ranges import Span
from txregistry.storage.contract import Reading

Header: TypeAlias = tuple[str, str]

#: Answers that never have a body, nor a length of one (RFC 9110 sections 8.6, 15.3.5, 15.4.5).
BODILESS = frozenset({204, 304})

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii")
    for status in HTTPStatus
}


class Source(Protocol):
    """Content that can be read in part: what ``Blobs.open`` gives."""

    async def read(self, start: int, stop: int) -> Reading:
        """Open a read of ``[start, stop)``."""


@frozen
class Parts:
    """A body that is read as it leaves: literal bytes and spans of one source, in order."""

    source: Source
    pieces: tuple[bytes | Span, ...]

    @property
    def length(self) -> int:
        """How many bytes."""
        return sum(
            len(piece) if isinstance(piece, bytes) else piece.length for piece in self.pieces
        )

    def out_of(self, data: bytes) -> bytes:
        """Return the body, if ``data`` is all of the source."""
        return b"".join(
            piece if isinstance(piece, bytes) else data[piece.start : piece.stop]
            for piece in self.pieces
        )


@frozen
class Answer:
    """Status, own headers, body.

    Attributes:
        body: what GET would send; HEAD tells its length and leaves it out.
        length: the body's length where a HEAD did not read it; None means that of ``body``.
    """

    status: int
    headers: tuple[Header, ...] = ()
    body: bytes | Parts = b""
    length: int | None = None

    def out_of(self, data: bytes | None) -> Answer:
        """Return the same answer with its body in memory, if ``data`` is all of its source."""
        if data is None or isinstance(self.body, bytes):
            return self
        return Answer(self.status, self.headers, self.body.out_of(data))

    def with_headers(self, *headers: Header) -> Answer:
        """Return the same answer with more headers."""
        return Answer(self.status, self.headers + headers, self.body, self.length)

    def value_of(self, name: str) -> str:
        """Return the value of one of its own headers, empty if it has none of that name."""
        for header, value in self.headers:
            if header == name:
                return value
        return ""

    @property
    def content_length(self) -> int:
        """The body's length in bytes."""
        if self.length is not None:
            return self.length
        return len(self.body) if isinstance(self.body, bytes) else self.body.length


def head_of(answer: Answer, standing: bytes, *, is_last: bool) -> bytes:
    """Return the bytes before the body.

    Args:
        standing: formatted headers of every answer.
        is_last: the connection closes after this answer.

    Raises:
        ValueError: a header would break out of its line. Nothing that a client sends should get
            this far; this is the last of several guards.
    """
    end = b"Connection: close\r\n\r\n" if is_last else b"\r\n"
    return _STATUS_LINES[answer.status] + lines_of(answer, standing) + end


def lines_of(answer: Answer, standing: bytes) -> bytes:
    """Return the header lines alone.

    Raises:
        ValueError: as :func:`head_of`.
    """
    own = "".join([f"{name}: {value}\r\n" for name, value in answer.headers])
    if (
        own.count("\n") != len(answer.headers)
        or own.count("\r") != len(answer.headers)
        or "\0" in own
    ):
        raise ValueError("a header value holds a line break")
    if answer.status not in BODILESS:
        own += f"Content-Length: {answer.content_length}\r\n"
    return standing + own.encode("latin-1")


def format_headers(headers: list[Header]) -> bytes:
    """Return header lines, for what is the same on every answer.

    Raises:
        ValueError: one of them would break out of its line.
    """
    text = "".join(f"{name}: {value}\r\n" for name, value in headers)
    if text.count("\n") != len(headers) or text.count("\r") != len(headers):
        raise ValueError("a header holds a line break")
    return text.encode("latin-1")
