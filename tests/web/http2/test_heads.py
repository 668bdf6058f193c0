# SPDX-License-Identifier: Apache-2.0
"""Heads of HTTP/2, apart from connections."""

from __future__ import annotations

import pytest

from txregistry.web.answer import Answer
from txregistry.web.http2.heads import answer_fields, read_head

GET = [(b":method", b"GET"), (b":path", b"/v2/?n=1"), (b":scheme", b"https")]
HOST = (b":authority", b"registry.test:5000")
STANDING = b"Server: txregistry\r\nX-Ours: a: b\r\nKeep-Alive: timeout=5\r\n"


def test_request_is_read():
    head = read_head(
        [*GET, HOST, (b"content-length", b"5"), (b"accept", b"a"), (b"accept", b"b")], 9
    )
    assert (head.method, head.target, head.length, head.fault) == (b"GET", b"/v2/?n=1", 5, None)
    assert head.headers.getRawHeaders(b"Host") == [b"registry.test:5000"]
    assert head.headers.getRawHeaders(b"Accept") == [b"a", b"b"]


def test_authority_and_host_are_one():
    """The library has seen to it that they are the same."""
    head = read_head([*GET, HOST, (b"host", HOST[1])], 9)
    assert head.fault is None
    assert head.headers.getRawHeaders(b"Host") == [HOST[1]]
    assert read_head([*GET, (b"host", b"a.test")], 9).fault is None


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ([*GET[1:], HOST], "the method is malformed"),
        ([(b":method", b"G\xff"), *GET[1:], HOST], "the method is malformed"),
        ([GET[0], GET[2], HOST], "the request target must be a path"),
        ([GET[0], (b":path", b"*"), HOST], "the request target must be a path"),
        ([GET[0], (b":path", b"/a b"), HOST], "the request target must be a path"),
        ([GET[0], (b":path", b"/\xc3\xa4"), HOST], "the request target must be a path"),
        ([GET[0], (b":path", b"https://a/b"), HOST], "the request target must be a path"),
        ([*GET, HOST, (b"content-length", b"1_0")], "Content-Length is malformed"),
        ([*GET, HOST, (b"content-length", b"1" * 20)], "Content-Length is malformed"),
        ([*GET, HOST, *[(b"content-length", b"1")] * 2], "Content-Length is malformed"),
        ([*GET, (b":authority", b"a@b")], "the Host header is malformed"),
        ([*GET, *[(b"host", b"a")] * 2], "exactly one Host header is needed"),
        ([*GET, HOST, *[(b"x", b"a")] * 10], "there are too many header lines"),
    ],
)
def test_request_is_refused(fields, fault):
    assert read_head(fields, 9).fault == fault


def test_answer_is_spelled():
    """Names in lower case, and nothing that is said of a connection."""
    answer = Answer(200, (("Content-Type", "text/plain"),), b"abc")
    assert answer_fields(answer, STANDING) == [
        (b":status", b"200"),
        (b"server", b"txregistry"),
        (b"x-ours", b"a: b"),
        (b"content-type", b"text/plain"),
        (b"content-length", b"3"),
    ]


def test_answer_with_a_line_break_is_not_sent():
    with pytest.raises(ValueError, match="line break"):
        answer_fields(Answer(200, (("X-A", "a\r\nb: c"),)), STANDING)
