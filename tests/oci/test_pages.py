# SPDX-License-Identifier: Apache-2.0
"""Pages and the links between them."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.oci.errors import Code
from txregistry.oci.pages import LAST_LIMIT, Page, PageRequest, next_link, parse_page, take

from .refusals import refused

NO_NUMBERS = [
    "",
    "-1",
    "-0",
    "+1",
    "abc",
    "1.0",
    "1e9",
    "0x1",
    " 1",
    "1\n",
    "٣",
    "1,2",
    "9" * 101,
    "9" * 10240,
]


@pytest.mark.parametrize("clamp", [True, False])
@pytest.mark.parametrize("n", NO_NUMBERS, ids=lambda n: repr(n[:12]))
def test_number_that_is_none_is_refused(n: str, clamp: bool) -> None:
    """What is not a count is refused, with what was sent, but not all of it."""
    with refused(Code.PAGINATION_NUMBER_INVALID) as caught:
        parse_page(n, None, maximum=1000, default=100, clamp=clamp)
    detail = caught.value.detail
    assert isinstance(detail, dict)
    assert detail["n"].startswith(n[:200])
    assert len(detail["n"]) < 300


@pytest.mark.parametrize(("n", "limit"), [("0", 0), ("1", 1), ("007", 7), ("1000", 1000)])
@pytest.mark.parametrize("clamp", [True, False])
def test_number_up_to_the_maximum_is_taken(n: str, limit: int, clamp: bool) -> None:
    """A count within bounds is what the page has."""
    assert parse_page(n, None, maximum=1000, default=100, clamp=clamp) == PageRequest(limit, "")


@pytest.mark.parametrize("n", ["1001", str(2**31), str(2**63), "1000000000", "9" * 100])
def test_number_above_the_maximum_is_clamped_or_refused(n: str) -> None:
    """Asking for more than there may be on a page is one or the other, by the list's own policy."""
    assert parse_page(n, "a", maximum=1000, default=100, clamp=True) == PageRequest(1000, "a")
    with refused(Code.PAGINATION_NUMBER_INVALID):
        parse_page(n, "a", maximum=1000, default=100, clamp=False)


@pytest.mark.parametrize("default", [None, 100])
def test_missing_number_is_the_lists_default(default: int | None) -> None:
    """Who names no count gets the usual one, which may be everything."""
    assert parse_page(None, None, maximum=1000, default=default, clamp=True) == PageRequest(
        default, ""
    )


@pytest.mark.parametrize("last", ["", "a", "lib/app", "../..", "a b", "é", "\0", "<>;\r\n", '"'])
def test_last_is_only_compared_with(last: str) -> None:
    """Any text may be gone on after; it need not be a name."""
    assert parse_page(None, last, maximum=1, default=1, clamp=True).last == last


NAMES = st.text(alphabet="ab/", min_size=1, max_size=4)


@given(
    st.lists(NAMES, unique=True).map(sorted),
    st.text(alphabet="ab/", max_size=5),
    st.integers(0, 6),
)
def test_page_has_the_names_after_last(names: list[str], last: str, limit: int) -> None:
    """A page has the first names strictly after ``last``, and says whether others follow."""
    rest = [name for name in names if name > last]
    page = take(names, PageRequest(limit, last))
    assert list(page.names) == rest[:limit]
    assert page.has_more is (0 < limit < len(rest))
    assert take(names, PageRequest(None, last)) == Page(tuple(rest), False)


@given(st.lists(NAMES, unique=True).map(sorted), st.integers(1, 4))
def test_pages_one_after_the_other_give_each_name_once(names: list[str], limit: int) -> None:
    """Following the links gives the whole list, nothing twice, nothing left out, no empty page at
    the end.
    """
    seen: list[str] = []
    request = PageRequest(limit)
    while True:
        page = take(names, request)
        seen += page.names
        if not page.has_more:
            break
        request = PageRequest(limit, page.names[-1])
    assert seen == names
    assert len(page.names) > 0 or not names


@given(
    st.text(alphabet="ab", min_size=1, max_size=LAST_LIMIT - 1),
    st.integers(0, LAST_LIMIT),
    st.text(alphabet="ab", max_size=4),
)
def test_cutting_a_long_last_changes_no_page(name: str, common: int, tail: str) -> None:
    """What ten kilobytes of ``last`` come after is what their beginning comes after."""
    last = (name[:common] + tail + "a" * LAST_LIMIT + tail) * 2
    cut = parse_page(None, last, maximum=1, default=1, clamp=True).last
    assert len(cut) == LAST_LIMIT
    assert (name > last) is (name > cut)


def test_link_of_the_reference_sample() -> None:
    """The Link is that of registry:3."""
    assert (
        next_link("/v2/_catalog", [("n", "2"), ("last", "b")])
        == '</v2/_catalog?last=b&n=2>; rel="next"'
    )


def test_link_encodes_what_a_query_cannot_hold() -> None:
    """A slash in a name and a colon in a digest come back as they were."""
    assert next_link("/v2/_catalog", [("last", "lib/app"), ("n", "1")]) == (
        '</v2/_catalog?last=lib%2Fapp&n=1>; rel="next"'
    )
    assert next_link("/v2/a/referrers/sha256:ab", [("last", "sha256:cd")]) == (
        '</v2/a/referrers/sha256:ab?last=sha256%3Acd>; rel="next"'
    )


@given(st.text(), st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1))
def test_link_gives_back_what_it_was_made_of(path: str, parameters: list[tuple[str, str]]) -> None:
    """Hostile text in a link is data: it ends neither the URL, nor the header, nor the line."""
    link = next_link("/v2/" + path, parameters)
    match = re.fullmatch(r'<([!-;=?-~]+)>; rel="next"', link, re.ASCII)
    assert match is not None
    target = urlsplit(match[1])
    assert (target.scheme, target.netloc, target.fragment) == ("", "", "")
    assert unquote(target.path) == "/v2/" + path
    assert parse_qsl(target.query) == sorted(parameters, key=lambda pair: pair[0])


def test_link_with_half_of_a_surrogate_pair_is_no_fault() -> None:
    """Text that has no encoding is replaced."""
    assert next_link("/\ud800", [("last", "\ud800")]) == '</%3F?last=%3F>; rel="next"'
