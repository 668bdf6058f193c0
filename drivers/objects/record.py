# SPDX-License-Identifier: Apache-2.0
"""The record of a staged file: which objects hold its bytes.

Drivers: objects. Must not know buckets; values and their text form. A staged file is one of two::

    plain     the object at its key holds its bytes: small uploads, and what was put
    recorded  the object at its key is a record:

              {"writer": "5f…", "number": 7, "segments": [["0000000000000000-5f…", 8388608], …]}\\n
              <the bytes after the last segment: the tail, shorter than a segment may be>

Both change by one conditional put. A segment is an object of its own, named by its offset and its
writer and never written again, so a writer that was overtaken can spoil nothing that a record names,
the bytes can be read at any time, and no rule of the bucket that ends old multipart uploads ends
this one. The size of the whole stands in the record's metadata, for ``stat``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from attrs import frozen

from txregistry.driver import Corrupt

#: Metadata of a record: the bytes of the staged file.
SIZE = "txregistrystaged"

#: Metadata of what was put under a condition: by whom.
TOKEN = "txregistrytoken"  # noqa: S105  # a name

_LARGEST = 1 << 63


@frozen
class Segment:
    """An object with bytes of a staged file.

    Attributes:
        name: its key, below the file's hidden prefix.
        is_group: it was composed of others.
    """

    name: str
    size: int
    is_group: bool = False


@frozen
class Record:
    """The bytes of a staged file, in order.

    Attributes:
        writer: token of who wrote the record.
        number: which one of that writer's; so that no two records are the same.
    """

    writer: str
    number: int
    segments: tuple[Segment, ...] = ()
    tail: bytes = b""

    @property
    def sealed(self) -> int:
        """Bytes of the segments."""
        return sum(segment.size for segment in self.segments)

    @property
    def size(self) -> int:
        return self.sealed + len(self.tail)

    def encode(self) -> bytes:
        """The object."""
        head = {
            "writer": self.writer,
            "number": self.number,
            "segments": [[one.name, one.size, one.is_group] for one in self.segments],
        }
        return json.dumps(head, separators=(",", ":")).encode("ascii") + b"\n" + self.tail

    def metadata(self) -> dict[str, str]:
        return {SIZE: str(self.size), TOKEN: f"{self.writer}-{self.number}"}


def recorded_size(metadata: Mapping[str, str]) -> int | None:
    """The size of the staged file that an object with this metadata is the record of; None if it is
    no record.
    """
    text = metadata.get(SIZE)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text) < _LARGEST):
        raise Corrupt(f"the metadata of a staged file say {text[:40]!r} for its size")
    return int(text)


def parse(data: bytes, path: str) -> Record:
    """Read a record.

    Raises:
        Corrupt: it is none.
    """
    line, found, tail = data.partition(b"\n")
    try:
        head = json.loads(line)
        segments = tuple(
            Segment(str(name), int(size), bool(is_group))
            for name, size, is_group in head["segments"]
        )
        record = Record(str(head["writer"]), int(head["number"]), segments, tail)
    except (ValueError, KeyError, TypeError, RecursionError) as err:
        raise Corrupt("the record of a staged file can't be read", path=path) from err
    names_are_plain = all(one.name and "/" not in one.name for one in segments)
    if not found or not names_are_plain or any(one.size <= 0 for one in segments):
        raise Corrupt("the record of a staged file contradicts itself", path=path)
    return record
