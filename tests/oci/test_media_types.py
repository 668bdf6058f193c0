# SPDX-License-Identifier: Apache-2.0
"""Media types and Content-Type headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.oci import media_types
from txregistry.oci.media_types import MEDIA_TYPE_LIMIT, is_media_type, media_type_of

READ = [
    (None, ""),
    ("", ""),
    (" ", ""),
    (media_types.OCI_MANIFEST, media_types.OCI_MANIFEST),
    (media_types.OCI_MANIFEST.upper(), media_types.OCI_MANIFEST),
    (f" {media_types.OCI_INDEX}\t", media_types.OCI_INDEX),
    (f"{media_types.OCI_INDEX}; charset=utf-8", media_types.OCI_INDEX),
    (f"{media_types.OCI_INDEX} ;a=b;c", media_types.OCI_INDEX),
    (f"{media_types.OCI_INDEX};", media_types.OCI_INDEX),
    ("text/html", "text/html"),
    ("text", ""),
    ("/html", ""),
    ("text/", ""),
    ("text/html/x", ""),
    ("text/html, text/plain", ""),
    ("text /html", ""),
    ("*/*", ""),
    ("+a/b", ""),
    ("text/html\r\nX: y", ""),
    ("text/html; a=\r\n", ""),
    ("text/html\n", ""),
    ("text/html\0", ""),
    ("téxt/html", ""),
    ("text/" + "a" * 127, "text/" + "a" * 127),
    ("text/" + "a" * 128, ""),
    ("text/html;" + " " * MEDIA_TYPE_LIMIT, "text/html"),
    ("text/html;" + "a" * MEDIA_TYPE_LIMIT, ""),
    ("text/html;" + "a" * 4096, ""),
]


@pytest.mark.parametrize(("header", "expected"), READ, ids=lambda value: repr(value)[:40])
def test_content_type_is_read(header: str | None, expected: str) -> None:
    """A Content-Type gives its type in lower case without parameters, or nothing if it is none."""
    assert media_type_of(header) == expected


@given(st.text(max_size=40))
def test_any_header_gives_a_type_or_nothing(header: str) -> None:
    """What comes out of any header is harmless to send, and reads the same again."""
    found = media_type_of(header)
    assert found.isprintable()
    assert media_type_of(found) == found
    assert is_media_type(found) is bool(found)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("application/vnd.in-toto+json", True),
        ("text/plain; charset=utf-8", True),
        ("a/b", True),
        ("A/B", True),
        ("", False),
        ("application", False),
        (" a/b", False),
        ("a/b\n", False),
        ("a/b;\x7f", False),
        ("a/b;" + "x" * MEDIA_TYPE_LIMIT, False),
    ],
)
def test_media_type_in_a_document(text: str, is_one: bool) -> None:
    """A type that a document names is judged as it stands."""
    assert is_media_type(text) is is_one


def test_sets_of_types_agree() -> None:
    """Whatever can be pushed is either an image or an index, and none is to be kept elsewhere."""
    assert media_types.IMAGE_TYPES | media_types.INDEX_TYPES == media_types.MANIFEST_TYPES
    assert not media_types.IMAGE_TYPES & media_types.INDEX_TYPES
    assert media_types.SELF_NAMING_TYPES < media_types.MANIFEST_TYPES
    assert not media_types.SCHEMA1_TYPES & media_types.MANIFEST_TYPES
    every = media_types.MANIFEST_TYPES | media_types.SCHEMA1_TYPES | media_types.NON_DISTRIBUTABLE
    assert all(media_type_of(each) == each for each in every)
