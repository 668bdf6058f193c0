# SPDX-License-Identifier: Apache-2.0
"""Downloads in whole, in part, and in several parts: 200, 206, 416.

Room: web. Must not know blobs. How a Range header reads is ``oci.ranges``' matter, here it becomes
an answer. Several ranges become one ``multipart/byteranges`` body::

    CRLF --boundary CRLF Content-Type CRLF Content-Range CRLF CRLF <bytes>    for each
    CRLF --boundary-- CRLF
"""

from __future__ import annotations

from secrets import token_hex

from txregistry.oci.errors import Code, OciError
from txregistry.oci.ranges import Span, parse_range, render_content_range, unsatisfied_content_range
from txregistry.web.answer import Answer, Header, Parts, Source
from txregistry.web.faults import refusal


def whole(source: Source, size: int, content_type: str, headers: tuple[Header, ...]) -> Answer:
    """Return all of the content."""
    body: Parts | bytes = Parts(source, (Span(0, size),)) if size else b""
    return Answer(200, (("Content-Type", content_type), *headers), body)


def ranged(
    source: Source, size: int, content_type: str, headers: tuple[Header, ...], asked: str
) -> Answer:
    """Return what a Range header asks for.

    Args:
        size: of the content, in bytes.
        asked: the header.

    Source: RFC 9110 sections 14.2, 14.4, 14.6, 15.3.7, 15.5.17.
    """
    spans = parse_range(asked, size)
    if spans is None:
        return whole(source, size, content_type, headers)
    if not spans:
        unsatisfied = ("Content-Range", unsatisfied_content_range(size))
        error = OciError(Code.RANGE_INVALID, message="requested range not satisfiable")
        return refusal(error).with_headers(unsatisfied)
    if len(spans) == 1:
        place = ("Content-Range", render_content_range(spans[0], size))
        return Answer(206, (("Content-Type", content_type), place, *headers), Parts(source, spans))
    boundary = token_hex(16)
    kind = ("Content-Type", f"multipart/byteranges; boundary={boundary}")
    return Answer(
        206, (kind, *headers), Parts(source, _multipart(spans, size, content_type, boundary))
    )


def _multipart(
    spans: tuple[Span, ...], size: int, content_type: str, boundary: str
) -> tuple[bytes | Span, ...]:
    pieces: list[bytes | Span] = []
    for span in spans:
        place = render_content_range(span, size)
        head = f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {place}\r\n\r\n"
        pieces += [head.encode("ascii"), span]
    return (*pieces, f"\r\n--{boundary}--\r\n".encode("ascii"))
