# SPDX-License-Identifier: Apache-2.0
"""One object of many.

Driver: swift. Swift has a list of segments (a static large object) that reads as one object for as
long as the segments are there. Copied on the server such a list becomes an object of its own, of at
most the largest size that an object may have; so::

    small enough    list of the pieces ─copy─> object                    list removed
    larger          lists of groups ─copies─> segments of its own, below the key;
                    list of these = object                               lists removed

Source: Swift's "Large objects" and "Server side copy".
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from attrs import frozen

from txregistry.driver import Internal
from txregistry_drivers.objects import Piece

#: Segments that a list has at most: Swift's default.
MOST_SEGMENTS = 1000

#: What a note says: the prefix of what goes. Anything else, least of all nothing, removes nothing.
NOTE = re.compile(r".+~/compose-[0-9a-f]{16}/")


@frozen
class Segment:
    """A span of an object that a list names."""

    key: str
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


class Calls(Protocol):
    """What a bucket does by one request each."""

    #: Bytes of the largest object.
    largest: int

    def put(self, key: str, data: bytes, *, metadata: dict[str, str]) -> str: ...

    def put_list(self, key: str, segments: Sequence[Segment]) -> None: ...

    def copy(self, source: str, destination: str) -> None: ...

    def delete_below(self, prefix: str) -> None: ...


def compose(
    calls: Calls, key: str, pieces: Sequence[Piece | bytes], note: Callable[[str], None]
) -> None:
    """Make ``key`` of ``pieces``; see ``Bucket.compose``. The note is the prefix of what goes, and
    what follows it with another ending stays.
    """
    token = secrets.token_hex(8)
    passing, staying = f"{key}~/compose-{token}/", f"{key}~/segments-{token}/"
    note(passing)
    segments = [_segment(calls, f"{passing}bytes-{i}", piece) for i, piece in enumerate(pieces)]
    groups = list(_groups(segments, calls.largest))
    if len(groups) == 1:
        _flatten(calls, f"{passing}list", groups[0], key)
    else:
        if len(groups) > MOST_SEGMENTS:
            raise Internal("an object has more bytes than a list of segments takes", path=key)
        own = []
        for index, group in enumerate(groups):
            name = f"{staying}{index:05}"
            _flatten(calls, f"{passing}list-{index}", group, name)
            own.append(Segment(name, 0, sum(one.size for one in group)))
        calls.put_list(key, own)
    calls.delete_below(passing)


def staying_of(note: str) -> str:
    """The prefix of the segments that a composition with this note makes for good."""
    key, _, token = note.rstrip("/").rpartition("~/compose-")
    return f"{key}~/segments-{token}/"


def _flatten(calls: Calls, name: str, group: Sequence[Segment], key: str) -> None:
    calls.put_list(name, group)
    calls.copy(name, key)


def _segment(calls: Calls, name: str, piece: Piece | bytes) -> Segment:
    if isinstance(piece, Piece):
        return Segment(piece.key, piece.start, piece.stop)
    calls.put(name, piece, metadata={})
    return Segment(name, 0, len(piece))


def _groups(segments: Sequence[Segment], largest: int) -> Iterator[list[Segment]]:
    """Cut into as few lists as can be, in order."""
    group: list[Segment] = []
    size = 0
    for segment in segments:
        start = segment.start
        while start < segment.stop:
            if group and (size == largest or len(group) == MOST_SEGMENTS):
                yield group
                group, size = [], 0
            stop = min(segment.stop, start + largest - size)
            group.append(Segment(segment.key, start, stop))
            size += stop - start
            start = stop
    yield group
