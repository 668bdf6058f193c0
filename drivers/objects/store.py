# SPDX-License-Identifier: Apache-2.0
"""A store made of a bucket.

Drivers: objects. Must not know any vendor. What each method promises is said in
``txregistry.driver.Store``; how a staged file lies in the bucket, in ``record`` and ``keys``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from attrs import frozen

from txregistry.driver import (
    CONTENT_LIMIT,
    Appender,
    Changed,
    Child,
    Content,
    Entry,
    Exists,
    InvalidPath,
    Listing,
    Mismatch,
    Missing,
    StreamContent,
    TooLarge,
)
from txregistry_drivers.objects.appending import DEPTH, ObjectAppender, Resources
from txregistry_drivers.objects.bucket import Bucket, ListedObject, ObjectHead, Piece
from txregistry_drivers.objects.conditions import Conditions
from txregistry_drivers.objects.flushing import Flusher
from txregistry_drivers.objects.keys import Keys, hidden_below
from txregistry_drivers.objects.listing import children
from txregistry_drivers.objects.notes import compose_noted
from txregistry_drivers.objects.reading import open_content, read_all, read_record
from txregistry_drivers.objects.record import Record, recorded_size
from txregistry_drivers.objects.removal import (
    copy_below,
    copy_object,
    remove_below,
    remove_file,
)
from txregistry_drivers.objects.staging import StagedFile
from txregistry_drivers.objects.trimming import give_back

_MIB = 1024 * 1024

#: Segments are put by so many threads. Arbitrary.
_THREADS = 16


@frozen
class Tuning:
    """How a store trades memory for speed.

    Attributes:
        part_size: bytes of a segment.
        flush_after: seconds that a byte of an upload waits at most until it is stored.
        unstored_limit: bytes that wait, of all uploads; above that they are stored earlier.
        memory: bytes of uploads in memory: one half of it is for those that wait to be a whole
            segment (others wait in temporary files), the other for those that are being put.
        copy_threshold: bytes above which an object is copied in pieces, side by side.
    """

    part_size: int = 10 * _MIB
    flush_after: float = 30.0
    unstored_limit: int = 64 * _MIB
    memory: int = 64 * _MIB
    copy_threshold: int = 32 * _MIB


class ObjectStore:
    """A :class:`~txregistry.driver.Store` over a bucket.

    Args:
        root: what keys begin with.
        clock: seconds; only differences count.
    """

    needs_network = True
    has_redirects = True

    #: Calls wait for a network: more of them than a disk would like.
    threads = 64

    def __init__(
        self,
        bucket: Bucket,
        root: str = "",
        tuning: Tuning | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        give_back()
        self.name = bucket.name
        self._bucket = bucket
        self._keys = Keys(root)
        self._tuning = tuning or Tuning()
        self._conditions = Conditions(bucket)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="segments")
        self._resources = Resources(
            part_size=self._tuning.part_size,
            smallest=bucket.capabilities.smallest_piece,
            memory=self._tuning.memory // 2,
            in_flight=self._tuning.memory // 2,
            flush_after=self._tuning.flush_after,
            threads=self._threads,
            clock=clock,
        )
        self.flusher = Flusher(limit=self._tuning.unstored_limit, clock=clock)

    @property
    def has_local_conditions(self) -> bool:
        """Whether other hosts' puts may come between a look and a put."""
        return not self._bucket.capabilities.if_absent

    @property
    def window(self) -> int:
        """Bytes of one upload that may wait to be stored."""
        return (DEPTH + 1) * self._resources.part_size

    # --- looking --------------------------------------------------------------------------------

    def stat(self, path: str) -> Entry:
        if path == "/":
            return Entry(path, is_directory=True, size=0, modified=0)
        head = self._look(self._keys.of(path))
        if head is not None:
            return _entry(path, head)
        self._check_directory(path)
        return Entry(path, is_directory=True, size=0, modified=0)

    def get(self, path: str) -> Content:
        opened = self._bucket.open(self._keys.of(path))
        try:
            recorded = recorded_size(opened.head.metadata)
            size = opened.head.size if recorded is None else recorded
            if size > CONTENT_LIMIT:
                raise TooLarge(f"{size} bytes are more than {CONTENT_LIMIT}", path=path)
            if recorded is None:
                return Content(read_all(opened, size), opened.head.version)
        finally:
            opened.close()
        content = self.open(path, 0)
        try:
            data = b"".join(iter(lambda: content.read(_MIB), b""))
        finally:
            content.close()
        return Content(data, opened.head.version)

    def open(self, path: str, start: int) -> StreamContent:
        return open_content(self._bucket, self._keys.of(path), path, start)

    def list(self, path: str, after: str, limit: int) -> Listing:
        page = children(self._bucket, self._keys.below(path), after, limit, is_root=path == "/")
        told = tuple(Child(one.name, one.found is None) for one in page.named)
        return Listing(told, page.has_more)

    def list_entries(self, path: str, after: str, limit: int) -> tuple[Sequence[Entry], bool]:
        """``list`` and ``stat`` in one: see ``txregistry.storage.contract.TellingStore``."""
        page = children(self._bucket, self._keys.below(path), after, limit, is_root=path == "/")
        top = path.rstrip("/")
        entries = []
        for one in page.named:
            child = f"{top}/{one.name}"
            if one.found is None:
                entries.append(Entry(child, is_directory=True, size=0, modified=0))
            elif one.name not in page.recorded:
                entries.append(_listed(child, one.found))
            elif head := self._look(one.found.key):
                entries.append(_entry(child, head))
        return entries, page.has_more

    def redirect_url(self, path: str, method: str, expires_in: int) -> str | None:
        """For what is published: a staged file may not be one object."""
        return self._bucket.presign(self._keys.of(path), method, expires_in)

    def object_key(self, path: str) -> str:
        """What a file is called in the bucket, for middlewares that make URLs of their own."""
        return self._keys.of(path)

    # --- changing -------------------------------------------------------------------------------

    def put(self, path: str, data: bytes, *, if_absent: bool, if_version: str | None) -> str:
        key = self._keys.of(path)
        if if_version is not None:
            if if_absent:  # nothing can be both
                refusal = Exists if self._look(key) else Changed
                raise refusal(path=path)
            return self._conditions.replace(key, data, if_version, {})
        if if_absent:
            return self._conditions.create(key, data, {})
        return self._conditions.put(key, data)

    def append(self, path: str, offset: int) -> Appender:
        staged = StagedFile(self._bucket, self._conditions, self._keys.of(path), path)
        tail = staged.claim(offset)
        appender = ObjectAppender(self._resources, staged, tail, self.flusher.remove)
        self.flusher.add(appender)
        return appender

    def publish(self, path: str, destination: str, size: int) -> None:
        key, target = self._keys.of(path), self._keys.of(destination)
        head = self._bucket.head(key)
        recorded = recorded_size(head.metadata)
        actual = head.size if recorded is None else recorded
        if actual != size:
            raise Mismatch(f"{actual} bytes are staged, not {size}", path=path)
        if self._has_size(target, size):
            return
        try:
            if recorded is None:
                self._copy(key, target, size)
            elif (record := read_record(self._bucket, key, path, head.version)) is not None:
                self._assemble(key, target, record)
            else:
                self.publish(path, destination, size)
        except Missing:
            # Another host may have published the same and removed the upload.
            if not self._has_size(target, size):
                raise

    def move(self, source: str, destination: str) -> None:
        entry = self.stat(source)
        if source == destination:
            return
        if destination.startswith(source + "/") or source.startswith(destination + "/"):
            raise InvalidPath(f"it can't become {destination}", path=source)
        self._check_parents(destination)
        key, target = self._keys.of(source), self._keys.of(destination)
        remove_below(self._bucket, target + "/")
        if entry.is_directory:
            remove_file(self._bucket, target, is_recorded=True)
            copy_below(self._bucket, key + "/", target + "/")
            remove_below(self._bucket, key + "/")
        else:
            remove_below(self._bucket, hidden_below(target))
            copy_below(self._bucket, hidden_below(key), hidden_below(target))
            copy_object(self._bucket, key, target)
            remove_file(self._bucket, key, is_recorded=True)

    def delete(self, path: str, *, if_version: str | None) -> None:
        key = self._keys.of(path)
        head = self._look(key)
        if head is not None:
            if if_version is not None:
                self._conditions.delete(key, if_version)
            remove_file(self._bucket, key, is_recorded=recorded_size(head.metadata) is not None)
            return
        if if_version is not None:
            self._check_directory(path)
            raise Changed(path=path)
        if not remove_below(self._bucket, key + "/"):
            raise Missing(path=path)

    def sync(self, paths: Sequence[str]) -> None:
        """What was answered is durable: this only tells what is missing."""
        for path in paths:
            self.stat(path)

    def close(self) -> None:
        self.flusher.close()
        self._threads.shutdown()
        self._bucket.close()

    # --- parts of these -------------------------------------------------------------------------

    def _look(self, key: str) -> ObjectHead | None:
        try:
            return self._bucket.head(key)
        except Missing:
            return None

    def _has_size(self, key: str, size: int) -> bool:
        head = self._look(key)
        return head is not None and head.size == size and recorded_size(head.metadata) is None

    def _check_directory(self, path: str) -> None:
        page = self._bucket.list(self._keys.below(path), after="", limit=1, is_deep=True)
        if not page.objects:
            raise Missing(path=path)

    def _check_parents(self, path: str) -> None:
        parent = path.rpartition("/")[0]
        while parent:
            if self._look(self._keys.of(parent)) is not None:
                raise InvalidPath("it lies below a file", path=path)
            parent = parent.rpartition("/")[0]

    def _copy(self, key: str, target: str, size: int) -> None:
        limit = min(self._tuning.copy_threshold, self._bucket.capabilities.copy_limit)
        if size <= limit:
            self._bucket.copy(key, target)
        else:
            compose_noted(self._bucket, target, [Piece(key, 0, size)], key)

    def _assemble(self, key: str, target: str, record: Record) -> None:
        """Make one object of a staged file."""
        pieces: list[Piece | bytes] = [
            Piece(hidden_below(key) + one.name, 0, one.size, is_whole=True)
            for one in record.segments
        ]
        if not pieces:
            self._conditions.put(target, record.tail)
        elif len(pieces) == 1 and not record.tail:
            self._copy(hidden_below(key) + record.segments[0].name, target, record.size)
        else:
            if record.tail:
                pieces.append(record.tail)
            compose_noted(self._bucket, target, pieces, key)


def _entry(path: str, head: ObjectHead) -> Entry:
    recorded = recorded_size(head.metadata)
    size = head.size if recorded is None else recorded
    return Entry(path, is_directory=False, size=size, modified=head.modified, version=head.version)


def _listed(path: str, found: ListedObject) -> Entry:
    return Entry(path, False, found.size, found.modified, found.version)
