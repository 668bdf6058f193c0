# SPDX-License-Identifier: Apache-2.0
"""A driver that is timed.

Room: metrics. A ``Driver`` around another, for the registry: how long calls took is counted, and
added up for the request that they were made for. Reading and writing themselves go at the client's
pace and are not timed; opening, closing and committing are.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from txregistry.errand import CURRENT
from txregistry.metrics.tallies import Counts, Histogram
from txregistry.storage.contract import (
    Closing,
    Content,
    Driver,
    Entry,
    Listing,
    Reading,
    Walk,
    Writer,
)
from txregistry.storage.errors import StorageError

T = TypeVar("T")

#: Seconds: from what is in the page cache to a commit of gigabytes.
SECONDS = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    60.0,
)


#: Seconds: from a word between processes on.
COMMAND_SECONDS = (0.0001, 0.00025, *SECONDS)


class Actions:
    """What a driver's calls took, and what it refused; and what the cache in Redis took.

    Args:
        driver: its name.
        seconds: a clock that never goes back.
    """

    def __init__(self, driver: str, seconds: Callable[[], float] = time.perf_counter) -> None:
        self.durations = Histogram(SECONDS)
        self.errors = Counts()
        self.commands = Histogram(COMMAND_SECONDS)
        self.redis = Histogram(COMMAND_SECONDS)
        self._driver = driver
        self._seconds = seconds

    async def time(self, action: str, work: Awaitable[T]) -> T:
        """Await ``work`` and count it."""
        began = self._seconds()
        try:
            return await work
        except StorageError as error:
            self.errors.add((self._driver, action, type(error).__name__))
            raise
        finally:
            took = self._seconds() - began
            self.durations.observe((self._driver, action), took)
            errand = CURRENT.get()
            if errand is not None:
                errand.driver_seconds += took

    def answered(self, command: str, seconds: float) -> None:
        """Count a command to the driver's process that was answered."""
        self.commands.observe((self._driver, command), seconds)

    def redis_took(self, operation: str, seconds: float) -> None:
        """Count an operation of Redis."""
        self.redis.observe((operation,), seconds)


class MeasuredDriver:
    """A driver whose calls are timed. Actions have registry:3's names where it has them."""

    def __init__(self, driver: Driver, actions: Actions) -> None:
        self._driver = driver
        self._time = actions.time

    def stat(self, path: str) -> Coroutine[Any, Any, Entry]:
        return self._time("Stat", self._driver.stat(path))

    def get(self, path: str) -> Coroutine[Any, Any, Content]:
        return self._time("GetContent", self._driver.get(path))

    def get_several(
        self, paths: Sequence[str]
    ) -> Coroutine[Any, Any, Sequence[Content | StorageError]]:
        return self._time("GetContent", self._driver.get_several(paths))

    def put(
        self,
        path: str,
        data: bytes,
        *,
        if_absent: bool = False,
        if_version: str | None = None,
        record: tuple[str, bytes] | None = None,
    ) -> Coroutine[Any, Any, str]:
        work = self._driver.put(
            path, data, if_absent=if_absent, if_version=if_version, record=record
        )
        return self._time("PutContent", work)

    def read(
        self, path: str, start: int = 0, stop: int | None = None
    ) -> Coroutine[Any, Any, Reading]:
        return self._time("Reader", self._driver.read(path, start, stop))

    async def open_writer(
        self, path: str, offset: int, *, algorithms: Sequence[str] = (), states: str | None = None
    ) -> Writer:
        work = self._driver.open_writer(path, offset, algorithms=algorithms, states=states)
        return MeasuredWriter(await self._time("Writer", work), self._time)

    def commit(
        self,
        path: str,
        destination: str,
        *,
        size: int,
        digest: str,
        record: tuple[str, bytes] | None = None,
        states: str | None = None,
    ) -> Coroutine[Any, Any, None]:
        work = self._driver.commit(
            path, destination, size=size, digest=digest, record=record, states=states
        )
        return self._time("Commit", work)

    def move(self, source: str, destination: str) -> Coroutine[Any, Any, None]:
        return self._time("Move", self._driver.move(source, destination))

    def delete(self, path: str, *, if_version: str | None = None) -> Coroutine[Any, Any, None]:
        return self._time("Delete", self._driver.delete(path, if_version=if_version))

    def list(
        self, path: str, *, after: str = "", limit: int = 1000
    ) -> Coroutine[Any, Any, Listing]:
        return self._time("List", self._driver.list(path, after=after, limit=limit))

    def walk(
        self, path: str, *, after: str = "", skip_subtree: bool = False, limit: int = 1000
    ) -> Coroutine[Any, Any, Walk]:
        work = self._driver.walk(path, after=after, skip_subtree=skip_subtree, limit=limit)
        return self._time("Walk", work)

    def redirect_url(
        self, path: str, method: str, expires_in: int, *, client: str = ""
    ) -> Coroutine[Any, Any, str | None]:
        work = self._driver.redirect_url(path, method, expires_in, client=client)
        return self._time("RedirectURL", work)

    def sync(self, paths: Sequence[str]) -> Coroutine[Any, Any, None]:
        return self._time("Sync", self._driver.sync(paths))


class MeasuredWriter:
    """A writer whose end is timed; ``write`` is the other's own, since it is called for each
    chunk.
    """

    def __init__(
        self, writer: Writer, time_: Callable[[str, Awaitable[Closing]], Awaitable[Closing]]
    ) -> None:
        self._writer = writer
        self._time = time_
        self.write = writer.write
        self.abandon = writer.abandon

    @property
    def progress(self) -> Callable[[int], None] | None:
        return self._writer.progress

    @progress.setter
    def progress(self, told: Callable[[int], None] | None) -> None:
        self._writer.progress = told

    @property
    def offset(self) -> int:
        return self._writer.offset

    @property
    def stored(self) -> int:
        return self._writer.stored

    @property
    def appetite(self) -> int:
        return self._writer.appetite

    async def close(self) -> Closing:
        return await self._time("CloseWriter", self._writer.close())
