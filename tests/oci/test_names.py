# SPDX-License-Identifier: Apache-2.0
"""Repository names, tags, references, upload ids."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code
from txregistry.oci.names import (
    NAME_LIMIT,
    RepositoryName,
    Tag,
    UploadId,
    fallback_tag,
    parse_reference,
)

from .refusals import refused

DIGEST = Digest.of(b"x")

NAMES = [
    "a",
    "0",
    "a/b",
    "a-b",
    "a--b",
    "a----b",
    "a_b",
    "a__b",
    "a.b",
    "0/1",
    "a/b/c/d/e/f/g/h/i/j",
    "library/hello-world",
    "host.example/a",
    "a" * NAME_LIMIT,
    "a/" * (NAME_LIMIT // 2) + "a",
]

NO_NAMES = [
    "",
    "A",
    "UPPER/a",
    "/",
    "/a",
    "a/",
    "a//b",
    "-a",
    "a-",
    "--",
    ".",
    "..",
    "../a",
    "a/../b",
    "a..b",
    "a._b",
    "a-_b",
    "a___b",
    "_a",
    "a_",
    "_catalog",
    "a/_manifests",
    "a b",
    "a\n",
    "a\0",
    "é",
    "ａ",
    "a%2fb",
    "a\\b",
    "a:b",
    "host.example:5000/a",
    "a@b",
    "a" * (NAME_LIMIT + 1),
    "a" * 10240,
    "a-" * 100_000 + "_",
]

TAGS = [
    "a",
    "1",
    "A",
    "_",
    "_x",
    "__",
    "v1.0-rc.1",
    "latest",
    "a..b",
    "a" * 128,
    "sha256-" + "a" * 64,
]

NO_TAGS = [
    "",
    ".a",
    "-a",
    ".",
    "..",
    "a+b",
    "a/b",
    "a b",
    " a",
    "a\n",
    "a\0",
    "é",
    "a" * 129,
    "a" * 10240,
]

UPLOADS = ["0f3a1d1e-6d0c-4c60-9c1c-2f7a3a1f9b11", "0", "a.b", "_-.", "...", "a" * 128]

NO_UPLOADS = ["", ".", "..", "a/b", "a=", "a b", "a\n", "a\0", "é", "a" * 129, "a" * 10240]

# The specification's own patterns, as it prints them.
SPEC_NAME = re.compile(
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII
)
SPEC_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", re.ASCII)


@pytest.mark.parametrize("text", NAMES)
def test_name_of_the_grammar_is_taken(text: str) -> None:
    """A name that the specification allows is taken as it is."""
    assert str(RepositoryName.parse(text)) == text


@pytest.mark.parametrize("text", NO_NAMES, ids=lambda text: repr(text[:20]))
def test_name_outside_of_the_grammar_is_refused(text: str) -> None:
    """Any other name is NAME_INVALID, soon, and not repeated at length."""
    with refused(Code.NAME_INVALID) as caught:
        RepositoryName.parse(text)
    assert len(str(caught.value)) < 400


@given(st.text(alphabet="a0/._-A", max_size=12))
def test_name_is_taken_exactly_if_the_specification_says_so(text: str) -> None:
    """Our pattern and the specification's are the same language."""
    if SPEC_NAME.fullmatch(text):
        assert RepositoryName.parse(text).text == text
    else:
        with refused(Code.NAME_INVALID):
            RepositoryName.parse(text)


@pytest.mark.parametrize("text", TAGS)
def test_tag_of_the_grammar_is_taken(text: str) -> None:
    """A tag that the specification allows is taken as it is, and is a reference."""
    assert str(Tag.parse(text)) == text
    assert parse_reference(text) == Tag(text)


@pytest.mark.parametrize("text", NO_TAGS, ids=lambda text: repr(text[:20]))
def test_tag_outside_of_the_grammar_is_refused(text: str) -> None:
    """Any other tag is TAG_INVALID, alone and as a reference."""
    with refused(Code.TAG_INVALID):
        Tag.parse(text)
    with refused(Code.TAG_INVALID):
        parse_reference(text)


@given(st.text(alphabet=string.ascii_letters + string.digits + "._-:/\n", max_size=130))
def test_tag_is_taken_exactly_if_the_specification_says_so(text: str) -> None:
    """Our pattern and the specification's are the same language."""
    if SPEC_TAG.fullmatch(text):
        assert Tag.parse(text).text == text
    else:
        with refused(Code.TAG_INVALID):
            Tag.parse(text)


def test_reference_with_a_colon_is_a_digest() -> None:
    """A reference that can't be a tag is read as a digest."""
    assert parse_reference(str(DIGEST)) == DIGEST


@pytest.mark.parametrize(
    "text", [":", "a:b", "sha256:abc", "md5:" + "a" * 32, "latest:", "sha256:../../x"]
)
def test_reference_with_a_colon_that_is_no_digest_is_refused_as_one(text: str) -> None:
    """A bad digest is never taken for a tag."""
    with refused(Code.DIGEST_INVALID):
        parse_reference(text)


@pytest.mark.parametrize("text", UPLOADS)
def test_upload_id_that_could_have_been_issued_is_taken(text: str) -> None:
    """Our ids, and those in an adopted tree, are taken."""
    assert str(UploadId.parse(text)) == text


@pytest.mark.parametrize("text", NO_UPLOADS, ids=lambda text: repr(text[:20]))
def test_upload_id_that_was_never_issued_is_unknown(text: str) -> None:
    """Whatever can't be an id is an upload that nobody knows."""
    with refused(Code.BLOB_UPLOAD_UNKNOWN):
        UploadId.parse(text)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_fallback_tag_is_cut_as_clients_cut_it(algorithm: str) -> None:
    """A client's own list of referrers is found under the specification's tag, which is a tag."""
    subject = Digest.of(b"x", algorithm)
    tag = fallback_tag(subject)
    assert tag.text == f"{algorithm}-{subject.encoded[:64]}"
    assert Tag.parse(tag.text) == tag


def test_names_and_tags_sort_by_their_bytes() -> None:
    """Lists come in the order of ASCII."""
    assert [str(tag) for tag in sorted(map(Tag, ["b", "a", "B", "_", "1", "a.1", "a-1"]))] == [
        "1",
        "B",
        "_",
        "a",
        "a-1",
        "a.1",
        "b",
    ]
    assert RepositoryName("a-b") < RepositoryName("a/b") < RepositoryName("a0")
