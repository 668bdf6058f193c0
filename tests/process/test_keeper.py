# SPDX-License-Identifier: Apache-2.0
"""One connection to a driver, kept through whatever the driver does."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred

from txregistry.process.dialing import DIAL_LIMIT, RETRY
from txregistry.process.keeper import RETRY_LIMIT
from txregistry.process.status import State
from txregistry.process.tenure import SHORT_LIFE, Tenure
from txregistry.storage.blocking import run_inline
from txregistry.storage.errors import BadOptions, Unavailable, Unsupported
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

from ..census import turns, until
from .keeping import DEATHS, LIMITS, PATIENCE, refusal_of, taken


class AskingTests:
    @pytest_twisted.ensureDeferred
    async def test_whoever_asks_before_the_hello_waits_for_it(self, house):
        """Requests that come while the driver starts are served when it has."""
        asked = [Deferred.fromCoroutine(house.keeper.link()) for _ in range(3)]
        house.keeper.start()
        links = [await one for one in asked]
        assert len(set(links)) == 1
        assert await house.keeper.link() is links[0]
        assert (await house.keeper.greeted())["name"] == "loopback"

    @pytest_twisted.ensureDeferred
    async def test_nobody_waits_longer_than_patience(self, house):
        """A request is refused in time, honestly, when the driver does not come."""
        house.is_deaf = True
        house.keeper.start()
        asked = Deferred.fromCoroutine(house.keeper.link())
        house.advance(PATIENCE - 1)
        assert not asked.called
        house.advance(1)
        assert type(await refusal_of(asked)) is Unavailable

    @pytest_twisted.ensureDeferred
    async def test_whoever_leaves_is_forgotten(self, house):
        """A client that went away while its request waited costs nothing and holds up nobody."""
        gone = Deferred.fromCoroutine(house.keeper.link())
        asked = Deferred.fromCoroutine(house.keeper.link())
        gone.cancel()
        with pytest.raises(CancelledError):
            await gone
        house.keeper.start()
        assert await asked

    @pytest_twisted.ensureDeferred
    async def test_lost_link_is_followed_by_the_next(self, house):
        """After the loss the next request gets a new connection, made at once."""
        house.keeper.start()
        first = await house.up()
        house.advance(SHORT_LIFE)
        house.lose()
        asked = Deferred.fromCoroutine(house.keeper.link())
        assert house.dials == [0, SHORT_LIFE]
        second = await asked
        assert second is not first
        assert house.keeper.greetings == 2

    @pytest_twisted.ensureDeferred
    async def test_driver_that_greets_and_hangs_up_is_given_a_pause(self, house):
        """It does not keep the front end busy."""
        house.keeper.start()
        for count in range(1, 4):
            await house.greeted(count)
            house.lose()
            assert len(house.dials) == count
            house.advance(RETRY)
            assert len(house.dials) == count + 1
        await house.greeted(4)


class AbsenceTests:
    """A driver that somebody else runs is not there."""

    @pytest_twisted.ensureDeferred
    async def test_pauses_grow_while_nobody_listens(self, house):
        """It is looked for, less and less often, and found within a second of its start."""
        house.driver = None
        house.keeper.start()
        pauses = []
        for _ in range(20):
            pauses.append(house.keeper.retry_in)
            house.advance(pauses[-1])
        assert len(house.dials) == 21
        assert pauses == sorted(pauses)
        assert pauses[-1] == DIAL_LIMIT
        house.driver = HostedDriver(MemoryStore(), run=run_inline)
        house.advance(DIAL_LIMIT)
        await house.greeted(1)

    @pytest_twisted.ensureDeferred
    async def test_restart_within_patience_is_waited_for(self, house):
        """However often nobody answers meanwhile, the request is served in the end."""
        house.driver = None
        asked = Deferred.fromCoroutine(house.keeper.link())
        house.keeper.start()
        await house.pass_time(PATIENCE - DIAL_LIMIT - 1)
        assert not asked.called
        house.driver = HostedDriver(MemoryStore(), run=run_inline)
        await house.pass_time(DIAL_LIMIT)
        assert await asked

    @pytest_twisted.ensureDeferred
    async def test_longer_absence_makes_nobody_wait(self, house):
        """Requests are refused at once then, instead of piling up, until it is back."""
        house.driver = None
        house.keeper.start()
        await house.pass_time(PATIENCE + DIAL_LIMIT)
        assert house.keeper.state is State.BROKEN
        assert "does not come up" in str(await refusal_of(house.keeper.link()))
        house.driver = HostedDriver(MemoryStore(), run=run_inline)
        house.advance(DIAL_LIMIT)
        await house.greeted(1)
        await until(lambda: house.keeper.state is State.READY)
        assert await house.up()

    @pytest_twisted.ensureDeferred
    async def test_one_that_somebody_else_starts_again_and_again_is_found_at_once(self, house):
        """How long its starts failed does not delay the first one that works."""
        house.keeper = house.new_keeper(LIMITS, rest_limit=DIAL_LIMIT)
        house.is_deaf = True
        house.keeper.start()
        for count in range(1, 2 * DEATHS):
            await until(lambda count=count: len(house.dials) == count)
            house.lose()
            await turns()
            assert house.keeper.retry_in <= DIAL_LIMIT
            house.advance(DIAL_LIMIT)
        assert house.keeper.state is State.BROKEN
        assert house.keeper.breaker.pause() > DIAL_LIMIT
        house.is_deaf = False
        house.lose()
        await turns()
        house.advance(DIAL_LIMIT)
        await until(lambda: house.keeper.state is State.READY)


class RefusalTests:
    @pytest_twisted.ensureDeferred
    async def test_refused_options_are_told_to_whoever_starts(self, house):
        """The operator gets the driver's own sentence."""
        house.driver = BadOptions("rootdirectory is missing")
        greeted = Deferred.fromCoroutine(house.keeper.greeted())
        house.keeper.start()
        assert (await refusal_of(greeted)).message == "rootdirectory is missing"
        assert (await refusal_of(house.keeper.greeted())).message == "rootdirectory is missing"

    @pytest_twisted.ensureDeferred
    async def test_refusal_is_not_told_to_those_who_left(self, house):
        """A start that was given up holds up no other that waits for the same driver."""
        house.driver = BadOptions("rootdirectory is missing")
        gone = Deferred.fromCoroutine(house.keeper.greeted())
        greeted = Deferred.fromCoroutine(house.keeper.greeted())
        gone.cancel()
        with pytest.raises(CancelledError):
            await gone
        house.keeper.start()
        assert (await refusal_of(greeted)).message == "rootdirectory is missing"

    @pytest_twisted.ensureDeferred
    async def test_refused_options_make_requests_wait_for_better_ones(self, house):
        """A request is told that the driver is not available, not that its own words were wrong; a
        driver that was set right is found again.
        """
        house.driver = BadOptions("rootdirectory is missing")
        asked = Deferred.fromCoroutine(house.keeper.link())
        house.keeper.start()
        for refused in (asked, house.keeper.link()):
            refusal = await refusal_of(refused)
            assert type(refusal) is Unavailable
            assert "rootdirectory is missing" in str(refusal)
        house.driver = HostedDriver(MemoryStore(), run=run_inline)
        house.advance(RETRY_LIMIT)
        await house.greeted(1)
        assert await house.up()

    @pytest_twisted.ensureDeferred
    async def test_hello_that_is_refused_for_now_is_repeated(self, house):
        """A driver that says that trying again may help is not given up."""

        class Later(HostedDriver):
            pass

        house.driver = Later(MemoryStore(), run=run_inline)
        house.driver.hello = Unavailable("the backend is away")
        greeted = Deferred.fromCoroutine(house.keeper.greeted())
        house.keeper.start()
        await turns()
        assert not greeted.called
        house.driver = HostedDriver(MemoryStore(), run=run_inline)
        house.advance(RETRY_LIMIT)
        assert await greeted

    @pytest_twisted.ensureDeferred
    async def test_driver_of_another_version_is_refused(self, house):
        """Both numbers are in the sentence."""
        house.driver.protocol = 7
        greeted = Deferred.fromCoroutine(house.keeper.greeted())
        house.keeper.start()
        refusal = await refusal_of(greeted)
        assert isinstance(refusal, Unsupported)
        assert "protocol 7" in refusal.message


class FaultTests:
    """A fault of the registry's own must not leave the driver unreachable."""

    @pytest_twisted.ensureDeferred
    async def test_fault_before_the_connection_is_logged_and_it_is_made_later(
        self, house, failures
    ):
        """Whatever it was, the next attempt is due all the same."""
        faults = [ZeroDivisionError("a fault")]

        def check():
            if faults:
                raise faults.pop()

        house.keeper = house.new_keeper(LIMITS, check_path=check)
        house.keeper.start()
        await turns()
        assert taken(failures) == [ZeroDivisionError]
        assert house.keeper.retry_in == RETRY_LIMIT
        house.advance(RETRY_LIMIT)
        await house.greeted(1)
        assert await house.up()

    @pytest_twisted.ensureDeferred
    async def test_fault_after_the_hello_leaves_no_connection_behind(
        self, house, failures, monkeypatch
    ):
        """Nobody would use it, and nobody would end it."""

        def fail(tenure):
            raise ZeroDivisionError("a fault")

        with monkeypatch.context() as faulty:
            faulty.setattr(Tenure, "start", fail)
            house.keeper.start()
            await turns()
        assert taken(failures) == [ZeroDivisionError]
        assert house.ends[0].is_lost
        house.advance(RETRY_LIMIT)
        await house.greeted(2)
        assert await house.up()
        assert len(house.dials) == 2


class StopTests:
    @pytest_twisted.ensureDeferred
    async def test_stop_ends_the_link_and_refuses_who_asks(self, house):
        """Nothing is connected again."""
        house.keeper.start()
        await house.up()
        house.keeper.stop()
        await turns()
        assert house.ends[0].is_lost
        assert type(await refusal_of(house.keeper.link())) is Unavailable
        house.advance(60)
        assert len(house.dials) == 1

    @pytest_twisted.ensureDeferred
    async def test_stop_during_the_hello_ends_it(self, house):
        """Whoever waits is refused and the connection is closed."""
        house.is_deaf = True
        house.keeper.start()
        asked = Deferred.fromCoroutine(house.keeper.link())
        house.keeper.stop()
        assert "was stopped" in str(await refusal_of(asked))
        await turns()
        assert house.ends[0].is_lost
        house.advance(60)
        assert len(house.dials) == 1

    @pytest_twisted.ensureDeferred
    async def test_stop_during_a_pause_ends_it(self, house):
        """Nothing is tried afterwards."""
        house.driver = None
        house.keeper.start()
        house.keeper.stop()
        house.advance(60)
        assert len(house.dials) == 1

    @pytest_twisted.ensureDeferred
    async def test_connection_that_comes_after_the_stop_is_ended(self, house):
        """A connect that was under way leaves nothing behind."""
        later = []
        connect = house.connectUNIX
        house.connectUNIX = lambda *arguments, **more: later.append((arguments, more))
        house.keeper.start()
        house.keeper.stop()
        ((arguments, more),) = later
        connect(*arguments, **more)
        await turns()
        assert house.ends[0].is_lost
