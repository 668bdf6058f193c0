# SPDX-License-Identifier: Apache-2.0
"""The filesystem driver: syncs of one directory that come together are one, and answer nobody
early.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from txregistry.driver import Corrupt
from txregistry_drivers.filesystem import create
from txregistry_drivers.filesystem.grouping import GroupedSyncs

from .syscalls import Syscalls
from .test_filesystem import put

MANY = 32


class Disk:
    """A slow sync, which a test lets go on; what happened is in ``events``."""

    def __init__(self):
        self.events = []
        self.gates = []
        self.failures = {}
        self.began = threading.Semaphore(0)

    def __call__(self, directory):
        number, gate = len(self.gates), threading.Event()
        self.gates.append(gate)
        self.events.append(f"begin {number}")
        self.began.release()
        gate.wait(10)
        self.events.append(f"end {number}")
        if number in self.failures:
            raise self.failures[number]


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def threads():
    with ThreadPoolExecutor(MANY) as pool:
        yield pool


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def waiting(groups):
    """How many threads wait for the group of /a that is forming; 0 if none is."""
    group = groups._forming.get("/a")
    return 0 if group is None else 1 + len(group.ended._cond._waiters)


class GroupedSyncsTests:
    def test_one_alone_does_not_wait(self, disk):
        """No timer, no second sync."""
        groups = GroupedSyncs(disk.events.append)
        groups.sync("/a")
        groups.sync("/a")
        assert disk.events == ["/a", "/a"]

    def test_those_who_come_meanwhile_share_the_next(self, disk, threads):
        """The one under way may have begun too early for them; two syncs are enough for all."""
        groups = GroupedSyncs(disk)
        first = threads.submit(groups.sync, "/a")
        disk.began.acquire(timeout=10)
        others = [threads.submit(groups.sync, "/a") for _ in range(MANY - 1)]
        until(lambda: waiting(groups) == MANY - 1)
        assert disk.events == ["begin 0"]
        disk.gates[0].set()
        first.result(10)
        disk.began.acquire(timeout=10)
        assert disk.events == ["begin 0", "end 0", "begin 1"]
        assert not any(other.done() for other in others)
        disk.gates[1].set()
        for other in others:
            other.result(10)
        assert disk.events[-1] == "end 1" and len(disk.gates) == 2

    def test_directories_do_not_wait_for_each_other(self, disk, threads):
        groups = GroupedSyncs(disk)
        syncs = [threads.submit(groups.sync, name) for name in ("/a", "/b")]
        for _ in syncs:
            disk.began.acquire(timeout=10)
        assert sorted(disk.events) == ["begin 0", "begin 1"]
        for gate in disk.gates:
            gate.set()
        for sync in syncs:
            sync.result(10)

    @pytest.mark.parametrize("failure", [OSError(errno.EIO, "bad"), MemoryError()])
    def test_failed_sync_fails_all_of_its_group_and_no_other(self, disk, threads, failure):
        """Nobody is told of a success that was not; the next group has its own sync."""
        disk.failures[1] = failure
        groups = GroupedSyncs(disk)
        first = threads.submit(groups.sync, "/a")
        disk.began.acquire(timeout=10)
        others = [threads.submit(groups.sync, "/a") for _ in range(3)]
        until(lambda: waiting(groups) == 3)
        disk.gates[0].set()
        disk.began.acquire(timeout=10)
        last = threads.submit(groups.sync, "/a")
        until(lambda: waiting(groups) == 1)
        disk.gates[1].set()
        disk.began.acquire(timeout=10)
        disk.gates[2].set()
        assert first.result(10) is None and last.result(10) is None
        for other in others:
            assert isinstance(other.exception(10), (OSError, type(failure)))


def test_concurrent_puts_share_syncs_and_none_is_answered_early(tmp_path, monkeypatch, threads):
    """Far fewer syncs than puts; each answer comes after a sync that began after its rename.

    The first sync lasts until all have renamed, however long that takes.
    """
    root = tmp_path / "root"
    store = create({"rootdirectory": os.fspath(root)})
    put(store, "/d/first")
    events, fsync, rename = [], os.fsync, os.rename
    renamed = threading.Semaphore(0)

    def slow_fsync(descriptor):
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        if name == os.fspath(root / "d"):
            events.append("begin")
            if events.count("begin") == 1:
                for _ in range(MANY):
                    renamed.acquire(timeout=10)
            time.sleep(0.02)
            fsync(descriptor)
            events.append("end")
        else:
            fsync(descriptor)

    def noted_rename(source, target):
        rename(source, target)
        events.append(f"rename {os.path.basename(target)}")
        renamed.release()

    def one(number):
        put(store, f"/d/{number}", b"x")
        events.append(f"answer {number}")

    monkeypatch.setattr(os, "fsync", slow_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    list(threads.map(one, range(MANY)))
    store.close()
    assert events.count("begin") <= MANY // 3
    for number in range(MANY):
        between = events[events.index(f"rename {number}") : events.index(f"answer {number}")]
        assert "begin" in between
        assert "end" in between[between.index("begin") :]


def test_failed_sync_of_a_shared_directory_fails_the_put(tmp_path, monkeypatch):
    """As for one alone: the caller learns of it."""
    store = create({"rootdirectory": os.fspath(tmp_path / "root")})
    put(store, "/d/first")
    Syscalls(monkeypatch, tmp_path / "root").fail("fsync", errno.EIO, "/d")
    with pytest.raises(Corrupt):
        put(store, "/d/second")
    store.close()
