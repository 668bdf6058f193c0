# SPDX-License-Identifier: Apache-2.0
"""A host in one thread of a test: virtual time, processes that are objects, sockets in memory.

It is what the product takes for a reactor. Nothing happens by itself: each :meth:`World.turn` does
what comes next, which is what descriptors (lanes are real socketpairs) are ready for, in an order
that is drawn, and then the next timer. So a seed decides everything, and hours take seconds.
"""

from __future__ import annotations

import select

from twisted.internet.task import Clock

from tests.ipc.loopback import End

#: Turns without time passing after which the world is taken to spin.
SPINNING = 100_000

_IN = select.POLLIN | select.POLLHUP | select.POLLERR
_OUT = select.POLLOUT | select.POLLHUP | select.POLLERR


class Loop:
    """The descriptors that one process watches; the rest of a reactor is the world's.

    Attributes:
        is_stuck: the process does nothing.
    """

    def __init__(self, clock):
        self.seconds, self.callLater = clock.seconds, clock.callLater
        self.is_stuck = False
        self._readers, self._writers = {}, {}

    def addReader(self, one):
        self._readers[one] = True

    def addWriter(self, one):
        self._writers[one] = True

    def removeReader(self, one):
        self._readers.pop(one, None)

    def removeWriter(self, one):
        self._writers.pop(one, None)

    def watched(self):
        """Descriptor -> (what watches it, for what), in the order in which they were added."""
        found = {}
        for mask, watchers in ((select.POLLIN, self._readers), (select.POLLOUT, self._writers)):
            for one in watchers:
                _, others = found.get(one.fileno(), (one, 0))
                found[one.fileno()] = one, others | mask
        return found

    def wake(self, one, descriptor, event):
        """Tell what is ready, if it still watches."""
        if event & _IN and one in self._readers and one.fileno() == descriptor:
            one.doRead()
        if event & _OUT and one in self._writers and one.fileno() == descriptor:
            one.doWrite()


class World(Clock):
    """The reactor of the process under test; other processes have a :class:`Loop` each.

    Args:
        choice: a ``random.Random``.

    Attributes:
        turns: how many there were.
    """

    def __init__(self, choice):
        super().__init__()
        self.choice = choice
        self.turns = 0
        self.loops = [Loop(self)]
        front = self.loops[0]
        self.addReader, self.removeReader = front.addReader, front.removeReader
        self.addWriter, self.removeWriter = front.addWriter, front.removeWriter
        self._idle_turns = 0

    # Threads: what is given to one is done at once.

    def getThreadPool(self):
        return self

    def callInThreadWithCallback(self, on_result, work, *arguments, **more):
        on_result(True, work(*arguments, **more))

    def callFromThread(self, work, *arguments, **more):
        self.callLater(0, work, *arguments, **more)

    # Time.

    def turn(self):
        """Do what comes next."""
        self.turns += 1
        self._idle_turns += 1
        assert self._idle_turns < SPINNING, "something happens again and again, and no time passes"
        if self._wake_descriptors():
            return
        call = self.calls[0]  # there always is one: somebody who pings, or waits
        if call.getTime() > self.rightNow:
            self.rightNow = call.getTime()
            self._idle_turns = 0
        del self.calls[0]
        call.called = 1
        call.func(*call.args, **call.kw)

    def run_until(self, condition, limit, what):
        """Let time pass until something is so.

        Args:
            limit: virtual seconds.

        Raises:
            AssertionError: it does not come to be.
        """
        deadline = self.seconds() + limit
        while not condition():
            assert self.seconds() < deadline, f"{what} did not come in {limit:g} virtual seconds"
            self.turn()

    def _wake_descriptors(self):
        poll, watched = select.poll(), {}
        for loop in self.loops:
            if not loop.is_stuck:
                for descriptor, (one, mask) in loop.watched().items():
                    watched[descriptor] = loop, one
                    poll.register(descriptor, mask)
        events = dict(poll.poll(0)) if watched else {}
        ready = [(*watched[one], one, events[one]) for one in watched if one in events]
        self.choice.shuffle(ready)
        for loop, one, descriptor, event in ready:
            loop.wake(one, descriptor, event)
        return bool(ready)


class Wire(End):
    """One end of a connection whose bytes take their time.

    Args:
        latency: draws the seconds that what is written takes.
    """

    def __init__(self, world, latency):
        super().__init__(clock=world)
        self._latency = latency

    def delay(self):
        return self._latency()
