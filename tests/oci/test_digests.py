# SPDX-License-Identifier: Apache-2.0
"""Digests."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from txregistry.oci.digests import ALGORITHMS, EMPTY_SHA256, Digest, check_algorithm
from txregistry.oci.errors import Code, OciError

from .refusals import refused

INVALID = {
    "empty": "",
    "no colon": "sha256" + "a" * 64,
    "algorithm alone": "sha256:",
    "encoded part alone": ":" + "a" * 64,
    "63 digits": "sha256:" + "a" * 63,
    "65 digits": "sha256:" + "a" * 65,
    "sha512 of a sha256's length": "sha512:" + "a" * 64,
    "sha256 of a sha512's length": "sha256:" + "a" * 128,
    "upper case": "sha256:" + "A" * 64,
    "upper-case algorithm": "SHA256:" + "a" * 64,
    "not hex": "sha256:" + "g" * 64,
    "md5": "md5:" + "a" * 32,
    "sha384": "sha384:" + "a" * 96,
    "compound algorithm": "sha256+b64:" + "a" * 64,
    "traversal": "sha256:../../" + "a" * 58,
    "newline after": "sha256:" + "a" * 64 + "\n",
    "newline before": "\nsha256:" + "a" * 64,
    "space": " sha256:" + "a" * 64,
    "NUL": "sha256:" + "a" * 63 + "\0",
    "other digits": "sha256:" + "٣" * 64,
    "two digests": "sha256:" + "a" * 64 + "|sha512:" + "a" * 128,
    "ten kilobytes": "sha256:" + "a" * 10240,
}


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID.keys())
def test_malformed_digest_is_refused(text: str) -> None:
    """Whatever is not a digest that can be verified is 400 DIGEST_INVALID, and not repeated at
    length.
    """
    with refused(Code.DIGEST_INVALID) as caught:
        Digest.parse(text)
    assert len(str(caught.value)) < 400


@given(st.sampled_from(sorted(ALGORITHMS)), st.binary(max_size=64))
def test_digest_of_content_is_found_again_from_its_text(algorithm: str, data: bytes) -> None:
    """A digest survives being written and read, and names the content that it was made of."""
    digest = Digest.of(data, algorithm)
    assert Digest.parse(str(digest)) == digest
    assert str(digest) == f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    assert len(digest.encoded) == ALGORITHMS[algorithm]
    assert digest.matches(data)
    assert not digest.matches(data + b"x")


@given(st.text(alphabet="abcdef0123456789sha:", max_size=80))
@example("sha256:" + "0" * 64)
def test_whatever_is_taken_is_given_back_unchanged(text: str) -> None:
    """There is one spelling of a digest: what is parsed is what is printed."""
    try:
        digest = Digest.parse(text)
    except OciError as err:
        assert err.code is Code.DIGEST_INVALID
    else:
        assert str(digest) == text


def test_digest_of_nothing_is_the_known_one() -> None:
    """The empty blob has the digest that everybody knows, and sha256 is what is meant if nothing is
    said.
    """
    assert Digest.of(b"") == EMPTY_SHA256 == Digest.parse(str(EMPTY_SHA256))


def test_digests_sort_and_hash_by_content() -> None:
    """Digests work as keys and in sorted lists."""
    low, high = Digest("sha256", "0" * 64), Digest("sha256", "f" * 64)
    assert sorted([high, low]) == [low, high]
    assert {low: 1}[Digest("sha256", "0" * 64)] == 1


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_known_algorithm_is_taken(algorithm: str) -> None:
    """Both registered algorithms may be asked for."""
    assert check_algorithm(algorithm) == algorithm


@pytest.mark.parametrize(
    "algorithm", ["", "sha384", "SHA256", "md5", "sha256:", "sha256\n", "x" * 10240]
)
def test_unknown_algorithm_is_refused(algorithm: str) -> None:
    """An algorithm that is not taken is refused when it is asked for, not when the upload ends."""
    with refused(Code.DIGEST_INVALID):
        check_algorithm(algorithm)
