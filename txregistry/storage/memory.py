# SPDX-License-Identifier: Apache-2.0
"""A store that keeps everything in memory: the contract's reference, and a driver for trials.

Room: storage. Must not know digests, fencing or the grammar of paths: ``hosted.HostedDriver`` adds
these. Files hang in a tree of directories that exist while something is in them. One lock guards
all of it; bytes are copied under it in pieces.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence

from attrs import define, field

from txregistry.storage.contract import (
    CONTENT_LIMIT,
    Appender,
    Child,
    Content,
    Entry,
    Listing,
    StreamContent,
)
from txregistry.storage.errors import (
    Changed,
    Closed,
    Exists,
    InvalidOffset,
    InvalidPath,
    Mismatch,
    Missing,
    TooLarge,
    WrongOffset,
)


@define(eq=False)
class _File:
    """Bytes with a version. ``data`` only grows: what a read saw stays; a replacement is another
    file.

    Attributes:
        is_shared: another path holds the same ``data``: copy before growing.
    """

    data: bytearray
    modified: int
    version: str
    is_shared: bool = False


@define(eq=False)
class _Directory:
    children: dict[str, _File | _Directory] = field(factory=dict)


class MemoryStore:
    """A :class:`~txregistry.storage.contract.Store` without a disk; nothing outlives the process.

    Args:
        now: the clock, nanoseconds since the epoch.
    """

    name = "memory"
    needs_network = False
    directories: tuple[str, ...] = ()
    is_volatile = True

    def __init__(self, *, now: Callable[[], int] = time.time_ns) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._root = _Directory()
        self._versions = itertools.count(1)

    def stat(self, path: str) -> Entry:
        with self._lock:
            node = self._find(path)
            if isinstance(node, _Directory):
                return Entry(path, is_directory=True, size=0, modified=0)
            return Entry(path, False, len(node.data), node.modified, node.version)

    def get(self, path: str) -> Content:
        with self._lock:
            file = self._find_file(path)
            if len(file.data) > CONTENT_LIMIT:
                raise TooLarge(f"{len(file.data)} bytes are more than {CONTENT_LIMIT}", path=path)
            return Content(bytes(file.data), file.version)

    def put(self, path: str, data: bytes, *, if_absent: bool, if_version: str | None) -> str:
        with self._lock:
            present = self._look(path)
            if if_absent and present is not None:
                raise Exists(path=path)
            if if_version is not None and _version(present) != if_version:
                raise Changed(path=path)
            if isinstance(present, _Directory):
                raise InvalidPath("a directory is there", path=path)
            file = _File(bytearray(data), *self._stamp())
            self._place(path, file)
            return file.version

    def open(self, path: str, start: int) -> StreamContent:
        with self._lock:
            file = self._find_file(path)
            if start > len(file.data):
                raise InvalidOffset(f"{start} is beyond the end", path=path)
            return _MemoryContent(self._lock, file.data, start)

    def append(self, path: str, offset: int) -> Appender:
        with self._lock:
            file = self._look(path)
            if isinstance(file, _Directory):
                raise InvalidPath("a directory is there", path=path)
            actual = len(file.data) if file is not None else 0
            if offset != actual:
                raise WrongOffset(path=path, actual=actual)
            if file is None:
                file = _File(bytearray(), *self._stamp())
                self._place(path, file)
            return _MemoryAppender(self, file)

    def publish(self, path: str, destination: str, size: int) -> None:
        with self._lock:
            staged = self._find_file(path)
            if len(staged.data) != size:
                raise Mismatch(f"{len(staged.data)} bytes are staged, not {size}", path=path)
            present = self._look(destination)
            if isinstance(present, _Directory):
                raise InvalidPath("a directory is there", path=destination)
            if present is None or len(present.data) != size:
                staged.is_shared = True
                self._place(destination, _File(staged.data, *self._stamp(), is_shared=True))

    def move(self, source: str, destination: str) -> None:
        with self._lock:
            node = self._find(source)
            if source == destination:
                return
            if destination.startswith(source + "/") or source.startswith(destination + "/"):
                raise InvalidPath(f"it can't become {destination}", path=source)
            self._look(destination)  # refuses a destination below a file before anything changes
            self._remove(source)
            self._place(destination, node)

    def delete(self, path: str, *, if_version: str | None) -> None:
        with self._lock:
            node = self._find(path)
            if if_version is not None and _version(node) != if_version:
                raise Changed(path=path)
            self._remove(path)

    def list(self, path: str, after: str, limit: int) -> Listing:
        with self._lock:
            directory = self._find(path)
            if not isinstance(directory, _Directory):
                raise Missing(path=path)
            names = sorted(name for name in directory.children if name > after)
            page = tuple(
                Child(name, isinstance(directory.children[name], _Directory))
                for name in names[:limit]
            )
            return Listing(page, has_more=len(names) > limit)

    def sync(self, paths: Sequence[str]) -> None:
        with self._lock:
            for path in paths:
                self._find(path)

    def redirect_url(self, path: str, method: str, expires_in: int) -> str | None:
        return None

    def close(self) -> None:
        """Nothing is held."""

    def grow(self, file: _File, data: memoryview) -> int:
        """Append to a file (for its appender); returns its new size."""
        with self._lock:
            if file.is_shared:
                file.data, file.is_shared = bytearray(file.data), False
            file.data += data
            file.modified, file.version = self._stamp()
            return len(file.data)

    # The rest is called with the lock held.

    def _stamp(self) -> tuple[int, str]:
        return self._now(), str(next(self._versions))

    def _look(self, path: str) -> _File | _Directory | None:
        """What is at ``path``, or None; InvalidPath if it lies below a file."""
        node: _File | _Directory | None = self._root
        for part in _parts(path):
            if isinstance(node, _File):
                raise InvalidPath("it lies below a file", path=path)
            if node is None:
                return None
            node = node.children.get(part)
        return node

    def _find(self, path: str) -> _File | _Directory:
        try:
            node = self._look(path)
        except InvalidPath:
            node = None  # for a reader nothing is below a file
        if node is None:
            raise Missing(path=path)
        return node

    def _find_file(self, path: str) -> _File:
        node = self._find(path)
        if isinstance(node, _Directory):
            raise Missing("a directory is there", path=path)
        return node

    def _place(self, path: str, node: _File | _Directory) -> None:
        """Hang ``node`` at ``path``, which does not lie below a file, in place of what is there."""
        *parents, name = _parts(path)
        directory = self._root
        for part in parents:
            child = directory.children.setdefault(part, _Directory())
            assert isinstance(child, _Directory)
            directory = child
        directory.children[name] = node

    def _remove(self, path: str) -> None:
        """Take away what is at ``path``, and its parents as far as they are empty then."""
        *parents, name = _parts(path)
        chain = [self._root]
        for part in parents:
            child = chain[-1].children[part]
            assert isinstance(child, _Directory)
            chain.append(child)
        del chain[-1].children[name]
        while parents and not chain[-1].children:
            chain.pop()
            del chain[-1].children[parents.pop()]


class _MemoryContent:
    """A read of one file from an offset on; it sees the bytes that were there when it was
    opened.
    """

    def __init__(self, lock: threading.Lock, data: bytearray, start: int) -> None:
        self._lock = lock
        self._data = data
        self._position = start
        self.size = len(data)

    def read(self, limit: int) -> bytes:
        with self._lock:
            stop = min(self._position + limit, self.size)
            with memoryview(self._data) as view:
                chunk = bytes(view[self._position : stop])
            self._position = stop
            return chunk

    def close(self) -> None:
        """Nothing is held."""


class _MemoryAppender:
    """Bytes are stored as they are taken; there is nothing to sync."""

    def __init__(self, store: MemoryStore, file: _File) -> None:
        self._store = store
        self._file = file
        self._stored = len(file.data)
        self._is_closed = False

    def append(self, data: memoryview) -> int:
        if self._is_closed:
            raise Closed
        self._stored = self._store.grow(self._file, data)
        return self._stored

    def sync(self) -> int:
        return self._stored

    def close(self) -> int:
        self._is_closed = True
        return self._stored


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _version(node: _File | _Directory | None) -> str:
    """The version that a precondition is compared with; nothing and a directory have none that
    matches.
    """
    return node.version if isinstance(node, _File) else "\0"
