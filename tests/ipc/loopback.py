# SPDX-License-Identifier: Apache-2.0
"""A connection in memory that really serialises: every box becomes bytes and every descriptor is
duplicated.

It behaves as Twisted's UNIX transport does where that matters: a descriptor is a bare number until
it is sent, so one that was closed meanwhile ends the connection; the descriptors of boxes that are
sent together all arrive before the first box; an abort shows one turn of the reactor later. Lanes
are real socketpairs.

    drop()  the connection ends, both processes live on
    replace()  a successor gets all new work; the driver lives on for what it is at
    kill()  what ``kill -9`` of a driver looks like from the front end: nothing more is stored
"""

from __future__ import annotations

import contextlib
import os

from twisted.internet import error, reactor
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import ITransport
from twisted.protocols import amp
from twisted.python.failure import Failure
from zope.interface import implementer

from txregistry.ipc import commands
from txregistry.ipc.link import Link, LinkLost
from txregistry.ipc.remote import RemoteDriver
from txregistry.ipc.responder import Responder
from txregistry.ipc.serving import Serving
from txregistry.storage.errors import Unavailable
from txregistry.storage.hosted import HostedDriver


@implementer(ITransport)
class End:
    """One end; what is written arrives at the other one in a later turn of the reactor, in pieces
    of ``piece`` bytes.

    Args:
        clock: whose turns these are.

    Attributes:
        is_stuck: nothing leaves this end any more, as when the other one does not read.
    """

    def __init__(self, piece=4096, clock=reactor):
        self.protocol = None
        self.other = None
        self.piece = piece
        self.is_lost = False
        self.is_stuck = False
        self._is_ending = False
        self._data = b""
        self._descriptors = []
        self._later = None
        self._clock = clock

    def join(self, other):
        self.other, other.other = other, self

    def write(self, data):
        if not self.is_lost:
            self._data += data
            self._flush_later()

    def writeSequence(self, pieces):
        self.write(b"".join(pieces))

    def sendFileDescriptor(self, descriptor):
        self._descriptors.append(descriptor)

    def _flush_later(self):
        if self._later is None and not self.is_stuck:
            self._later = self._clock.callLater(self.delay(), self._flush)

    def delay(self):
        """Seconds until what is written now arrives."""
        return 0

    def _flush(self):
        self._later = None
        descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            try:
                received = os.dup(descriptor)
            except OSError:  # sendmsg fails in the same way
                self.lose(error.ConnectionLost())
                return
            self.other.protocol.fileDescriptorReceived(received)
        while self._data and not self.is_lost and not self.other.is_lost:
            piece, self._data = self._data[: self.piece], self._data[self.piece :]
            self.other.protocol.dataReceived(piece)
        if self._is_ending:
            self.lose(error.ConnectionDone())

    def unstick(self):
        """The other end reads again."""
        self.is_stuck = False
        self._flush_later()

    def loseConnection(self):
        self._is_ending = True
        self._flush_later()

    def abortConnection(self):
        if not self._is_ending:
            self._is_ending = True
            self._data, self._descriptors = b"", []
            self._clock.callLater(0, self.lose, error.ConnectionAborted())

    def lose(self, reason):
        for end in (self, self.other):
            if not end.is_lost:
                end.is_lost = True
                if end._later is not None:
                    end._later.cancel()
                    end._later = None
                end.protocol.connectionLost(Failure(reason))

    def getPeer(self):
        return "loopback"

    getHost = getPeer


class MortalResponder(Responder):
    """Knows its lanes, so that they can be closed as the end of a process closes them."""

    def __init__(self, serving):
        super().__init__(serving)
        self.lanes = []

    def _answer_by_lane(self, lane, work):
        def noted(driver, inlet):
            self.lanes.append(inlet)
            return work(driver, inlet)

        return super()._answer_by_lane(lane, noted)


class _Greeter(Responder):
    """Says hello as its driver's attributes ``hello`` and ``protocol`` want it."""

    @commands.Hello.responder
    def hello(self, protocol_min, protocol_max):
        driver = self._serving.driver
        refusal = getattr(driver, "hello", None)
        if refusal is not None:
            raise commands.encode_refusal(refusal)
        answer = Responder.hello(self, protocol_min, protocol_max)
        return answer.addCallback(
            lambda found: {**found, "protocol": getattr(driver, "protocol", 1)}
        )


def responder_of(driver):
    """The driver's end of one connection."""
    return _Greeter(Serving(driver, "loopback", "0", reactor, reactor))


class Life:
    """Runs a driver's blocking calls until it is killed."""

    def __init__(self, run):
        self._run = run
        self.is_over = False

    async def run(self, work):
        self.check()
        result = await self._run(work)
        self.check()
        return result

    def check(self):
        if self.is_over:
            raise Unavailable("the driver was killed")


async def inline(work):
    return work()


class Loopback:
    """Links to a driver in this process, as many connections after each other as are wanted.

    Args:
        make_driver: called with a ``run`` for each run of the driver, gives a Driver (or a refusal).
        piece: bytes that arrive at once.

    Attributes:
        runs: how often the driver was started.
        is_down: nobody is there; asking for a link is refused.
        connections: how many there were.
    """

    def __init__(self, make_driver, *, piece=4096, run=inline, clock=reactor):
        self._make_driver = make_driver
        self._piece = piece
        self._run = run
        self._clock = clock
        self._life = None
        self._greeting = DeferredLock()
        self.current = None
        self.serving = None
        self.responder = None
        self.near = self.far = None
        self.runs = 0
        self.connections = 0
        self.is_down = False
        self._replaced = []

    async def link(self):
        await self._greeting.acquire()
        try:
            while self.current is None:
                if self.is_down:
                    raise Unavailable("the driver is down")
                link = self._connect()
                with contextlib.suppress(LinkLost):
                    await link.greet()
                    self.current = link
            return self.current
        finally:
            self._greeting.release()

    def _connect(self):
        if self._life is None:
            self._life = Life(self._run)
            self.runs += 1
            driver = self._make_driver(self._life.run)
            self.serving = Serving(driver, "loopback", "0", reactor, reactor)
        self.connections += 1
        self.near, self.far = End(self._piece), End(self._piece)
        self.near.join(self.far)
        link = Link(self._clock, self._lost)
        self.responder = self.make_responder()
        self.near.protocol, self.far.protocol = link, self.responder
        self.responder.makeConnection(self.far)
        link.makeConnection(self.near)
        return link

    def make_responder(self):
        return MortalResponder(self.serving)

    def _lost(self, link):
        if self.current is link:
            self.current = None

    def drop(self):
        """The connection ends; the driver lives on."""
        if self.near is not None:
            self.near.lose(error.ConnectionLost())

    def kill(self):
        """The driver dies at this instant."""
        life, self._life = self._life, None
        if life is not None:
            _end(life, self.responder, self.near)

    def replace(self):
        """Another driver over the same store takes this one's place; returns the connection to this
        one.
        """
        link = self.current
        if link is not None:
            self._replaced.append((self._life, self.responder, self.near, self.serving))
            self.current = self._life = self.near = None
            link.retire()
        return link

    def kill_replaced(self):
        """The one whose place was taken dies."""
        _end(*self._replaced[-1][:3])

    async def end(self):
        """End the connection, and let the driver store what arrived."""
        self.drop()
        if self.serving is not None:
            await self.serving.settled()
        for _, _, near, serving in self._replaced:
            near.lose(error.ConnectionLost())
            await serving.settled()


def _end(life, responder, near):
    """What the end of a process does."""
    life.is_over = True
    for lane in responder.lanes:
        lane.close()
    responder.lanes.clear()
    near.lose(error.ConnectionLost())


def hosting(store):
    """Makes drivers over one store, which outlives them as a disk does."""
    return lambda run: HostedDriver(store, run=run)


def over(loopback, **arguments):
    """A RemoteDriver over a loopback."""
    return RemoteDriver(reactor, reactor, loopback, inline, **arguments)


class RawDriver(amp.AMP):
    """A driver that says whatever its script makes it say.

    Args:
        script: called with this and each request; may be a coroutine function.
    """

    def __init__(self, script):
        super().__init__()
        self._script = script
        self.received = []

    def ampBoxReceived(self, box):
        self.received.append(box)
        if box[b"_command"] == b"Hello":
            self.answer(
                box, protocol=b"1", name=b"raw", version=b"0", features=b"\0\x0bget-several"
            )
        else:
            self._script(self, box)

    def answer(self, request, **values):
        """Answer a request with values as they are on the wire."""
        self.say(_answer=request[b"_ask"], **values)

    def refuse(self, request, code, description=b"{}"):
        self.say(_error=request[b"_ask"], _error_code=code, _error_description=description)

    def say(self, **values):
        box = amp.AmpBox()
        box.update({key.encode(): value for key, value in values.items()})
        self.transport.write(box.serialize())

    def take(self, request):
        """The descriptor that came with a request; the caller closes it."""
        return self._descriptors.pop(int(request[b"lane"]))

    def connectionLost(self, reason):
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])
        super().connectionLost(reason)


class RawLoopback(Loopback):
    """Links to a raw driver."""

    def __init__(self, script, **arguments):
        super().__init__(lambda run: None, **arguments)
        self._script = script

    def make_responder(self):
        return RawDriver(self._script)
