# SPDX-License-Identifier: Apache-2.0
"""Which tags are immutable."""

from __future__ import annotations

import pytest

from txregistry.auth.immutable import ImmutableRule, ImmutableTags

VERSIONS = ImmutableRule(("v*",), ("lib/*",), ("v*-rc*",))
EVERYWHERE = ImmutableRule(("stable",))


@pytest.mark.parametrize(
    ("repository", "tag", "holds"),
    [
        ("lib/app", "v1", True),
        ("lib/app", "v1-rc2", False),
        ("lib/app", "latest", False),
        ("other", "v1", False),
        ("lib/app", "stable", True),
        ("other", "stable", True),
    ],
)
def test_tag_is_immutable_where_one_rule_holds_it(repository, tag, holds):
    """An exception is one to its own rule; a rule without repositories is about all of them."""
    assert ImmutableTags((VERSIONS, EVERYWHERE)).holds(repository, tag) is holds


def test_repository_without_a_rule_needs_no_look():
    """Deletions there cost nothing more."""
    assert ImmutableTags((VERSIONS,)).concerns("lib/app")
    assert not ImmutableTags((VERSIONS,)).concerns("other")
    assert ImmutableTags((EVERYWHERE,)).concerns("other")
    assert not ImmutableTags().concerns("lib/app")
