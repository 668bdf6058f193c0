# SPDX-License-Identifier: Apache-2.0
"""What is put into quarantine stays there, under the path that it had, with a record of why."""

from __future__ import annotations

import json

import pytest

from tests.registry.world import done
from txregistry.admin.check.findings import KINDS, Write, movable
from txregistry.admin.check.quarantine import Quarantine
from txregistry.storage.errors import Denied

TOP = "/docker/registry/v2/_txregistry/quarantine/20250131T102030Z"


@pytest.fixture
def quarantine(memory):
    return Quarantine(memory.driver, lambda: memory.now)


def finding(path, moves=""):
    return movable(KINDS["foreign"], path, "is a file that does not belong there", moves)


def put(memory, path, data=b"x"):
    memory.store.put(path, data, if_absent=False, if_version=None)


def test_moved_things_keep_their_paths(memory, quarantine):
    """Files and whole directories; what moved and why is written beside them."""
    put(memory, "/a/b/file", b"1")
    put(memory, "/a/c/d/file", b"2")
    assert done(quarantine.mend(finding("/a/b/file"))) == f"{TOP}/a/b/file"
    assert done(quarantine.mend(finding("/a/c/d/file", "/a/c"))) == f"{TOP}/a/c"
    done(quarantine.close())
    done(quarantine.close())
    files = memory.files()
    record = json.loads(files.pop(f"{TOP}/record-000001.json"))
    assert files == {
        f"{TOP}/a/b/file": b"1",
        f"{TOP}/a/c/d/file": b"2",
        f"{TOP}/record-000000.json": b"{}",
    }
    why = {"class": "foreign", "why": "is a file that does not belong there"}
    assert record == {"moved": [{"from": "/a/b/file", **why}, {"from": "/a/c", **why}]}
    assert quarantine.directories == [TOP]


def test_nothing_in_quarantine_is_ever_replaced(memory, quarantine):
    """A file of a directory, and then the directory: the second takes another place."""
    put(memory, "/tags/v1/a", b"1")
    put(memory, "/tags/v1/b", b"2")
    done(quarantine.mend(finding("/tags/v1/a")))
    assert done(quarantine.mend(finding("/tags/v1/b", "/tags/v1"))) == f"{TOP}.2/tags/v1"
    put(memory, "/tags/v1/a", b"3")
    put(memory, "/tags/v1/b", b"4")
    assert done(quarantine.mend(finding("/tags/v1/a"))) == f"{TOP}.2/tags/v1/a"
    assert done(quarantine.mend(finding("/tags/v1/b"))) == f"{TOP}.3/tags/v1/b"
    done(quarantine.close())
    kept = {path: data for path, data in memory.files().items() if "record" not in path}
    assert kept == {
        f"{TOP}/tags/v1/a": b"1",
        f"{TOP}.2/tags/v1/b": b"2",
        f"{TOP}.2/tags/v1/a": b"3",
        f"{TOP}.3/tags/v1/b": b"4",
    }
    records = [path for path in memory.files() if "record-" in path and "000000" not in path]
    assert len(records) == len(quarantine.directories) == 3


def test_two_repairs_in_one_second_have_two_directories(memory, quarantine):
    other = Quarantine(memory.driver, lambda: memory.now)
    put(memory, "/a")
    put(memory, "/b")
    done(quarantine.mend(finding("/a")))
    assert done(other.mend(finding("/b"))) == f"{TOP}.2/b"


def test_what_has_gone_is_not_moved(memory, quarantine):
    assert done(quarantine.mend(finding("/gone"))) is None
    done(quarantine.close())
    assert f"{TOP}/record-000001.json" not in memory.files()


def test_records_are_of_bounded_size(memory, quarantine):
    """A tree of damage makes many records, none of which is large."""
    for number in range(1001):
        put(memory, f"/many/{number}")
        done(quarantine.mend(finding(f"/many/{number}")))
    done(quarantine.close())
    records = [json.loads(memory.files()[f"{TOP}/record-{number:06}.json"]) for number in (1, 2)]
    assert [len(record["moved"]) for record in records] == [1000, 1]


def test_record_that_can_be_told_from_the_rest_is_written_again(memory, quarantine):
    """That makes no quarantine: nothing is moved."""
    record = movable(KINDS["referrer-missing"], "/r", "is missing")
    write = type(record)(record.kind, "/r", "is missing", Write("/r", b"{}"))
    assert done(quarantine.mend(write)) == "/r"
    assert memory.files() == {"/r": b"{}"}
    assert quarantine.directories == []


def test_storage_that_refuses_is_told(memory, quarantine):
    put(memory, "/a")
    memory.driver.fail("^move", Denied("read only"))
    with pytest.raises(Denied):
        done(quarantine.mend(finding("/a")))
    assert memory.files()["/a"] == b"x"
