# SPDX-License-Identifier: Apache-2.0
"""What a row of the table of bad inputs is, and how requests are spelled in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from .guards import Guard

#: In what a row sends, this stands for the target of a fresh upload session of the repository ``a``
#: that holds ``HELD``; the others stand for the session's id and for its token.
SESSION, UPLOAD_ID, TOKEN = b"{session}", b"{id}", b"{token}"

#: What the session of a row holds before.
HELD = b"abc"


@dataclass(frozen=True)
class Row:
    """One bad input, and the answer that is right.

    Attributes:
        id: the class in the table of bad inputs.
        sent: over a connection of its own, as it is.
        statuses: one of them is the answer's.
        code: of the first error; empty for any.
        ends: the connection is closed, and what follows on it is never taken for a request.
        holds: what the session of the row holds afterwards, bytes; None: it is gone.
        changes: something is stored by it; else the store is the same afterwards.
    """

    id: str
    sent: bytes = field(repr=False)
    statuses: frozenset[int]
    code: str = ""
    ends: bool = False
    holds: int | None = len(HELD)
    changes: bool = False

    @property
    def has_session(self):
        """Whether it is about an upload session."""
        return any(name in self.sent for name in (SESSION, UPLOAD_ID, TOKEN))

    def __str__(self):
        return f"{self.id} {self.sent[:100]!r}"


@dataclass(frozen=True)
class Play:
    """A bad input that takes more than one request.

    Attributes:
        act: is called with the ward and ``arguments``; asserts what is right.
    """

    id: str
    act: Callable[..., None]
    arguments: tuple[object, ...] = ()

    def __str__(self):
        shown = ", ".join(repr(argument)[:60] for argument in self.arguments)
        return f"{self.id} {self.act.__name__}({shown})"


@dataclass(frozen=True)
class Group:
    """Rows that are tried together.

    Attributes:
        configuration: of the server that they are tried on, beyond the default.
        guard: that its server has.
        is_slow: they mostly wait, so they are tried at the same time.
    """

    name: str
    rows: tuple[Row | Play, ...]
    configuration: dict[str, object] = field(default_factory=dict, hash=False)
    guard: Guard | None = None
    is_slow: bool = False


def rows(row_id, statuses, *requests, **more):
    """A row for each request."""
    statuses = frozenset([statuses] if isinstance(statuses, int) else statuses)
    return tuple(Row(row_id, sent, statuses, **more) for sent in requests)


def plays(row_id, act, *variants):
    """A play for each variant of its argument; one without any if there are none."""
    if not variants:
        return (Play(row_id, act),)
    return tuple(
        Play(row_id, act, variant if isinstance(variant, tuple) else (variant,))
        for variant in variants
    )


def head(*lines):
    """A head exactly as it is given."""
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def get(target, *headers, host="h"):
    """A GET."""
    return head(f"GET {target} HTTP/1.1", f"Host: {host}", *headers)


def send(method, target, body=b"", *headers, length=None):
    """A request with a body; ``length`` is declared in place of the body's own."""
    declared = len(body) if length is None else length
    lines = [f"{method} {target} HTTP/1.1", "Host: h", *headers, f"Content-Length: {declared}"]
    return head(*lines) + body


def showing(line, request):
    """The request with one more header line, before those that it has."""
    first, end, rest = request.partition(b"\r\n")
    return first + end + line.encode("latin-1") + end + rest if line else request


def shown(line, found):
    """The same rows with one more header line."""
    return tuple(replace(row, sent=showing(line, row.sent)) for row in found)


def chunked(method, target, *chunks, headers=()):
    """A request with a chunked body, its end included."""
    lines = [f"{method} {target} HTTP/1.1", "Host: h", *headers, "Transfer-Encoding: chunked"]
    return head(*lines) + b"".join(map(chunk, chunks)) + b"0\r\n\r\n"


def chunk(data):
    """One chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)
