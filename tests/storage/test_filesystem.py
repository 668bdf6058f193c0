# SPDX-License-Identifier: Apache-2.0
"""The filesystem driver: the tree on the disk, what is listed, whose names are whose."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import cast

import pytest

from txregistry.driver import (
    CONTENT_LIMIT,
    BadOptions,
    Changed,
    Child,
    Corrupt,
    Fenced,
    FileContent,
    InvalidPath,
    Mismatch,
    Missing,
    NoSpace,
    ReadOnly,
    TooLarge,
    Unavailable,
    Unsupported,
    WrongOffset,
)
from txregistry_drivers.filesystem import create
from txregistry_drivers.filesystem.store import FilesystemStore

LEFTOVER = "link.123e4567-e89b-42d3-a456-426614174000.tmp"
TEMPORARY = ".txregistry-0123456789abcdef01234567.tmp"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


@pytest.fixture
def store(root):
    store = create({"rootdirectory": os.fspath(root)})
    yield store
    store.close()


def put(store, path, data=b"x", **conditions):
    return store.put(path, data, **{"if_absent": False, "if_version": None, **conditions})


def stage(store, path, data):
    appender = store.append(path, 0)
    appender.append(memoryview(data))
    assert appender.close() == len(data)


def names(listing):
    return [child.name for child in listing.children]


def own_names(root):
    """Everything on the disk, without what is the driver's own at the root."""
    return sorted(
        os.path.relpath(os.path.join(directory, name), root)
        for directory, _, files in os.walk(root)
        for name in files
        if not os.path.relpath(os.path.join(directory, name), root).startswith(".txregistry-")
    )


class TreeTests:
    def test_tree_on_the_disk_is_what_the_paths_say(self, store, root):
        """Nothing is added to the tree, and modes are those of registry:2: all that the umask
        leaves.
        """
        old = os.umask(0o027)
        try:
            put(store, "/docker/registry/v2/a/link", b"sha256:abc")
            stage(store, "/docker/registry/v2/u/data", b"bytes")
            store.publish("/docker/registry/v2/u/data", "/docker/registry/v2/blobs/data", 5)
        finally:
            os.umask(old)
        top = root / "docker/registry/v2"
        assert own_names(root) == [
            "docker/registry/v2/a/link",
            "docker/registry/v2/blobs/data",
            "docker/registry/v2/u/data",
        ]
        assert (top / "a/link").read_bytes() == b"sha256:abc"
        assert (top / "blobs/data").read_bytes() == b"bytes"
        for file in ("a/link", "blobs/data", "u/data"):
            assert stat.S_IMODE((top / file).stat().st_mode) == 0o640
        assert stat.S_IMODE((top / "a").stat().st_mode) == 0o750

    def test_published_blob_is_the_staged_file(self, store, root):
        """Publishing moves no bytes: it is a second name, and the upload's own can go."""
        stage(store, "/u/data", b"x" * 1000)
        store.publish("/u/data", "/b/data", 1000)
        assert (root / "u/data").stat().st_ino == (root / "b/data").stat().st_ino
        store.delete("/u", if_version=None)
        assert store.get("/b/data").data == b"x" * 1000

    def test_upload_that_goes_on_leaves_the_blob_alone(self, store, root):
        """What is published never changes, also by a writer that opens its upload again."""
        stage(store, "/u/data", b"published")
        store.publish("/u/data", "/b/data", 9)
        appender = store.append("/u/data", 9)
        assert (root / "u/data").stat().st_ino == (root / "b/data").stat().st_ino
        appender.append(memoryview(b""))
        appender.append(memoryview(b" and"))
        appender.append(memoryview(b" more"))
        assert (appender.sync(), appender.close()) == (18, 18)
        assert store.get("/b/data").data == b"published"
        assert store.get("/u/data").data == b"published and more"
        assert os.listdir(root / "u") == ["data"]

    def test_upload_that_can_t_be_copied_stays(self, store, root, monkeypatch):
        """Where there is no room for the copy, nothing is appended to what is published."""
        stage(store, "/u/data", b"published")
        store.publish("/u/data", "/b/data", 9)
        appender = store.append("/u/data", 9)

        def full(*arguments):
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(os, "copy_file_range", full)
        with pytest.raises(Exception, match="No space"):
            appender.append(memoryview(b"more"))
        appender.close()
        assert (store.get("/b/data").data, store.get("/u/data").data) == (
            b"published",
            b"published",
        )
        assert os.listdir(root / "u") == ["data"]

    def test_leftovers_are_not_listed(self, store, root):
        """Temporary files of a crash are invisible, ours and the other registry's; not a tag so
        named.
        """
        put(store, "/tags/v1/link")
        for name in (LEFTOVER, TEMPORARY, "link~", "with space", "lost+found"):
            (root / "tags" / name).write_bytes(b"half")
        put(store, f"/tags/x{LEFTOVER}/current/link")
        assert store.list("/tags", "", 10).children == (
            Child("v1", True),
            Child(f"x{LEFTOVER}", True),
        )
        assert store.list("/tags", "", 1).has_more
        assert not store.list("/tags", "v1", 1).has_more

    def test_own_names_can_t_be_reached(self, store):
        """Names that are the driver's own are not paths."""
        for call in (
            lambda: store.stat("/.txregistry-lock"),
            lambda: store.get("/a/" + TEMPORARY),
            lambda: put(store, "/.txregistry-trash/x"),
            lambda: store.delete("/.txregistry-trash", if_version=None),
            lambda: store.open("/.txregistry-lock", 0),
            lambda: store.append("/.txregistry-x/data", 0),
            lambda: store.sync(["/.txregistry-trash"]),
        ):
            with pytest.raises(InvalidPath):
                call()
        assert names(store.list("/", "", 10)) == []

    def test_links_of_an_operator_are_followed(self, store, root, tmp_path):
        """Directories and blobs that lie elsewhere, behind symbolic links, work."""
        elsewhere = tmp_path / "elsewhere"
        (elsewhere / "blobs").mkdir(parents=True)
        (elsewhere / "one").write_bytes(b"one")
        (root / "blobs").symlink_to(elsewhere / "blobs")
        stage(store, "/u/data", b"bytes")
        store.publish("/u/data", "/blobs/ab/data", 5)
        put(store, "/blobs/link", b"sha256:x")
        assert (elsewhere / "blobs/ab/data").read_bytes() == b"bytes"
        (root / "file").symlink_to(elsewhere / "one")
        assert store.get("/file").data == b"one"
        assert store.stat("/file").size == 3
        assert store.list("/", "", 9).children == (
            Child("blobs", True),
            Child("file", False),
            Child("u", True),
        )
        store.delete("/blobs", if_version=None)
        assert (elsewhere / "blobs/ab/data").exists()
        assert names(store.list("/", "", 9)) == ["file", "u"]

    def test_link_in_place_of_an_upload_is_not_written_through(self, store, root, tmp_path):
        """Our own new files are never made or continued through a symbolic link."""
        target = tmp_path / "target"
        target.write_bytes(b"mine")
        (root / "u").mkdir()
        (root / "u/data").symlink_to(target)
        with pytest.raises(InvalidPath):
            store.append("/u/data", 4)
        with pytest.raises(Corrupt):
            store.publish("/u/data", "/b/data", 4)
        (root / "u/data").unlink()
        (root / "u/data").symlink_to(tmp_path / "new")
        with pytest.raises(InvalidPath):
            store.append("/u/data", 0)
        assert target.read_bytes() == b"mine"
        assert not (tmp_path / "new").exists()

    def test_what_is_no_file_is_not_there(self, store, root):
        """A pipe that somebody left in the tree holds nobody up."""
        os.mkfifo(root / "pipe")
        for call in (store.stat, store.get, lambda path: store.open(path, 0)):
            with pytest.raises(Missing):
                call("/pipe")
        for offset in (0, 5):
            with pytest.raises(InvalidPath):
                store.append("/pipe", offset)
        reader = os.open(root / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(InvalidPath):
            store.append("/pipe", 0)
        with pytest.raises(Missing):
            store.publish("/pipe", "/b/data", 0)
        os.close(reader)

    def test_directories_are_no_files(self, store):
        """Nothing is put, staged or published in place of a directory."""
        put(store, "/d/file")
        stage(store, "/u/data", b"x")
        for call in (
            lambda: put(store, "/d"),
            lambda: store.append("/d", 0),
            lambda: store.publish("/u/data", "/d", 1),
        ):
            with pytest.raises(InvalidPath):
                call()
        with pytest.raises(Changed):
            put(store, "/d", if_version="1")
        with pytest.raises(Changed):
            store.delete("/d", if_version="1")
        assert store.get("/d/file").data == b"x"

    def test_open_gives_a_descriptor_for_reading_only(self, store):
        """What is handed to another process can't be written through."""
        put(store, "/a", b"abc")
        content = cast(FileContent, store.open("/a", 0))
        try:
            assert (content.size, os.pread(content.descriptor, 9, 1)) == (3, b"bc")
            assert not os.get_inheritable(content.descriptor)
            with pytest.raises(OSError, match="Bad file"):
                os.write(content.descriptor, b"x")
        finally:
            os.close(content.descriptor)

    def test_content_that_shrinks_while_it_is_read_is_corrupt(self, store, monkeypatch):
        """A short read is never taken for the whole."""
        put(store, "/a", b"abc")
        monkeypatch.setattr(os, "read", lambda descriptor, size: b"ab")
        with pytest.raises(Corrupt):
            store.get("/a")

    def test_content_beyond_the_limit_is_not_read(self, store, root):
        """The size is looked at before the bytes are."""
        with open(root / "large", "wb") as file:
            file.truncate(CONTENT_LIMIT + 1)
        with pytest.raises(TooLarge):
            store.get("/large")

    def test_redirects_are_not_offered(self, store):
        """A file system has no URLs."""
        assert store.redirect_url("/a", "GET", 60) is None


class VersionTests:
    def test_versions_never_repeat(self, root):
        """Inodes are used again and the kernel's clock is coarse; versions differ all the same."""
        create({"rootdirectory": os.fspath(root)}).close()
        store = FilesystemStore(os.fspath(root), now=lambda: 1_000_000_000)
        seen = {put(store, "/a", b"same") for _ in range(500)}
        assert len(seen) == 500
        assert store.stat("/a").modified == 1_000_000_499

    def test_version_holds_between_drivers(self, store, root):
        """A version read by one process is a precondition for another."""
        version = put(store, "/a", b"1")
        other = create({"rootdirectory": os.fspath(root)})
        assert other.stat("/a").version == version
        changed = put(other, "/a", b"2", if_version=version)
        with pytest.raises(Changed):
            put(store, "/a", b"3", if_version=version)
        store.delete("/a", if_version=changed)
        with pytest.raises(Changed):
            put(store, "/a", b"3", if_version=changed)
        other.close()

    def test_two_drivers_race_and_one_wins(self, store, root):
        """Conditional puts of two processes on one root exclude each other by the kernel's
        locks.
        """
        stores = [create({"rootdirectory": os.fspath(root)}) for _ in range(4)]
        for _ in range(20):
            version, won = put(store, "/a", b"0"), []

            def attempt(one, version=version, won=won):
                with contextlib.suppress(Changed):
                    won.append(put(one, "/a", b"1", if_version=version))

            threads = [threading.Thread(target=attempt, args=(one,)) for one in stores]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert won == [store.stat("/a").version]
        for one in stores:
            one.close()


class LockTests:
    def test_other_process_can_t_write_the_same_upload(self, store, root):
        """Where two drivers share a root, one upload has one writer; the lock ends with its
        holder.
        """
        other = create({"rootdirectory": os.fspath(root)})
        appender = store.append("/u/data", 0)
        appender.append(memoryview(b"abc"))
        with pytest.raises(Unavailable):
            other.append("/u/data", 3)
        with pytest.raises(Unavailable):
            other.publish("/u/data", "/b/data", 3)
        appender.close()
        other.append("/u/data", 3).close()
        other.publish("/u/data", "/b/data", 3)
        other.close()

    def test_writer_of_a_process_that_was_killed_is_nobody_s(self, store, root):
        """A driver that is killed leaves no lock behind."""
        script = (
            "import os, sys\n"
            "from txregistry_drivers.filesystem import create\n"
            "appender = create({'rootdirectory': sys.argv[1]}).append('/u/data', 0)\n"
            "appender.append(memoryview(b'abc'))\n"
            "os.kill(os.getpid(), 9)\n"
        )
        subprocess.run([sys.executable, "-c", script, os.fspath(root)], check=False)
        appender = store.append("/u/data", 3)
        assert appender.append(memoryview(b"def")) == 6
        appender.close()

    def test_repair_and_servers_exclude_each_other(self, root):
        """Servers share a root; one that is being repaired can't be opened."""
        script = (
            "import fcntl, sys, time\n"
            "file = open(sys.argv[1] + '/.txregistry-lock', 'w')\n"
            "fcntl.flock(file, fcntl.LOCK_EX)\n"
            "print('locked', flush=True)\n"
            "sys.stdin.read()\n"
        )
        create({"rootdirectory": os.fspath(root)}).close()
        command = [sys.executable, "-c", script, os.fspath(root)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as repair:
            assert repair.stdout.readline() == b"locked\n"
            with pytest.raises(BadOptions, match="locked by an offline repair"):
                create({"rootdirectory": os.fspath(root)})
            repair.stdin.close()
            repair.wait()
        first, second = (create({"rootdirectory": os.fspath(root)}) for _ in range(2))
        first.close()
        first.close()
        second.close()

    def test_file_system_without_locks_works(self, store, root, monkeypatch):
        """Where there are no locks, one process still has its own order."""

        def no_locks(descriptor, operation):
            raise OSError(errno.ENOLCK, "no locks available")

        monkeypatch.setattr("fcntl.flock", no_locks)
        version = put(store, "/a")
        put(store, "/a", if_version=version)
        stage(store, "/u/data", b"abc")
        store.publish("/u/data", "/b/data", 3)
        monkeypatch.setattr(
            "fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "bad"))
        )
        for call in (lambda: put(store, "/a"), lambda: store.append("/u/data", 3)):
            with pytest.raises(Corrupt):
                call()


class OptionTests:
    def refused(self, words, **options):
        with pytest.raises(BadOptions, match=words):
            create(cast(Mapping[str, object], options))

    def test_wrong_options_are_told_in_a_sentence(self, root):
        """An operator learns what is wrong and the way out."""
        self.refused("no option 'rootdir'; did you mean rootdirectory\\?", rootdir="/x")
        self.refused("durability is one of strict, manifest, none, not 'fsync'", durability="fsync")
        self.refused("maxthreads is to be a whole number", maxthreads="many")
        self.refused("rootdirectory is to be a text", rootdirectory=5)

    def test_threads_have_a_floor(self, root):
        """As in registry:2, fewer than 25 are taken for 25."""
        for wanted, given in ((1, 25), ("30", 30), (100, 100)):
            store = create({"rootdirectory": os.fspath(root), "maxthreads": wanted})
            assert cast(FilesystemStore, store).threads == given
            store.close()

    def test_root_that_can_t_be_used_is_refused(self, root, tmp_path):
        """A root that is no directory, or can't be made."""
        file = tmp_path / "file"
        file.write_bytes(b"")
        self.refused("file is not a directory", rootdirectory=os.fspath(file))
        self.refused("can't be created: Not a directory; create it", rootdirectory=f"{file}/below")
        (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
        self.refused("nowhere is not a directory", rootdirectory=os.fspath(tmp_path / "nowhere"))

    def no_new_files(self, monkeypatch, number):
        link = os.open

        def refuse(path, flags, *rest, **options):
            if flags & os.O_CREAT:
                raise OSError(number, os.strerror(number))
            return link(path, flags, *rest, **options)

        monkeypatch.setattr(os, "open", refuse)

    def test_root_that_can_t_be_written_is_refused(self, root, monkeypatch):
        """A root that belongs to somebody else."""
        root.mkdir()
        self.no_new_files(monkeypatch, errno.EACCES)
        self.refused(
            "can't be written to: Permission denied; give it", rootdirectory=os.fspath(root)
        )
        assert os.listdir(root) == []

    @pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EDQUOT])
    def test_root_that_takes_no_writes_now_is_read(self, root, monkeypatch, number):
        """A driver that dies while the disk is full comes back, and reads go on."""
        root.mkdir()
        (root / "a").write_bytes(b"content")
        with monkeypatch.context() as patch:
            self.no_new_files(patch, number)
            store = create({"rootdirectory": os.fspath(root)})
            assert store.get("/a").data == b"content"
            with pytest.raises((NoSpace, ReadOnly)):
                put(store, "/b", b"b")
            self.refused(
                f"can't be locked: {os.strerror(number)}",
                rootdirectory=os.fspath(root),
                lock="exclusive",
            )
        put(store, "/b", b"b")
        store.close()

    def test_root_that_can_t_sync_is_refused_unless_that_is_wanted(self, root, monkeypatch):
        """A promise that the file system can't keep stops the start."""

        def no_sync(descriptor):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

        monkeypatch.setattr(os, "fsync", no_sync)
        self.refused("can't sync directories: Invalid argument; use", rootdirectory=os.fspath(root))
        create({"rootdirectory": os.fspath(root), "durability": "none"}).close()

    def test_default_root_is_that_of_registry_2(self, monkeypatch, tmp_path):
        """No options: /var/lib/registry."""
        monkeypatch.setattr(
            "txregistry_drivers.filesystem.options.ROOT", os.fspath(tmp_path / "var")
        )
        create({}).close()
        assert (tmp_path / "var").is_dir()


class MoveTests:
    def test_move_of_nothing_and_to_itself_change_nothing(self, store):
        """Nothing is missing; a move to where it is already is done."""
        put(store, "/b", b"b")
        with pytest.raises(Missing):
            store.move("/a", "/b")
        store.move("/b", "/b")
        for source, destination in (("/b", "/b/c"), ("/b/c", "/b")):
            with pytest.raises((InvalidPath, Missing)):
                store.move(source, destination)
        assert store.get("/b").data == b"b"

    def test_other_file_systems_are_told(self, store, root, monkeypatch):
        """A move across file systems is not offered, and changes nothing."""
        put(store, "/a", b"a")
        put(store, "/b", b"b")
        rename = os.rename

        def across(source, target):
            if target.endswith("/b"):
                raise OSError(errno.EXDEV, "cross-device")
            rename(source, target)

        monkeypatch.setattr(os, "rename", across)
        with pytest.raises(Unsupported):
            store.move("/a", "/b")
        assert (store.get("/a").data, store.get("/b").data) == (b"a", b"b")

    def test_destination_comes_back_if_the_move_fails(self, store, root, monkeypatch):
        """What was in the way is put back where it was."""
        put(store, "/a/file", b"a")
        put(store, "/b/file", b"b")
        rename, calls = os.rename, []

        def failing(source, target):
            calls.append(target)
            if len(calls) == 3:
                raise OSError(errno.EIO, "bad")
            rename(source, target)

        monkeypatch.setattr(os, "rename", failing)
        with pytest.raises(Corrupt):
            store.move("/a", "/b")
        assert (store.get("/a/file").data, store.get("/b/file").data) == (b"a", b"b")

    def test_refusals_of_the_system_are_translated(self, store, monkeypatch):
        """What can't be renamed is told in the contract's words."""
        put(store, "/a", b"a")
        monkeypatch.setattr(
            os, "rename", lambda *_: (_ for _ in ()).throw(OSError(errno.EBUSY, "busy"))
        )
        with pytest.raises(Unavailable):
            store.move("/a", "/b")


class TrashTests:
    def test_deleted_directory_leaves_nothing(self, store, root):
        """Links that an operator placed are removed, never what they lead to."""
        put(store, "/d/a/b/c")
        (root / "outside").mkdir()
        (root / "outside/file").write_bytes(b"x")
        (root / "d/link").symlink_to(root / "outside")
        store.delete("/d", if_version=None)
        assert os.listdir(root / ".txregistry-trash") == []
        assert (root / "outside/file").exists()

    def test_trash_of_a_crash_is_swept(self, store, root):
        """What a process that died had not yet removed goes with the next one's first deletion."""
        (root / ".txregistry-trash/old/deep").mkdir(parents=True)
        (root / ".txregistry-trash/old/deep/file").write_bytes(b"x")
        (root / ".txregistry-trash/file").write_bytes(b"x")
        for name in ("/a", "/b"):
            put(store, f"{name}/file")
            store.delete(name, if_version=None)
        assert os.listdir(root / ".txregistry-trash") == []
        store._trash.remove(os.fspath(root / ".txregistry-trash/gone"))  # somebody else was faster

    def test_directory_on_another_file_system_is_hidden_where_it_is(self, store, root, monkeypatch):
        """Where the trash can't be reached, a hidden name beside it serves."""
        put(store, "/d/e/file")
        rename = os.rename

        def across(source, target):
            if ".txregistry-trash" in target:
                raise OSError(errno.EXDEV, "cross-device")
            rename(source, target)

        monkeypatch.setattr(os, "rename", across)
        store.delete("/d/e", if_version=None)
        assert os.listdir(root / "d") == []
        monkeypatch.setattr(
            os, "rename", lambda *_: (_ for _ in ()).throw(OSError(errno.EACCES, "no"))
        )
        with pytest.raises(Exception, match="Permission denied"):
            store.delete("/d", if_version=None)

    def test_trash_that_can_t_be_listed_does_no_harm(self, store, root, monkeypatch):
        """The deletion has happened; sweeping is for later."""
        put(store, "/d/file")
        monkeypatch.setattr(
            os, "listdir", lambda path: (_ for _ in ()).throw(OSError(errno.EIO, "bad"))
        )
        store.delete("/d", if_version=None)
        with pytest.raises(Missing):
            store.stat("/d")


class AppenderTests:
    def test_wrong_offset_tells_the_true_one(self, store):
        """Nothing is created or changed by a writer that does not open."""
        with pytest.raises(WrongOffset) as caught:
            store.append("/u/data", 5)
        assert caught.value.actual == 0
        stage(store, "/u/data", b"abc")
        for offset in (0, 2, 4):
            with pytest.raises(WrongOffset) as caught:
                store.append("/u/data", offset)
            assert caught.value.actual == 3

    def test_staged_size_that_is_not_the_published_one_is_a_mismatch(self, store):
        """What grew or shrank since it was verified is not published."""
        stage(store, "/u/data", b"abc")
        with pytest.raises(Mismatch):
            store.publish("/u/data", "/b/data", 4)
        with pytest.raises(Missing):
            store.publish("/nothing", "/b/data", 4)
        with pytest.raises(Missing):
            store.stat("/b/data")

    def test_file_that_another_process_removed_is_not_confirmed(self, store, root):
        """What was appended is gone, whatever the descriptor says."""
        appender = store.append("/u/data", 0)
        appender.append(memoryview(b"abc"))
        assert appender.sync() == 3
        (root / "u/data").unlink()
        with pytest.raises(Fenced):
            appender.sync()
        appender.close()

    def test_closed_appender_takes_nothing(self, store):
        """Closing twice is no error; appending then is."""
        appender = store.append("/u/data", 0)
        assert (appender.close(), appender.close()) == (0, 0)
        with pytest.raises(Exception, match="closed"):
            appender.append(memoryview(b"x"))
