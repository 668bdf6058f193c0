# SPDX-License-Identifier: Apache-2.0
"""If-None-Match and If-Range."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.oci.conditions import allows_range, etag_of, matches_etag
from txregistry.oci.digests import Digest

DIGEST = Digest.of(b"x")
OTHER = Digest.of(b"y")
SHA512 = Digest.of(b"x", "sha512")

# header, whether it matches, whether it does as If-Range
HEADERS = [
    (f'"{DIGEST}"', True, True),
    (f' "{DIGEST}" ', True, True),
    (f"{DIGEST}", True, True),
    (f'W/"{DIGEST}"', True, False),
    (f'"{OTHER}", "{DIGEST}"', True, False),
    (f'"{OTHER}","{DIGEST}"', True, False),
    (f'"{OTHER}" , W/"{DIGEST}" , "z"', True, False),
    (f"{OTHER}, {DIGEST}", True, False),
    (", ".join(f'"{place}"' for place in range(1000)) + f', "{DIGEST}"', True, False),
    ("*", True, False),
    (" * ", True, False),
    ("", False, False),
    ('""', False, False),
    ('"*"', False, False),
    (f'"{OTHER}"', False, False),
    (f'"{SHA512}"', False, False),
    (f'"{DIGEST.encoded}"', False, False),
    (f'"{str(DIGEST).upper()}"', False, False),
    (f'"{DIGEST}0"', False, False),
    (f'"a,{DIGEST},b"', False, False),
    (f'"a, {DIGEST} ,b"', False, False),
    ("Wed, 21 Oct 2015 07:28:00 GMT", False, False),
    ('"' * 10_000, False, False),
    ('"' + "a," * 5_000, False, False),
    ("W/" * 5_000, False, False),
]


@pytest.mark.parametrize(("header", "expected", "_"), HEADERS, ids=lambda value: str(value)[:30])
def test_if_none_match(header: str, expected: bool, _: bool) -> None:
    """Content that the client holds already is not sent again, however it says so."""
    assert matches_etag(header, DIGEST) is expected


@pytest.mark.parametrize(("header", "_", "expected"), HEADERS, ids=lambda value: str(value)[:30])
def test_if_range(header: str, _: bool, expected: bool) -> None:
    """A part is sent only if it surely belongs to what the client holds."""
    assert allows_range(header, DIGEST) is expected


def test_missing_headers_ask_nothing() -> None:
    """Without conditions the content is sent, and its parts are."""
    assert not matches_etag(None, DIGEST)
    assert allows_range(None, DIGEST)


@given(
    st.lists(st.text(alphabet=st.characters(min_codepoint=0x23, max_codepoint=0x7E), max_size=8))
)
def test_own_etag_matches_in_any_list(others: list[str]) -> None:
    """The tag that was sent is recognised among any others."""
    tags = [f'"{text}"' for text in others]
    assert matches_etag(", ".join([*tags, etag_of(DIGEST), *tags]), DIGEST)
    assert not matches_etag(", ".join(tags), DIGEST)
