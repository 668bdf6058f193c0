# SPDX-License-Identifier: Apache-2.0
"""The methods of the contract, each of them one transaction.

Content lives for as long as a file or an open read has it. Afterwards its bytes are garbage and are
removed a few at a time, so that nobody waits long; what a crash leaves goes at the next start.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from sqlite3 import Connection
from typing import NamedTuple

from outside_driver.database import BEYOND, SEPARATOR, Database, key_of
from outside_driver.streams import SqliteAppender, SqliteContent, add_chunks
from txregistry.driver import (
    CONTENT_LIMIT,
    Changed,
    Child,
    Content,
    Entry,
    Exists,
    InvalidOffset,
    InvalidPath,
    Listing,
    Mismatch,
    Missing,
    StorageError,
    TooLarge,
    WrongOffset,
)

#: Rows of garbage that one transaction removes.
_SWEEP = 64


class _File(NamedTuple):
    """A row. No version comes twice: a content only grows, another one has another number."""

    content: int
    size: int
    modified: int

    @property
    def version(self) -> str:
        return f"{self.content:x}.{self.size}"


class SqliteStore:
    """A :class:`~txregistry.driver.Store` in a database."""

    name = "sqlite"
    needs_network = False

    def __init__(self, database: Database) -> None:
        self.directories = (database.directory,)  # the process is confined to these
        self._database = database
        self._reads: Counter[int] = Counter()  # open ones of each content
        self._garbage: set[int] = set()  # both are touched with the database's lock held
        with database.looking() as connection:
            unused = "WHERE content NOT IN (SELECT content FROM file)"
            rows = connection.execute(f"SELECT DISTINCT content FROM chunk {unused}")
            self._garbage.update(row[0] for row in rows)
        self._sweep()

    def stat(self, path: str) -> Entry:
        with self._database.looking() as database:
            file = _look(database, path)
            if file is not None:
                return Entry(path, False, file.size, file.modified, file.version)
            _check_directory(database, path)
            return Entry(path, True, 0, 0)

    def get(self, path: str) -> Content:
        with self._database.looking() as database:
            file = _find(database, path)
            if file.size > CONTENT_LIMIT:
                raise TooLarge(f"{file.size} bytes are more than {CONTENT_LIMIT}", path=path)
            rows = database.execute(
                "SELECT data FROM chunk WHERE content = ? ORDER BY start", (file.content,)
            )
            return Content(b"".join(row[0] for row in rows), file.version)

    def put(self, path: str, data: bytes, *, if_absent: bool, if_version: str | None) -> str:
        with self._database.changing() as database:
            present = _look(database, path)
            if if_absent and (present or _has_below(database, path)):
                raise Exists(path=path)
            if if_version is not None and (present is None or present.version != if_version):
                raise Changed(path=path)
            content = _new_content()
            add_chunks(database, content, 0, data)
            file = self._place(database, path, content, len(data))
        self._sweep()
        return file.version

    def open(self, path: str, start: int) -> SqliteContent:
        with self._database.looking() as database:
            file = _find(database, path)
            if start > file.size:
                raise InvalidOffset(f"{start} is beyond the end, {file.size}", path=path)
            self._reads[file.content] += 1
        return SqliteContent(
            self._database, file.content, file.size, start, lambda: self._release(file.content)
        )

    def append(self, path: str, offset: int) -> SqliteAppender:
        with self._database.changing(is_durable=False) as database:
            file = _look(database, path)
            if offset != (file.size if file else 0):
                raise WrongOffset(path=path, actual=file.size if file else 0)
            if file is None:
                file = self._place(database, path, _new_content(), 0)
            elif _count_files(database, file.content) > 1:  # it was published: that must not grow
                content = _new_content()
                database.execute(
                    "INSERT INTO chunk SELECT ?, start, data FROM chunk WHERE content = ?",
                    (content, file.content),
                )
                file = self._place(database, path, content, offset)
            return SqliteAppender(self._database, path, file.content, offset)

    def publish(self, path: str, destination: str, size: int) -> None:
        with self._database.changing() as database:
            staged, present = _find(database, path), _look(database, destination)
            if staged.size != size:
                raise Mismatch(f"{staged.size} bytes are staged, not {size}", path=path)
            if present is None or present.size != size:
                self._place(database, destination, staged.content, size)
        self._sweep()

    def move(self, source: str, destination: str) -> None:
        with self._database.changing() as database:
            if _look(database, source) is None:
                _check_directory(database, source)
            if source == destination:
                return
            if destination.startswith(source + "/") or source.startswith(destination + "/"):
                raise InvalidPath(f"it can't become {destination}", path=source)
            _check_parents(database, destination)
            self._remove(database, destination)
            database.execute(
                "UPDATE file SET key = ? || substr(key, ?) WHERE key = ? OR (key > ? AND key < ?)",
                (key_of(destination), len(key_of(source)) + 1, *_span(source)),
            )
        self._sweep()

    def delete(self, path: str, *, if_version: str | None) -> None:
        with self._database.changing() as database:
            file = _look(database, path)
            if file is None:
                _check_directory(database, path)
            if if_version is not None and (file is None or file.version != if_version):
                raise Changed(path=path)
            self._remove(database, path)
        self._sweep()

    def list(self, path: str, after: str, limit: int) -> Listing:
        top = key_of(path) + SEPARATOR
        children: list[Child] = []
        with self._database.looking() as database:
            _check_directory(database, path)
            start = top + after + BEYOND if after else top
            while len(children) <= limit:
                row = database.execute(
                    "SELECT key FROM file WHERE key >= ? AND key < ? ORDER BY key LIMIT 1",
                    (start, key_of(path) + BEYOND),
                ).fetchone()
                if row is None:
                    break
                name, separator, _ = row[0][len(top) :].partition(SEPARATOR)
                children.append(Child(name, is_directory=bool(separator)))
                start = top + name + BEYOND
        return Listing(tuple(children[:limit]), has_more=len(children) > limit)

    def sync(self, paths: Sequence[str]) -> None:
        with self._database.changing() as database:
            for path in paths:
                if _look(database, path) is None:
                    _check_directory(database, path)

    def redirect_url(self, path: str, method: str, expires_in: int) -> str | None:
        return None

    def close(self) -> None:
        self._database.close()

    def _place(self, database: Connection, path: str, content: int, size: int) -> _File:
        """Give a content a path, in place of the file that may be there."""
        _check_parents(database, path)
        if _has_below(database, path):
            raise InvalidPath("a directory is there", path=path)
        self._remove(database, path)
        file = _File(content, size, time.time_ns())
        database.execute("INSERT INTO file VALUES (?, ?, ?, ?)", (key_of(path), *file))
        return file

    def _remove(self, database: Connection, path: str) -> None:
        """Remove what is at a path, if anything is."""
        where, span = "WHERE key = ? OR (key > ? AND key < ?)", _span(path)
        rows = database.execute(f"SELECT DISTINCT content FROM file {where}", span).fetchall()
        database.execute(f"DELETE FROM file {where}", span)
        self._garbage.update(row[0] for row in rows)

    def _sweep(self) -> None:
        """Remove the bytes that nobody has any more. If that fails, the next one tries again."""
        with suppress(StorageError):
            while self._garbage:
                with self._database.changing(is_durable=False) as database:
                    content = next(iter(self._garbage), 0)  # another thread may have been faster
                    is_used = self._reads[content] or _count_files(database, content)
                    if is_used or _remove_chunks(database, content) < _SWEEP:
                        self._garbage.discard(content)

    def _release(self, content: int) -> None:
        with self._database.looking():
            self._reads[content] -= 1
            if not self._reads[content]:
                del self._reads[content]
                self._garbage.add(content)
        self._sweep()


def _span(path: str) -> tuple[str, str, str]:
    """What ``key = ? OR (key > ? AND key < ?)`` takes for a path and all below it."""
    key = key_of(path)
    return key, key + SEPARATOR, key + BEYOND


def _look(database: Connection, path: str) -> _File | None:
    row = database.execute(
        "SELECT content, size, modified FROM file WHERE key = ?", (key_of(path),)
    ).fetchone()
    return _File(*row) if row else None


def _find(database: Connection, path: str) -> _File:
    file = _look(database, path)
    if file is None:
        raise Missing(path=path)
    return file


def _has_below(database: Connection, path: str) -> bool:
    query = "SELECT 1 FROM file WHERE key > ? AND key < ? LIMIT 1"
    return database.execute(query, _span(path)[1:]).fetchone() is not None


def _check_directory(database: Connection, path: str) -> None:
    """Refuse unless something is below the path; ``/`` is always there."""
    if path != "/" and not _has_below(database, path):
        raise Missing(path=path)


def _check_parents(database: Connection, path: str) -> None:
    """Refuse a path that runs through a file."""
    parts = key_of(path).split(SEPARATOR)
    parents = [SEPARATOR.join(parts[:count]) for count in range(2, len(parts))]
    marks = ", ".join("?" * len(parents))
    if database.execute(f"SELECT 1 FROM file WHERE key IN ({marks}) LIMIT 1", parents).fetchone():
        raise InvalidPath("it lies below a file", path=path)


def _new_content() -> int:
    return secrets.randbits(62)


def _count_files(database: Connection, content: int) -> int:
    """How many files share a content."""
    row = database.execute("SELECT count(*) FROM file WHERE content = ?", (content,)).fetchone()
    return int(row[0])


def _remove_chunks(database: Connection, content: int) -> int:
    """Remove some rows of a content; returns how many."""
    some = "WHERE rowid IN (SELECT rowid FROM chunk WHERE content = ? LIMIT ?)"
    return database.execute(f"DELETE FROM chunk {some}", (content, _SWEEP)).rowcount
