# SPDX-License-Identifier: Apache-2.0
"""Lines of the queue: they are read as they were written, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.events.records import decode, encode

JSON = st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text()))


@given(JSON, st.integers(0, 10**12))
def test_what_is_written_is_read(event, milliseconds):
    """On one line, whatever text clients put into it."""
    line = encode(milliseconds / 1000, event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    record = decode(line[:-1])
    assert record.event == event
    assert record.stamp == pytest.approx(milliseconds / 1000, abs=0.0011)
    assert record.length == len(line)


@given(JSON, st.data())
def test_line_that_is_not_whole_is_none(event, data):
    line = encode(1.0, event)[:-1]
    cut = data.draw(st.integers(0, len(line) - 1))
    assert decode(line[:cut]) is None
    assert decode(line[cut + 1 :]) is None


@given(st.integers(0, 200), st.integers(1, 255))
def test_line_with_a_changed_byte_is_none(place, change):
    line = bytearray(encode(1.0, {"id": "1", "text": "x" * 300})[:-1])
    line[place] ^= change
    assert decode(bytes(line)) is None


@pytest.mark.parametrize("line", [b"", b"\0" * 4096, b"00000000 1 {}", b"x", b"\xff\xfe"])
def test_rubbish_is_none(line):
    """What a file system may show where a power cut struck."""
    assert decode(line) is None
