# SPDX-License-Identifier: Apache-2.0
"""Heads of answers."""

import pytest

from txregistry.oci.ranges import Span
from txregistry.web.answer import Answer, Parts, format_headers, head_of

STANDING = b"Server: txregistry\r\n"


def test_head_is_status_standing_own_and_length():
    """The whole form, once."""
    answer = Answer(200, (("Content-Type", "application/json"),), b"{}")
    assert head_of(answer, STANDING, is_last=False) == (
        b"HTTP/1.1 200 OK\r\nServer: txregistry\r\n"
        b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    )


def test_last_answer_says_so():
    """A connection that closes is announced."""
    assert b"\r\nConnection: close\r\n\r\n" in head_of(Answer(202), STANDING, is_last=True)


@pytest.mark.parametrize("status", [204, 304])
def test_bodiless_answers_have_no_length(status):
    """204 and 304 say nothing of a length."""
    assert b"Content-Length" not in head_of(Answer(status), STANDING, is_last=False)


def test_length_may_be_told_without_the_body():
    """HEAD of a blob does not open it."""
    assert b"Content-Length: 7\r\n" in head_of(Answer(200, length=7), STANDING, is_last=False)


def test_parts_count_literals_and_spans():
    """A multipart body knows its length beforehand."""
    assert Answer(206, body=Parts(None, (b"abc", Span(10, 14), b"d"))).content_length == 8


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb", "a\0b"])
def test_header_that_would_break_out_is_never_sent(value):
    """The last guard against header injection."""
    with pytest.raises(ValueError):
        head_of(Answer(200, (("X", value),)), STANDING, is_last=False)


def test_configured_header_that_would_break_out_is_never_sent():
    """Nor by configuration."""
    with pytest.raises(ValueError):
        format_headers([("X", "a\r\nb")])
