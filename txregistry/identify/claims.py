# SPDX-License-Identifier: Apache-2.0
"""What the claims of a token say, and whether they hold.

Room: identify. Must not know signatures. Source: RFC 7519 section 4.1; Docker's token
specification::

    {"iss":"auth","sub":"alice","aud":"registry","exp":1738319999,"nbf":1738316390,"iat":1738316400,
     "access":[{"type":"repository","name":"lib/app","actions":["pull","push"]}]}
"""

from __future__ import annotations

from typing import Any

from attrs import frozen

from txregistry.auth.decisions import Resource, Right
from txregistry.identify.basic import is_name
from txregistry.identify.jwts import TokenError

#: Seconds that clocks may differ by.
LEEWAY = 60

#: Most entries of ``access``, and most actions of one. Arbitrary.
ACCESS_LIMIT = 100

#: What ``*`` stands for on a repository.
_EVERYTHING = ("pull", "push", "delete")


@frozen
class Claims:
    """Claims that hold but for time.

    Attributes:
        subject: empty if the token is nobody's in particular.
        not_before, expires: seconds since the epoch, leeway not included.
    """

    subject: str
    not_before: int
    expires: int


def judge(claims: dict[str, Any], issuer: str, audience: str) -> Claims:
    """Return the claims if they are of ``issuer``, for ``audience`` and whole.

    Raises:
        TokenError: they are not.
    """
    if claims.get("iss") != issuer:
        raise TokenError("of another issuer")
    audiences = claims.get("aud")
    if audiences != audience and not (isinstance(audiences, list) and audience in audiences):
        raise TokenError("for another audience")
    _time(claims, "iat")
    subject = claims.get("sub", "")
    if not isinstance(subject, str) or not is_name(subject):
        raise TokenError("its subject is no name")
    not_before = _time(claims, "nbf") if "nbf" in claims else 0
    return Claims(subject, not_before, _time(claims, "exp"))


def check_begun(claims: Claims, now: float) -> None:
    """Return if a token may be used already.

    Raises:
        TokenError: it may not.
    """
    if now < claims.not_before - LEEWAY:
        raise TokenError("not valid yet")


def rights_of(claims: dict[str, Any]) -> frozenset[Right]:
    """Return the rights that ``access`` names; no ``access``, no rights.

    Raises:
        TokenError: it is malformed, or longer than is looked at.
    """
    listed = claims.get("access")
    if listed is None:
        return frozenset()
    if not isinstance(listed, list) or len(listed) > ACCESS_LIMIT:
        raise TokenError("its access is no list that is looked at")
    return frozenset(right for entry in listed for right in _entry(entry))


def groups_of(claims: dict[str, Any]) -> tuple[str, ...]:
    """Return the groups that a token of our own names; none if it names none.

    Raises:
        TokenError: they are malformed.
    """
    listed = claims.get("groups", [])
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise TokenError("its groups are no list of names")
    return tuple(listed)


def _entry(entry: object) -> list[Right]:
    if not isinstance(entry, dict):
        raise TokenError("an access entry is no object")
    kind, name, actions = (entry.get(key) for key in ("type", "name", "actions"))
    if not isinstance(kind, str) or not isinstance(name, str):
        raise TokenError("an access entry has no type or name")
    if not isinstance(actions, list) or len(actions) > ACCESS_LIMIT:
        raise TokenError("an access entry has no list of actions")
    resource = Resource(kind, name)
    rights = []
    for action in actions:
        if not isinstance(action, str):
            raise TokenError("an action is no text")
        is_every = action == "*" and kind == "repository"
        words = _EVERYTHING if is_every else (action,)
        rights += [Right(resource, word) for word in words]
    return rights


def _time(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int or value < 0:
        raise TokenError(f"{name} is no time")
    return value
