# SPDX-License-Identifier: Apache-2.0
"""One connection to a driver, kept through whatever the driver does."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from txregistry.ipc.link import HELLO_DEADLINE
from txregistry.process.keeper import (
    FRUITLESS_LIMIT,
    PING_INTERVAL,
    PING_TIMEOUT,
    RETRY,
    RETRY_LIMIT,
    SHORT_LIFE,
    LinkKeeper,
)
from txregistry.storage.blocking import run_inline
from txregistry.storage.errors import BadOptions, StorageError, Unavailable, Unsupported
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

from ..census import turns, until
from ..ipc.loopback import End, responder_of

PATIENCE = 20.0


class House(Clock):
    """A keeper, the time that passes for it, and a socket on which a driver listens or not.

    Attributes:
        driver: answers; a StorageError refuses; None: nobody listens.
        is_deaf: connections are made and nothing is ever read of them.
        dials: when the keeper tried to connect.
        ends: of the connections that were made, the keeper's.
        stuck: how often the keeper complained.
    """

    def __init__(self):
        super().__init__()
        self.driver = HostedDriver(MemoryStore(), run=run_inline)
        self.is_deaf = False
        self.dials = []
        self.ends = []
        self.stuck = 0
        self.keeper = LinkKeeper(
            self, self, "/the/socket", when_stuck=self._stick, patience=PATIENCE
        )

    def _stick(self):
        self.stuck += 1

    def connectUNIX(self, path, factory, timeout=30, checkPID=0):
        assert path == "/the/socket"
        self.dials.append(self.seconds())
        factory.doStart()
        if self.driver is None:
            factory.clientConnectionFailed(None, Failure(error.ConnectError()))
            return
        near, far = End(), End()
        near.join(far)
        near.protocol, far.protocol = factory.buildProtocol(None), responder_of(self.driver)
        near.is_stuck = self.is_deaf
        self.ends.append(near)
        far.protocol.makeConnection(far)
        near.protocol.makeConnection(near)

    async def up(self):
        """The keeper has a link."""
        return await self.keeper.link()

    async def greeted(self, count):
        await until(lambda: self.keeper.greetings == count)

    def lose(self):
        self.ends[-1].lose(error.ConnectionLost())

    async def pass_time(self, seconds):
        """Second by second, with a turn for what is under way."""
        while seconds > 0:
            self.advance(min(1, seconds))
            seconds -= 1
            await turns()


@pytest_twisted.async_yield_fixture
async def house():
    house = House()
    yield house
    house.keeper.stop()
    await turns()
    assert house.getDelayedCalls() == []


async def refusal_of(awaitable):
    with pytest.raises(StorageError) as caught:
        await awaitable
    return caught.value


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


class BreakerTests:
    @pytest_twisted.ensureDeferred
    async def test_pauses_grow_while_nobody_listens(self, house):
        """A driver that is not there yet is looked for, less and less often, and found."""
        house.driver = None
        house.keeper.start()
        for _ in range(200):
            house.advance(0.1)
        pauses = [
            later - earlier for earlier, later in zip(house.dials, house.dials[1:], strict=False)
        ]
        assert pauses == sorted(pauses)
        assert pauses[-1] <= RETRY_LIMIT + 0.11
        house.driver = HostedDriver(MemoryStore(), run=run_inline)
        house.advance(RETRY_LIMIT)
        await house.greeted(1)

    @pytest_twisted.ensureDeferred
    async def test_after_some_failures_nobody_waits(self, house):
        """While the driver does not come up, requests are refused at once instead of piling up."""
        house.driver = None
        asked = Deferred.fromCoroutine(house.keeper.link())
        house.keeper.start()
        while len(house.dials) <= FRUITLESS_LIMIT:
            assert not asked.called
            house.advance(0.1)
        assert "does not come up" in str(await refusal_of(asked))
        assert "does not come up" in str(await refusal_of(house.keeper.link()))
        house.driver = HostedDriver(MemoryStore(), run=run_inline)
        house.advance(RETRY_LIMIT)
        await house.greeted(1)
        assert await house.up()

    @pytest_twisted.ensureDeferred
    async def test_death_and_the_loss_that_comes_with_it_count_once(self, house):
        """The breaker counts lives of the driver, whichever of the two is noticed first."""
        house.is_deaf = True
        house.keeper.start()
        for count in range(FRUITLESS_LIMIT):
            await until(lambda count=count: len(house.dials) == count + 1)
            house.keeper.driver_died()
            house.lose()
            house.advance(RETRY_LIMIT)
        asked = Deferred.fromCoroutine(house.keeper.link())
        await turns()
        assert not asked.called
        house.lose()
        assert "does not come up" in str(await refusal_of(asked))

    @pytest_twisted.ensureDeferred
    async def test_deaths_behind_one_waiting_connection_count(self, house):
        """A driver that dies before it accepts is noticed though its socket lives on."""
        house.is_deaf = True
        house.keeper.start()
        asked = Deferred.fromCoroutine(house.keeper.link())
        for _ in range(FRUITLESS_LIMIT + 1):
            assert not asked.called
            house.keeper.driver_died()
        assert "does not come up" in str(await refusal_of(asked))

    @pytest_twisted.ensureDeferred
    async def test_death_after_a_hello_does_not_count(self, house):
        """kill -9 of a driver at work never opens the breaker."""
        house.keeper.start()
        for count in range(1, 3 * FRUITLESS_LIMIT):
            await house.greeted(count)
            house.keeper.driver_died()
            house.lose()
            house.advance(SHORT_LIFE)
        await house.greeted(3 * FRUITLESS_LIMIT)
        assert await house.up()


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


class LivenessTests:
    @pytest_twisted.ensureDeferred
    async def test_driver_is_pinged_each_second(self, house):
        """What it says of itself is there for whoever watches."""
        house.keeper.start()
        await house.up()
        assert house.keeper.last_ping == {}
        house.advance(PING_INTERVAL)
        await until(lambda: house.keeper.last_ping)
        assert house.keeper.last_ping["operations"] == 0
        house.keeper.last_ping = {}
        house.advance(PING_INTERVAL)
        await until(lambda: house.keeper.last_ping)
        assert house.stuck == 0

    @pytest_twisted.ensureDeferred
    async def test_driver_that_answers_no_ping_loses_its_connection(self, house):
        """A driver that hangs is reported, to be killed, and requests get the next connection."""
        house.keeper.start()
        await house.up()
        house.ends[-1].is_stuck = True
        await house.pass_time(PING_INTERVAL + PING_TIMEOUT + 1)
        assert house.stuck == 1
        await house.greeted(2)
        assert house.ends[0].is_lost

    @pytest_twisted.ensureDeferred
    async def test_driver_that_answers_no_hello_loses_its_connection(self, house):
        """One that hangs before its first word is killed too."""
        house.is_deaf = True
        house.keeper.start()
        await house.pass_time(HELLO_DEADLINE - 1)
        assert house.stuck == 0
        house.is_deaf = False
        await house.pass_time(2)
        assert house.stuck == 1
        await house.pass_time(1)
        await house.greeted(1)

    @pytest_twisted.ensureDeferred
    async def test_ping_that_ends_with_the_connection_is_no_complaint(self, house):
        """A driver that died is not reported as one that hangs."""
        house.keeper.start()
        await house.up()
        house.ends[-1].is_stuck = True
        house.advance(PING_INTERVAL)
        house.lose()
        await house.pass_time(PING_TIMEOUT + 1)
        assert house.stuck == 0


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
