# SPDX-License-Identifier: Apache-2.0
"""Ranges of uploads and downloads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.oci.errors import Code
from txregistry.oci.ranges import (
    HEADER_LIMIT,
    POSITION_LIMIT,
    RANGES_LIMIT,
    Span,
    parse_content_range,
    parse_range,
    render_content_range,
    render_upload_range,
    unsatisfied_content_range,
)

from .refusals import refused

UPLOADS = [
    ("0-0", Span(0, 1)),
    ("0-4", Span(0, 5)),
    ("5-9", Span(5, 10)),
    ("007-08", Span(7, 9)),
    (f"0-{POSITION_LIMIT - 1}", Span(0, POSITION_LIMIT)),
]

IMPOSSIBLE_UPLOADS = [
    "5-4",
    "1-0",
    f"0-{POSITION_LIMIT}",
    f"{2**63}-{2**63}",
    f"0-{'9' * 1000}",
]

MALFORMED_UPLOADS = [
    "",
    "-",
    "0",
    "0-",
    "-4",
    "-1-4",
    "+0-4",
    "0x0-4",
    "0-4/5",
    "0-4/*",
    "bytes 0-4/5",
    "bytes=0-4",
    "bytes 0-4",
    "0-4,5-9",
    "0 - 4",
    "0-4\n",
    "٠-٤",
    "0.0-4",
    f"0-{'9' * HEADER_LIMIT}",
]

# header, size, spans: None is "ignore the header", nothing is 416
DOWNLOADS: list[tuple[str, int, tuple[Span, ...] | None]] = [
    ("bytes=0-4", 10, (Span(0, 5),)),
    ("bytes=0-0", 10, (Span(0, 1),)),
    ("bytes=9-9", 10, (Span(9, 10),)),
    ("bytes=5-", 10, (Span(5, 10),)),
    ("bytes=0-", 10, (Span(0, 10),)),
    ("bytes=-3", 10, (Span(7, 10),)),
    ("bytes=-10", 10, (Span(0, 10),)),
    # clamped
    ("bytes=5-10", 10, (Span(5, 10),)),
    ("bytes=5-999", 10, (Span(5, 10),)),
    ("bytes=-11", 10, (Span(0, 10),)),
    (f"bytes=0-{'9' * 500}", 10, (Span(0, 10),)),
    (f"bytes=-{'9' * 500}", 10, (Span(0, 10),)),
    # case and white space that the grammar allows
    ("BYTES=0-4", 10, (Span(0, 5),)),
    (" bytes=0-4\t", 10, (Span(0, 5),)),
    ("bytes= 0-4 ,\t6-7 ", 10, (Span(0, 5), Span(6, 8))),
    ("bytes=,0-4,,", 10, (Span(0, 5),)),
    # several
    ("bytes=0-1,4-5", 10, (Span(0, 2), Span(4, 6))),
    ("bytes=4-5,0-1", 10, (Span(4, 6), Span(0, 2))),
    ("bytes=0-1,2-3", 10, (Span(0, 2), Span(2, 4))),
    ("bytes=0-1,20-30", 10, (Span(0, 2),)),
    ("bytes=0-4,2-6", 10, (Span(0, 7),)),
    ("bytes=2-6,0-4", 10, (Span(0, 7),)),
    ("bytes=0-,-1", 10, (Span(0, 10),)),
    ("bytes=8-9,0-1,3-4,1-3", 10, (Span(8, 10), Span(0, 5))),
    ("bytes=0-0,2-2,1-1", 10, (Span(0, 1), Span(2, 3), Span(1, 2))),
    ("bytes=" + ",".join(["0-0"] * RANGES_LIMIT), 10, (Span(0, 1),)),
    # can't be satisfied
    ("bytes=10-", 10, ()),
    ("bytes=10-20", 10, ()),
    ("bytes=999-", 10, ()),
    ("bytes=-0", 10, ()),
    ("bytes=10-,20-", 10, ()),
    (f"bytes={'9' * 500}-", 10, ()),
    ("bytes=5-4", 10, ()),
    ("bytes=0-1,5-4", 10, ()),
    ("bytes=5-4", 0, ()),
    # nothing to take a part of
    ("bytes=0-", 0, None),
    ("bytes=0-0", 0, None),
    ("bytes=-5", 0, None),
    # not understood
    ("", 10, None),
    ("bytes", 10, None),
    ("bytes=", 10, None),
    ("bytes=,", 10, None),
    ("bytes=-", 10, None),
    ("bytes=a-b", 10, None),
    ("bytes=0-4,x", 10, None),
    ("bytes=5-4,x", 10, None),
    ("bytes=0--4", 10, None),
    ("bytes=+0-4", 10, None),
    ("bytes=0 - 4", 10, None),
    ("bytes = 0-4", 10, None),
    ("bytes 0-4", 10, None),
    ("bytes=0-4;5-6", 10, None),
    ("bytes=٠-٤", 10, None),
    ("bytes=0-4\n", 10, None),
    ("lines=0-4", 10, None),
    ("0-4", 10, None),
    # too many, too long
    ("bytes=" + ",".join(["0-0"] * (RANGES_LIMIT + 1)), 10, None),
    (f"bytes=0-{'9' * HEADER_LIMIT}", 10, None),
]


@pytest.mark.parametrize(("text", "span"), UPLOADS)
def test_content_range_of_an_upload_is_inclusive(text: str, span: Span) -> None:
    """A chunk's range names its first and its last byte."""
    assert parse_content_range(text) == span


@pytest.mark.parametrize("text", IMPOSSIBLE_UPLOADS, ids=lambda text: text[:20])
def test_content_range_of_no_content_is_a_range_error(text: str) -> None:
    """A range that no content can have is answered like one that starts at the wrong place."""
    with refused(Code.RANGE_INVALID):
        parse_content_range(text)


@pytest.mark.parametrize("text", MALFORMED_UPLOADS, ids=lambda text: repr(text[:20]))
def test_malformed_content_range_is_a_bad_request(text: str) -> None:
    """What is not a range at all is not taken for one."""
    with refused(Code.SIZE_INVALID):
        parse_content_range(text)


@pytest.mark.parametrize(
    ("offset", "text"), [(0, "0-0"), (1, "0-0"), (2, "0-1"), (2**62, f"0-{2**62 - 1}")]
)
def test_range_of_an_upload_ends_at_its_last_byte(offset: int, text: str) -> None:
    """The client is told the last byte of all that was received."""
    assert render_upload_range(offset) == text


@given(st.integers(0, POSITION_LIMIT - 1), st.integers(1, POSITION_LIMIT))
def test_content_range_gives_the_span_that_it_was_written_from(start: int, length: int) -> None:
    """Inclusive ends become half-open ones and nothing is lost on the way."""
    span = Span(start, min(start + length, POSITION_LIMIT))
    assert parse_content_range(f"{span.start}-{span.stop - 1}") == span


@pytest.mark.parametrize(("header", "size", "spans"), DOWNLOADS, ids=lambda value: str(value)[:30])
def test_range_of_a_download(header: str, size: int, spans: tuple[Span, ...] | None) -> None:
    """A range is clamped, refused or ignored as RFC 9110 and the specification say."""
    assert parse_range(header, size) == spans


SPECS = st.one_of(
    st.builds("{}-{}".format, st.integers(0, 30), st.integers(0, 30)),
    st.builds("{}-".format, st.integers(0, 30)),
    st.builds("-{}".format, st.integers(0, 30)),
)


def selected(spec: str, size: int) -> set[int]:
    """Say slowly which positions one range selects."""
    first, last = spec.split("-")
    if not first:
        return set(range(size)[-int(last) :]) if int(last) else set()
    return set(range(size)[int(first) : int(last) + 1 if last else None])


@given(st.lists(SPECS, min_size=1, max_size=RANGES_LIMIT), st.integers(1, 25))
def test_spans_select_what_the_ranges_select(specs: list[str], size: int) -> None:
    """Whatever is asked for is sent once, nothing else is, and no part is empty or overlaps
    another.
    """
    spans = parse_range("bytes=" + ",".join(specs), size)
    assert spans is not None
    if any(
        first and last and int(last) < int(first)
        for first, last in (spec.split("-") for spec in specs)
    ):
        assert spans == ()
        return
    positions = [position for span in spans for position in range(span.start, span.stop)]
    assert len(positions) == len(set(positions))
    assert set(positions) == set().union(*(selected(spec, size) for spec in specs))
    assert all(0 <= span.start < span.stop <= size and span.length > 0 for span in spans)


@given(st.text(max_size=60), st.integers(0, 20))
def test_any_header_is_answered(text: str, size: int) -> None:
    """No header makes a fault of ours."""
    for header in (text, "bytes=" + text):
        spans = parse_range(header, size)
        assert spans is None or all(0 <= span.start < span.stop <= size for span in spans)


def test_content_range_of_a_part_is_inclusive() -> None:
    """A 206 names its first and last byte and the size of the whole."""
    assert render_content_range(Span(0, 5), 10) == "bytes 0-4/10"
    assert render_content_range(Span(9, 10), 10) == "bytes 9-9/10"


def test_content_range_of_a_refusal_names_the_size() -> None:
    """A 416 tells what could have been asked for."""
    assert unsatisfied_content_range(10) == "bytes */10"
