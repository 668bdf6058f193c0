# SPDX-License-Identifier: Apache-2.0
"""A walk over a store that tells what its children are when it lists them."""

from __future__ import annotations

import pytest

from txregistry.storage.memory import MemoryStore
from txregistry.storage.walking import walk_page

PATHS = ("/a/b/c", "/a/d", "/e")


class Telling(MemoryStore):
    """Lists children with all that is known of them, and is asked for nothing more."""

    looks = ()

    def list_entries(self, path, after, limit):
        listing = self.list(path, after, limit)
        names = [child.name for child in listing.children]
        return [MemoryStore.stat(self, f"{path.rstrip('/')}/{name}") for name in names], (
            listing.has_more
        )

    def stat(self, path):
        self.looks = (*self.looks, path)
        return super().stat(path)


def filled(store):
    for path in PATHS:
        store.put(path, b"x", if_absent=False, if_version=None)
    return store


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_walk_is_the_same_and_nothing_is_looked_at_twice(limit):
    """On an object store each look is a request: what the list has said is not asked again."""
    found, after = [], ""
    store = filled(Telling())
    while True:
        page = walk_page(store, "/", after, skip_subtree=False, limit=limit)
        found += page.entries
        if not page.has_more:
            break
        after = found[-1].path
    plain = walk_page(filled(MemoryStore()), "/", "", skip_subtree=False, limit=100)
    assert [(one.path, one.size) for one in found] == [
        (one.path, one.size) for one in plain.entries
    ]
    assert [one.path for one in found] == ["/a", "/a/b", "/a/b/c", "/a/d", "/e"]
    assert not set(store.looks) & set(PATHS)
