# SPDX-License-Identifier: Apache-2.0
"""JSON Web Tokens: taken apart, and their signature verified.

Room: identify. Must not know what the claims mean. Everything that a token says of how it should be
verified is distrusted: it may name a key of ours, or show certificates that a root of ours vouches
for. Which algorithm may be used is the key's to say.

    token  = header "." claims "." signature     each base64url without padding
    header = {"alg":"ES256","typ":"JWT","kid":"..."}     RFC 7515 section 4.1
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from attrs import field, frozen
from jwt.algorithms import get_default_algorithms
from jwt.exceptions import PyJWTError

from txregistry.identify.chains import ChainError, key_of_chain
from txregistry.identify.keys import Key, Keys
from txregistry.oci.strict_json import JsonInvalid, read_strict

#: Longest token, in characters: what fits into a request's head with room to spare. Arbitrary.
TOKEN_LIMIT = 8 * 1024

#: Headers that would have a key fetched or taken from the token, or that must be understood.
_REFUSED = frozenset({"jwk", "jku", "x5u", "crit", "b64"})

_PART = re.compile(r"[A-Za-z0-9_-]*")


class TokenError(ValueError):
    """A token is no good; the text says why, for the log."""


@frozen
class Jwt:
    """A token, taken apart and not verified."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def take_apart(token: str) -> Jwt:
    """Read what a token says.

    Raises:
        TokenError: it is none.
    """
    if len(token) > TOKEN_LIMIT:
        raise TokenError("longer than a token may be")
    if token.count(".") != 2:
        raise TokenError("not three parts")
    header, claims, signature = token.split(".")
    return Jwt(
        _document(header),
        _document(claims),
        f"{header}.{claims}".encode("ascii", "replace"),
        _decoded(signature),
    )


def looks_like_jwt(text: str) -> bool:
    """Say whether something is a token rather than a password."""
    return len(text) > 64 and text.count(".") == 2 and text.startswith("eyJ")


def verify(token: Jwt, keys: Keys, allowed: frozenset[str], now: float) -> None:
    """Return if a key of ours, or one that we have to trust, signed it.

    Args:
        allowed: algorithms that may be used at all.

    Raises:
        TokenError: the signature is not there, is wrong, or is by nobody that we know.
    """
    refused = _REFUSED & token.header.keys()
    if refused:
        raise TokenError(f"its header has {min(refused)}")
    key = choose(token.header, keys, now)
    algorithm = token.header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in key.algorithms & allowed:
        raise TokenError("its algorithm is not the key's")
    try:
        is_right = get_default_algorithms()[algorithm].verify(
            token.signed, key.material, token.signature
        )
    except (PyJWTError, ValueError, TypeError) as error:
        raise TokenError("its signature can't be verified") from error
    if not is_right:
        raise TokenError("its signature is wrong")


def choose(header: dict[str, Any], keys: Keys, now: float) -> Key:
    """Return the key that a token should be verified with.

    Raises:
        TokenError: there is none.
    """
    if "x5c" in header:
        try:
            return key_of_chain(header["x5c"], keys.roots, now)
        except ChainError as error:
            raise TokenError(str(error)) from error
    name = header.get("kid")
    key = keys.by_id.get(name) if isinstance(name, str) else None
    if key is None:
        raise TokenError("it names no key that is trusted")
    return key


def _document(part: str) -> dict[str, Any]:
    try:
        document = read_strict(_decoded(part))
    except JsonInvalid as error:
        raise TokenError("not JSON") from error
    if not isinstance(document, dict):
        raise TokenError("not a JSON object")
    return document


def _decoded(part: str) -> bytes:
    if not _PART.fullmatch(part):
        raise TokenError("not base64url")
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as error:
        raise TokenError("not base64url") from error


#: Gives the keys that are trusted at present.
GiveKeys = Callable[[], Keys]
