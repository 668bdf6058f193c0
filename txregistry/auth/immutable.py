# SPDX-License-Identifier: Apache-2.0
"""Which tags must stay as they are once they were made.

Room: auth. Must not know which tags there are. A tag that is immutable may be made, and pushed
again with the same content; it is neither pointed elsewhere nor deleted, and what it needs is not
deleted either.
"""

from __future__ import annotations

from attrs import frozen

from txregistry.auth.patterns import matches


@frozen
class ImmutableRule:
    """Tags that are immutable, by patterns; no patterns of repositories mean all of them.

    Attributes:
        exceptions: tags that are not, although ``tags`` has them.
    """

    tags: tuple[str, ...]
    repositories: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()

    def concerns(self, repository: str) -> bool:
        """Say whether it is about a repository at all."""
        return not self.repositories or any(
            matches(pattern, repository) for pattern in self.repositories
        )

    def holds(self, repository: str, tag: str) -> bool:
        """Say whether it makes a tag immutable."""
        return (
            self.concerns(repository)
            and any(matches(pattern, tag) for pattern in self.tags)
            and not any(matches(pattern, tag) for pattern in self.exceptions)
        )


@frozen
class ImmutableTags:
    """All rules of a registry; without any, every tag may change."""

    rules: tuple[ImmutableRule, ...] = ()

    def concerns(self, repository: str) -> bool:
        """Say whether a repository may have immutable tags."""
        return any(rule.concerns(repository) for rule in self.rules)

    def holds(self, repository: str, tag: str) -> bool:
        """Say whether a tag is immutable."""
        return any(rule.holds(repository, tag) for rule in self.rules)
