# SPDX-License-Identifier: Apache-2.0
"""The filesystem driver: what is on stable storage before an answer, in which order, and only
once.
"""

from __future__ import annotations

import errno
import os

import pytest

from txregistry.driver import (
    Corrupt,
    Denied,
    Internal,
    InvalidPath,
    Missing,
    NoSpace,
    ReadOnly,
    Unavailable,
)
from txregistry_drivers.filesystem import create, names, synced
from txregistry_drivers.filesystem.refusals import refusal

from .syscalls import Syscalls
from .test_filesystem import put, stage

#: What an fsync may report.
FAULTS = {errno.EIO: Corrupt, errno.ENOSPC: NoSpace, errno.EDQUOT: NoSpace}


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def durability():
    return "strict"


@pytest.fixture
def store(root, durability):
    store = create({"rootdirectory": os.fspath(root), "durability": durability})
    yield store
    store.close()


@pytest.fixture
def calls(store, root, monkeypatch):
    return Syscalls(monkeypatch, root)


class PutOrderTests:
    def test_content_then_name_then_directories(self, store, calls):
        """File, name, its directory, each new directory upward: then the answer."""
        put(store, "/a/b/link")
        assert calls.take() == [
            *("mkdir /a/b", "mkdir /a", "mkdir /a/b"),
            *("fsync /a/b/*", "rename /a/b/* /a/b/link"),
            *("fsync /a/b", "fsync /a", "fsync /"),
        ]

    def test_known_directories_are_not_synced_again(self, store, calls):
        """Later content costs two syncs: its own and its directory's."""
        put(store, "/a/b/link")
        calls.take()
        put(store, "/a/b/link")
        assert calls.take() == ["fsync /a/b/*", "rename /a/b/* /a/b/link", "fsync /a/b"]
        put(store, "/a/c/link")
        assert calls.take() == [
            *("mkdir /a/c", "fsync /a/c/*", "rename /a/c/* /a/c/link"),
            *("fsync /a/c", "fsync /a"),
        ]

    def test_directory_that_another_made_is_not_trusted(self, store, calls, root):
        """A directory that is there may not be durable: its maker may have died before the sync."""
        (root / "a").mkdir()
        calls.take()
        put(store, "/a/link")
        assert calls.take() == ["fsync /a/*", "rename /a/* /a/link", "fsync /a", "fsync /"]

    def test_directory_that_was_deleted_is_new_again(self, store, calls):
        """What is known of a name ends with the name, also when it ends by a move."""
        put(store, "/a/b/link")
        store.delete("/a", if_version=None)
        calls.take()
        put(store, "/a/b/link")
        assert calls.take()[-3:] == ["fsync /a/b", "fsync /a", "fsync /"]
        store.move("/a", "/c")
        calls.take()
        put(store, "/c/b/link")
        assert calls.take()[-3:] == ["fsync /c/b", "fsync /c", "fsync /"]

    def test_absent_content_is_linked(self, store, calls):
        """A link replaces nothing, also on a file system without locks."""
        put(store, "/link", if_absent=True)
        assert calls.take() == ["fsync /*", "link /* /link", "unlink /*", "fsync /"]

    def test_absent_content_is_renamed_where_links_are_not(self, store, calls):
        """A file system without hard links relies on its locks."""
        calls.fail("link", errno.EPERM)
        put(store, "/link", if_absent=True)
        assert calls.take() == ["fsync /*", "link /* /link", "rename /* /link", "fsync /"]

    def test_race_for_absent_content_is_lost_with_exists(self, store, calls, root):
        """Whoever comes second is told so, and leaves nothing behind."""
        calls.fail("link", errno.EEXIST)
        with pytest.raises(Exception, match="Exists"):
            put(store, "/link", if_absent=True)
        calls.fail("link", errno.EIO)
        with pytest.raises(Corrupt):
            put(store, "/link", if_absent=True)
        assert not [name for name in os.listdir(root) if name.endswith(".tmp")]

    @pytest.mark.parametrize("call", ["pwrite", "fsync", "rename"])
    @pytest.mark.parametrize("number", FAULTS)
    def test_failed_put_leaves_the_old_content(self, store, calls, root, call, number):
        """Whatever fails: readers see what was there, and no temporary file stays."""
        put(store, "/a/link", b"old")
        calls.fail(call, number)
        with pytest.raises(FAULTS[number]):
            put(store, "/a/link", b"new")
        assert store.get("/a/link").data == b"old"
        assert os.listdir(root / "a") == ["link"]

    def test_directory_taken_away_meanwhile_is_made_again(self, store, calls, root):
        """A put that races with the deletion of its directory happens after it."""
        calls.fail("rename", errno.ENOENT)
        put(store, "/a/link", b"x")
        assert store.get("/a/link").data == b"x"
        for _ in range(5):
            calls.faults["rename", None] = errno.ENOENT
        calls.faults = _Forever({("rename", None): errno.ENOENT})
        with pytest.raises(Unavailable):
            put(store, "/a/link", b"y")

    def test_root_that_is_gone_is_not_made_again(self, store, root):
        """An unmounted root must not be replaced by an empty directory."""
        for path in sorted(root.rglob("*"), reverse=True):
            path.unlink()
        root.rmdir()
        for call in (
            lambda: put(store, "/a/link"),
            lambda: put(store, "/link"),
            lambda: store.append("/u/data", 0),
        ):
            with pytest.raises(Unavailable):
                call()
        assert not root.exists()

    def test_record_costs_no_sync_of_a_directory(self, store, calls):
        """It has its name before the content has its own; what is synced then is for both."""
        store.put_recorded("/b/data", b"x", "/b/size", b"1")
        assert calls.take() == [
            *("mkdir /b", "fsync /b/*", "rename /b/* /b/size"),
            *("fsync /b/*", "rename /b/* /b/data"),
            *("fsync /b", "fsync /"),
        ]
        assert store.get("/b/size").data == b"1"

    def test_record_whose_directory_was_taken_away_is_made_again(self, store, calls):
        calls.fail("rename", errno.ENOENT)
        store.put_recorded("/b/data", b"x", "/b/size", b"1")
        assert store.get("/b/size").data == b"1"
        calls.faults = _Forever({("rename", None): errno.ENOENT})
        with pytest.raises(Unavailable):
            store.put_recorded("/b/data", b"x", "/b/size", b"2")


class PublishOrderTests:
    def test_bytes_then_name_then_directories(self, store, calls):
        """Sync, link, sync of the directories upward: the link is the commit point."""
        stage(store, "/u/data", b"x")
        calls.take()
        store.publish("/u/data", "/b/ab/data", 1)
        assert calls.take() == [
            "fdatasync /u/data",
            *("link /u/data /b/ab/data", "mkdir /b/ab", "mkdir /b", "mkdir /b/ab"),
            "link /u/data /b/ab/data",
            *("fsync /b/ab", "fsync /b", "fsync /"),
        ]

    def test_synced_bytes_are_not_synced_again(self, store, calls):
        """A writer that has just synced leaves nothing to sync for the commit."""
        appender = store.append("/u/data", 0)
        appender.append(memoryview(b"x"))
        appender.sync()
        appender.sync()
        appender.close()
        assert calls.take()[-4:] == ["mkdir /u", "fdatasync /u/data", "fsync /u", "fsync /"]
        store.publish("/u/data", "/data", 1)
        assert calls.take() == ["link /u/data /data", "fsync /"]

    def test_record_is_synced_before_the_link(self, store, calls):
        """The record has its name before the bytes have theirs; one sync of the directory is for
        both.
        """
        stage(store, "/u/data", b"x")
        put(store, "/b/other", b"")
        calls.take()
        store.publish_recorded("/u/data", "/b/data", 1, "/b/size", b"1")
        assert calls.take() == [
            "fdatasync /u/data",
            *("fsync /b/*", "rename /b/* /b/size"),
            *("link /u/data /b/data", "fsync /b"),
        ]
        assert store.get("/b/size").data == b"1"

    def test_record_that_is_there_is_not_written_again(self, store, calls):
        """Another one is replaced, beside a destination that stays, too."""
        for record, seen in ((b"1", []), (b"2", ["fsync /*", "rename /* /size"])):
            stage(store, "/u/data", b"x")
            store.publish_recorded("/u/data", "/data", 1, "/size", b"1")
            calls.take()
            store.publish_recorded("/u/data", "/data", 1, "/size", record)
            assert calls.take() == [*seen, "fsync /"]
            store.delete("/u", if_version=None)

    @pytest.mark.parametrize("call", ["rename", "fsync"])
    def test_record_that_fails_publishes_nothing(self, store, calls, root, call):
        """Neither half is there, and nothing of our own beside it."""
        stage(store, "/u/data", b"x")
        put(store, "/b/other", b"")
        calls.fail(call, errno.ENOSPC)
        with pytest.raises(NoSpace):
            store.publish_recorded("/u/data", "/b/data", 1, "/b/size", b"1")
        assert os.listdir(root / "b") == ["other"]

    def test_names_that_could_not_be_synced_go(self, store, calls, root):
        """Record and bytes: a repetition does it all again."""
        stage(store, "/u/data", b"x")
        put(store, "/b/other", b"")
        calls.fail("fsync", errno.EIO, "/b")
        with pytest.raises(Corrupt):
            store.publish_recorded("/u/data", "/b/data", 1, "/b/size", b"1")
        assert os.listdir(root / "b") == ["other"]

    def test_destination_of_the_right_size_stays(self, store, calls):
        """A duplicate costs one sync of the directory it found, whoever made that."""
        for name in ("1", "2"):
            stage(store, f"/{name}/data", b"x")
            calls.take()
            store.publish(f"/{name}/data", "/data", 1)
        assert calls.take() == ["fsync /"]

    def test_destination_that_comes_meanwhile_stays(self, store, calls, monkeypatch):
        """Of two that publish the same at the same time, the second finds the first's."""
        for name in ("1", "2"):
            stage(store, f"/{name}/data", b"x")
        store.publish("/1/data", "/data", 1)
        stat, looks = os.stat, []

        def late(path):
            looks.append(path)
            if path.endswith("/data") and len(looks) == 1:
                raise FileNotFoundError
            return stat(path)

        monkeypatch.setattr(os, "stat", late)
        calls.take()
        store.publish("/2/data", "/data", 1)
        assert calls.take() == ["fdatasync /2/data", "link /2/data /data", "fsync /"]
        looks.clear()
        calls.fail("link", errno.EXDEV)
        store.publish("/2/data", "/data", 1)
        assert calls.take() == ["link /2/data /data", "fsync /"]

    def test_broken_destination_is_replaced_in_one_step(self, store, calls, root):
        """At no instant is nothing, or a half, at the destination."""
        put(store, "/data", b"broken")
        stage(store, "/u/data", b"x")
        calls.take()
        store.publish("/u/data", "/data", 1)
        assert calls.take() == [
            "fdatasync /u/data",
            *("link /u/data /data", "link /u/data /*", "rename /* /data"),
            "fsync /",
        ]
        assert store.get("/data").data == b"x"

    def test_broken_destination_stays_if_it_can_t_be_replaced(self, store, calls, root):
        """A replacement that fails leaves what was there, and no temporary name."""
        put(store, "/data", b"broken")
        stage(store, "/u/data", b"x")
        calls.fail("rename", errno.EIO)
        with pytest.raises(Corrupt):
            store.publish("/u/data", "/data", 1)
        calls.fail("link", errno.EXDEV)
        calls.fail("rename", errno.EIO)
        with pytest.raises(Corrupt):
            store.publish("/u/data", "/data", 1)
        assert store.get("/data").data == b"broken"
        assert sorted(os.listdir(root)) == [".txregistry-lock", "data", "u"]

    def test_link_to_nothing_is_replaced(self, store, calls, root):
        """A symbolic link whose blob is gone does not stand in the way."""
        (root / "data").symlink_to(root / "nowhere")
        stage(store, "/u/data", b"x")
        store.publish("/u/data", "/data", 1)
        assert store.get("/data").data == b"x"

    @pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK])
    def test_bytes_are_copied_where_links_don_t_go(self, store, calls, number, root):
        """Blobs on another file system: copied beside the destination, synced, renamed."""
        stage(store, "/u/data", b"x" * 1000)
        calls.take()
        calls.fail("link", number)
        store.publish("/u/data", "/data", 1000)
        assert calls.take() == [
            *("fdatasync /u/data", "link /u/data /data"),
            *("fdatasync /*", "rename /* /data", "fsync /"),
        ]
        assert store.get("/data").data == b"x" * 1000
        calls.fail("link", number)
        store.publish("/u/data", "/data", 1000)
        assert calls.take() == ["fsync /"]
        calls.faults.clear()
        put(store, "/data", b"broken")
        calls.fail("link", errno.EEXIST, "/u/data")
        calls.faults["link", None] = number
        store.publish("/u/data", "/data", 1000)
        assert store.get("/data").data == b"x" * 1000
        assert sorted(os.listdir(root)) == [".txregistry-lock", "data", "u"]

    def test_kernel_that_can_t_copy_leaves_it_to_us(self, store, calls, monkeypatch):
        """File systems differ in what they copy; the bytes arrive all the same."""
        data = os.urandom(3_000_000)
        stage(store, "/u/data", data)

        def refuses(*arguments):
            raise OSError(errno.EXDEV, "not across")

        monkeypatch.setattr(os, "copy_file_range", refuses)
        calls.fail("link", errno.EXDEV)
        store.publish("/u/data", "/data", len(data))
        assert store.get("/data").data == data
        calls.fail("link", errno.EXDEV)
        monkeypatch.setattr(os, "pread", lambda *arguments: b"")
        with pytest.raises(Corrupt):
            store.publish("/u/data", "/data2", len(data))
        calls.fail("link", errno.EXDEV)
        monkeypatch.setattr(os, "copy_file_range", lambda *arguments: 0)
        with pytest.raises(Corrupt):
            store.publish("/u/data", "/data2", len(data))
        assert [child.name for child in store.list("/", "", 9).children] == ["data", "u"]

    @pytest.mark.parametrize("number", FAULTS)
    def test_bytes_whose_sync_failed_are_gone(self, store, calls, number):
        """The kernel tells once, then reports success: such bytes must not be committed by a
        repetition.
        """
        stage(store, "/u/data", b"x")
        calls.fail("fdatasync", number)
        with pytest.raises(FAULTS[number]):
            store.publish("/u/data", "/data", 1)
        for path in ("/u/data", "/data"):
            with pytest.raises(Missing):
                store.stat(path)

    def test_name_whose_sync_failed_is_taken_back(self, store, calls):
        """A repetition makes the name anew, so that its sync means something."""
        stage(store, "/u/data", b"x")
        calls.fail("fsync", errno.EIO)
        with pytest.raises(Corrupt):
            store.publish("/u/data", "/b/data", 1)
        with pytest.raises(Missing):
            store.stat("/b/data")
        calls.take()
        store.publish("/u/data", "/b/data", 1)
        assert calls.take() == ["link /u/data /b/data", "fsync /b", "fsync /"]
        calls.fail("fsync", errno.EIO)
        with pytest.raises(Corrupt):
            store.publish("/u/data", "/b/data", 1)
        assert store.stat("/b/data").size == 1  # it was there before

    @pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
    def test_failed_link_publishes_nothing(self, store, calls, number):
        """What can't be linked, and must not be copied, is refused; the staged bytes stay."""
        stage(store, "/u/data", b"x")
        calls.fail("link", number)
        with pytest.raises((Corrupt, Denied)):
            store.publish("/u/data", "/data", 1)
        put(store, "/data", b"broken")
        calls.fail("link", errno.EEXIST, "/u/data")
        calls.fail("link", number)
        with pytest.raises((Corrupt, Denied)):
            store.publish("/u/data", "/data", 1)
        assert store.get("/u/data").data == b"x"


class AppendOrderTests:
    def test_short_writes_are_completed(self, store, calls):
        """The system may take less than it was given."""
        calls.short = 3
        stage(store, "/u/data", b"0123456789")
        assert store.get("/u/data").data == b"0123456789"
        calls.short = 0
        with pytest.raises(Corrupt):
            store.append("/v/data", 0).append(memoryview(b"x"))

    @pytest.mark.parametrize("number", FAULTS)
    def test_failed_append_takes_back_what_it_left(self, store, calls, number):
        """After a full disk the upload ends at its last good byte, and can go on."""
        appender = store.append("/u/data", 0)
        appender.append(memoryview(b"good"))
        calls.short = 2
        calls.faults = _Second({("pwrite", None): number})
        with pytest.raises(FAULTS[number]):
            appender.append(memoryview(b"too much"))
        assert store.get("/u/data").data == b"good"
        calls.short = None
        assert appender.append(memoryview(b" again")) == 10
        appender.close()

    def test_append_that_can_t_be_taken_back_ends_the_appender(self, store, calls):
        """Where the end is not known, nothing is appended any more."""
        appender = store.append("/u/data", 0)
        calls.fail("pwrite", errno.EIO)
        calls.fail("ftruncate", errno.EROFS)
        with pytest.raises(Corrupt):
            appender.append(memoryview(b"x"))
        for call in (lambda: appender.append(memoryview(b"x")), appender.sync):
            with pytest.raises(ReadOnly):
                call()
        assert appender.close() == 0

    @pytest.mark.parametrize("number", FAULTS)
    def test_failed_sync_spoils_the_upload(self, store, calls, number):
        """Never a second sync: the upload is gone, and everybody is told."""
        appender = store.append("/u/data", 0)
        appender.append(memoryview(b"x"))
        calls.fail("fdatasync", number)
        for _ in range(2):
            with pytest.raises(FAULTS[number]):
                appender.sync()
        assert calls.take().count("fdatasync /u/data") == 1
        with pytest.raises(FAULTS[number]):
            appender.append(memoryview(b"x"))
        appender.close()
        with pytest.raises(Missing):
            store.stat("/u/data")

    def test_failed_sync_spares_what_came_in_the_place(self, store, calls, root):
        """Only the file whose sync failed is removed."""
        appender = store.append("/u/data", 0)
        appender.append(memoryview(b"x"))
        put(store, "/u/data", b"other")
        calls.fail("fdatasync", errno.EIO)
        with pytest.raises(Corrupt):
            appender.sync()
        assert store.get("/u/data").data == b"other"
        appender.close()

    def test_failed_sync_of_the_name_is_told(self, store, calls):
        """The name of a new upload is synced once, after its bytes."""
        appender = store.append("/u/data", 0)
        appender.append(memoryview(b"x"))
        calls.fail("fsync", errno.EIO)
        with pytest.raises(Corrupt):
            appender.sync()
        appender.close()

    def test_upload_that_is_replaced_while_it_opens_is_opened_again(self, store, root, monkeypatch):
        """What is locked is what has the name; a file that moves all the time is given up."""
        stage(store, "/u/data", b"abc")
        lstat, looks = os.lstat, []

        def moving(path):
            looks.append(path)
            if len(looks) == 1:
                raise FileNotFoundError
            return lstat(root if len(looks) == 2 else path)

        monkeypatch.setattr(os, "lstat", moving)
        store.append("/u/data", 3).close()
        assert len(looks) == 3
        monkeypatch.setattr(os, "lstat", lambda path: lstat(root))
        with pytest.raises(Unavailable):
            store.append("/u/data", 3)

    def test_upload_that_another_creates_meanwhile_is_opened(self, store, root, monkeypatch):
        """Two that create at the same time both find the file; only one gets the lock."""
        opened = os.open

        def slow(path, flags, *rest):
            if flags & os.O_EXCL and not os.path.exists(path):
                os.close(opened(path, os.O_WRONLY | os.O_CREAT, 0o666))
            return opened(path, flags, *rest)

        (root / "u").mkdir()
        monkeypatch.setattr(os, "open", slow)
        store.append("/u/data", 0).close()

    def test_descriptors_are_not_left_to_children(self, store, root):
        """A driver's open files are its own."""
        appender = store.append("/u/data", 0)
        assert not os.get_inheritable(appender._descriptor)
        appender.close()


class RemovalOrderTests:
    def test_directory_goes_in_one_step(self, store, calls, root):
        """One rename, one sync; the files are removed after the deletion is durable."""
        put(store, "/a/b/link")
        calls.take()
        store.delete("/a/b", if_version=None)
        seen = calls.take()
        assert seen[:3] == [
            "mkdir /.txregistry-trash",
            "rename /a/b /.txregistry-trash/*",
            "fsync /a",
        ]
        assert all(one.startswith("unlink") for one in seen[3:])

    def test_file_is_unlinked_and_its_directory_synced(self, store, calls):
        """A deleted tag does not come back after a power cut."""
        put(store, "/a/link")
        calls.take()
        store.delete("/a/link", if_version=None)
        assert calls.take() == ["unlink /a/link", "fsync /a"]

    def test_move_syncs_both_directories(self, store, calls):
        """Bytes, then the rename, then where it is, then where it was."""
        stage(store, "/a/data", b"x")
        put(store, "/b/link")
        calls.take()
        store.move("/a/data", "/b/data")
        assert calls.take() == [
            *("fdatasync /a/data", "mkdir /b", "rename /a/data /b/data"),
            *("fsync /b", "fsync /a"),
        ]
        store.move("/b/data", "/b/other")
        assert calls.take() == ["mkdir /b", "rename /b/data /b/other", "fsync /b"]

    def test_failed_sync_of_a_removal_is_told(self, store, calls):
        """A deletion that may come back is not answered with success."""
        put(store, "/a/link")
        calls.fail("fsync", errno.EIO)
        with pytest.raises(Corrupt):
            store.delete("/a/link", if_version=None)

    def test_directory_that_is_gone_needs_no_sync(self, store, calls, root):
        """Somebody who removes the directory meanwhile makes the removal durable too."""
        put(store, "/a/link")
        os.rename(root / "a", root / "b")
        calls.take()
        store._names.sync("/a")
        assert calls.take() == []


class SyncOrderTests:
    def test_what_is_asked_for_is_synced_once(self, store, calls, root):
        """Files by their bytes, directories by their names and those above."""
        (root / "a/b").mkdir(parents=True)
        (root / "a/b/file").write_bytes(b"x")
        calls.take()
        store.sync(["/a/b/file", "/a/b", "/a/b/file", "/"])
        assert calls.take() == [
            "fdatasync /a/b/file",
            "fsync /a/b",
            "fsync /a",
            "fsync /",
            "fsync /",
        ]
        store.sync(["/a/b/file", "/a/b"])
        assert calls.take() == ["fsync /a/b"]

    def test_sync_that_failed_is_never_tried_again(self, store, calls, root):
        """The second would succeed and mean nothing."""
        (root / "file").write_bytes(b"x")
        calls.fail("fdatasync", errno.EIO)
        for _ in range(3):
            with pytest.raises(Corrupt):
                store.sync(["/file"])
        assert calls.take() == ["fdatasync /file"]
        (root / "file").write_bytes(b"changed")
        store.sync(["/file"])

    def test_memory_of_syncs_is_bounded(self, store, calls, monkeypatch):
        """What is forgotten is synced again, and nothing worse."""
        monkeypatch.setattr(synced, "_REMEMBERED", 1)
        monkeypatch.setattr(names, "_REMEMBERED", 1)
        for name in ("a", "b", "a", "b"):
            put(store, f"/{name}/x/link")
            store.sync([f"/{name}/x/link"])
        assert calls.take().count("fsync /a") == 2

    def test_name_that_changes_during_its_sync_is_not_remembered(self, store, calls, monkeypatch):
        """A directory that is replaced while it is synced is unknown afterwards."""
        put(store, "/a/link")
        store._names.forget("/a")
        sync_once = store._names.sync_once

        def replaced(directory):
            store._names.forget("/elsewhere/deep")
            sync_once(directory)

        monkeypatch.setattr(store._names, "sync_once", replaced)
        calls.take()
        for _ in range(2):
            store._names.sync("/a")
        assert calls.take() == ["fsync /a", "fsync /", "fsync /a", "fsync /"]


class ManifestDurabilityTests:
    @pytest.fixture
    def durability(self):
        return "manifest"

    def test_only_small_content_is_synced(self, store, calls):
        """Blobs are synced when somebody asks for it; links and hash states at once."""
        stage(store, "/u/data", b"x")
        store.publish("/u/data", "/b/data", 1)
        store.move("/u/data", "/b/moved")
        assert not [one for one in calls.take() if one.startswith("fdatasync")]
        calls.fail("link", errno.EXDEV)
        store.publish("/b/moved", "/c", 1)
        assert calls.take() == ["link /b/moved /c", "rename /* /c"]
        put(store, "/link")
        assert calls.take() == ["fsync /*", "rename /* /link", "fsync /"]
        store.sync(["/b/data", "/b"])
        assert calls.take() == ["fdatasync /b/data", "fsync /b"]
        appender = store.append("/v/data", 0)
        appender.append(memoryview(b"x"))
        appender.sync()
        appender.close()
        assert "fdatasync /v/data" in calls.take()


class NoDurabilityTests:
    @pytest.fixture
    def durability(self):
        return "none"

    def test_nothing_is_synced(self, store, calls):
        """For benchmarks against peers that do not sync."""
        appender = store.append("/u/data", 0)
        appender.append(memoryview(b"x"))
        appender.sync()
        appender.close()
        store.publish("/u/data", "/b/data", 1)
        put(store, "/a/link")
        store.move("/a/link", "/c/link")
        store.delete("/c", if_version=None)
        store.sync(["/b/data", "/b"])
        assert not [one for one in calls.take() if "sync" in one]


class RefusalTests:
    def test_every_errno_has_a_meaning(self):
        """Reading below a file finds nothing, writing there is not possible; the unknown is
        Internal.
        """
        expected = {
            errno.ENOENT: (Missing, Missing),
            errno.ENOTDIR: (Missing, InvalidPath),
            errno.EISDIR: (Missing, InvalidPath),
            errno.ENAMETOOLONG: (Missing, InvalidPath),
            errno.ENOSPC: (NoSpace, NoSpace),
            errno.EDQUOT: (NoSpace, NoSpace),
            errno.EROFS: (ReadOnly, ReadOnly),
            errno.EACCES: (Denied, Denied),
            errno.EPERM: (Denied, Denied),
            errno.EIO: (Corrupt, Corrupt),
            errno.EMFILE: (Unavailable, Unavailable),
            errno.ENFILE: (Unavailable, Unavailable),
            errno.ESTALE: (Unavailable, Unavailable),
            errno.EPROTO: (Internal, Internal),
        }
        for number, (reading, writing) in expected.items():
            error = OSError(number, "x")
            assert type(refusal(error, "/p")) is reading
            assert type(refusal(error, "/p", is_write=True)) is writing
            assert refusal(error, "/p").path == "/p"
        assert str(refusal(OSError("odd"), "/p")) == "odd (/p)"

    def test_names_too_long_are_refused(self, store):
        """A part longer than the file system's limit can't be, and can't be made."""
        path = "/" + "a" * 300
        with pytest.raises(Missing):
            store.get(path)
        with pytest.raises(InvalidPath):
            put(store, path)
        with pytest.raises(InvalidPath):
            store.append(path + "/data", 0)

    def test_exhausted_descriptors_are_unavailable(self, store, monkeypatch):
        """A passing shortage is told as one, to readers and writers alike."""

        def none_left(*arguments, **options):
            raise OSError(errno.EMFILE, "too many open files")

        put(store, "/a")
        monkeypatch.setattr(os, "open", none_left)
        for call in (
            lambda: store.get("/a"),
            lambda: store.open("/a", 0),
            lambda: put(store, "/a"),
            lambda: store.append("/u", 0),
            lambda: store.publish("/a", "/b", 1),
            lambda: store.sync(["/a"]),
            lambda: store.delete("/a", if_version=None),
        ):
            with pytest.raises(Unavailable):
                call()


class _Forever(dict):
    """Faults that stay."""

    def pop(self, key, default=None):
        return self.get(key, default)


class _Second(dict):
    """Faults of the second call."""

    def __init__(self, faults):
        super().__init__(faults)
        self._asked = 0

    def pop(self, key, default=None):
        self._asked += key in self
        return super().pop(key, default) if self._asked > 1 else default
