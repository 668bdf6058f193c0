# SPDX-License-Identifier: Apache-2.0
"""A connection in memory that really serialises: every box becomes bytes and every descriptor is
duplicated.

Only the UNIX socket is missing; lanes are real socketpairs. ``sever`` is what ``kill -9`` of a
driver looks like from the front end.
"""

from __future__ import annotations

import os
from collections import deque

from twisted.internet import error, reactor
from twisted.internet.interfaces import ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

from txregistry.ipc.link import Link
from txregistry.ipc.remote import RemoteDriver
from txregistry.ipc.responder import Responder, Serving
from txregistry.storage.errors import Unavailable


@implementer(ITransport)
class End:
    """One end; what is written arrives at the other one in a later turn of the reactor, in pieces
    of ``piece`` bytes.
    """

    def __init__(self, piece=4096):
        self.protocol = None
        self.other = None
        self.queue = deque()
        self.is_lost = False
        self.piece = piece
        self.written = 0

    def write(self, data):
        if self.is_lost:
            return
        self.written += len(data)
        for start in range(0, len(data), self.piece):
            self.queue.append(data[start : start + self.piece])
        reactor.callLater(0, self.flush)

    def writeSequence(self, pieces):
        self.write(b"".join(pieces))

    def sendFileDescriptor(self, descriptor):
        self.queue.append(os.dup(descriptor))

    def flush(self):
        while self.queue and not self.is_lost:
            item = self.queue.popleft()
            if isinstance(item, int):
                self.other.protocol.fileDescriptorReceived(item)
            else:
                self.other.protocol.dataReceived(item)

    def loseConnection(self):
        self.lose(error.ConnectionDone())

    def abortConnection(self):
        self.lose(error.ConnectionAborted())

    def lose(self, reason):
        for end in (self, self.other):
            if not end.is_lost:
                end.is_lost = True
                for item in end.queue:
                    if isinstance(item, int):
                        os.close(item)
                end.queue.clear()
                end.protocol.connectionLost(Failure(reason))

    def getPeer(self):
        return "loopback"

    getHost = getPeer


class LoopbackLinks:
    """Links whose driver is in this process. ``driver_factory`` makes the driver of each run."""

    def __init__(self, driver_factory, clock=reactor):
        self.driver_factory = driver_factory
        self.clock = clock
        self.current = None
        self.runs = 0
        self.is_down = False

    async def link(self):
        if self.is_down:
            raise Unavailable("the driver is down")
        if self.current is None:
            self.current = await self.connect()
        return self.current

    async def connect(self):
        self.runs += 1
        self.serving = Serving(self.driver_factory(), "loopback", "0", reactor, reactor)
        near, far = End(), End()
        near.other, far.other = far, near
        link = Link(self.clock, self.lost)
        near.protocol, far.protocol = link, Responder(self.serving)
        self.responder = far.protocol
        self.near = near
        link.makeConnection(near)
        far.protocol.makeConnection(far)
        await link.greet()
        return link

    def lost(self, link):
        if self.current is link:
            self.current = None

    def sever(self):
        """End the connection as a death of the driver does."""
        if self.current is not None:
            self.near.lose(error.ConnectionLost())


async def inline(work):
    return work()


def loopback(driver_factory):
    """A RemoteDriver over a loopback, and its links."""
    links = LoopbackLinks(driver_factory)
    return RemoteDriver(reactor, reactor, links, inline), links
