# SPDX-License-Identifier: Apache-2.0
"""JSON from strangers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.oci.strict_json import (
    COMMAS_LIMIT,
    CONTAINERS_LIMIT,
    DEPTH_LIMIT,
    FLOAT_LIMIT,
    JsonInvalid,
    read_stored,
    read_strict,
)

MEBI = 1024 * 1024

# Refused however it came here.
NEVER = {
    "empty": b"",
    "white space": b" \n",
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "UTF-16 without a mark": "{}".encode("utf-16-le"),
    "UTF-32": "{}".encode("utf-32"),
    "invalid UTF-8": b'{"a":"\xff"}',
    "Latin-1": '{"a":"é"}'.encode("latin-1"),
    "overlong UTF-8": b'{"a":"\xc0\xaf"}',
    "raw surrogate": b'{"a":"\xed\xa0\x80"}',
    "trailing bytes": b"{}x",
    "trailing NUL": b"{}\0",
    "two documents": b"{}{}",
    "two documents in lines": b"{}\n{}",
    "control character": b'{"a":"\n"}',
    "NUL in a string": b'{"a":"\0"}',
    "single quotes": b"{'a':1}",
    "trailing comma": b"[1,]",
    "comment": b"{}//",
    "unterminated string": b'{"a":"b',
    "unterminated escape": b'{"a":"\\',
    "unterminated object": b'{"a":{',
    "wrong bracket": b"[}",
    "bracket too many": b"[]]",
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "-Infinity": b"[-Infinity]",
    "leading zero": b"[01]",
    "plus": b"[+1]",
    "hex": b"[0x1]",
    "100,000 arrays": b"[" * 100_000 + b"]" * 100_000,
    "100,000 arrays, none closed": b"[" * 100_000,
    "100,000 objects": b'{"a":' * 99_000 + b"1" + b"}" * 99_000,
    "one level too deep": b"[" * (DEPTH_LIMIT + 1) + b"]" * (DEPTH_LIMIT + 1),
    "4 MiB of empty arrays": b"[" + b"[]," * (4 * MEBI // 3 - 2) + b"[]]",
    "4 MiB of open arrays": b"[" * (4 * MEBI),
    "4 MiB of empty strings": b"[" + b'"",' * (4 * MEBI // 3 - 2) + b'""]',
    "4 MiB of quotation marks": b'"' * (4 * MEBI),
    "4 MiB of escaped quotation marks": b'"' + b'\\"' * (2 * MEBI),
    "4 MiB of backslashes": b'"' + b"\\" * (4 * MEBI - 1),
    "an array too many": b"[" + b"[]" * CONTAINERS_LIMIT + b"]",
    "a value too many": b"[" + b"1," * (COMMAS_LIMIT + 1) + b"1]",
}

# Refused from whoever pushes, put up with in a tree that somebody else has filled.
STRICTLY = {
    "equal names": b'{"a":1,"a":1}',
    "equal names below": b'{"a":[{"b":1,"c":2,"b":3}]}',
    "equal names, one escaped": b'{"a":1,"\\u0061":2}',
    "integer of 20 digits": b"[10000000000000000000]",
    "negative integer of 20 digits": b"[-10000000000000000000]",
    "infinite": b"[1e999]",
    "negative infinite": b"[-1e999]",
    "long fraction": b"[1." + b"0" * FLOAT_LIMIT + b"]",
    "negative zero": b'{"a":-0}',
    "first half of a pair": b'{"a":"\\ud800"}',
    "second half of a pair": b'{"a":"\\uDC00"}',
    "pair the wrong way round": b'{"a":"\\udc00\\ud800"}',
    "half of a pair in a name": b'{"\\uDbFf":1}',
}

TAKEN = {
    "white space around": (b" \r\n\t{} \n", {}),
    "scalar": (b"1", 1),
    "null": (b"null", None),
    "19 digits": (b"[9223372036854775807,-9223372036854775808]", [2**63 - 1, -(2**63)]),
    "fraction": (b"[1.0,-0.5,1e3,-0.0]", [1.0, -0.5, 1000.0, 0.0]),
    "pair": (b'"\\ud83d\\ude00"', "\U0001f600"),
    "escaped backslash before u": (b'"\\\\ud800"', "\\ud800"),
    "astral": ('"\U0001f600"'.encode(), "\U0001f600"),
    "control characters, escaped": (b'"\\u0000\\n"', "\0\n"),
    "brackets in strings": (b'["[[[[{{{{", "\\"[", "]\\\\"]', ["[[[[{{{{", '"[', "]\\"]),
    "deepest": (b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT, None),
    "equal names in two objects": (b'[{"a":1},{"a":1}]', [{"a": 1}, {"a": 1}]),
    "names that differ in case": (b'{"a":1,"A":2}', {"a": 1, "A": 2}),
    "200 deep brackets in a string": (b'"' + b"[" * 200 + b'"', "[" * 200),
}


@pytest.mark.parametrize("data", NEVER.values(), ids=NEVER.keys())
@pytest.mark.parametrize("read", [read_strict, read_stored])
def test_what_is_not_json_or_costs_too_much_is_refused(read: Any, data: bytes) -> None:
    """No document of any kind is a fault of ours, and none is read that others would not read."""
    with pytest.raises(JsonInvalid) as caught:
        read(data)
    assert 0 < len(str(caught.value)) < 200


@pytest.mark.parametrize("data", STRICTLY.values(), ids=STRICTLY.keys())
def test_what_can_be_read_in_two_ways_is_refused_when_pushed(data: bytes) -> None:
    """Two programs that read a taken document read the same, so a stored one of that kind is still
    read.
    """
    with pytest.raises(JsonInvalid):
        read_strict(data)
    read_stored(data)


@pytest.mark.parametrize(("data", "document"), TAKEN.values(), ids=TAKEN.keys())
def test_what_means_one_thing_is_taken(data: bytes, document: object) -> None:
    """White space, any text and finite numbers are as good as anywhere."""
    for read in (read_strict, read_stored):
        found = read(data)
        assert document is None or found == document


def test_refusal_does_not_repeat_the_input() -> None:
    """What was sent is not written back, nor into the log."""
    with pytest.raises(JsonInvalid) as caught:
        read_strict(b'{"secret":"hunter2",}')
    assert "hunter2" not in str(caught.value)


DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=30,
)


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 1]))
def test_any_document_is_read_as_it_was_written(
    document: object, ensure_ascii: bool, indent: int | None
) -> None:
    """A document of any shape is read, escaped or not, in one line or many."""
    data = json.dumps(document, ensure_ascii=ensure_ascii, indent=indent).encode()
    assert read_strict(data) == read_stored(data) == document


@given(st.integers(1, 200), st.text(alphabet='"[]{}\\', max_size=20))
def test_depth_is_that_of_brackets_outside_of_strings(depth: int, text: str) -> None:
    """Brackets in a string are text, at any depth."""
    inner = json.dumps(text).encode()
    data = b"[" * depth + inner + b"]" * depth
    if depth > DEPTH_LIMIT:
        with pytest.raises(JsonInvalid, match="nested"):
            read_strict(data)
    else:
        read_strict(data)


@given(st.binary(max_size=40) | st.text(alphabet='{}[]",:\\u0a1e-. ', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Bytes of any kind give a document that JSON takes back, or a refusal."""
    try:
        document = read_strict(data)
    except JsonInvalid:
        return
    assert json.loads(json.dumps(document, ensure_ascii=False).encode()) == document
    assert read_stored(data) == document
