# SPDX-License-Identifier: Apache-2.0
"""The list of uploads in progress."""

from __future__ import annotations

import json
import os

import pytest

from tests.registry.world import NOW, done
from txregistry.admin.uploads import JsonUploads, TextUploads, list_uploads
from txregistry.storage.errors import Missing, Unavailable
from txregistry_drivers.filesystem import create

from .trees import FOREIGN_UPLOAD, Tree


def listed(tree, report_class, members=None, **options):
    lines = []
    report = report_class(lines.append)
    report.begin()
    done(list_uploads(tree.driver, report.add, **options))
    report.end(members or {})
    return lines


@pytest.fixture
def it(memory):
    repository = memory.repository("lib/app")
    memory.repository("lib/app/deep")
    return repository


def test_every_session_is_listed_by_repository(memory, it):
    """With its size and its times, whoever began it."""
    document = json.loads("\n".join(listed(memory, JsonUploads)))
    assert document["schema"] == "txregistry.uploads/1"
    rows = [(one["repository"], one["size"]) for one in document["uploads"]]
    assert sorted(rows) == [
        (name, size) for name in ("lib/app", "lib/app/deep") for size in (0, 4, 5)
    ]
    assert [name for name, _ in rows] == sorted(name for name, _ in rows)
    foreign = next(one for one in document["uploads"] if one["id"] == FOREIGN_UPLOAD)
    assert foreign["started"] == foreign["last_activity"] == "2025-01-31T10:20:30Z"


def test_list_for_people(memory, it):
    lines = listed(memory, TextUploads)
    assert lines[0].split() == ["STARTED", "LAST", "ACTIVITY", "SIZE", "ID", "REPOSITORY"]
    assert len(lines) == 8
    row = f"2025-01-31T10:20:30Z  2025-01-31T10:20:30Z       5 bytes  {FOREIGN_UPLOAD}  lib/app"
    assert row in lines
    assert lines[-1] == "6 uploads that hold 18 bytes"


def test_list_of_nothing(memory):
    assert listed(memory, TextUploads) == ["0 uploads that hold 0 bytes"]


def test_purge_is_summed_up(memory):
    members = {"examined": 3, "removed": 2, "freed": 2048, "failed": 0, "dry_run": False}
    assert listed(memory, TextUploads, members) == ["3 uploads, 2 removed, 2.0 KiB freed"]
    members |= {"failed": 1, "dry_run": True}
    assert listed(memory, TextUploads, members) == [
        "3 uploads, 2 would be removed, 2.0 KiB freed, 1 failed"
    ]


def test_only_those_that_are_wanted(memory, it):
    memory.now = NOW + 3600
    done(memory.registry.uploads.start(it.name))
    lines = listed(memory, TextUploads, is_wanted=lambda session: session.last_seen < NOW + 1)
    assert lines[-1] == "6 uploads that hold 18 bytes"


def test_unknown_times_are_said_to_be(memory):
    """A store that keeps no times, and a session that lost its own."""
    memory.store._now = lambda: 0
    memory.put("APP/_uploads/x/data", b"abc")
    assert "unknown               unknown " in listed(memory, TextUploads)[1]
    memory.put("APP/_uploads/x/startedat", b"2025-01-31T10:20:30Z")
    assert "2025-01-31T10:20:30Z  2025-01-31T10:20:30Z " in listed(memory, TextUploads)[1]


def test_session_with_very_many_states_is_seen_whole(memory):
    """An upload in ten thousand pieces by the other registry has as many states."""
    for number in range(1100):
        memory.put(f"APP/_uploads/x/hashstates/sha256/{number}", b"")
    memory.put("APP/_uploads/x/startedat", b"2025-01-31T10:20:30Z")
    assert listed(memory, TextUploads)[-1] == "1 upload that holds 0 bytes"


@pytest.mark.parametrize("call", ["^walk .*id-", "^list .*_uploads"])
def test_what_ends_meanwhile_is_left_out(memory, it, call):
    memory.driver.fail(call, Missing())
    assert len(listed(memory, TextUploads)) in (7, 5)


def test_empty_session_is_none(tmp_path):
    """A file system leaves directories behind."""
    store = create({"rootdirectory": os.fspath(tmp_path), "durability": "none"})
    tree = Tree(store)
    (tmp_path / "docker/registry/v2/repositories/app/_uploads/x/hashstates/sha256").mkdir(
        parents=True
    )
    assert listed(tree, TextUploads) == ["0 uploads that hold 0 bytes"]
    assert tree.check()[0].names == set()
    store.close()


def test_what_is_no_session_is_passed_over(memory):
    memory.put("APP/_uploads/" + "x" * 129 + "/data", b"abc")
    memory.put("APP/_uploads/file", b"abc")
    assert listed(memory, TextUploads) == ["0 uploads that hold 0 bytes"]


def test_storage_that_fails_is_told(memory, it):
    memory.driver.fail("^walk", Unavailable("away"))
    with pytest.raises(Unavailable):
        listed(memory, TextUploads)
