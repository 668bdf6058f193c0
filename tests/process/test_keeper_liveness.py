# SPDX-License-Identifier: Apache-2.0
"""Whether a driver lives and gets on: it is asked, and ended step by step when it does not."""

from __future__ import annotations

import pytest_twisted
from twisted.internet.defer import Deferred

from txregistry.ipc import commands
from txregistry.process.status import State
from txregistry.storage.blocking import run_inline
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

from ..census import turns, until
from .keeping import ASKED, KILLED, LIMITS, QUIET, refusal_of


class LivenessTests:
    @pytest_twisted.ensureDeferred
    async def test_driver_is_pinged_each_second(self, house):
        """What it says of itself is there for whoever watches."""
        house.keeper.start()
        await house.up()
        assert house.keeper.last_ping == {}
        house.advance(LIMITS.ping_interval)
        await until(lambda: house.keeper.last_ping)
        first = house.keeper.last_ping
        assert first["operations"] == 0
        house.advance(LIMITS.ping_interval)
        await until(lambda: house.keeper.last_ping is not first)
        assert house.signals == []

    @pytest_twisted.ensureDeferred
    async def test_driver_that_answers_no_ping_is_ended_step_by_step(self, house):
        """It gets no new work, is asked to end, is killed; requests wait for the next one."""
        house.keeper.start()
        await house.up()
        house.ends[-1].is_stuck = True
        await house.pass_time(QUIET - 1)
        assert house.keeper.state is State.READY
        await house.pass_time(1)
        assert house.keeper.state is State.UNRESPONSIVE
        assert house.keeper.reason == "the driver does not answer"
        asked = Deferred.fromCoroutine(house.keeper.link())
        await house.pass_time(ASKED - QUIET)
        assert house.signals == ["TERM"]
        await house.pass_time(KILLED - ASKED)
        assert house.signals == ["TERM", "KILL"]
        assert house.ends[0].is_lost
        await house.pass_time(1)
        assert await asked
        assert house.keeper.greetings == 2

    @pytest_twisted.ensureDeferred
    async def test_driver_that_answers_again_goes_on(self, house):
        """One that was held up for some seconds is not ended; who waited is served."""
        house.keeper.start()
        link = await house.up()
        house.ends[-1].is_stuck = True
        await house.pass_time(QUIET)
        asked = Deferred.fromCoroutine(house.keeper.link())
        await turns()
        assert not asked.called
        house.ends[-1].unstick()
        assert await asked is link
        await house.pass_time(KILLED)
        assert house.signals == []

    @pytest_twisted.ensureDeferred
    async def test_pause_of_this_process_is_no_fault_of_the_driver(self, house):
        """After a suspend of the whole host nothing is killed."""
        house.keeper.start()
        link = await house.up()
        house.advance(LIMITS.ping_interval)
        house.advance(3600)
        await turns()
        assert house.signals == []
        assert await house.up() is link

    @pytest_twisted.ensureDeferred
    async def test_driver_that_answers_pings_with_nonsense_is_killed(self, house):
        """What it says of itself can't be believed, so nothing else is."""

        class Mad(HostedDriver):
            state = property(lambda self: 1 / 0)

        house.driver = Mad(MemoryStore(), run=run_inline)
        house.keeper.start()
        await house.up()
        house.advance(LIMITS.ping_interval)
        await until(lambda: house.signals == ["KILL"])
        await turns()
        assert house.ends[0].is_lost

    @pytest_twisted.ensureDeferred
    async def test_driver_that_answers_no_hello_loses_its_connection(self, house):
        """One that hangs before its first word is killed too."""
        house.is_deaf = True
        house.keeper.start()
        await house.pass_time(LIMITS.start_timeout - 1)
        assert house.signals == []
        house.is_deaf = False
        await house.pass_time(2)
        assert house.signals == ["KILL"]
        await house.pass_time(1)
        await house.greeted(1)

    @pytest_twisted.ensureDeferred
    async def test_ping_that_ends_with_the_connection_is_no_complaint(self, house):
        """A driver that died is not reported as one that hangs."""
        house.keeper.start()
        await house.up()
        house.ends[-1].is_stuck = True
        house.advance(LIMITS.ping_interval)
        house.lose()
        await house.pass_time(KILLED)
        assert house.signals == []


class Hanging(HostedDriver):
    """One whose looks don't end until a test ends them."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.held = []

    async def stat(self, path):
        self.held.append(Deferred())
        await self.held[-1]
        return await super().stat(path)


class StuckTests:
    """A driver that answers pings and nothing else."""

    @pytest_twisted.ensureDeferred
    async def test_operation_without_end_while_nothing_moves_ends_the_driver(self, house):
        """A disk that hangs under all its threads is noticed; the next run serves who waits."""
        house.driver = Hanging(MemoryStore(), run=run_inline)
        held = house.driver.held
        house.keeper.start()
        link = await house.up()
        asked = Deferred.fromCoroutine(link.call(commands.Stat, timeout=5.0, path="/"))
        await house.pass_time(5 + LIMITS.stuck_after - 2)
        await refusal_of(asked)
        assert house.keeper.state is State.READY
        while not house.signals:
            await house.pass_time(1)
        assert house.keeper.state is State.UNRESPONSIVE
        assert house.signals == ["TERM"]
        await house.pass_time(LIMITS.kill_after)
        assert house.signals == ["TERM", "KILL"]
        await house.pass_time(1)
        await house.greeted(2)
        for one in held:
            one.callback(None)
        await turns()

    @pytest_twisted.ensureDeferred
    async def test_hang_that_outlives_connections_ends_the_driver(self, house):
        """A connection that is lost now and then gives a driver that does nothing no new time."""
        house.driver = Hanging(MemoryStore(), run=run_inline)
        held = house.driver.held
        house.keeper.start()
        refusals = []
        for _ in range(10):
            await until(lambda: house.keeper.state is State.READY)
            link = await house.up()
            asked = Deferred.fromCoroutine(link.call(commands.Stat, timeout=5.0, path="/"))
            refusals.append(asked.addErrback(lambda failure: None))
            await house.pass_time(LIMITS.stuck_after / 3)
            if house.signals:
                break
            house.lose()
            await house.pass_time(1)
        assert house.signals[:1] == ["TERM"]
        assert len(house.ends) in (4, 5)
        for one in held:
            one.callback(None)
        await turns()

    @pytest_twisted.ensureDeferred
    async def test_hang_of_one_run_is_not_held_against_the_next(self, house):
        """Whose death ended it, the driver starts anew."""
        held = Deferred()

        class Hanging(HostedDriver):
            async def stat(self, path):
                await held
                return await super().stat(path)

        house.driver = Hanging(MemoryStore(), run=run_inline)
        house.keeper.start()
        link = await house.up()
        asked = Deferred.fromCoroutine(link.call(commands.Stat, timeout=5.0, path="/"))
        await house.pass_time(LIMITS.stuck_after - 5)
        await refusal_of(asked)
        house.driver = HostedDriver(MemoryStore(), run=run_inline)
        house.keeper.driver_died(has_greeted=True)
        house.lose()
        await house.pass_time(2 * LIMITS.stuck_after)
        assert house.signals == []
        held.callback(None)
        await turns()

    @pytest_twisted.ensureDeferred
    async def test_operation_without_end_beside_others_that_work_is_let_be(self, house):
        """One that hangs is no reason to end those that don't."""
        held = Deferred()

        class Hanging(HostedDriver):
            async def stat(self, path):
                if path == "/hang":
                    await held
                return await super().stat("/")

        house.driver = Hanging(MemoryStore(), run=run_inline)
        house.keeper.start()
        link = await house.up()
        asked = Deferred.fromCoroutine(link.call(commands.Stat, timeout=5.0, path="/hang"))
        for _ in range(10):
            await house.pass_time(LIMITS.stuck_after / 2)
            await link.call(commands.Stat, path="/")
        await refusal_of(asked)
        assert house.signals == []
        assert await house.up() is link
        held.callback(None)
        await turns()
