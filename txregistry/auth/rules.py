# SPDX-License-Identifier: Apache-2.0
"""Access rules: who may do what where, as an operator writes it down.

Room: auth. Must not know the configuration file. Rules only grant, so their order means nothing,
and what no rule grants is denied. ``patterns``
says what repositories may be written as.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from functools import cached_property

from attrs import frozen

from txregistry.auth.decisions import CATALOG, REGISTRY, Right
from txregistry.auth.patterns import beginning, matches

#: Action words that are about a repository.
REPOSITORY_ACTIONS = frozenset({"pull", "push", "create", "delete"})


@frozen(kw_only=True)
class AccessRule:
    """One rule.

    Attributes:
        users, groups: whom it is for, by name.
        authenticated: it is for everybody who is logged in.
        anonymous: it is for everybody, logged in or not.
        repositories: patterns; none at all means all repositories.
        actions: ``pull``, ``push``, ``create``, ``delete``, ``catalog``, ``admin``.
    """

    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    authenticated: bool = False
    anonymous: bool = False
    repositories: tuple[str, ...] = ()
    actions: frozenset[str] = frozenset()

    def is_for(self, name: str, groups: Iterable[str]) -> bool:
        """Say whether it is for somebody of that name; the empty one is nobody's."""
        if self.anonymous:
            return True
        if not name:
            return False
        return self.authenticated or name in self.users or not self.groups.isdisjoint(groups)


@frozen(slots=False)
class Granted(Container[Right]):
    """The rights of one identity, by the rules that are for it."""

    _name: str
    _rules: tuple[AccessRule, ...]

    def __contains__(self, right: object) -> bool:
        return isinstance(right, Right) and any(self._grants(rule, right) for rule in self._rules)

    def leads_on(self, directory: str) -> bool:
        """Say whether a repository of that name, or below it, may be one to pull from.

        Cheap, and true too often rather than too seldom: patterns count up to their first ``*``.
        """
        inside = directory + "/"
        return any(
            begins.startswith(inside) or inside.startswith(begins) for begins in self._beginnings
        )

    @cached_property
    def _beginnings(self) -> tuple[str, ...]:
        rules = [rule for rule in self._rules if "pull" in rule.actions]
        found = [
            beginning(pattern, user=self._name) for rule in rules for pattern in rule.repositories
        ]
        if any(not rule.repositories for rule in rules):
            found.append("")
        return tuple(each for each in found if each is not None)

    def _grants(self, rule: AccessRule, right: Right) -> bool:
        if right.resource == CATALOG:
            return right.action == "*" and "catalog" in rule.actions
        if right.resource == REGISTRY:
            return right.action == "admin" and "admin" in rule.actions
        if right.resource.kind != "repository" or right.action not in REPOSITORY_ACTIONS:
            return False
        if right.action not in rule.actions:
            return False
        name = right.resource.name
        return not rule.repositories or any(
            matches(pattern, name, user=self._name) for pattern in rule.repositories
        )


class Rules:
    """All rules of a registry.

    Args:
        groups: group -> the names in it.
    """

    def __init__(
        self, rules: Iterable[AccessRule], groups: Mapping[str, Iterable[str]] | None = None
    ) -> None:
        self._rules = tuple(rules)
        self._groups: dict[str, set[str]] = {}
        for group, members in (groups or {}).items():
            for member in members:
                self._groups.setdefault(member, set()).add(group)

    def rights_of(self, name: str, groups: Iterable[str] = ()) -> Granted:
        """Return what somebody may do.

        Args:
            name: empty for who is not logged in.
            groups: that whoever proved the name says it is in, besides those of the rules.
        """
        every = {*groups, *self._groups.get(name, ())} if name else set()
        return Granted(name, tuple(rule for rule in self._rules if rule.is_for(name, every)))


#: What holds where no rules were written: whoever is logged in may do everything but administer,
#: as with registry:2 and registry:3.
ALL_OR_NOTHING = Rules(
    [AccessRule(authenticated=True, actions=REPOSITORY_ACTIONS | {"catalog"})],
)
