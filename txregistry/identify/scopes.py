# SPDX-License-Identifier: Apache-2.0
"""Scopes: the rights that a token is asked for, as text.

Room: identify. Must not know who may have them. Source: Docker's token scope grammar::

    scope  = type ":" name ":" action *( "," action )
    type   = 1*( lower / digit ) [ "(" class ")" ]
    name   = may hold colons, of a host's port
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

#: Most scopes of one request, and longest one, in characters. Arbitrary.
SCOPES_LIMIT = 32
SCOPE_LIMIT = 512

_EVERYTHING = ("pull", "push", "delete")


@frozen
class Scope:
    """One resource, and the actions on it that are asked for."""

    kind: str
    name: str
    actions: tuple[str, ...]

    @property
    def wanted(self) -> tuple[str, ...]:
        """The actions as words of rights: on a repository, ``*`` is all of them."""
        if self.kind == "repository" and "*" in self.actions:
            return _EVERYTHING
        return self.actions


def parse_scopes(texts: Iterable[str]) -> list[Scope]:
    """Return what can be understood; of the rest nothing is granted, which needs no error.

    Scopes may come one by one, or several in one text with spaces between them.
    """
    scopes = []
    for text in (word for each in texts for word in each.split(" ")):
        kind, _, rest = text.partition(":")
        name, colon, actions = rest.rpartition(":")
        if len(text) <= SCOPE_LIMIT and kind and name and colon and actions:
            scopes.append(Scope(kind, name, tuple(dict.fromkeys(actions.split(",")))))
    return scopes[:SCOPES_LIMIT]
