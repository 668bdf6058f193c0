# SPDX-License-Identifier: Apache-2.0
"""What is open for longer than one call: an upload that grows, a read that goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from sqlite3 import Connection

from outside_driver.database import Database, key_of
from txregistry.driver import Closed, Corrupt, Fenced

#: Bytes of a row at most: what a read asks for at a time.
_ROW = 256 * 1024


def add_chunks(database: Connection, content: int, start: int, data: bytes | memoryview) -> None:
    """Store bytes as the continuation of a content that has ``start`` of them."""
    for offset in range(0, len(data), _ROW):
        row = (content, start + offset, data[offset : offset + _ROW])
        database.execute("INSERT INTO chunk VALUES (?, ?, ?)", row)


class SqliteAppender:
    """Each piece is a transaction: whatever was taken is stored."""

    def __init__(self, database: Database, path: str, content: int, size: int) -> None:
        self._database = database
        self._path = path
        self._content = content
        self._size = size
        self._is_closed = False

    def append(self, data: memoryview) -> int:
        if self._is_closed:
            raise Closed(path=self._path)
        with self._database.changing(is_durable=False) as database:
            where = (key_of(self._path), self._content, self._size)
            grown = database.execute(
                "UPDATE file SET size = ?, modified = ? WHERE key = ? AND content = ? AND size = ?",
                (self._size + len(data), time.time_ns(), *where),
            )
            if not grown.rowcount:
                raise Fenced("something else was put there", path=self._path)
            add_chunks(database, self._content, self._size, data)
        self._size += len(data)
        return self._size

    def sync(self) -> int:
        with self._database.changing():
            return self._size

    def close(self) -> int:
        self._is_closed = True
        return self._size


class SqliteContent:
    """A read of the ``size`` bytes that a content had when it was opened.

    Args:
        release: called once, when the content is not needed for this any more.
    """

    def __init__(
        self, database: Database, content: int, size: int, start: int, release: Callable[[], None]
    ) -> None:
        self.size = size
        self._database = database
        self._content = content
        self._position = start
        self._release: Callable[[], None] | None = release

    def read(self, limit: int) -> bytes:
        limit = min(limit, self.size - self._position)
        if limit <= 0:
            return b""
        at = "WHERE content = ? AND start <= ? ORDER BY start DESC LIMIT 1"
        with self._database.looking() as database:
            row = database.execute(
                f"SELECT start, data FROM chunk {at}", (self._content, self._position)
            ).fetchone()
        within = self._position - row[0] if row else 0
        if not row or within >= len(row[1]):
            raise Corrupt(f"content {self._content} has no byte {self._position}")
        piece: bytes = row[1][within : within + limit]
        self._position += len(piece)
        return piece

    def close(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()
