# SPDX-License-Identifier: Apache-2.0
"""The ``Authorization`` header: its scheme, and a name and a password in it.

Room: identify. Must not know whether they are good.

    credentials = auth-scheme [ 1*SP token68 ]            RFC 9110 section 11.4
    token68     = base64( user-id ":" password )          RFC 7617 section 2
"""

from __future__ import annotations

import base64
import binascii

from attrs import field, frozen

#: Longest name and password together, in bytes. Arbitrary: an OIDC token may stand for a password.
CREDENTIALS_LIMIT = 12 * 1024

#: Longest name, in characters. Arbitrary; names go into logs.
NAME_LIMIT = 255


@frozen
class Login:
    """A name and a password as they were shown."""

    name: str
    password: str = field(repr=False)


def split(header: str) -> tuple[str, str]:
    """Return the scheme, in lower case, and what follows it."""
    scheme, _, rest = header.partition(" ")
    return scheme.lower(), rest.strip(" ")


def parse_basic(token: str) -> Login | None:
    """Return the name and password that a Basic header holds, None if it holds none.

    Both are UTF-8. Control characters are in neither.

    Source: RFC 7617 section 2.
    """
    if len(token) > CREDENTIALS_LIMIT * 4 // 3 + 4:
        return None
    try:
        data = base64.b64decode(token.encode("ascii"), validate=True)
        text = data.decode("utf-8")
    except (UnicodeError, binascii.Error):
        return None
    if base64.b64encode(data).decode("ascii") != token:
        return None  # Python's decoder takes too much padding.
    name, colon, password = text.partition(":")
    return Login(name, password) if colon and is_name(name) and is_clean(password) else None


def is_name(text: str) -> bool:
    """Say whether this can be anybody's name; the empty text can't be excluded here."""
    return len(text) <= NAME_LIMIT and text.isprintable()


def is_clean(text: str) -> bool:
    """Say whether no control character is in it."""
    return not any(ord(character) < 32 or ord(character) == 127 for character in text)
