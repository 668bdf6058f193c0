# SPDX-License-Identifier: Apache-2.0
"""What is told of a tree that changes, or of storage that fails, while it is checked."""

from __future__ import annotations

import pytest

from tests.registry.world import Bytes, done
from txregistry.admin.check import KINDS
from txregistry.admin.check.inspection import LONG_PAUSE, PAUSE, PAUSES, UNCHECKED_LIMIT, YOUNG
from txregistry.oci.digests import Digest
from txregistry.oci.names import Tag
from txregistry.storage.errors import Corrupt, Denied, Missing, Unavailable

from .damages import DAMAGES
from .trees import FOREIGN_UPLOAD


@pytest.fixture
def it(memory):
    return memory.repository("lib/app")


class SecondLookTests:
    """A registry at work makes nothing look damaged."""

    @pytest.mark.parametrize("damage", DAMAGES, ids=str)
    def test_what_is_in_order_a_moment_later_is_not_told(self, memory, it, damage):
        """Whatever the first look saw half-done."""
        before = memory.files()
        damage.do(it)
        damaged = memory.files()

        def restore():
            for path in damaged.keys() - before.keys():
                it.delete(path)
            for path, data in before.items():
                if damaged.get(path) != data:
                    it.put(path, data)

        memory.meanwhile.append(restore)
        ledger, summary = memory.check(read_data=damage.reads_data)
        assert ledger.names == set()
        assert summary.is_clean(strict=True)
        assert memory.pauses

    def test_what_came_after_the_walk_is_looked_for(self, memory, it):
        """A blob that is pushed while repositories are walked is no dangling link."""
        data = b"pushed late"
        digest = Digest.of(data)

        def push():
            done(memory.registry.uploads.push(it.name, digest, Bytes(data)))

        it.delete(it.record("image", "referrer"))
        memory.meanwhile.append(push)
        it.delete_blob("adopted")
        ledger, _ = memory.check()
        assert {kind for kind, _ in ledger.names} == {"referrer-missing", "layer-dangling"}

    def test_upload_that_ends_meanwhile(self, memory, it):
        it.delete(it.session(FOREIGN_UPLOAD, "startedat"))
        memory.meanwhile.append(
            lambda: it.delete(it.session(FOREIGN_UPLOAD, "data").rpartition("/")[0])
        )
        assert memory.check()[0].names == set()

    def test_what_changed_lately_is_looked_at_once_more(self, memory, it):
        """A busy disk may take longer over a push than the first pause."""
        right = memory.store.get(it.size("layer")).data
        it.put(it.size("layer"), b"")
        memory.meanwhile.append(
            lambda: memory.meanwhile.append(lambda: it.put(it.size("layer"), right))
        )
        assert memory.check()[0].names == set()
        assert memory.pauses == [PAUSE, LONG_PAUSE]

    def test_what_is_old_is_believed_sooner(self, memory, it):
        """A tree that is damaged for long is checked without waiting for each finding."""
        it.put(it.size("layer"), b"")
        memory.now += YOUNG
        assert memory.check()[0].names == {("size-record", it.size("layer"))}
        assert memory.pauses == [PAUSE]

    def test_much_damage_does_not_make_a_check_slow(self, memory, it):
        """All pauses of a run are bounded."""
        for number in range(130):
            it.put(f"/docker/registry/v2/repositories/r{number}/file", b"")
        _, summary = memory.check()
        assert summary.counts == {KINDS["foreign"]: 130}
        assert sum(memory.pauses) <= PAUSES
        assert set(memory.pauses) == {PAUSE, LONG_PAUSE}

    def test_blob_that_is_pushed_again_heals_its_manifests(self, memory, it):
        """Its size was seen when it was too short."""
        data = memory.store.get(it.data("large")).data
        it.put_data("large", data[:5])
        it.delete(it.size("large"))
        memory.meanwhile.append(lambda: it.put_data("large", data))
        assert memory.check()[0].names == set()

    def test_state_that_goes_meanwhile(self, memory, it):
        memory.driver.fail("^get .*hashstates/sha256/5", Missing())
        assert memory.check()[0].names == set()


class FailureTests:
    def test_what_can_not_be_read_is_told(self, memory, it):
        """One bad sector is one finding, and the check goes on."""
        path = it.layer("layer")
        for _ in range(3):
            memory.driver.fail(
                f"^get .*_layers/sha256/{it.digests['layer'].encoded[:4]}",
                Corrupt("bad", path=path),
            )
        ledger, summary = memory.check()
        assert ("unreadable", path) in ledger.names
        assert summary.unfinished is None
        assert ledger.findings[0].why == "can't be read: bad"

    def test_what_can_not_be_read_is_left_where_it_is(self, memory, it):
        """Its permissions may be wrong, and its bytes right."""
        before = memory.files()
        for _ in range(3):
            memory.driver.fail(
                f"^read .*{it.digests['adopted'].encoded[:4]}/data", Denied("not yours")
            )
        ledger, summary = memory.check(repair=True, read_data=True)
        assert [finding.kind.name for finding in ledger.findings] == ["unreadable"]
        assert memory.files() == before
        assert not summary.is_clean()

    def test_storage_that_fails_now_and_then_makes_the_check_incomplete(self, memory, it):
        memory.driver.fail("^get .*_layers", Unavailable("away"))
        ledger, summary = memory.check()
        assert summary.unfinished == "storage failed 1 times: away"
        assert ledger.names == set()

    def test_storage_that_is_away_ends_the_check(self, memory, it):
        for _ in range(UNCHECKED_LIMIT):
            memory.driver.fail("^get", Unavailable("away"))
        _, summary = memory.check()
        assert summary.unfinished == "storage can't be read: away"
        assert len([call for call in memory.calls if call.startswith("get")]) < 200

    @pytest.mark.parametrize("call", ["^walk .*blobs", "^list", "^walk .*_layers"])
    def test_walk_that_fails_ends_the_check(self, memory, it, call):
        memory.driver.fail(call, Unavailable("away"))
        assert memory.check()[1].unfinished == "storage failed: away"

    def test_second_look_that_fails_is_no_finding(self, memory, it):
        it.put(it.size("layer"), b"garbage")
        memory.meanwhile.append(lambda: memory.driver.fail("^stat .*size", Unavailable("away")))
        ledger, summary = memory.check()
        assert ledger.names == set()
        assert summary.unfinished == "storage failed 1 times: away"

    def test_blob_that_is_gone_at_the_second_look(self, memory, it):
        it.put(it.size("adopted"), b"garbage")
        memory.meanwhile.append(lambda: it.delete_blob("adopted"))
        assert memory.check()[0].names == {("layer-dangling", it.layer("adopted"))}

    def test_blob_that_goes_before_the_second_look(self, memory, it):
        it.put(it.size("adopted"), b"garbage")
        memory.meanwhile.append(lambda: memory.driver.fail("^stat .*size", Missing()))
        memory.meanwhile.append(lambda: memory.driver.fail("^stat .*data", Missing()))
        assert memory.check()[0].names == set()

    def test_repair_that_fails_ends_the_check(self, memory, it):
        it.put(it.layer("layer"), b"")
        memory.driver.fail("^move", Denied("read only"))
        _, summary = memory.check(repair=True)
        assert summary.unfinished == "storage failed: read only"


class OptionTests:
    def test_ignored_class_is_neither_told_nor_repaired(self, memory, it):
        it.put(it.layer("layer"), b"")
        it.put(it.layer("layer") + "2", b"")
        before = memory.files()
        ignored = frozenset({KINDS["link-unreadable"], KINDS["foreign"]})
        ledger, _ = memory.check(repair=True, ignored=ignored)
        assert not {finding.kind for finding in ledger.findings} & ignored
        assert it.layer("layer") in memory.files()
        assert it.layer("layer") + "2" in memory.files()
        assert before[it.layer("layer")] == b""

    def test_index_may_be_sparse(self, memory, it):
        """An operator who mirrors one platform of many has no error for it."""
        it.delete(it.revision("image"))
        it.delete(it.tag("v1").replace("v1", "all"))
        assert "manifest-incomplete" in {kind for kind, _ in memory.check()[0].names}
        kinds = {kind for kind, _ in memory.check(allow_sparse=True)[0].names}
        assert "manifest-incomplete" not in kinds

    def test_age_of_uploads_is_a_choice(self, memory, it):
        """An upload that has just begun is none that was left behind."""
        assert memory.check()[0].names == set()
        memory.now += 3601
        ledger, _ = memory.check(upload_age=3600)
        assert {kind for kind, _ in ledger.names} == {"upload-no-data"}

    def test_referrer_that_only_the_clients_index_lists_is_listed(self, memory, it):
        """A tree of another registry has no lists of ours, and needs none where clients kept
        theirs.
        """
        it.delete(it.record("image", "referrer"))
        tag = f"sha256-{it.digests['image'].encoded}"
        done(it.push_index("fallback", Tag(tag), "referrer"))
        assert memory.check()[0].names == set()
