# SPDX-License-Identifier: Apache-2.0
"""A registry and its driver on a virtual host, under a weather that is drawn from a seed.

The product's own pieces from supervision up: ``OpenDriver`` starts and watches what it takes for a
process, ``Registry`` serves, ``Repeated`` purges. The driver answers with the product's responder
over a memory store, which outlives it as a disk does. What is simulated is the rest of the world::

    Host       spawns, connects; draws how long things take and when they break
    Process    one run of the driver: comes up or does not, dies, hangs, loses connections
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.ipc.loopback import MortalResponder
from txregistry.ipc.serving import Serving
from txregistry.process.opening import OpenDriver
from txregistry.process.spec import DriverSpec
from txregistry.process.supervision import Supervision
from txregistry.registry import open_registry, purge_uploads
from txregistry.storage.errors import Unavailable
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore
from txregistry.upkeep import Repeated

from .virtual import Loop, Wire, World

MIB = 1024 * 1024

#: Seconds after which an upload that nobody touches is purged, and between two purges.
AGE = 3600.0
PURGE_INTERVAL = 1200.0

#: When the virtual host was started, in seconds since the epoch.
BOOT = 1_700_000_000.0


@dataclass(frozen=True)
class Weather:
    """How bad it gets. All times in seconds.

    Attributes:
        may_refuse: a client may be told to come again. Else no fault may be noticed.
        dies_after: a driver's life once it is up, at least and at most.
        dies_at_call: share of the store's calls that are the driver's last.
        fails_to_start: share of the starts that end before the driver listens.
        starts_in: how long a start takes.
        drops_after: how long a connection lasts.
        hangs: share of the lives that end with the driver standing still.
        is_slow: share of the store's calls that take up to ``slow``.
        budget: bytes of all replay windows.
    """

    name: str
    may_refuse: bool
    dies_after: tuple = (10, 600)
    dies_at_call: float = 0.0
    fails_to_start: float = 0.0
    starts_in: tuple = (0.05, 3)
    drops_after: tuple = (60, 6000)
    hangs: float = 0.0
    is_slow: float = 0.01
    slow: float = 2.0
    budget: int = 256 * MIB


WEATHERS = (
    Weather("deaths", may_refuse=False),
    Weather("many deaths", may_refuse=False, dies_after=(2, 60), dies_at_call=0.002),
    Weather("hangs", may_refuse=True, hangs=0.5, is_slow=0.02, slow=40.0),
    Weather(
        "storms",
        may_refuse=True,
        dies_after=(0, 20),
        dies_at_call=0.02,
        fails_to_start=0.5,
        starts_in=(0.05, 20),
        drops_after=(1, 60),
        hangs=0.1,
        slow=40.0,
        budget=MIB,
    ),
)


class Process:
    """One run of the driver, which ``ChildDriver`` takes for a process.

    Args:
        protocol: is told of its end.

    Attributes:
        is_accepting: it takes connections.
        is_over: it has ended.
    """

    def __init__(self, host, protocol, pid):
        self.pid = pid
        self.is_accepting = self.is_over = self._is_mired = False
        self._host = host
        self._protocol = protocol
        self._loop = Loop(host)
        self._driver = HostedDriver(host.store, run=self._run, now=host.seconds)
        self._serving = Serving(self._driver, "simulated", "0", self._loop, self._loop)
        self._connections = []
        self._stuck = []
        weather = host.weather
        fails = host.draws(weather.fails_to_start)
        host.later(host.between(weather.starts_in), self.die if fails else self._come_up)

    def _come_up(self):
        if self.is_over:
            return
        self.is_accepting = True
        self._host.loops.append(self._loop)
        self._host.note("up")
        self._host.accept()
        hangs = self._host.draws(self._host.weather.hangs)
        self._host.later(
            self._host.between(self._host.weather.dies_after), self._hang if hangs else self._strike
        )

    def accept(self, near, far):
        """Take a connection from the backlog."""
        responder = far.protocol = MortalResponder(self._serving)
        responder.makeConnection(far)
        self._connections.append((near, responder))
        near.unstick()
        self._host.later(self._host.between(self._host.weather.drops_after), self._drop, near)

    def _drop(self, near):
        if not near.is_lost and not self._host.is_calm:
            self._host.note("connection lost")
            near.lose(error.ConnectionLost())

    def _hang(self):
        """Nothing is read, written or done any more, or only nothing is done; whoever watches has
        to see to it.
        """
        if self.is_over or self._host.is_calm:
            return
        self._is_mired = True
        self._host.note("hangs")
        if self._host.choice.random() < 0.5:
            self._loop.is_stuck, self.is_accepting = True, False
            for near, _ in self._connections:
                near.is_stuck = near.other.is_stuck = True

    def _strike(self):
        if not self._host.is_calm:
            self.die()

    async def _run(self, work):
        """Do one of the store's calls, which takes its time and may be the last."""
        host = self._host
        await deferLater(host, host.call_time())
        self._check()
        if self._is_mired:
            waiting = Deferred()
            self._stuck.append(waiting)
            await waiting
        is_last = host.draws(host.weather.dies_at_call)
        if is_last and host.draws(0.5):
            self.die()
        self._check()
        result = work()
        if is_last:
            self.die()
        self._check()
        return result

    def _check(self):
        if self.is_over:
            raise Unavailable("this process has ended")

    def die(self, reason=None):
        """End, at once and whatever it is at."""
        if self.is_over:
            return
        self.is_over, self.is_accepting = True, False
        self._host.note("dies")
        self._host.deaths += 1
        if self._loop in self._host.loops:
            self._host.loops.remove(self._loop)
        for near, responder in self._connections:
            for lane in responder.lanes:
                lane.close()
            near.lose(error.ConnectionLost())
        for waiting in self._stuck:
            waiting.callback(None)
        reason = Failure(reason or error.ProcessTerminated(signal=9))
        self._host.later(self._host.between((0, 0.2)), self._tell, reason)

    def _tell(self, reason):
        self._protocol.processExited(reason)
        self._protocol.processEnded(reason)

    # IProcessTransport

    def signalProcess(self, name):
        if self.is_over:
            raise error.ProcessExitedAlready
        if name == "KILL":
            self.die()
        elif not self._loop.is_stuck:
            self._host.later(self._host.between((0, 2)), self.die, error.ProcessDone(status=None))

    def loseConnection(self):
        pass


class Host(World):
    """A host on which a driver is run, and everything that is drawn.

    Attributes:
        store: what the drivers store in.
        events: what happened, and when: the same for the same seed.
        is_calm: nothing breaks any more.
    """

    def __init__(self, choice, weather):
        super().__init__(choice)
        self.rightNow = BOOT
        self.weather = weather
        self.store = MemoryStore(now=lambda: int(self.rightNow * 1e9))
        self.events = []
        self.deaths = self.refusals = 0
        self.is_calm = False
        self._process = None
        self._pids = 1000
        self._backlog = []
        self._own = []

    def store_paths(self):
        """The path of every file that is stored."""
        found, waiting = [], [""]
        while waiting:
            path = waiting.pop()
            for child in self.store.list(path, "", 10_000).children:
                below = f"{path}/{child.name}"
                (waiting if child.is_directory else found).append(below)
        return found

    def note(self, event):
        self.events.append(f"{self.rightNow - BOOT:.6f} {event}")

    def later(self, seconds, work, *arguments):
        """What the world does by itself, which nobody else has to see to."""
        self._own.append(self.callLater(seconds, work, *arguments))

    def left_behind(self):
        """Timers of the product that are still running."""
        return [call for call in self.getDelayedCalls() if call not in self._own]

    # What is drawn.

    def draws(self, share):
        return not self.is_calm and self.choice.random() < share

    def between(self, span):
        least, most = span
        if self.is_calm:
            return least
        return self.choice.uniform(least, most)

    def call_time(self):
        if self.draws(self.weather.is_slow):
            return self.choice.uniform(0, self.weather.slow)
        return self.choice.uniform(0, 0.01)

    def latency(self):
        return self.choice.uniform(0, 0.001)

    # What the product asks of a reactor.

    def spawnProcess(self, protocol, *arguments, **more):
        self._pids += 1
        self._process = Process(self, protocol, self._pids)
        protocol.makeConnection(self._process)
        return self._process

    def connectUNIX(self, path, factory, timeout=30, checkPID=0):
        """The front end holds the listening socket, so every connection is made; one that no
        driver takes yet waits, with what is written to it.
        """
        near, far = Wire(self, self.latency), Wire(self, self.latency)
        near.join(far)
        near.is_stuck = True
        far.protocol = Protocol()
        factory.doStart()
        near.protocol = factory.buildProtocol(None)
        near.protocol.makeConnection(near)
        self._backlog.append((near, far))
        self.accept()

    def accept(self):
        if self._process is not None and self._process.is_accepting:
            waiting, self._backlog = self._backlog, []
            for near, far in waiting:
                if not near.is_lost:
                    self._process.accept(near, far)

    def calm_down(self):
        """The weather is over; a driver that stands still is left to those who watch it."""
        self.is_calm = True


class House:
    """A registry on a host.

    Attributes:
        registry: to be asked.
        problems: what happened and must not.
    """

    def __init__(self, host):
        self.host = host
        self.problems = []
        self.opened = OpenDriver(
            DriverSpec("simulated", command=("true",)),
            host,
            supervision=Supervision(replay_budget=host.weather.budget),
            jitter=host.choice.uniform,
        )
        self.registry = open_registry(
            self.opened.driver,
            secret=b"a secret of 32 bytes, or nearly so",
            now=host.seconds,
            parse=None,
            new_id=lambda: str(uuid.UUID(int=host.choice.getrandbits(128), version=4)),
        )
        self._purging = Repeated(
            "the purge of old uploads",
            self._purge,
            host,
            interval=PURGE_INTERVAL,
            first_after=PURGE_INTERVAL,
        )

    async def _purge(self):
        try:
            report = await self.purge(AGE)
        except Unavailable:
            if not self.host.weather.may_refuse:
                self.problems.append("a purge was refused")
        else:
            self.host.note(f"purged {report.removed} of {report.examined}")

    def purge(self, age):
        """Remove uploads of more than so many seconds now."""
        return purge_uploads(self.opened.driver, self.host.seconds(), age)

    async def stop(self):
        self._purging.stop()
        await self.registry.settled()
        await self.opened.stop()
