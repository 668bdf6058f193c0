# SPDX-License-Identifier: Apache-2.0
"""Heads of HTTP/2: what was asked as our request takes it, what we answer as fields.

Room: web. Must not know connections. The library has refused what breaks HTTP/2 itself: names that
are not lower case, pseudo-header fields that are missing or doubled, ``Connection`` and its like,
``Host`` that differs from ``:authority``. What is refused here would be refused over HTTP/1.1 too.

Source: RFC 9113 sections 8.2 and 8.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import frozen
from twisted.web.http_headers import Headers

from txregistry.web.answer import Answer, lines_of
from txregistry.web.framing import find_fault

#: Of which version a request says that it is.
VERSION = b"HTTP/2.0"

#: method = token    (RFC 9110 sections 9.1 and 5.6.2)
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

#: The bytes that a target may have; which of them in what order is for the routes.
_TARGET = re.compile(rb"[!-~]+")

#: Content-Length = 1*DIGIT, and no more of them than a file offset has (RFC 9110 section 8.6).
_LENGTH = re.compile(rb"[0-9]{1,19}")

#: What is said of one HTTP/1.1 connection, and must not be said here (RFC 9113 section 8.2.2).
_OF_A_CONNECTION = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)

Field = tuple[bytes, bytes]


@frozen
class RequestHead:
    """What was asked.

    Attributes:
        length: that the client declares of the body, None if it does not.
        fault: why the request must be refused, None if it need not be.
    """

    method: bytes
    target: bytes
    headers: Headers
    length: int | None
    fault: str | None


def read_head(fields: Iterable[Field], most: int) -> RequestHead:
    """Return what a client's fields ask.

    Args:
        most: header lines that a request may have.
    """
    pseudo: dict[bytes, bytes] = {}
    headers = Headers()
    count = 0
    for name, value in fields:
        if name[:1] == b":":
            pseudo[name] = value
        else:
            count += 1
            headers.addRawHeader(name, value)
    authority = pseudo.get(b":authority")
    if authority is not None:
        headers.setRawHeaders(b"Host", [authority])
    method, target = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
    lengths = headers.getRawHeaders(b"Content-Length", ())
    fault = _find_fault(method, target, lengths)
    if count > most:
        fault = "there are too many header lines"
    length = int(lengths[0]) if lengths and fault is None else None
    fault = fault or find_fault(VERSION, target, headers, length)
    return RequestHead(method, target, headers, length, fault)


def _find_fault(method: bytes, target: bytes, lengths: Iterable[bytes]) -> str | None:
    lengths = tuple(lengths)
    if not _METHOD.fullmatch(method):
        return "the method is malformed"
    if not _TARGET.fullmatch(target):
        return "the request target must be a path"
    if len(lengths) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
        return "Content-Length is malformed"
    return None


def answer_fields(answer: Answer, standing: bytes) -> list[Field]:
    """Return the fields before an answer's body.

    Args:
        standing: formatted headers of every answer.

    Raises:
        ValueError: a header holds a line break.
    """
    fields = [(b":status", b"%d" % answer.status)]
    for line in lines_of(answer, standing).split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name not in _OF_A_CONNECTION:
            fields.append((name, value.strip()))
    return fields
