# SPDX-License-Identifier: Apache-2.0
"""A successor takes the place of the driver behind one connection."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet import error
from twisted.internet.defer import Deferred

from txregistry.ipc import commands
from txregistry.process.status import State
from txregistry.process.tenure import SHORT_LIFE
from txregistry.process.trial import PROBE_PAUSE
from txregistry.storage.blocking import run_inline
from txregistry.storage.errors import BadOptions, StorageError, Unavailable
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

from ..census import turns, until
from .keeping import KILLED, LIMITS, Stalling, refusal_of


class ChangeTests:
    """A fresh process takes the driver's place."""

    @pytest_twisted.ensureDeferred
    async def test_new_work_goes_to_the_successor(self, house):
        """What is under way is finished where it began; the old one's end is nobody's loss."""
        held = Deferred()

        class Slow(HostedDriver):
            async def stat(self, path):
                await held
                return await super().stat(path)

        house.driver = Slow(MemoryStore(), run=run_inline)
        house.successor = HostedDriver(MemoryStore(), run=run_inline)
        house.keeper.start()
        before = await house.up()
        asked = Deferred.fromCoroutine(before.call(commands.Stat, path="/"))
        assert await house.keeper.change_over("/the/next") is before
        assert await house.up() is not before
        assert house.keeper.state is State.READY
        assert (house.keeper.greetings, before.is_retired, before.is_idle) == (2, True, False)
        held.callback(None)
        assert await asked
        assert before.is_idle
        before.abort()
        await house.pass_time(3)
        assert (len(house.dials), house.keeper.greetings) == (2, 2)

    @pytest_twisted.ensureDeferred
    async def test_old_one_is_watched_no_more(self, house):
        """That it hangs at its end is no fault of the successor's, whose process would be ended."""
        house.successor = HostedDriver(MemoryStore(), run=run_inline)
        house.keeper.start()
        await house.up()
        house.ends[-1].is_stuck = True
        house.advance(LIMITS.ping_interval)
        before = await house.keeper.change_over("/the/next")
        await house.pass_time(KILLED)
        house.ends[0].unstick()
        await turns()
        assert house.signals == []
        before.abort()

    @pytest.mark.parametrize("successor", [None, BadOptions("no"), Unavailable("not yet")])
    @pytest_twisted.ensureDeferred
    async def test_one_that_does_not_come_up_changes_nothing(self, house, successor):
        """The driver in use goes on, and nothing counts against it."""
        house.keeper.start()
        before = await house.up()
        house.successor = successor and HostedDriver(MemoryStore(), run=run_inline)
        if successor is not None:
            house.successor.hello = successor
        with pytest.raises((error.ConnectError, StorageError)):
            await house.keeper.change_over("/the/next")
        assert await house.up() is before
        assert not before.is_retired
        assert house.keeper.breaker.pause() == 0

    @pytest_twisted.ensureDeferred
    async def test_one_that_does_not_reach_its_storage_changes_nothing(self, house):
        """It says hello and is waited for, as any driver is; the one in use is better than that."""
        house.keeper.start()
        before = await house.up()
        house.successor = Unavailable("the backend is away")
        changing = house.keeper.change_over("/the/next")
        assert "can't reach the storage" in str(await refusal_of(changing))
        assert await house.up() is before
        assert not before.is_retired
        await turns()
        assert [end.is_lost for end in house.ends] == [False, True]

    @pytest_twisted.ensureDeferred
    async def test_probe_of_the_old_one_ends_with_it(self, house):
        """The successor is judged like any other driver."""
        house.driver, house.successor = Stalling(11), Stalling(12, skip=1)
        house.keeper.start()
        before = await house.up()
        await house.leave_unanswered(before, 11)
        assert house.keeper.state is State.BROKEN
        assert await house.keeper.change_over("/the/next") is before
        await until(lambda: house.keeper.state is State.READY)
        before.abort()
        await house.pass_time(PROBE_PAUSE + 1)
        await house.leave_unanswered(await house.up(), 12)
        assert house.keeper.state is State.BROKEN
        await house.release()

    @pytest_twisted.ensureDeferred
    async def test_answer_of_the_old_one_to_a_probe_says_nothing_of_the_successor(self, house):
        """Requests are refused until that has answered for itself."""
        house.driver, house.successor = Stalling(12), Stalling(1)
        house.keeper.start()
        before = await house.up()
        await house.leave_unanswered(before, 11)
        await house.pass_time(PROBE_PAUSE)
        await until(lambda: len(house.driver.held) == 12)
        await house.keeper.change_over("/the/next")
        await until(lambda: house.successor.held)
        house.driver.held[-1].callback(None)
        await turns()
        assert house.keeper.state is State.BROKEN
        house.successor.held[-1].callback(None)
        await until(lambda: house.keeper.state is State.READY)
        before.abort()
        await house.release()

    @pytest_twisted.ensureDeferred
    async def test_driver_that_dies_meanwhile_is_started_again(self, house):
        """The successor of a driver that is not there any more is of no use."""
        house.successor = HostedDriver(MemoryStore(), run=run_inline)
        house.keeper.start()
        await house.up()
        changing = Deferred.fromCoroutine(house.keeper.change_over("/the/next"))
        house.ends[0].lose(error.ConnectionLost())
        assert "before it was replaced" in str(await refusal_of(changing))
        await turns()
        assert house.ends[1].is_lost
        house.advance(SHORT_LIFE)
        await house.greeted(2)

    @pytest_twisted.ensureDeferred
    async def test_stop_meanwhile_ends_both(self, house):
        """Nothing is left open."""
        house.successor = HostedDriver(MemoryStore(), run=run_inline)
        house.keeper.start()
        await house.up()
        changing = Deferred.fromCoroutine(house.keeper.change_over("/the/next"))
        house.keeper.stop()
        await refusal_of(changing)
        await turns()
        assert [end.is_lost for end in house.ends] == [True, True]
