# SPDX-License-Identifier: Apache-2.0
"""The blocking store of the filesystem driver.

Driver: filesystem. Paths are checked before they come here, so that the root plus a path is a path
below the root; symbolic links that an operator placed are followed, except where we write a file of
our own.

Deleting is one rename into the trash (one unlink for a file) and one sync of the directory it was
in; the files are removed after that. So readers and power cuts see all of a directory or none of
it, and what a crash leaves behind is garbage out of sight, never a half.
"""

from __future__ import annotations

import enum
import errno
import heapq
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence

from txregistry.driver import (
    Appender,
    Changed,
    Child,
    Content,
    Entry,
    FileContent,
    InvalidPath,
    Listing,
    Missing,
    Unsupported,
)
from txregistry_drivers.filesystem.appending import FileAppender
from txregistry_drivers.filesystem.contents import READ_FLAGS, Contents, version_of
from txregistry_drivers.filesystem.locking import NameLocks
from txregistry_drivers.filesystem.names import DurableNames
from txregistry_drivers.filesystem.publishing import Publishing
from txregistry_drivers.filesystem.reach import reachable
from txregistry_drivers.filesystem.refusals import refusal, writing
from txregistry_drivers.filesystem.sweeping import Sweeping
from txregistry_drivers.filesystem.synced import SyncedFiles
from txregistry_drivers.filesystem.temporary import PREFIX, is_foreign_leftover
from txregistry_drivers.filesystem.trash import Trash

#: Other names (``lost+found``) can't be asked for, so they are not listed either.
_NAME = re.compile(r"[A-Za-z0-9._-]+")


class Durability(enum.Enum):
    """What is on stable storage when a call is answered."""

    STRICT = "strict"  #: everything
    MANIFEST = "manifest"  #: small content and names; published bytes when ``sync`` asks for them
    NONE = "none"  #: nothing


class FilesystemStore:
    """A :class:`~txregistry.driver.Store` in a directory.

    Args:
        root: an absolute path that exists.
        lock: a descriptor that holds the root's lock; closed by ``close``.
        now: the clock, nanoseconds since the epoch.

    Attributes:
        threads: calls that may run at once, as the operator wishes.
        directories: what is read and written; the rest of the machine may be out of reach.
    """

    name = "filesystem"
    needs_network = False

    def __init__(
        self,
        root: str,
        *,
        durability: Durability = Durability.STRICT,
        threads: int = 100,
        lock: int | None = None,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.threads = threads
        self._root = root.rstrip("/")
        self._lock = lock
        self.directories = reachable(self._root)
        self._is_synced = durability is not Durability.NONE
        self._names = DurableNames(self._root, is_on=self._is_synced)
        self._synced = SyncedFiles(is_on=self._is_synced)
        self._locks = NameLocks()
        self._contents = Contents(
            self._root, names=self._names, locks=self._locks, is_synced=self._is_synced, now=now
        )
        self._publishing = Publishing(
            self._root,
            names=self._names,
            contents=self._contents,
            synced=self._synced if durability is Durability.STRICT else None,
        )
        self._syncs_moved = durability is Durability.STRICT
        self._trash = Trash(self._root)
        self._sweeping = Sweeping(self.directories, self._trash, now)

    def stat(self, path: str) -> Entry:
        full = self._full(path)
        try:
            status = os.stat(full)
        except OSError as err:
            raise refusal(err, path) from err
        if stat.S_ISDIR(status.st_mode):
            return Entry(path, is_directory=True, size=0, modified=status.st_mtime_ns)
        if not stat.S_ISREG(status.st_mode):
            raise Missing("neither a file nor a directory", path=path)
        return Entry(path, False, status.st_size, status.st_mtime_ns, version_of(status))

    def get(self, path: str) -> Content:
        self._full(path)
        return self._contents.get(path)

    def put(self, path: str, data: bytes, *, if_absent: bool, if_version: str | None) -> str:
        self._full(path)
        self._sweeping.begin()
        return self._contents.put(path, data, if_absent=if_absent, if_version=if_version)

    def put_recorded(self, path: str, data: bytes, record_path: str, record: bytes) -> str:
        for one in (path, record_path):
            self._full(one)
        self._sweeping.begin()
        with writing(record_path):  # one sync of the directory is for both
            self._contents.place(record_path, record, is_synced=self._is_synced)
        return self._contents.put(path, data, if_absent=False, if_version=None)

    def open(self, path: str, start: int) -> FileContent:
        try:
            descriptor = os.open(self._full(path), READ_FLAGS)
        except OSError as err:
            raise refusal(err, path) from err
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise Missing("not a file", path=path)
        return FileContent(descriptor, status.st_size)

    def append(self, path: str, offset: int) -> Appender:
        self._full(path)
        self._sweeping.begin()
        return FileAppender(self._root, path, offset, names=self._names, synced=self._synced)

    def publish(self, path: str, destination: str, size: int) -> None:
        self._full(path)
        self._full(destination)
        self._publishing.publish(path, destination, size)

    def publish_recorded(
        self, path: str, destination: str, size: int, record_path: str, record: bytes
    ) -> None:
        for one in (path, destination, record_path):
            self._full(one)
        self._publishing.publish(path, destination, size, (record_path, record))

    def move(self, source: str, destination: str) -> None:
        full, target = self._full(source), self._full(destination)
        try:
            status = os.lstat(full)
        except OSError as err:
            raise refusal(err, source) from err
        if source == destination:
            return
        if destination.startswith(source + "/") or source.startswith(destination + "/"):
            raise InvalidPath(f"it can't become {destination}", path=source)
        before, after = source.rpartition("/")[0], destination.rpartition("/")[0]
        with writing(destination):
            if stat.S_ISREG(status.st_mode) and self._syncs_moved:
                self._sync_file(full)
            self._names.make(after)
            with self._locks.held(self._root + after + "/"):
                replaced = self._rename(full, target)
            self._names.forget(source)
            self._names.forget(destination)
            self._names.sync(after)
            if before != after:
                self._names.sync_once(before)
        if replaced is not None:
            self._trash.remove(replaced)

    def delete(self, path: str, *, if_version: str | None) -> None:
        full, directory = self._full(path), path.rpartition("/")[0]
        try:
            status = os.lstat(full)
            if stat.S_ISDIR(status.st_mode):
                if if_version is not None:
                    raise Changed("a directory is there", path=path)
                hidden = self._trash.take(full)
            else:
                with self._locks.held(self._root + directory + "/"):
                    if if_version is not None:
                        self._contents.check_version(path, if_version)
                    os.unlink(full)
                hidden = None
        except OSError as err:
            raise refusal(err, path) from err
        self._names.forget(path)
        with writing(path):
            self._names.sync_once(directory)
        if hidden is not None:
            self._trash.remove(hidden)

    def list(self, path: str, after: str, limit: int) -> Listing:
        try:
            with os.scandir(self._full(path)) as entries:
                page = heapq.nsmallest(
                    limit + 1, _shown(entries, after), key=lambda entry: entry.name
                )
                children = tuple(Child(entry.name, entry.is_dir()) for entry in page[:limit])
        except OSError as err:
            raise refusal(err, path) from err
        return Listing(children, has_more=len(page) > limit)

    def sync(self, paths: Sequence[str]) -> None:
        for path in dict.fromkeys(paths):
            full = self._full(path)
            try:
                is_directory = stat.S_ISDIR(os.stat(full).st_mode)
            except OSError as err:
                raise refusal(err, path) from err
            with writing(path):
                if is_directory:
                    self._names.sync("" if path == "/" else path)
                else:
                    self._sync_file(full)

    def redirect_url(self, path: str, method: str, expires_in: int) -> str | None:
        return None

    def close(self) -> None:
        self._sweeping.stop()
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _full(self, path: str) -> str:
        """Where ``path`` is in the file system.

        Raises:
            InvalidPath: a part of it is one of the names that are this driver's own.
        """
        if "/" + PREFIX in path:
            raise InvalidPath("that name is the driver's own", path=path)
        return self._root + path

    def _sync_file(self, full: str) -> None:
        descriptor = os.open(full, READ_FLAGS)
        try:
            self._synced.sync(descriptor)
        finally:
            os.close(descriptor)

    def _rename(self, full: str, target: str) -> str | None:
        """Rename, whatever is at ``target``; returns where that was put, if it was in the way."""
        try:
            os.rename(full, target)
            return None
        except OSError as err:
            if err.errno == errno.EXDEV:
                raise Unsupported(f"{full} and {target} are on different file systems") from err
            if err.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR):
                raise
        replaced = self._trash.take(target)
        try:
            os.rename(full, target)
        except OSError:
            os.rename(replaced, target)
            raise
        return replaced


def _shown(entries: Iterator[os.DirEntry[str]], after: str) -> Iterator[os.DirEntry[str]]:
    for entry in entries:
        name = entry.name
        if name <= after or name.startswith(PREFIX) or not _NAME.fullmatch(name):
            continue
        if not is_foreign_leftover(name) or entry.is_dir():
            yield entry
