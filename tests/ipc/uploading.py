# SPDX-License-Identifier: Apache-2.0
"""Storage that outlives its driver, and uploads to it whose driver may die."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from txregistry.ipc.budget import ReplayBudget
from txregistry.ipc.responder import WRITER_WINDOW
from txregistry.storage.errors import NoSpace, StorageError, Unavailable
from txregistry.storage.memory import MemoryStore

from .loopback import Loopback, hosting, over

MIB = 1024 * 1024

#: More than may wait for a confirmation.
FULL = 2 * WRITER_WINDOW + MIB


class Store(MemoryStore):
    """Storage that outlives its driver.

    Attributes:
        full_at: bytes after which appending is refused with ``reason``.
        held: while set, bytes are taken and not stored, as the part of an object store.
        appends: called with the size before each append.
    """

    def __init__(self):
        super().__init__()
        self.full_at = None
        self.reason = NoSpace("the disk is full")
        self.is_holding = False
        self.when_appending = lambda size: None

    def append(self, path, offset):
        return _Appender(self, super().append(path, offset), offset)


class _Appender:
    def __init__(self, store, appender, offset):
        self._store = store
        self._appender = appender
        self._stored = offset
        self._held = []

    def append(self, data):
        self._store.when_appending(self._stored)
        if self._store.full_at is not None and self._stored + len(data) > self._store.full_at:
            raise self._store.reason
        if self._store.is_holding:
            self._held.append(bytes(data))
            return self._stored
        self._flush()
        self._stored = self._appender.append(data)
        return self._stored

    def _flush(self):
        for data in self._held:
            self._stored = self._appender.append(memoryview(data))
        self._held.clear()

    def sync(self):
        self._flush()
        return self._appender.sync()

    def close(self):
        self._flush()
        return self._appender.close()


class House:
    """A driver over a store, and the store."""

    def __init__(self, budget=None, clock=None):
        self.store = Store()
        self.budget = budget or ReplayBudget()
        more = {} if clock is None else {"clock": clock}
        self.loopback = Loopback(hosting(self.store), **more)
        self.driver = over(self.loopback, budget=self.budget)

    async def open(self, path="/u/data", offset=0, **more):
        return await self.driver.open_writer(path, offset, **more)

    def stored(self, path="/u/data"):
        return self.store.get(path).data

    def die(self, *_):
        """The driver is killed in the middle of a call."""
        self.loopback.kill()
        raise Unavailable("killed")

    async def end(self):
        await self.loopback.end()
        assert self.budget.used == 0


@pytest_twisted.async_yield_fixture
async def house():
    house = House()
    yield house
    await house.end()


async def refusal_of(awaitable):
    with pytest.raises(StorageError) as caught:
        await awaitable
    return caught.value


def start(coroutine):
    return Deferred.fromCoroutine(coroutine)
