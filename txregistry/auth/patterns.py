# SPDX-License-Identifier: Apache-2.0
"""Patterns of names, as rules have them.

Room: auth. Must not know what is named.

    team/*        team/app, not team/app/base      * is any text without a slash
    public/**     public/a and public/a/b          ** is any text
    {user}/**     for alice: alice/...             {user} is the name of who asks
"""

from __future__ import annotations

import re
from functools import lru_cache

#: A longer text matches nothing, whatever the pattern; names of repositories and tags are not.
NAME_LIMIT = 255

_PIECES = re.compile(r"\*\*|\*|\{user\}|[^*{]+|\{")


def matches(pattern: str, name: str, *, user: str = "") -> bool:
    """Say whether all of ``name`` is what ``pattern`` describes."""
    if len(name) > NAME_LIMIT or ("{user}" in pattern and not user):
        return False
    return _expression(pattern, user if "{user}" in pattern else "").fullmatch(name) is not None


def beginning(pattern: str, *, user: str = "") -> str | None:
    """Return the text that all begins with which ``pattern`` describes; None if that is nothing."""
    if "{user}" in pattern and not user:
        return None
    return pattern.partition("*")[0].replace("{user}", user)


@lru_cache(maxsize=10_000)
def _expression(pattern: str, user: str) -> re.Pattern[str]:
    spelled = {"**": ".+", "*": "[^/]+", "{user}": re.escape(user)}
    pieces = _PIECES.findall(pattern)
    return re.compile("".join(spelled.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL)
