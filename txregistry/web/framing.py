# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a request's head: beyond what Twisted's parser refuses, and, of what it
refuses without a word, in words.

Room: web. Must not know connections. Each rule is a way in which a proxy before us and we could
take the same bytes for different requests, or be sent elsewhere.
"""

from __future__ import annotations

import re
import string

from twisted.web.http_headers import Headers

from txregistry.oci.errors import Code, OciError

#: Host = uri-host [ ":" port ]    (RFC 9110 section 7.2; uri-host is a reg-name or an address)
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")

#: What a request can begin with: method = token (RFC 9110 sections 9.1, 5.6.2), or the empty line
#: that a server skips (RFC 9112 section 2.2).
_FIRST_BYTES = frozenset(
    b"!#$%&'*+-.^_`|~\r\n" + (string.digits + string.ascii_letters).encode("ascii")
)

#: field-name = token    (RFC 9110 sections 5.1, 5.6.2)
_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

#: Content-Length = 1*DIGIT    (RFC 9110 section 8.6)
#: Longer ones than a file offset has digits are refused before Python is asked what number they are.
_LENGTH = re.compile(rb"content-length:[ \t]*([0-9]*)", re.IGNORECASE)
_LENGTH_DIGITS = 19


def malformed(detail: str) -> OciError:
    """Return the refusal of a request that could not be taken for one."""
    return OciError(Code.UNSUPPORTED, detail, message="malformed request", malformed=True)


def can_begin(data: bytes) -> bool:
    """Say whether a request can begin so; a client that tries TLS first can't wait for a line's
    end.
    """
    return data[0] in _FIRST_BYTES


def is_beyond_belief(line: bytes) -> bool:
    """Say whether a header line is a Content-Length that no body has."""
    found = _LENGTH.match(line)
    return found is not None and len(found[1]) > _LENGTH_DIGITS


def fault_of_line(line: bytes) -> str:
    """Return why the parser refuses a header line; one that has no other fault is one too many."""
    name, colon, value = line.partition(b":")
    if not colon:
        return "a header line has no colon"
    if not _FIELD_NAME.fullmatch(name):
        return "the name of a header is malformed"
    if name.lower() == b"content-length":
        return "Content-Length must be a number, once, and without Transfer-Encoding"
    if name.lower() == b"transfer-encoding":
        return "Transfer-Encoding must be chunked, once, and without Content-Length"
    if b"\0" in value or b"\r" in value or b"\n" in value:
        return "the value of a header holds a control character"
    return "there are too many header lines"


def find_fault(version: bytes, target: bytes, headers: Headers, length: int | None) -> str | None:
    """Return why a request must be refused, None if it need not be.

    Args:
        length: of the body as the parser took it: None for chunked, 0 for none.

    Source: RFC 9112 sections 3.2, 3.2.1 and 6.1; RFC 9110 section 7.2.
    """
    hosts = headers.getRawHeaders(b"Host", ())
    if len(hosts) != 1:
        if hosts or version == b"HTTP/1.1":
            return "exactly one Host header is needed"
    elif not _HOST.fullmatch(hosts[0]):
        return "the Host header is malformed"
    codings = headers.getRawHeaders(b"Transfer-Encoding", ())
    if codings and (length is not None or len(codings) > 1 or version != b"HTTP/1.1"):
        return "Transfer-Encoding must be chunked"
    if target[:1] != b"/" or not target.isascii():
        return "the request target must be a path"
    return None


def may_stay_open(version: bytes, headers: Headers) -> bool:
    """Say whether the client wants to use the connection again.

    Source: RFC 9112 section 9.3. HTTP/1.0 connections are closed.
    """
    if version != b"HTTP/1.1":
        return False
    return not any(b"close" in value.lower() for value in headers.getRawHeaders(b"Connection", ()))
