# SPDX-License-Identifier: Apache-2.0
"""The checker is checked: every damage that is planted is found, and nothing is lost by its
repair.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from txregistry.admin.check import KINDS, Severity
from txregistry_drivers.filesystem import create

from .damages import DAMAGES, Damage
from .trees import Tree

#: What damage elsewhere may lead to.
CONSEQUENCES = {
    *("layer-dangling", "manifest-dangling", "manifest-incomplete", "tag-dangling"),
    *("referrer-stale", "size-record", "link-alias"),
}

QUARANTINE = "/docker/registry/v2/_txregistry/quarantine/"


@pytest.fixture(params=["memory", "filesystem"])
def tree(request, tmp_path):
    """A healthy tree over each store."""
    if request.param == "memory":
        yield Tree()
        return
    root = os.fspath(tmp_path / "root")
    store = create({"rootdirectory": root, "durability": "none"})
    yield Tree(store)
    store.close()


def assert_nothing_lost(before, after):
    """Every file is where it was, or where the quarantine keeps it; what is new is a record of
    ours.
    """
    moved = {}
    for path, data in after.items():
        if path.startswith(QUARANTINE):
            rest = path.removeprefix(QUARANTINE).partition("/")[2]
            moved.setdefault("/" + rest, []).append(data)
    for path, data in before.items():
        if path.endswith("/descriptor") and after.get(path, data) != data:
            assert data in moved.get(path, []), path  # a list's entry that was written again
            continue
        assert after.get(path) == data or data in moved.get(path, []), path


class HealthyTests:
    def test_healthy_tree_is_clean(self, tree):
        """Nothing is told of a tree in which everything is as it should be."""
        for name in ("lib/app", "lib/app/deep", "lib-x"):
            tree.repository(name)
        for options in ({}, {"read_data": True}):
            ledger, summary = tree.check(**options)
            assert ledger.names == set()
            assert summary.is_clean(strict=True)
            assert summary.unfinished is None
            assert tree.pauses == []

    def test_empty_storage_is_clean(self, tree):
        ledger, summary = tree.check(read_data=True, repair=True)
        assert ledger.names == set()
        assert summary.totals.blobs == summary.totals.repositories == 0
        assert tree.files() == {}

    def test_repair_of_a_healthy_tree_changes_nothing(self, tree):
        tree.repository("app")
        before = tree.files()
        _, summary = tree.check(repair=True, read_data=True)
        assert summary.repairs == 0
        assert summary.quarantine == ()
        assert tree.files() == before


def check_planted(tree: Tree, planted: list[tuple[Damage, str]]) -> None:
    options = {"read_data": any(damage.reads_data for damage, _ in planted)}
    before = tree.files()
    ledger, summary = tree.check(**options)
    assert tree.files() == before, "a check changes something"
    for damage, path in planted:
        assert (damage.kind, path) in ledger.names
    told = {name for name, _ in ledger.names}
    assert told - {damage.kind for damage, _ in planted} <= CONSEQUENCES
    is_error = any(KINDS[name].severity is Severity.ERROR for name in told)
    assert summary.is_clean() is not is_error
    assert not summary.is_clean(strict=True)
    assert summary.unfinished is None
    assert len(ledger.findings) == len(ledger.names), "something is told twice"
    for finding in ledger.findings:
        assert finding.why[-1] != "."
        assert finding.why.isascii()
    assert_repaired(tree, ledger, options, {damage.kind for damage, _ in planted if damage.stays})


def assert_repaired(tree: Tree, dry, options, staying) -> None:
    before = tree.files()
    ledger, summary = tree.check(repair=True, **options)
    assert summary.unfinished is None
    assert_nothing_lost(before, tree.files())
    assert dry.names <= ledger.names, "a repair does not tell what a check does"
    assert sum(where is not None for where in ledger.repaired) == summary.repairs
    again, summary = tree.check(read_data=True)
    assert {name for name, _ in again.names} <= {*staying, "link-alias"}
    assert summary.is_clean()


#: The filesystem driver shows no temporary files, and has a clock of its own.
CASES = [("memory", damage) for damage in DAMAGES]
CASES += [("filesystem", damage) for damage in DAMAGES if not damage.memory_only]


@pytest.mark.parametrize(("tree", "damage"), CASES, indirect=["tree"], ids=str)
def test_planted_damage_is_found_and_repaired(tree, damage):
    """Each kind of damage is told by its class and path, and moved out of the way."""
    it = tree.repository("lib/app")
    tree.repository("healthy")
    check_planted(tree, [(damage, damage.do(it))])


def test_every_class_is_planted():
    assert {damage.kind for damage in DAMAGES} == set(KINDS) - {"unreadable"}


@settings(max_examples=40)
@given(st.sampled_from(DAMAGES), st.sampled_from(DAMAGES))
def test_two_damages_in_two_repositories_are_both_found(one, other):
    """Neither hides the other."""
    tree = Tree()
    first, second = tree.repository("lib/app"), tree.repository("lib/app/deep")
    check_planted(tree, [(one, one.do(first)), (other, other.do(second))])


@settings(max_examples=40)
@given(st.lists(st.sampled_from(DAMAGES), min_size=2, max_size=5))
def test_damages_in_one_repository_are_repaired_without_loss(damages):
    """Whatever hides what: a repaired tree is clean, and every byte is still there."""
    tree = Tree()
    it = tree.repository("lib/app")
    for damage in damages:
        try:
            damage.do(it)
        except Exception:  # an earlier damage took what this one needs
            continue
    before = tree.files()
    tree.check(read_data=True)
    assert tree.files() == before
    tree.check(repair=True, read_data=True)
    assert_nothing_lost(before, tree.files())
    again, summary = tree.check(read_data=True)
    assert {name for name, _ in again.names} <= {
        "link-alias",
        *(one.kind for one in damages if one.stays),
    }
    assert summary.is_clean()
