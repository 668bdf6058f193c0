# SPDX-License-Identifier: Apache-2.0
"""The rules about heads, without a connection."""

import pytest
from twisted.web.http_headers import Headers

from txregistry.web.framing import can_begin, find_fault, is_beyond_belief, may_stay_open


def fault(version=b"HTTP/1.1", target=b"/v2/", length=0, **headers):
    named = {name.replace("_", "-").encode(): values for name, values in headers.items()}
    return find_fault(version, target, Headers({b"Host": [b"h"], **named}), length)


def test_ordinary_requests_have_no_fault():
    """With and without a body."""
    assert fault() is None
    assert fault(length=5) is None
    assert fault(length=None, Transfer_Encoding=[b"chunked"]) is None
    assert fault(version=b"HTTP/1.0", Host=[]) is None


@pytest.mark.parametrize(
    "words",
    [
        {"Host": []},
        {"Host": [b"a", b"a"]},
        {"Host": [b"a b"]},
        {"version": b"HTTP/1.0", "Host": [b"a", b"b"]},
        {"Transfer_Encoding": [b"identity"]},
        {"Transfer_Encoding": [b"chunked"], "length": None, "version": b"HTTP/1.0"},
        {"Transfer_Encoding": [b"identity", b"chunked"], "length": None},
        {"target": b"*"},
        {"target": b"http://h/v2/"},
        {"target": b"/\x80"},
    ],
)
def test_ambiguous_requests_have_one(words):
    """What could be read in two ways is refused."""
    assert fault(**words)


@pytest.mark.parametrize(
    "line, is_beyond",
    [
        (b"Content-Length: " + b"9" * 19, False),
        (b"Content-Length: " + b"9" * 20, True),
        (b"content-length:" + b"0" * 5000, True),
        (b"Content-Length: 5" + b" " * 5000, False),
        (b"X-Content-Length: " + b"9" * 20, False),
    ],
)
def test_lengths_that_no_body_has_are_noticed_as_text(line, is_beyond):
    """Python refuses to make numbers of very long digits, and takes its time for long ones."""
    assert is_beyond_belief(line) is is_beyond


@pytest.mark.parametrize(
    "version, connection, stays",
    [
        (b"HTTP/1.1", [], True),
        (b"HTTP/1.1", [b"keep-alive"], True),
        (b"HTTP/1.1", [b"close"], False),
        (b"HTTP/1.1", [b"TE, Close"], False),
        (b"HTTP/1.1", [b"TE", b"close"], False),
        (b"HTTP/1.0", [b"keep-alive"], False),
    ],
)
def test_connection_stays_open_if_the_client_wants(version, connection, stays):
    """Connection is a list, in one line or several."""
    assert may_stay_open(version, Headers({b"Connection": connection})) is stays


def test_first_byte_tells_http_from_tls():
    """A TLS handshake begins with 22."""
    assert can_begin(b"GET") and can_begin(b"\r\n") and can_begin(b"!x")
    assert not any(
        can_begin(data) for data in (b"\x16\x03\x01", b" GET", b"\0", b"\xff", b"(", b'"')
    )
