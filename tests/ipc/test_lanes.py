# SPDX-License-Identifier: Apache-2.0
"""A lane carries bytes one way and offsets the other, and says when it is gone."""

from __future__ import annotations

import socket
import struct

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from txregistry.ipc.lanes import Inlet, Outlet

from ..census import until


def offsets(*numbers):
    return b"".join(struct.pack(">Q", number) for number in numbers)


class Upload:
    """A source for an outlet, which notes what it is told."""

    def __init__(self, data=b""):
        self.left = memoryview(data)
        self.confirmations = []
        self.ends = 0
        self.when_sent = lambda: None

    def next_buffers(self, limit):
        return [self.left[:1000]] if self.left else []

    def sent(self, count):
        self.left = self.left[count:]
        self.when_sent()

    def confirmed(self, outlet, offset):
        self.confirmations.append(offset)

    def ended(self, outlet):
        self.ends += 1


class Ends:
    """A lane of which a test holds the other end."""

    def __init__(self):
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.far.setblocking(False)
        self.upload = Upload()
        self._near = near
        self.lane = None

    def outlet(self, data=b""):
        self.upload = Upload(data)
        self.lane = Outlet(reactor, self._near, self.upload)
        return self.lane

    def inlet(self):
        self.lane = Inlet(reactor, self._near)
        return self.lane

    def narrow(self):
        """Let the kernel hold little."""
        self._near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)

    def received(self):
        """What is at hand at the other end."""
        data = b""
        try:
            while chunk := self.far.recv(1 << 20):
                data += chunk
        except BlockingIOError:
            pass
        return data

    def end(self):
        self.far.close()
        if self.lane is None:
            self._near.close()
        else:
            self.lane.close()


@pytest.fixture
def ends():
    ends = Ends()
    yield ends
    ends.end()


class OutletTests:
    @pytest_twisted.ensureDeferred
    async def test_offset_may_come_in_pieces(self, ends):
        """Half a number is never taken for one."""
        ends.outlet()
        ends.far.send(offsets(7)[:3])
        ends.lane.doRead()
        assert ends.upload.confirmations == []
        ends.far.send(offsets(7)[3:] + offsets(1 << 40) + b"\0")
        await until(lambda: ends.upload.confirmations)
        assert ends.upload.confirmations == [1 << 40]

    def test_wakeup_without_bytes_changes_nothing(self, ends):
        """The kernel may say too much; the lane lives on."""
        ends.outlet().doRead()
        assert (ends.upload.ends, ends.lane.fileno() >= 0) == (0, True)

    @pytest_twisted.ensureDeferred
    async def test_reader_that_leaves_bytes_behind_ends_it(self, ends):
        """A driver that is killed does not read to the end; its upload is told at once, and once."""
        ends.outlet(b"x" * 5000).wake()
        ends.far.close()
        await until(lambda: ends.upload.ends)
        ends.lane.wake()
        assert ends.upload.ends == 1

    def test_source_may_close_it_in_the_middle_of_sending(self, ends):
        """An upload that is given up sends nothing more."""
        outlet = ends.outlet(b"x" * 5000)
        ends.upload.when_sent = outlet.close
        outlet.wake()
        assert (len(ends.received()), ends.upload.ends) == (1000, 0)

    def test_lost_connection_is_told_once(self, ends):
        """The reactor may tell of the end of a lane that ended already."""
        outlet = ends.outlet()
        for _ in range(2):
            outlet.connectionLost(Failure(ConnectionLost()))
        assert (ends.upload.ends, outlet.fileno()) == (1, -1)

    def test_end_of_a_lane_whose_reader_is_gone_is_no_failure(self, ends):
        """The source hears that it broke, as it would have a moment later."""
        outlet = ends.outlet()
        ends.far.close()
        outlet.end()
        outlet.doRead()
        assert ends.upload.ends == 1


class InletTests:
    @pytest_twisted.ensureDeferred
    async def test_writer_that_leaves_offsets_behind_ends_it(self, ends):
        """A front end that is killed has not read all confirmations; that is an end as any."""
        inlet = ends.inlet()
        inlet.confirm(5)
        ends.far.close()
        assert await inlet.receive() == b""

    @pytest_twisted.ensureDeferred
    async def test_what_arrived_is_still_received_when_nobody_will_send_more(self, ends):
        """Of an upload without a connection every byte that arrived is stored."""
        inlet = ends.inlet()
        ends.far.send(b"what arrived")
        inlet.stop_waiting()
        assert [await inlet.receive(), await inlet.receive()] == [b"what arrived", b""]

    @pytest_twisted.ensureDeferred
    async def test_who_waits_for_bytes_is_told_that_none_will_come(self, ends):
        inlet = ends.inlet()
        waiting = Deferred.fromCoroutine(inlet.receive())
        inlet.stop_waiting()
        assert await waiting == b""

    @pytest_twisted.ensureDeferred
    async def test_newest_offset_reaches_a_slow_writer(self, ends):
        """However many confirmations do not fit the lane, the last one arrives, and all of them
        whole.
        """
        ends.narrow()
        inlet = ends.inlet()
        for offset in range(2000):
            inlet.confirm(offset)
        data = ends.received()
        assert len(data) < len(offsets(*range(2000)))

        def all_came():
            nonlocal data
            data += ends.received()
            return data[-8:] == offsets(1999)

        await until(all_came)
        numbers = [number for (number,) in struct.iter_unpack(">Q", data)]
        assert numbers == sorted(set(numbers))

    @pytest_twisted.ensureDeferred
    async def test_offsets_for_nobody_are_dropped(self, ends):
        """The bytes are stored; that nobody wants to know is no failure."""
        inlet = ends.inlet()
        ends.far.close()
        inlet.confirm(5)
        assert await inlet.receive() == b""
        inlet.close()
        inlet.confirm(6)

    @pytest_twisted.ensureDeferred
    async def test_reader_that_goes_away_stops_a_read(self, ends):
        """Whether it goes before the next bytes or while they wait for room."""
        inlet = ends.inlet()
        waiting = Deferred.fromCoroutine(inlet.send(b"x" * (8 << 20)))
        assert not waiting.called
        ends.far.close()
        assert await waiting is False

    @pytest_twisted.ensureDeferred
    async def test_reader_that_is_gone_gets_nothing(self, ends):
        inlet = ends.inlet()
        ends.far.close()
        assert await inlet.send(b"x") is False
