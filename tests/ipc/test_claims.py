# SPDX-License-Identifier: Apache-2.0
"""A request whose client has gone never takes an upload back from the one that came after it."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from txregistry.ipc.claims import Claims
from txregistry.storage.errors import Fenced
from txregistry.storage.memory import MemoryStore

from .loopback import Loopback, hosting, over


class Writer:
    def __init__(self):
        self.superseded = 0

    def supersede(self):
        self.superseded += 1


async def take(claims, path, writer):
    async with claims.turn(path):
        claims.take(path, writer)


class ClaimsTests:
    @pytest_twisted.ensureDeferred
    async def test_newest_writer_has_the_path(self):
        claims, one, other = Claims(), Writer(), Writer()
        await take(claims, "/a", one)
        assert one.superseded == 0
        await take(claims, "/a", other)
        assert (one.superseded, other.superseded) == (1, 0)

    @pytest_twisted.ensureDeferred
    async def test_taking_again_supersedes_nobody(self):
        claims, one = Claims(), Writer()
        for _ in range(2):
            await take(claims, "/a", one)
        assert one.superseded == 0

    @pytest_twisted.ensureDeferred
    async def test_nothing_is_kept_of_those_who_ended(self):
        claims, one, other = Claims(), Writer(), Writer()
        await take(claims, "/a", one)
        await take(claims, "/a", other)
        claims.release("/a", one)
        assert claims._paths.keys() == {"/a"}
        for _ in range(2):
            claims.release("/a", other)
        assert claims._paths == {}

    @pytest_twisted.ensureDeferred
    async def test_openings_of_one_path_take_turns(self):
        claims, gate, events = Claims(), Deferred(), []

        async def open_slowly():
            async with claims.turn("/a"):
                events.append("first")
                await gate
                events.append("first is done")

        async def open_quickly(path):
            async with claims.turn(path):
                events.append(path)

        tasks = [Deferred.fromCoroutine(open_slowly())]
        tasks += [Deferred.fromCoroutine(open_quickly(path)) for path in ("/a", "/b")]
        assert events == ["first", "/b"]
        gate.callback(None)
        assert events == ["first", "/b", "first is done", "/a"]
        assert claims._paths == {}
        for task in tasks:
            await task

    @pytest_twisted.ensureDeferred
    async def test_failed_opening_leaves_nothing(self):
        claims = Claims()
        with pytest.raises(Fenced):
            async with claims.turn("/a"):
                raise Fenced
        assert claims._paths == {}


class WriterTests:
    @pytest_twisted.ensureDeferred
    async def test_stale_writer_does_not_come_back_after_a_death_of_the_driver(self):
        """Its bytes are refused; those of the request that came later are what is stored."""
        store = MemoryStore()
        loopback = Loopback(hosting(store))
        driver = over(loopback)
        stale = await driver.open_writer("/upload", 0)
        await stale.write(b"stale")
        loopback.kill()
        offset = (await driver.stat("/upload")).size if store.list("/", "", 10).children else 0
        newer = await driver.open_writer("/upload", offset)
        with pytest.raises(Fenced):
            await stale.write(b"more of it")
        await newer.write(b" and new")
        closing = await newer.close()
        assert closing.size == offset + len(b" and new")
        assert (await driver.get("/upload")).data[offset:] == b" and new"
        await loopback.end()
        assert driver.budget.used == 0

    @pytest_twisted.ensureDeferred
    async def test_stale_writer_that_is_coming_back_gives_way(self):
        """Both ask for the path of a driver that has just come up; the later request keeps it."""
        loopback = Loopback(hosting(MemoryStore()))
        driver = over(loopback)
        stale = await driver.open_writer("/upload", 0)
        loopback.kill()
        coming_back = Deferred.fromCoroutine(stale.write(b"stale"))
        refused = []
        coming_back.addErrback(lambda failure: refused.append(failure.value))
        newer = await driver.open_writer("/upload", 0)
        await newer.write(b"new")
        closing = await newer.close()
        await coming_back
        assert closing.size == 3
        assert [type(error) for error in refused] == [Fenced]
        assert (await driver.get("/upload")).data == b"new"
        await loopback.end()
