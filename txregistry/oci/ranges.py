# SPDX-License-Identifier: Apache-2.0
"""Byte ranges in headers, and the half-open spans that they become.

Room: oci. The only place where inclusive ends exist: ``0-4`` on the wire is ``Span(0, 5)``
everywhere else.

Two headers with two grammars. Downloads follow RFC 9110 (``bytes=0-4`` asked, ``bytes 0-4/10``
answered); uploads have a form of their own (``0-4``, both ways), which registry:2 made and the
distribution-spec took over.
"""

from __future__ import annotations

import re

from attrs import frozen

from txregistry.oci.errors import Code, OciError, excerpt

#: Largest position in content: what a file offset can be.
POSITION_LIMIT = 2**63 - 1

#: Most ranges that one request may ask for; more are as good as none. Arbitrary: real clients ask
#: for one or two.
RANGES_LIMIT = 8

#: Longest Range or Content-Range header that is looked at, in characters. Arbitrary; it bounds the
#: numbers in it too.
HEADER_LIMIT = 1024

#: <start>-<end>, both inclusive: ^[0-9]+-[0-9]+$    (distribution-spec, "Pushing a blob in chunks")
_CONTENT_RANGE = re.compile(r"([0-9]+)-([0-9]+)")

#: ranges-specifier = range-unit "=" range-set    (RFC 9110 section 14.1.1)
_RANGES_SPECIFIER = re.compile(r"bytes=(.*)", re.IGNORECASE)

#: range-spec   = int-range / suffix-range
#: int-range    = first-pos "-" [ last-pos ]
#: suffix-range = "-" suffix-length
_RANGE_SPEC = re.compile(r"([0-9]+)-([0-9]*)|-([0-9]+)")


@frozen(order=True)
class Span:
    """Bytes ``[start, stop)``."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.stop - self.start


def parse_content_range(text: str) -> Span:
    """Return the span that an upload's Content-Range names.

    Raises:
        OciError: SIZE_INVALID if the text is not of the grammar; RANGE_INVALID if it ends before it
            starts or lies where no content can be.

    Source: distribution-spec end-5, end-6.
    """
    match = _CONTENT_RANGE.fullmatch(text) if len(text) <= HEADER_LIMIT else None
    if match is None:
        raise OciError(Code.SIZE_INVALID, excerpt(text), message="invalid content range")
    first, last = int(match[1]), int(match[2])
    if not first <= last < POSITION_LIMIT:
        raise OciError(Code.RANGE_INVALID, excerpt(text))
    return Span(first, last + 1)


def render_upload_range(offset: int) -> str:
    """Return the Range header of an upload that holds ``offset`` bytes.

    One byte and none read the same. That is registry:2's form; the specification has none for an
    empty upload.

    Source: distribution-spec end-5, end-13.
    """
    return f"0-{max(offset - 1, 0)}"


def parse_range(header: str, size: int) -> tuple[Span, ...] | None:
    """Return the spans that a download's Range header asks for out of ``size`` bytes.

    Spans that overlap are made one, else their order is kept. A header whose every range lies in an
    empty content is ignored: such a client asks all its questions that way, and a 416 for an empty
    blob would be of no use to it.

    Returns:
        The spans, each within the content and not empty; none if nothing can be satisfied; None if
        the header is to be ignored.

    Source: RFC 9110 sections 14.1 and 14.2; distribution-spec end-2 (an end before the start can't
    be satisfied).
    """
    specifier = (
        _RANGES_SPECIFIER.fullmatch(header.strip(" \t")) if len(header) <= HEADER_LIMIT else None
    )
    if specifier is None:
        return None
    # A list may have empty elements (RFC 9110 section 5.6.1.2).
    asked = [element for item in specifier[1].split(",") if (element := item.strip(" \t"))]
    if not 0 < len(asked) <= RANGES_LIMIT:
        return None
    matches = [match for text in asked if (match := _RANGE_SPEC.fullmatch(text))]
    if len(matches) < len(asked):
        return None
    spans: list[Span] = []
    for match in matches:
        span = _span_of(match, size)
        if span is None:
            return ()
        if span.length > 0:
            spans = _joined(spans, span)
    return None if size == 0 else tuple(spans)


def render_content_range(span: Span, size: int) -> str:
    """Return the Content-Range of a partial answer; ``span`` is not empty.

    Source: RFC 9110 section 14.4.
    """
    return f"bytes {span.start}-{span.stop - 1}/{size}"


def unsatisfied_content_range(size: int) -> str:
    """Return the Content-Range of a 416.

    Source: RFC 9110 section 14.4, ``unsatisfied-range``.
    """
    return f"bytes */{size}"


def _span_of(match: re.Match[str], size: int) -> Span | None:
    """Return what one range-spec selects, empty if that lies outside; None if it ends too early."""
    first, last, suffix = match.groups()
    if suffix is not None:
        return Span(max(size - int(suffix), 0), size)
    start = int(first)
    if not last:
        return Span(min(start, size), size)
    if int(last) < start:
        return None
    return Span(min(start, size), min(int(last) + 1, size))


def _joined(spans: list[Span], span: Span) -> list[Span]:
    """Return ``spans`` with ``span`` added, in the place of the first one that it overlaps."""
    joined: list[Span] = []
    place: int | None = None
    for other in spans:
        if other.start < span.stop and span.start < other.stop:
            span = Span(min(other.start, span.start), max(other.stop, span.stop))
            place = len(joined) if place is None else place
        else:
            joined.append(other)
    joined.insert(len(joined) if place is None else place, span)
    return joined
