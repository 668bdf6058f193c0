# SPDX-License-Identifier: Apache-2.0
"""Every file of a tree is damaged in every way: the checker notices, or there is a reason why it
can't.

What nobody can notice is what looks like something that a registry may have done: another tag, a
blob that was deleted, an upload of other bytes. ``UNNOTICED`` lists all of it; the rest is the
checker's score.
"""

from __future__ import annotations

import re

import pytest

from .trees import Repository, Tree

MUTATIONS = {
    "flipped": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
    ),
    "cut": lambda data: data[: len(data) // 2],
    "emptied": lambda data: b"",
    "grown": lambda data: data + b"\n",
    "zeroed": lambda data: bytes(len(data)),
    "deleted": lambda data: None,
}

#: (pattern of a path, mutations) -> why nobody can notice
UNNOTICED = {
    (r"/signatures/", "*"): "old registries' affair",
    (
        r"_uploads/[^/]+/data",
        "flipped cut emptied grown zeroed",
    ): "any bytes may have been uploaded",
    (r"_uploads/id-[^/]+/startedat", "deleted"): "an upload without bytes that was cancelled",
    (r"/descriptor", "grown"): "the same document",
    (
        r"_uploads/[^/]+/hashstates/.*",
        "flipped deleted",
    ): "a state is compared with the bytes at the commit",
    (r"/size", "deleted"): "adopted data have none",
    (r"_layers/.*/link", "deleted"): "a client deleted a blob that no manifest names",
    (r"_manifests/revisions/.*/link", "deleted"): "a client deleted a manifest without a tag",
    (r"/index/.*/link", "deleted"): "history need not be whole",
}


def reason(path: str, mutation: str) -> str:
    for (pattern, mutations), why in UNNOTICED.items():
        if re.search(pattern + "$" if not pattern.endswith("/") else pattern, path) and (
            mutations == "*" or mutation in mutations.split()
        ):
            return why
    return ""


@pytest.fixture(scope="module")
def filled() -> tuple[Tree, Repository]:
    tree = Tree()
    return tree, tree.repository("lib/app")


def outcome(tree: Tree, path: str, mutated: bytes | None) -> bool:
    """Whether a damage is noticed; the tree is as before then."""
    original = tree.store.get(path).data
    if mutated is None:
        tree.store.delete(path, if_version=None)
    else:
        tree.store.put(path, mutated, if_absent=False, if_version=None)
    ledger, summary = tree.check(read_data=True)
    assert summary.unfinished is None
    tree.store.put(path, original, if_absent=False, if_version=None)
    return bool(ledger.findings)


def test_every_mutation_is_noticed_or_can_not_be(filled):
    """The score is told with ``-s``; what is not noticed has a reason, and every reason is
    needed.
    """
    tree, _ = filled
    noticed, unnoticed, without_reason = 0, [], []
    for path, data in tree.files().items():
        for mutation, mutate in MUTATIONS.items():
            mutated = mutate(data) if data or mutation in ("grown", "deleted") else data
            if mutated == data:
                continue
            if outcome(tree, path, mutated):
                noticed += 1
                continue
            unnoticed.append((path, mutation))
            if not reason(path, mutation):
                without_reason.append((path, mutation))
    print(f"\nmutations: {noticed} noticed, {len(unnoticed)} that nobody can notice")
    assert without_reason == []
    assert {reason(path, mutation) for path, mutation in unnoticed} == set(UNNOTICED.values())
    assert noticed > 200
    assert tree.check(read_data=True)[0].findings == []


def test_swapped_contents_are_noticed(filled):
    """Two blobs, two links, or a blob and a link in each other's place."""
    tree, it = filled
    places = [
        it.data("layer"),
        it.data("adopted"),
        it.data("image"),
        it.layer("layer"),
        it.revision("image"),
    ]
    places += [
        it.layer("adopted"),
        it.tag("v1"),
        it.history("v1", "image"),
        it.record("image", "referrer"),
    ]
    for number, one in enumerate(places):
        for other in places[number + 1 :]:
            first, second = tree.store.get(one).data, tree.store.get(other).data
            if first == second:
                continue
            it.put(one, second)
            it.put(other, first)
            assert tree.check(read_data=True)[0].findings, (one, other)
            it.put(one, first)
            it.put(other, second)
