# SPDX-License-Identifier: Apache-2.0
"""Very many digests, each with a number and some marks, in little memory.

Room: admin. Must not know what the digests are of. A sha256 digest costs 41 bytes here and some 250
as Python objects in a dictionary, which is what makes a check of ten million blobs possible. The
columns are kept in order of the digests; a walk brings them in that order, so that adding is
appending.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator

from txregistry.oci.digests import Digest


class DigestTable:
    """Digests of any algorithm, each once."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}

    def __len__(self) -> int:
        return sum(map(len, self._columns.values()))

    def __contains__(self, digest: Digest) -> bool:
        return self.get(digest) is not None

    def add(self, digest: Digest, number: int = 0, marks: int = 0) -> None:
        """Put a digest in, in place of an earlier one.

        Args:
            number: up to 64 bits.
            marks: bits, up to eight.
        """
        width = len(digest.encoded) // 2
        column = self._columns.setdefault(digest.algorithm, _Column(width))
        column.put(bytes.fromhex(digest.encoded), number, marks)

    def get(self, digest: Digest) -> int | None:
        """Return the digest's number, None if it is not there."""
        column, index = self._find(digest)
        return None if column is None else column.numbers[index]

    def mark(self, digest: Digest, mark: int) -> bool:
        """Set a mark; False if it was set already or the digest is not there."""
        column, index = self._find(digest)
        if column is None or column.marks[index] & mark:
            return False
        column.marks[index] |= mark
        return True

    def is_marked(self, digest: Digest, mark: int) -> bool:
        """Say whether a digest is there and has the mark."""
        column, index = self._find(digest)
        return column is not None and bool(column.marks[index] & mark)

    def unmarked(self, marks: int) -> tuple[int, int]:
        """Return how many digests have none of ``marks``, and the sum of their numbers."""
        count = total = 0
        for column in self._columns.values():
            for number in column.unmarked(marks):
                count, total = count + 1, total + number
        return count, total

    def _find(self, digest: Digest) -> tuple[_Column | None, int]:
        column = self._columns.get(digest.algorithm)
        if column is None:
            return None, 0
        key = bytes.fromhex(digest.encoded)
        index = column.place(key)
        return (column, index) if column.holds(key, index) else (None, 0)


class _Column:
    """The digests of one algorithm, in order."""

    def __init__(self, width: int) -> None:
        self.numbers = array("Q")
        self.marks = bytearray()
        self._width = width
        self._keys = bytearray()

    def __len__(self) -> int:
        return len(self.marks)

    def put(self, key: bytes, number: int, marks: int) -> None:
        index = len(self) if self._is_last(key) else self.place(key)
        if self.holds(key, index):
            self.numbers[index], self.marks[index] = number, marks
            return
        start = index * self._width
        self._keys[start:start] = key
        self.numbers.insert(index, number)
        self.marks.insert(index, marks)

    def place(self, key: bytes) -> int:
        """Return where ``key`` is, or would have to go."""
        return bisect_left(range(len(self)), key, key=self._key)

    def holds(self, key: bytes, index: int) -> bool:
        return index < len(self) and self._key(index) == key

    def unmarked(self, marks: int) -> Iterator[int]:
        return (
            number
            for number, set_ in zip(self.numbers, self.marks, strict=True)
            if not set_ & marks
        )

    def _key(self, index: int) -> bytes:
        return bytes(self._keys[index * self._width : (index + 1) * self._width])

    def _is_last(self, key: bytes) -> bool:
        return not len(self) or self._key(len(self) - 1) < key
