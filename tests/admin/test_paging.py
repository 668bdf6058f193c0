# SPDX-License-Identifier: Apache-2.0
"""A check finds the same wherever pages begin, and its memory does not grow with the tree."""

from __future__ import annotations

import pytest

from tests.registry.world import Bytes, done
from txregistry.admin.check import area, blobs, repositories
from txregistry.oci.digests import Digest

from .damages import DAMAGES
from .trees import Tree


@pytest.fixture(params=[1, 2, 7])
def pages(request, monkeypatch):
    monkeypatch.setattr(area, "PAGE", request.param)
    monkeypatch.setattr(repositories, "PAGE", request.param)


def test_healthy_tree_is_clean(memory, pages):
    for name in ("lib/app", "lib/app/deep", "other"):
        memory.repository(name)
    ledger, summary = memory.check(read_data=True)
    assert ledger.names == set()
    assert summary.totals.repositories == 3
    assert summary.totals.uploads == 9


def test_pages_change_nothing_in_what_is_found(monkeypatch):
    """A foreign directory that a page ends in, a blob whose record is on the next one."""
    for damage in DAMAGES:
        tree = Tree()
        damage.do(tree.repository("lib/app"))
        whole, _ = tree.check(read_data=damage.reads_data)
        with monkeypatch.context() as patched:
            patched.setattr(area, "PAGE", 1)
            patched.setattr(repositories, "PAGE", 1)
            paged, _ = tree.check(read_data=damage.reads_data)
        assert paged.names == whole.names, damage


def test_foreign_directory_is_not_walked(memory, monkeypatch):
    """Whatever somebody put there, however much it is."""
    monkeypatch.setattr(area, "PAGE", 10)
    it = memory.repository("lib/app")
    for number in range(300):
        it.put(f"/docker/registry/v2/blobs/md5/{number}", b"?")
    memory.driver.forget()
    ledger, _ = memory.check()
    assert ledger.names == {("foreign", "/docker/registry/v2/blobs/md5")}
    assert len([call for call in memory.calls if call.startswith("walk") and "blobs" in call]) < 20


def test_large_data_are_hashed_in_pieces(memory):
    """As they come, and not all at once."""
    it = memory.repository("lib/app")
    data = bytes(5 * blobs.PIECE // 2)
    done(it.push_blob("huge", data))
    ledger, summary = memory.check(read_data=True)
    assert ledger.names == set()
    assert summary.totals.bytes_read >= len(data)


def test_data_of_manifests_count_as_read(memory):
    """They are read and hashed in any case, and the summary says how much that was."""
    it = memory.repository("lib/app")
    _, summary = memory.check()
    manifests = ("image", "second", "index", "nested", "referrer")
    assert summary.totals.bytes_read == sum(it.sizes[name] for name in manifests)


def test_manifest_that_is_too_large_to_be_one(memory):
    it = memory.repository("lib/app")
    data = b'{"schemaVersion": 2}' + b" " * (8 * 1024 * 1024)
    digest = it.digests["huge"] = Digest.of(data)
    done(memory.registry.uploads.push(it.name, digest, Bytes(data)))
    it.put(it.revision("huge"), str(digest).encode())
    ledger, _ = memory.check()
    assert ledger.names == {("manifest-unparsable", it.revision("huge"))}
