# SPDX-License-Identifier: Apache-2.0
"""Error codes, their messages and their JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.oci.errors import EXCERPT_LIMIT, Code, OciError, excerpt, render, several

# Written out again: a changed text breaks clients that match on it.
MESSAGES = {
    "BLOB_UNKNOWN": "blob unknown to registry",
    "BLOB_UPLOAD_INVALID": "blob upload invalid",
    "BLOB_UPLOAD_UNKNOWN": "blob upload unknown to registry",
    "DIGEST_INVALID": "provided digest did not match uploaded content",
    "MANIFEST_BLOB_UNKNOWN": "blob unknown to registry",
    "MANIFEST_INVALID": "manifest invalid",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "MANIFEST_UNVERIFIED": "manifest failed signature verification",
    "NAME_INVALID": "invalid repository name",
    "NAME_UNKNOWN": "repository name not known to registry",
    "SIZE_INVALID": "provided length did not match content length",
    "UNAUTHORIZED": "authentication required",
    "DENIED": "requested access to the resource is denied",
    "UNSUPPORTED": "The operation is unsupported.",
    "TOOMANYREQUESTS": "too many requests",
    "PAGINATION_NUMBER_INVALID": "invalid number of results requested",
    "RANGE_INVALID": "invalid content range",
    "TAG_INVALID": "manifest tag did not match URI",
    "UNAVAILABLE": "service unavailable",
    "UNKNOWN": "unknown error",
}

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def read(error: OciError) -> list[dict[str, object]]:
    body = render(error)
    assert body.endswith(b"}\n")
    document = json.loads(body)
    assert list(document) == ["errors"]
    rows: list[dict[str, object]] = document["errors"]
    return rows


def test_code_table_is_what_clients_know() -> None:
    """Each code has the text and the message that registry:2 sends."""
    assert {code.value: code.message for code in Code} == MESSAGES
    assert all(code.name == code.value for code in Code)


@pytest.mark.parametrize("code", list(Code))
def test_error_without_detail_has_none_in_its_json(code: Code) -> None:
    """A row without a detail has just a code and a message."""
    assert read(OciError(code)) == [{"code": code.value, "message": code.message}]


@pytest.mark.parametrize("nothing", [None, "", [], (), {}])
def test_empty_detail_is_left_out(nothing: object) -> None:
    """An empty detail is not sent."""
    assert "detail" not in read(OciError(Code.UNKNOWN, nothing))[0]


@pytest.mark.parametrize("something", [0, False, "x", ["x"], {"n": "x"}])
def test_detail_is_sent_as_it_is(something: object) -> None:
    """A detail keeps its JSON type."""
    assert read(OciError(Code.UNKNOWN, something))[0]["detail"] == something


def test_detail_that_json_cannot_hold_is_told_by_its_text() -> None:
    """An object of ours in a detail does not make a second fault out of the first."""
    assert read(OciError(Code.UNKNOWN, Code.DENIED))[0]["detail"] == str(Code.DENIED)


def test_own_message_replaces_the_codes() -> None:
    """One refusal may say something better than its code does."""
    assert (
        read(OciError(Code.DIGEST_INVALID, message="invalid digest"))[0]["message"]
        == "invalid digest"
    )


def test_body_of_the_reference_sample() -> None:
    """The body is, byte for byte, the one that registry:3 sends for a missing tag."""
    assert render(OciError(Code.MANIFEST_UNKNOWN, "unknown tag=none")) == (
        b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":"unknown tag=none"}]}\n'
    )


def test_several_errors_are_all_listed_and_the_first_gives_the_code() -> None:
    """A push that misses three blobs is told of three blobs."""
    parts = [OciError(Code.MANIFEST_BLOB_UNKNOWN, name) for name in "abc"]
    whole = several(parts)
    assert whole.code is Code.MANIFEST_BLOB_UNKNOWN
    assert [row["detail"] for row in read(whole)] == ["a", "b", "c"]


def test_one_error_of_several_is_itself() -> None:
    """Nothing is wrapped that stands alone."""
    only = OciError(Code.DENIED)
    assert several([only]) is only


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OciError(Code.DENIED), "DENIED: requested access to the resource is denied"),
        (OciError(Code.TAG_INVALID, ".a"), "TAG_INVALID: manifest tag did not match URI (.a)"),
    ],
)
def test_text_of_an_error_is_fit_for_a_log(error: OciError, told: str) -> None:
    """A log line has code, message and detail."""
    assert str(error) == told


@given(
    st.sampled_from(Code),
    JSON_VALUES,
    st.none() | st.text(),
    st.none() | st.integers(min_value=0),
    st.none() | st.integers(min_value=0),
    st.booleans(),
    st.booleans(),
)
def test_error_survives_the_way_between_processes(
    code: Code,
    detail: object,
    message: str | None,
    retry_after: int | None,
    offset: int | None,
    too_large: bool,
    malformed: bool,
) -> None:
    """What a worker process refuses arrives as it was refused, whatever is in it."""
    error = OciError(
        code,
        detail,
        message=message,
        retry_after=retry_after,
        offset=offset,
        too_large=too_large,
        malformed=malformed,
        errors=(OciError(code, detail),),
    )
    plain = error.to_plain()
    back = OciError.from_plain(json.loads(json.dumps(plain)))
    assert back.to_plain() == plain
    assert render(back) == render(error)


@given(st.text())
def test_any_text_in_a_detail_gives_valid_json_in_one_line(text: str) -> None:
    """Hostile text can neither break the JSON nor the line."""
    body = render(OciError(Code.NAME_INVALID, "x" + text))
    assert json.loads(body)["errors"][0]["detail"] == "x" + text
    assert body.count(b"\n") == 1


@pytest.mark.parametrize(
    ("length", "kept"),
    [(0, 0), (EXCERPT_LIMIT, EXCERPT_LIMIT), (EXCERPT_LIMIT + 1, EXCERPT_LIMIT + 3)],
)
def test_excerpt_bounds_what_is_repeated(length: int, kept: int) -> None:
    """Ten kilobytes of junk are not sent back."""
    assert len(excerpt("x" * length)) == kept
