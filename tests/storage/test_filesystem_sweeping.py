# SPDX-License-Identifier: Apache-2.0
"""The filesystem driver: what crashes left behind goes, and nothing else."""

from __future__ import annotations

import os
import threading
import time

import pytest

from txregistry_drivers.filesystem import sweeping
from txregistry_drivers.filesystem.store import FilesystemStore
from txregistry_drivers.filesystem.sweeping import AGE, Sweeping
from txregistry_drivers.filesystem.temporary import TRASH, new_name
from txregistry_drivers.filesystem.trash import Trash

from .test_filesystem import put

FOREIGN = "link.0a1b2c3d-0a1b-4c2d-8e3f-0a1b2c3d4e5f.tmp"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


def sweeper(root, now=lambda: time.time_ns() + AGE + 10**12):
    """A sweeping of a day later."""
    return Sweeping([os.fspath(root)], Trash(os.fspath(root)), now)


def make(path, data=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


class SweepingTests:
    def test_old_leftovers_and_the_trash_go(self, root):
        """Files, and directories that could not be taken to the trash; at any depth."""
        make(root / new_name())
        make(root / "a/b/c" / new_name())
        make(root / "a" / new_name() / "deep/file")
        make(root / TRASH / new_name() / "file")
        make(root / "a/b/link")
        assert sweeper(root).sweep() == 3
        assert sorted(os.listdir(root)) == [TRASH, "a"]
        assert os.listdir(root / TRASH) == []
        assert sorted(os.listdir(root / "a")) == ["b"]
        assert sorted(os.listdir(root / "a/b")) == ["c", "link"]

    def test_nothing_younger_goes(self, root):
        """A day, by the later of two times: what a writer is at, and what was linked just now."""
        young = root / "a" / new_name()
        make(young)
        assert sweeper(root, time.time_ns).sweep() == 0
        os.utime(young, (0, 0))  # its content is old, its name is not
        assert sweeper(root, time.time_ns).sweep() == 0
        assert young.exists()

    @pytest.mark.parametrize(
        "name",
        [
            FOREIGN,
            ".txregistry-lock",
            ".txregistry-" + "0" * 24,
            ".txregistry-xyz.tmp",
            "data",
            "x.tmp",
        ],
    )
    def test_nothing_else_goes(self, root, name):
        """What another registry left, and whatever resembles ours."""
        make(root / "a" / name)
        assert sweeper(root).sweep() == 0
        assert (root / "a" / name).exists()

    def test_links_are_not_followed(self, root, tmp_path):
        outside = tmp_path / "outside" / new_name()
        make(outside)
        root.mkdir()
        (root / "mounted").symlink_to(tmp_path / "outside")
        assert sweeper(root).sweep() == 0
        assert outside.exists()

    def test_what_goes_meanwhile_is_no_trouble(self, root, monkeypatch):
        """Another process may sweep the same tree."""
        make(root / new_name())

        def gone(full):
            raise FileNotFoundError

        monkeypatch.setattr(sweeping, "remove_entry", gone)
        assert sweeper(root).sweep() == 0
        assert sweeper(root / "gone").sweep() == 0

    def test_writes_begin_it_and_a_close_ends_it(self, root, monkeypatch):
        """A store that is only read has no thread; one that is written to sweeps by and by."""
        swept = threading.Event()
        monkeypatch.setattr(sweeping, "FIRST_AFTER", 0.0)
        monkeypatch.setattr(Sweeping, "sweep", lambda self: swept.set())
        before = threading.active_count()
        root.mkdir()
        store = FilesystemStore(os.fspath(root))
        store.stat("/")
        assert threading.active_count() == before
        put(store, "/a/b")
        store.append("/c", 0).close()
        assert threading.active_count() == before + 1
        assert swept.wait(10)
        store.close()
        assert threading.active_count() == before

    def test_one_thread_is_enough(self, root):
        """Also if two calls are the first."""
        root.mkdir()
        both = sweeper(root)
        before = threading.active_count()
        with both._lock:
            beginners = [threading.Thread(target=both.begin) for _ in range(2)]
            for beginner in beginners:
                beginner.start()
            time.sleep(0.05)
        for beginner in beginners:
            beginner.join()
        assert threading.active_count() == before + 1
        both.stop()
        both.stop()
