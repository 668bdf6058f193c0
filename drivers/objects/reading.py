# SPDX-License-Identifier: Apache-2.0
"""Reading: an object to its end, and a staged file whose bytes lie in several.

Drivers: objects.
"""

from __future__ import annotations

from txregistry.driver import Corrupt, InvalidOffset, Missing, StreamContent, Unavailable
from txregistry_drivers.objects.bucket import Bucket, OpenObject
from txregistry_drivers.objects.keys import hidden_below
from txregistry_drivers.objects.record import Record, parse, recorded_size

_PIECE = 1024 * 1024


def read_all(opened: OpenObject, size: int) -> bytes:
    """The ``size`` bytes that are left of an object.

    Raises:
        Unavailable: there are fewer.
    """
    pieces = []
    while piece := opened.read(_PIECE):
        pieces.append(piece)
    data = b"".join(pieces)
    if len(data) != size:
        raise Unavailable(f"an object ended after {len(data)} of {size} bytes")
    return data


def read_small(bucket: Bucket, key: str) -> bytes:
    """A small object, whole.

    Raises:
        Missing: there is none.
    """
    opened = bucket.open(key)
    try:
        return read_all(opened, opened.head.size)
    finally:
        opened.close()


def read_record(bucket: Bucket, key: str, path: str, version: str) -> Record | None:
    """The record of which ``version`` was seen; None if something else is in its place by now.

    Raises:
        Missing: nothing is there any more.
        Corrupt: it is no record.
    """
    opened = bucket.open(key)
    try:
        if opened.head.version != version:
            return None
        return parse(read_all(opened, opened.head.size), path)
    finally:
        opened.close()


def open_content(bucket: Bucket, key: str, path: str, start: int) -> StreamContent:
    """Open a file, plain or staged, for reading from ``start`` on.

    Raises:
        Missing: there is none.
        InvalidOffset: it is shorter.
    """
    try:
        opened = bucket.open(key, start)
    except InvalidOffset:
        # Beyond the end of the object; if that is a record, perhaps not beyond the end of the file.
        if start == 0 or recorded_size(bucket.head(key).metadata) is None:
            raise
        opened = bucket.open(key)
    if recorded_size(opened.head.metadata) is None:
        return PlainContent(opened)
    opened.close()
    record = read_record(bucket, key, path, opened.head.version)
    if record is None:
        return open_content(bucket, key, path, start)
    if start > record.size:
        raise InvalidOffset(f"{start} is beyond the end, {record.size}", path=path)
    return StagedContent(bucket, key, record, start)


class PlainContent:
    """A file that is one object."""

    def __init__(self, opened: OpenObject) -> None:
        self.size = opened.head.size
        self.version = opened.head.version
        self._opened = opened

    def read(self, limit: int) -> bytes:
        return self._opened.read(limit)

    def close(self) -> None:
        self._opened.close()


class StagedContent:
    """A staged file: its segments, one after the other, then its tail."""

    def __init__(self, bucket: Bucket, key: str, record: Record, start: int) -> None:
        self.size = record.size
        self._bucket = bucket
        self._key = key
        self._left = list(record.segments)
        self._tail = record.tail
        self._opened: OpenObject | None = None
        while self._left and start >= self._left[0].size:
            start -= self._left.pop(0).size
        if not self._left:
            self._tail = self._tail[start:]
        self._skip = start if self._left else 0

    def read(self, limit: int) -> bytes:
        while self._left:
            try:
                if self._opened is None:
                    name = hidden_below(self._key) + self._left[0].name
                    self._opened = self._bucket.open(name, self._skip)
                    self._check(self._opened.head.size)
            except Missing as err:  # grouped, committed or deleted meanwhile
                raise Unavailable("the staged bytes are elsewhere by now") from err
            if piece := self._opened.read(limit):
                return piece
            self.close()
            self._left.pop(0)
            self._skip = 0
        piece, self._tail = self._tail[:limit], self._tail[limit:]
        return piece

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _check(self, size: int) -> None:
        if size != self._left[0].size:
            raise Corrupt(f"a segment has {size} bytes, not {self._left[0].size}")
