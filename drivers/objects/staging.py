# SPDX-License-Identifier: Apache-2.0
"""A staged file as its writer sees it: what is stored, and how more becomes part of it.

Drivers: objects. Must not know when bytes are stored: ``appending`` decides that. Each change is one
put of the object at the file's key under the condition that it is what this writer left there; so of
two writers, on whatever hosts, one goes on and the other learns that it was overtaken.
"""

from __future__ import annotations

from txregistry.driver import (
    Changed,
    Corrupt,
    Exists,
    Fenced,
    Missing,
    WrongOffset,
)
from txregistry_drivers.objects.bucket import Bucket, ObjectHead, Piece
from txregistry_drivers.objects.conditions import Conditions, new_token
from txregistry_drivers.objects.keys import hidden_below
from txregistry_drivers.objects.notes import compose_noted
from txregistry_drivers.objects.reading import read_all
from txregistry_drivers.objects.record import Record, Segment, parse, recorded_size

#: Segments after which they are made one object, at most: a record stays small, and a composition
#: of all stays within the pieces that it may have. Arbitrary.
GROUP = 1000


class StagedFile:
    """What is stored of a staged file; for one thread at a time.

    Args:
        key: of the file.
        path: for messages.
    """

    def __init__(self, bucket: Bucket, conditions: Conditions, key: str, path: str) -> None:
        self._bucket = bucket
        self._conditions = conditions
        self._key = key
        self._path = path
        self._token = new_token()
        self._version = ""
        self._number = 0
        self._is_recorded = False
        self.segments: tuple[Segment, ...] = ()
        self.tail_size = 0

    @property
    def sealed(self) -> int:
        """Bytes in segments."""
        return sum(segment.size for segment in self.segments)

    @property
    def size(self) -> int:
        """Bytes that a reopening would find."""
        return self.sealed + self.tail_size

    @property
    def is_there(self) -> bool:
        return bool(self._version)

    def claim(self, offset: int) -> bytes:
        """Take the file over from whoever wrote it; returns its tail.

        Where nothing is, nothing is made yet.

        Raises:
            WrongOffset: other than ``offset`` bytes are stored.
        """
        try:
            opened = self._bucket.open(self._key)
        except Missing:
            if offset:
                raise WrongOffset(path=self._path, actual=0) from None
            return b""
        try:
            head = opened.head
            recorded = recorded_size(head.metadata)
            actual = head.size if recorded is None else recorded
            if actual != offset:
                raise WrongOffset(path=self._path, actual=actual)
            self._version = head.version
            if recorded is None:
                is_large = head.size >= self._bucket.capabilities.smallest_piece
                tail = b"" if is_large else read_all(opened, head.size)
            else:
                record = parse(read_all(opened, head.size), self._path)
                if record.size != recorded:
                    raise Corrupt("a record and its metadata disagree", path=self._path)
                self.segments, tail = record.segments, record.tail
                self._is_recorded = True
        finally:
            opened.close()
        if recorded is None and is_large:
            self._set_aside(head)
        if recorded is None and not head.size:
            return b""  # whoever made an empty file has nothing to lose
        self._save_record(self.segments, tail)
        return tail

    def put_segment(self, offset: int, data: bytes) -> Segment:
        """Store bytes that become part of the file with the next ``save``; from any thread."""
        segment = Segment(f"{offset:016d}-{self._token}", len(data))
        self._bucket.put(self._hidden(segment.name), data, metadata={})
        return segment

    def save(self, more: tuple[Segment, ...], tail: bytes) -> None:
        """Make the file what it is so far, and ``more``, and ``tail``.

        Raises:
            Fenced: somebody else took it over.
        """
        segments, replaced = self._grouped(self.segments + more)
        if not segments and not self._is_recorded:
            self._save_plain(tail)
        else:
            self._save_record(segments, tail)
        if replaced:
            self._bucket.delete_many([self._hidden(segment.name) for segment in replaced])

    # --- the forms ------------------------------------------------------------------------------

    def _save_plain(self, data: bytes) -> None:
        # The same bytes may have the same version: then nothing says that it is ours, or has to.
        self._change(data, {})
        self.tail_size = len(data)

    def _save_record(self, segments: tuple[Segment, ...], tail: bytes) -> None:
        if not segments and not self._is_recorded:
            # A listing has sizes and no metadata; something hidden tells it to look closer.
            self._bucket.put(self._hidden("claim"), b"", metadata={})
        self._number += 1
        record = Record(self._token, self._number, segments, tail)
        self._change(record.encode(), record.metadata())
        self._is_recorded = True
        self.segments, self.tail_size = segments, len(tail)

    def _change(self, data: bytes, metadata: dict[str, str]) -> None:
        try:
            if self._version:
                self._version = self._conditions.replace(self._key, data, self._version, metadata)
            else:
                self._version = self._conditions.create(self._key, data, metadata)
        except (Changed, Exists) as err:
            raise Fenced("another host has the upload", path=self._path) from err

    def _set_aside(self, head: ObjectHead) -> None:
        """Keep a large plain file as a segment, since its object becomes a record."""
        segment = Segment(f"{0:016d}-{self._token}", head.size, is_group=True)
        target = self._hidden(segment.name)
        if head.size <= self._bucket.capabilities.copy_limit:
            self._bucket.copy(self._key, target)
        else:
            compose_noted(self._bucket, target, [Piece(self._key, 0, head.size)], self._key)
        self.segments = (segment,)

    def _grouped(
        self, segments: tuple[Segment, ...]
    ) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
        """The segments with the single ones made one where there are many, and those that are not
        needed any more.
        """
        groups = tuple(one for one in segments if one.is_group)
        singles = segments[len(groups) :]
        if len(singles) < min(GROUP, self._bucket.capabilities.most_pieces // 2):
            return segments, ()
        offset = sum(one.size for one in groups)
        group = Segment(
            f"{offset:016d}-group-{self._token}", sum(one.size for one in singles), is_group=True
        )
        pieces = [Piece(self._hidden(one.name), 0, one.size, is_whole=True) for one in singles]
        compose_noted(self._bucket, self._hidden(group.name), pieces, self._key)
        return (*groups, group), singles

    def _hidden(self, name: str) -> str:
        return hidden_below(self._key) + name
