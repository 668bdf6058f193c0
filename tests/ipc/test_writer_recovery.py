# SPDX-License-Identifier: Apache-2.0
"""An upload that comes back to a driver that was started again, and what may go wrong just then."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from txregistry.ipc import writer as writer_module
from txregistry.ipc.responder import WRITER_WINDOW
from txregistry.storage.errors import Closed, StorageError, Unavailable, WrongOffset
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

from ..census import turns, until
from .loopback import Loopback, over


class Gated(HostedDriver):
    """Opens a writer when the house lets it."""

    def __init__(self, house, run):
        super().__init__(house.store, run=run)
        self._house = house

    async def open_writer(self, path, offset, **more):
        self._house.openings.append(offset)
        await self._house.at_opening(offset)
        return await super().open_writer(path, offset, **more)


class House:
    """A driver that is watched and may be held up while it opens writers.

    Attributes:
        openings: the offset of each.
        at_opening: awaited in each.
    """

    def __init__(self):
        self.store = MemoryStore()
        self.loopback = Loopback(lambda run: Gated(self, run))
        self.driver = over(self.loopback)
        self.openings = []
        self.at_opening = self.nothing

    async def nothing(self, offset):
        pass

    async def begun(self):
        """An upload whose driver has died after its first bytes."""
        writer = await self.driver.open_writer("/a", 0)
        await writer.write(b"first ")
        await until(lambda: writer.stored == 6)
        self.loopback.kill()
        return writer


@pytest_twisted.async_yield_fixture
async def house():
    house = House()
    yield house
    await house.loopback.end()
    assert house.driver.budget.used == 0


async def refusal_of(call):
    with pytest.raises(StorageError) as caught:
        await call
    return caught.value


@pytest_twisted.ensureDeferred
async def test_connection_that_is_lost_again_meanwhile_is_not_seen(house):
    """However often: as long as there are not too many deaths, the upload goes on."""
    writer = await house.begun()

    async def drop(offset):
        if len(house.openings) < 4:
            house.loopback.drop()

    house.at_opening = drop
    await writer.write(b"second")
    assert (await writer.close()).size == 12
    assert house.store.get("/a").data == b"first second"
    assert len(house.openings) == 4


@pytest_twisted.ensureDeferred
async def test_driver_that_does_not_know_what_it_holds_is_not_asked_for_ever(house, monkeypatch):
    """It names one size after the other: the client is told to come back."""
    monkeypatch.setattr(writer_module, "OPENINGS", 5)
    writer = await house.begun()
    names = [7, 8] * 5

    async def name(offset):
        raise WrongOffset("it is shorter", actual=names.pop())

    house.at_opening = name
    refusal = await refusal_of(writer.write(b"second"))
    assert (type(refusal), "one stored size after the other" in refusal.message) == (
        Unavailable,
        True,
    )
    assert len(house.openings) == 1 + 5


@pytest_twisted.ensureDeferred
async def test_upload_that_is_given_up_while_it_comes_back_leaves_no_writer(house):
    """The path is free for the client that comes next, and what is stored is what was."""
    writer = await house.begun()
    gate = Deferred()

    async def wait(offset):
        await gate

    house.at_opening = wait
    writing = Deferred.fromCoroutine(writer.write(b"second"))
    await until(lambda: len(house.openings) == 2)
    await writer.abandon()
    house.at_opening = house.nothing
    gate.callback(None)
    assert type(await refusal_of(writing)) is Closed
    await until(lambda: not house.loopback.responder._inflows, "the end of the writer for nobody")
    newer = await house.driver.open_writer("/a", 6)
    await newer.write(b"other")
    await newer.close()
    await turns()
    assert house.store.get("/a").data == b"first other"


@pytest_twisted.ensureDeferred
async def test_backend_that_is_away_for_a_moment_is_not_seen(house):
    """The driver lives and says why it ended the lane: what it has not stored is sent again."""
    append, refusals = house.store.append, [Unavailable("the backend is away")]

    def failing(path, offset):
        appender = append(path, offset)
        store = appender.append

        def once(data):
            if refusals:
                raise refusals.pop()
            return store(data)

        appender.append = once
        return appender

    house.store.append = failing
    writer = await house.driver.open_writer("/a", 0)
    assert writer.appetite >= WRITER_WINDOW  # else the driver would wait for bytes held back here
    await writer.write(b"content")
    await until(lambda: writer._outlet is None, "the end of the lane")
    assert (await writer.close()).size == 7
    assert house.store.get("/a").data == b"content"
    assert house.loopback.connections == 1
