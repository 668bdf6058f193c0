# SPDX-License-Identifier: Apache-2.0
"""A keeper of a connection, and what it meets: drivers, sockets and the time, all of them here."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from txregistry.ipc import commands
from txregistry.process.keeper import LinkKeeper
from txregistry.process.supervision import Supervision
from txregistry.storage.blocking import run_inline
from txregistry.storage.errors import StorageError
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

    def break_open(self):
        """It dies before its hello until the breaker opens; whoever is dialed next is heard."""
        self.is_deaf = True
        self.keeper.start()
        for _ in range(DEATHS):
            self.keeper.driver_died(has_greeted=False)
        self.is_deaf = False

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


def taken(failures):
    """The kinds of failures that a test expects in the log, which are not unexpected there then."""
    kinds = [failure.type for failure in failures]
    failures.clear()
    return kinds


async def refusal_of(awaitable):
    with pytest.raises(StorageError) as caught:
        await awaitable
    return caught.value
