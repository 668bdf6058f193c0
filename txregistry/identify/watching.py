# SPDX-License-Identifier: Apache-2.0
"""Files that are read again when they change: passwords, certificates, keys.

Room: identify. Must not know what is in them. A file that can't be used at the start stops it; one
that can't be used later leaves what was read before in force, and is complained of once for each
change.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.logger import Logger

from txregistry.storage.blocking import Run

T = TypeVar("T")

log = Logger()


class FileError(Exception):
    """A file can't be used; the text is one sentence that names it and the way out."""


class WatchedFile(Generic[T]):
    """The content of a file, as it was when it was last good.

    Args:
        parse: content and path -> value and warnings; raises FileError.
        run: runs what blocks.
        is_secret: says of a value whether others than the file's owner and group should not read
            it.
    """

    def __init__(
        self,
        path: str,
        parse: Callable[[bytes, str], tuple[T, tuple[str, ...]]],
        run: Run,
        *,
        limit: int,
        is_secret: Callable[[T], bool] = lambda value: False,
    ) -> None:
        self._path = path
        self._parse = parse
        self._run = run
        self._limit = limit
        self._is_secret = is_secret
        self._seen: tuple[int, ...] = ()
        self._value: T | None = None
        #: Called after each change.
        self.changed: list[Callable[[], None]] = []

    def __call__(self) -> T:
        """Return the present value."""
        assert self._value is not None, "it was not loaded"
        return self._value

    def load(self) -> tuple[str, ...]:
        """Read it for the first time, and return what is warned of; blocks.

        Raises:
            FileError: it can't be used.
        """
        self._seen, self._value, warnings = self._read_and_parse()
        self._warn(warnings)
        return warnings

    async def refresh(self) -> None:
        """Read it again if it has changed."""
        try:
            state = await self._run(self._look)
            if state == self._seen:
                return
            self._seen = state
            self._seen, self._value, warnings = await self._run(self._read_and_parse)
        except FileError as error:
            log.error("{error}; what was read before stays in force", error=str(error))
            return
        self._warn(warnings)
        log.info("{path} was read again", path=self._path)
        for tell in self.changed:
            tell()

    def _warn(self, warnings: tuple[str, ...]) -> None:
        for warning in warnings:
            log.warn("{warning}", warning=warning)

    def _read_and_parse(self) -> tuple[tuple[int, ...], T, tuple[str, ...]]:
        seen, data = self._read()
        value, warnings = self._parse(data, self._path)
        if self._is_secret(value) and seen[-1] & stat.S_IROTH:
            warnings += (f"everybody on this host may read {self._path}; chmod o-r it",)
        return seen, value, warnings

    def _look(self) -> tuple[int, ...]:
        try:
            return _state(os.stat(self._path))
        except OSError:
            return ()

    def _read(self) -> tuple[tuple[int, ...], bytes]:
        try:
            with open(self._path, "rb", opener=_open_at_once) as file:
                found = os.fstat(file.fileno())
                data = file.read(self._limit + 1) if stat.S_ISREG(found.st_mode) else b""
        except OSError as error:
            raise FileError(
                f"{self._path} can't be read ({error.strerror}); name a file that this user may"
                " read"
            ) from None
        if not stat.S_ISREG(found.st_mode):
            raise FileError(f"{self._path} is no plain file; name one")
        if len(data) > self._limit:
            raise FileError(f"{self._path} is larger than {self._limit} bytes; name another file")
        if found.st_mode & stat.S_IWOTH:
            raise FileError(f"everybody on this host may write to {self._path}; chmod o-w it")
        return _state(found), data


def _open_at_once(path: str, flags: int) -> int:
    # The open of a FIFO would wait for who writes to it, and nobody would look at the file again.
    return os.open(path, flags | os.O_NONBLOCK)


def _state(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode)
