# SPDX-License-Identifier: Apache-2.0
"""The Authorization header."""

import base64

import pytest

from txregistry.identify.basic import Login, parse_basic, split


def encoded(data):
    return base64.b64encode(data).decode("ascii")


@pytest.mark.parametrize(
    ("data", "login"),
    [
        (b"alice:secret", Login("alice", "secret")),
        (b"alice:", Login("alice", "")),
        (b":", Login("", "")),
        (b"alice:a:b", Login("alice", "a:b")),
        ("Ünal:pässword".encode(), Login("Ünal", "pässword")),
    ],
)
def test_name_and_password_are_read(data, login):
    """A password may hold colons, a name may not."""
    assert parse_basic(encoded(data)) == login


@pytest.mark.parametrize(
    "text",
    [
        *("", "!", "YWxpY2U6c2VjcmV0=", "YWxp Y2U6c2VjcmV0", "é", "YWxpY2U6c2VjcmV0\n"),
        encoded(b"no colon"),
        encoded(b"\xff\xfe:x"),
        encoded(b"a\x00b:x"),
        encoded(b"a:x\x00y"),
        encoded(b"a\r\nb:x"),
        encoded(b"a:x\n"),
        encoded(b"a" * 256 + b":x"),
        encoded(b"a:" + b"x" * 64 * 1024),
    ],
)
def test_anything_else_is_no_login(text):
    """Broken base64, no colon, not UTF-8, control characters, too long."""
    assert parse_basic(text) is None


def test_password_is_not_shown():
    assert "secret" not in repr(Login("alice", "secret"))


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("Basic abc", ("basic", "abc")),
        ("BEARER  a.b.c ", ("bearer", "a.b.c")),
        ("Basic", ("basic", "")),
        ("", ("", "")),
    ],
)
def test_scheme_is_split_off_in_any_case(header, parts):
    assert split(header) == parts
