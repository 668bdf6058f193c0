# SPDX-License-Identifier: Apache-2.0
"""One connection to a driver, kept through whatever the driver does."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from txregistry.ipc import commands
from txregistry.process.keeper import (
    DIAL_LIMIT,
    RETRY,
    RETRY_LIMIT,
    SHORT_LIFE,
    LinkKeeper,
)
from txregistry.process.status import State
from txregistry.process.supervision import Supervision
from txregistry.storage.blocking import run_inline
from txregistry.storage.errors import BadOptions, StorageError, Unavailable, Unsupported
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

from ..census import turns, until
from ..ipc.loopback import End, responder_of

PATIENCE = 20.0
LIMITS = Supervision(patience=PATIENCE)
DEATHS = LIMITS.breaker_deaths

#: Pings: one is sent, so many pass unanswered, then it is asked to end, then killed.
QUIET = LIMITS.ping_interval * (1 + LIMITS.ping_misses)
ASKED = QUIET + LIMITS.terminate_after
KILLED = ASKED + LIMITS.kill_after


class Stalling(HostedDriver):
    """Answers no question for ``count`` times, after the first ``skip``.

    Attributes:
        held: what they wait for.
    """

    def __init__(self, count, skip=0):
        super().__init__(MemoryStore(), run=run_inline)
        self.held = []
        self._left = [False] * skip + [True] * count

    async def stat(self, path):
        if self._left and self._left.pop(0):
            self.held.append(Deferred())
            await self.held[-1]
        return await super().stat(path)


class House(Clock):
    """A keeper, the time that passes for it, and a socket on which a driver listens or not.

    Attributes:
        driver: answers; a StorageError refuses; None: nobody listens.
        successor: likewise, on another socket.
        is_deaf: connections are made and nothing is ever read of them.
        dials: when the keeper tried to connect.
        ends: of the connections that were made, the keeper's.
        signals: what the keeper wanted the driver's process to get.
    """

    def __init__(self):
        super().__init__()
        self.driver = HostedDriver(MemoryStore(), run=run_inline)
        self.is_deaf = False
        self.dials = []
        self.successor = None
        self.ends = []
        self.signals = []
        self.keeper = self.new_keeper(LIMITS)

    def new_keeper(self, limits, **more):
        return LinkKeeper(
            self,
            self,
            "/the/socket",
            limits,
            ask_to_end=lambda: self.signals.append("TERM"),
            kill=lambda: self.signals.append("KILL"),
            jitter=lambda least, most: most,
            **more,
        )

    def connectUNIX(self, path, factory, timeout=30, checkPID=0):
        driver = {"/the/socket": self.driver, "/the/next": self.successor}[path]
        self.dials.append(self.seconds())
        factory.doStart()
        if driver is None:
            factory.clientConnectionFailed(None, Failure(error.ConnectError()))
            return
        near, far = End(), End()
        near.join(far)
        near.protocol, far.protocol = factory.buildProtocol(None), responder_of(driver)
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

    async def leave_unanswered(self, link, count):
        """So many operations go past their deadlines."""
        asked = [
            Deferred.fromCoroutine(link.call(commands.Stat, timeout=2.0, path="/"))
            for _ in range(count)
        ]
        await turns()
        await self.pass_time(4)
        for one in asked:
            await refusal_of(one)

    async def release(self):
        """What hangs is answered after all."""
        for driver in (self.driver, self.successor):
            for one in driver.held:
                if not one.called:
                    one.callback(None)
        await turns()

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
        house.is_deaf = True
        house.keeper.start()
        for _ in range(DEATHS):
            house.keeper.driver_died(has_greeted=False)
        house.is_deaf = False
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
        house.is_deaf = True
        house.keeper.start()
        for _ in range(DEATHS):
            house.keeper.driver_died(has_greeted=False)
        house.is_deaf = False

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
        house.is_deaf = True
        house.keeper.start()
        for _ in range(DEATHS):
            house.keeper.driver_died(has_greeted=False)
        house.is_deaf = False
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
        await house.pass_time(RETRY_LIMIT + 1)
        await until(lambda: house.keeper.state is State.READY)
        assert len(asked) == 2

    @pytest_twisted.ensureDeferred
    async def test_driver_lost_during_the_probe_is_probed_again(self, house):
        """The next connection is tried out in its turn."""
        house.is_deaf = True
        house.keeper.start()
        for _ in range(DEATHS):
            house.keeper.driver_died(has_greeted=False)
        house.is_deaf = False
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
        await house.pass_time(RETRY_LIMIT + 1)
        await until(lambda: house.keeper.state is State.READY)
        assert await house.up() is link
        for one in held:
            one.callback(None)
        await turns()


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
        await house.pass_time(RETRY_LIMIT + 1)
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
        await house.pass_time(RETRY_LIMIT)
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
