# SPDX-License-Identifier: Apache-2.0
"""Deaths and silence behind one connection: when nobody is made to wait for a driver any more."""

from __future__ import annotations

import pytest_twisted
from twisted.internet.defer import Deferred

from txregistry.ipc import commands
from txregistry.ipc.link import Link
from txregistry.process.status import State
from txregistry.process.tenure import SHORT_LIFE
from txregistry.process.trial import PROBE_PAUSE
from txregistry.storage.blocking import run_inline
from txregistry.storage.errors import Unavailable
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

from ..census import turns, until
from .keeping import DEATHS, LIMITS, refusal_of, taken


class BreakerTests:
    """A driver that gets nowhere."""

    @pytest_twisted.ensureDeferred
    async def test_death_and_the_loss_that_comes_with_it_count_once(self, house):
        """The breaker counts lives of the driver, whichever of the two is noticed first."""
        house.is_deaf = True
        house.keeper.start()
        for count in range(DEATHS - 1):
            await until(lambda count=count: len(house.dials) == count + 1)
            if count % 2:
                house.keeper.driver_died(has_greeted=False)
                house.lose()
            else:
                house.lose()
                await turns()
                house.keeper.driver_died(has_greeted=False)
            await turns()
            house.advance(house.keeper.retry_in)
        asked = Deferred.fromCoroutine(house.keeper.link())
        await until(lambda: len(house.dials) == DEATHS)
        assert not asked.called
        house.lose()
        assert "does not come up" in str(await refusal_of(asked))

    @pytest_twisted.ensureDeferred
    async def test_deaths_behind_one_waiting_connection_count(self, house):
        """A driver that dies before it accepts is noticed though its socket lives on."""
        house.is_deaf = True
        house.keeper.start()
        asked = Deferred.fromCoroutine(house.keeper.link())
        for _ in range(DEATHS):
            assert not asked.called
            house.keeper.driver_died(has_greeted=False)
        assert "does not come up" in str(await refusal_of(asked))

    @pytest_twisted.ensureDeferred
    async def test_death_of_an_idle_driver_does_not_count(self, house):
        """Nothing was asked of it: kill -9 never opens the breaker by itself."""
        house.keeper.start()
        for count in range(1, 3 * DEATHS):
            await house.greeted(count)
            house.keeper.driver_died(has_greeted=True)
            house.lose()
            house.advance(SHORT_LIFE)
        await house.greeted(3 * DEATHS)
        assert await house.up()

    @pytest_twisted.ensureDeferred
    async def test_death_after_an_answer_does_not_count(self, house):
        """A driver that is killed at work comes back at once, however often."""
        house.keeper.start()
        for count in range(1, 3 * DEATHS):
            await house.greeted(count)
            link = await house.up()
            await link.call(commands.Stat, path="/")
            house.ends[-1].is_stuck = True
            asked = Deferred.fromCoroutine(link.call(commands.Stat, path="/"))
            house.lose()
            house.keeper.driver_died(has_greeted=True)
            await refusal_of(asked)
            assert house.keeper.breaker.pause() == 0
            house.advance(SHORT_LIFE)
        await house.greeted(3 * DEATHS)

    @pytest_twisted.ensureDeferred
    async def test_driver_that_greets_and_answers_nothing_is_given_up(self, house):
        """Lives in which all that was asked stayed unanswered count, and so do their pauses."""
        house.keeper.start()
        pauses = []
        for count in range(1, DEATHS + 1):
            await house.greeted(count)
            link = await house.up()
            house.ends[-1].is_stuck = True
            asked = Deferred.fromCoroutine(link.call(commands.Stat, path="/"))
            if count % 2:
                house.keeper.driver_died(has_greeted=True)
            house.lose()
            await refusal_of(asked)
            pauses.append(house.keeper.retry_in)
            if count < DEATHS:
                house.advance(pauses[-1])
        assert pauses == sorted(set(pauses))
        refusal = await refusal_of(house.keeper.link())
        assert type(refusal) is Unavailable
        assert refusal.retry_after >= 1
        assert house.keeper.state is State.BROKEN

    @pytest_twisted.ensureDeferred
    async def test_hello_alone_closes_no_breaker(self, house):
        """A probe is answered before requests are served again."""
        house.break_open()
        hold = Deferred()

        class Slow(HostedDriver):
            async def stat(self, path):
                await hold
                return await super().stat(path)

        house.driver = Slow(MemoryStore(), run=run_inline)
        house.lose()
        await turns()
        house.advance(LIMITS.backoff_limit)
        await house.greeted(1)
        assert house.keeper.state is State.BROKEN
        assert type(await refusal_of(house.keeper.link())) is Unavailable
        hold.callback(None)
        await until(lambda: house.keeper.state is State.READY)
        assert await house.up()
        assert house.keeper.breaker.pause() == 0

    @pytest_twisted.ensureDeferred
    async def test_probe_that_is_refused_is_answered(self, house):
        """A driver whose backend is away says so itself: it is asked again."""
        house.break_open()

        class Away(HostedDriver):
            async def stat(self, path):
                raise Unavailable("the backend is away")

        house.driver = Away(MemoryStore(), run=run_inline)
        house.lose()
        await turns()
        house.advance(LIMITS.backoff_limit)
        await until(lambda: house.keeper.state is State.READY)

    @pytest_twisted.ensureDeferred
    async def test_probe_is_repeated_until_it_is_answered(self, house):
        """A driver that takes connections and hangs is not tried out on clients."""
        house.break_open()
        asked = []

        class Hanging(HostedDriver):
            async def stat(self, path):
                asked.append(path)
                return await Deferred() if len(asked) == 1 else await super().stat(path)

        house.driver = Hanging(MemoryStore(), run=run_inline)
        house.lose()
        await turns()
        house.advance(LIMITS.backoff_limit)
        await house.greeted(1)
        await house.pass_time(LIMITS.deadlines.operation + 1)
        assert (len(asked), house.keeper.state) == (1, State.BROKEN)
        assert house.keeper.retry_in > 0
        await house.pass_time(PROBE_PAUSE + 1)
        await until(lambda: house.keeper.state is State.READY)
        assert len(asked) == 2

    @pytest_twisted.ensureDeferred
    async def test_driver_lost_during_the_probe_is_probed_again(self, house):
        """The next connection is tried out in its turn."""
        house.break_open()
        asked = []
        hold = Deferred()

        class Hanging(HostedDriver):
            async def stat(self, path):
                asked.append(path)
                if len(asked) == 1:
                    await hold
                return await super().stat(path)

        house.driver = Hanging(MemoryStore(), run=run_inline)
        house.lose()
        await turns()
        house.advance(LIMITS.backoff_limit)
        await until(lambda: asked)
        assert house.keeper.state is State.BROKEN
        house.lose()
        await turns()
        house.advance(LIMITS.backoff_limit)
        await until(lambda: house.keeper.state is State.READY)
        assert len(asked) == 2
        hold.callback(None)
        await turns()

    @pytest_twisted.ensureDeferred
    async def test_fault_during_the_probe_is_logged_and_it_is_repeated(
        self, house, failures, monkeypatch
    ):
        """Nobody else would ever close the breaker."""

        ask = Link.call

        async def call(link, command, **arguments):
            if command is commands.Stat:
                raise ZeroDivisionError("a fault")
            return await ask(link, command, **arguments)

        house.keeper.start()
        await house.up()
        house.keeper.breaker.open()
        house.lose()
        with monkeypatch.context() as faulty:
            faulty.setattr(Link, "call", call)
            house.advance(SHORT_LIFE)
            await house.greeted(2)
            await turns()
        assert taken(failures) == [ZeroDivisionError]
        assert house.keeper.state is State.BROKEN
        house.advance(PROBE_PAUSE)
        await until(lambda: house.keeper.state is State.READY)

    @pytest_twisted.ensureDeferred
    async def test_driver_that_misses_deadlines_makes_nobody_wait(self, house):
        """Once most operations go unanswered, requests are refused at once, not after a deadline."""
        held = []

        class Hanging(HostedDriver):
            async def stat(self, path):
                if len(held) < 12:
                    held.append(Deferred())
                    await held[-1]
                return await super().stat(path)

        house.driver = Hanging(MemoryStore(), run=run_inline)
        house.keeper.start()
        link = await house.up()
        asked = [
            Deferred.fromCoroutine(link.call(commands.Stat, timeout=2.0, path="/"))
            for _ in range(12)
        ]
        await until(lambda: len(held) == 12)
        await house.pass_time(4)
        for one in asked:
            await refusal_of(one)
        assert house.keeper.state is State.BROKEN
        await house.pass_time(PROBE_PAUSE + 1)
        await until(lambda: house.keeper.state is State.READY)
        assert await house.up() is link
        for one in held:
            one.callback(None)
        await turns()
