# SPDX-License-Identifier: Apache-2.0
"""The SQLite file: its tables, its transactions, and what its errors mean to the registry.

One connection and one lock serve all threads. The connection keeps the file locked against other
processes, so that nobody else changes it and a second driver is told so.

Paths are stored with another separator, one that sorts before every character of a name: so the
order of the keys is that of the contract, by names, and what is below a directory lies together.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from txregistry.driver import (
    Corrupt,
    Internal,
    NoSpace,
    ReadOnly,
    StorageError,
    SyncFailed,
    Unavailable,
)

SEPARATOR, BEYOND = "\x01", "\x02"

#: ``file``: what is at a path. ``chunk``: the bytes of a content, which several files may share.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS file (
    key TEXT PRIMARY KEY, content INTEGER, size INTEGER, modified INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS file_content ON file (content);
CREATE TABLE IF NOT EXISTS chunk (
    content INTEGER, start INTEGER, data BLOB, PRIMARY KEY (content, start)
);
CREATE TABLE IF NOT EXISTS barrier (id INTEGER PRIMARY KEY, passed INTEGER);
INSERT OR IGNORE INTO barrier VALUES (1, 0);
"""

#: Seconds that a predecessor may take to let go of the file.
_TIMEOUT = 5.0

_REFUSALS: dict[int, type[StorageError]] = {
    sqlite3.SQLITE_IOERR_FSYNC: SyncFailed,
    sqlite3.SQLITE_IOERR_DIR_FSYNC: SyncFailed,
    sqlite3.SQLITE_FULL: NoSpace,
    sqlite3.SQLITE_READONLY: ReadOnly,
    sqlite3.SQLITE_BUSY: Unavailable,
    sqlite3.SQLITE_LOCKED: Unavailable,
    sqlite3.SQLITE_IOERR: Unavailable,
    sqlite3.SQLITE_CORRUPT: Corrupt,
    sqlite3.SQLITE_NOTADB: Corrupt,
}


def refusal(error: sqlite3.Error) -> StorageError:
    """What an error of SQLite is to the registry."""
    code = getattr(error, "sqlite_errorcode", 0)  # its low byte is the coarse code
    kind = _REFUSALS.get(code) or _REFUSALS.get(code & 0xFF, Internal)
    return kind(f"SQLite: {error}")


def key_of(path: str) -> str:
    """How a path is stored; ``/`` is empty."""
    return path.rstrip("/").replace("/", SEPARATOR)


class Database:
    """An open file.

    Raises:
        sqlite3.Error: it can't be used.
    """

    def __init__(self, file: str) -> None:
        self.directory = os.path.dirname(file)
        self.lock = threading.Lock()
        self._connection = sqlite3.connect(
            file, timeout=_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        try:
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA temp_store = MEMORY")  # no files elsewhere
            # Debian's SQLite overwrites what is deleted, which writes a blob a second time.
            self._connection.execute("PRAGMA secure_delete = OFF")
            self._connection.executescript(_SCHEMA)
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def looking(self) -> Iterator[sqlite3.Connection]:
        """The connection, for queries."""
        with self.lock, _refusing():
            yield self._connection

    @contextmanager
    def changing(self, *, is_durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction. One that is not durable outlives this process, but maybe not a power cut;
        a durable one makes all that came before it durable too, even if it changes nothing itself.
        """
        with self.lock, _refusing():
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
            with self._connection:  # commits, or rolls back
                self._connection.execute("BEGIN IMMEDIATE")
                if is_durable:  # only a transaction that writes is synced
                    self._connection.execute("UPDATE barrier SET passed = passed + 1")
                yield self._connection

    def close(self) -> None:
        with self.lock:
            self._connection.close()


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise refusal(error) from error
