# SPDX-License-Identifier: Apache-2.0
"""A descriptor that crosses the connection is the one that its box means, or the connection
ends.
"""

from __future__ import annotations

import os
import resource
import socket

import pytest
import pytest_twisted
from twisted.internet import error
from twisted.python.failure import Failure

from txregistry.ipc.descriptors import (
    BOX_LIMIT,
    UNCLAIMED_LIMIT,
    DescriptorKeeper,
    WrongDescriptor,
    check_file,
    check_lane,
    identity,
    make_lane,
    take_lane,
)
from txregistry.storage.errors import Unavailable

from ..census import turns
from .loopback import End


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


class FileTests:
    def test_file_that_was_announced_is_taken(self, file):
        """The descriptor of the box is used."""
        check_file(file, *identity(file))

    @pytest.mark.parametrize("member", [0, 1, 2])
    def test_any_other_number_is_refused(self, file, member):
        """Another device, another inode or another size is another file."""
        numbers = list(identity(file))
        numbers[member] += 1
        with pytest.raises(WrongDescriptor, match="the box says"):
            check_file(file, *numbers)

    @pytest.mark.parametrize("mode", [os.O_RDWR, os.O_WRONLY])
    def test_writable_descriptor_is_refused(self, tmp_path, mode):
        """A front end never holds what could change the storage."""
        path = tmp_path / "file"
        path.write_bytes(b"x")
        descriptor = os.open(path, mode)
        with pytest.raises(WrongDescriptor, match="writable"):
            check_file(descriptor, *identity(descriptor))
        os.close(descriptor)

    @pytest.mark.parametrize("path", ["/dev/null", "/"])
    def test_what_is_no_regular_file_is_refused(self, path):
        """Neither a device nor a directory is ever served."""
        descriptor = os.open(path, os.O_RDONLY)
        with pytest.raises(WrongDescriptor, match="regular"):
            check_file(descriptor, *identity(descriptor))
        os.close(descriptor)


class LaneTests:
    def test_lane_that_was_announced_is_taken(self):
        """The driver owns its end afterwards, and it does not block."""
        ours, theirs = make_lane(1000)
        taken = take_lane(os.dup(theirs.fileno()), *identity(theirs.fileno())[:2])
        assert not taken.getblocking()
        for end in (ours, theirs, taken):
            end.close()

    def test_other_lane_is_refused_and_closed(self):
        """Bytes of one upload never go into another."""
        ours, theirs = make_lane(1000)
        with pytest.raises(WrongDescriptor):
            take_lane(os.dup(theirs.fileno()), *identity(ours.fileno())[:2])
        for end in (ours, theirs):
            end.close()

    def test_file_is_no_lane(self, file):
        """Only a socket is one."""
        with pytest.raises(WrongDescriptor):
            check_lane(file, *identity(file)[:2])

    def test_want_of_descriptors_is_unavailable(self):
        """A front end at its limit refuses politely."""
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        filler = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, limits[1]))
        try:
            with pytest.raises(Unavailable, match="a lane can't be made"):
                while True:
                    filler += make_lane(1000)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for end in filler:
                end.close()


class Connection:
    """A keeper on one end and a test on the other."""

    def __init__(self):
        self.keeper = DescriptorKeeper()
        self.near, self.far = End(), End()
        self.near.join(self.far)
        self.near.protocol = self.keeper
        self.far.protocol = self
        self.reason = None
        self.keeper.makeConnection(self.near)

    def pass_descriptor(self):
        descriptor = os.open("/dev/null", os.O_RDONLY)
        self.keeper.fileDescriptorReceived(descriptor)
        return descriptor

    def dataReceived(self, data):
        pass

    def connectionLost(self, reason):
        self.reason = reason

    @property
    def is_ended(self):
        return self.keeper.is_ended

    def end(self):
        self.near.lose(error.ConnectionDone())


@pytest_twisted.async_yield_fixture
async def connection():
    connection = Connection()
    yield connection
    connection.end()


class KeeperTests:
    @pytest_twisted.ensureDeferred
    async def test_descriptor_is_not_inherited(self, connection):
        """What arrives is closed in every program that is started afterwards."""
        descriptor = connection.pass_descriptor()
        os.set_inheritable(descriptor, True)
        connection.keeper.fileDescriptorReceived(os.dup(descriptor))
        connection.pass_descriptor()
        assert [os.get_inheritable(one) for one in connection.keeper._descriptors.values()] == [
            True,  # the test itself made it so, afterwards
            False,
            False,
        ]

    @pytest_twisted.ensureDeferred
    async def test_too_many_unclaimed_end_the_connection(self, connection):
        """A peer can't fill the table of descriptors: those that come after the end are closed
        too.
        """
        for _ in range(UNCLAIMED_LIMIT):
            connection.pass_descriptor()
        await turns()
        assert not connection.is_ended
        for _ in range(10):
            connection.pass_descriptor()
        await turns()
        assert connection.is_ended

    @pytest_twisted.ensureDeferred
    async def test_unclaimed_are_closed_at_the_end(self, connection):
        """A connection that ends leaves nothing open."""
        passed = [connection.pass_descriptor() for _ in range(3)]
        connection.end()
        for descriptor in passed:
            with pytest.raises(OSError):
                os.fstat(descriptor)

    @pytest.mark.parametrize(
        "data",
        [
            b"\1\0",  # a key of 256 bytes
            b"\0\0",  # an empty box
            b"\0\1a\0\1b\0\0",  # neither question nor answer
            b"\0\7_answer\0\1x\0\0",  # to a question that nobody asked
            b"\0\6_error\0\1x\0\0",
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_nonsense_ends_the_connection(self, connection, data):
        """And what comes after it in the same breath is not even parsed."""
        connection.keeper.ampBoxReceived, parse = connection.keeper.ampBoxReceived, []
        connection.keeper.dataReceived(data + b"\0\1a\0\1b\0\0" * 3)
        connection.keeper.dataReceived(b"\0\1a\0\1b\0\0")
        await turns()
        assert connection.is_ended
        assert parse == []

    @pytest_twisted.ensureDeferred
    async def test_box_without_end_ends_the_connection(self, connection):
        """Memory is bounded by the limit of a box, whatever it is filled with."""
        pair = b"\0\1a\xff\xff" + b"x" * 65535
        for _ in range(BOX_LIMIT // 65540):
            connection.keeper.dataReceived(pair)
        assert not connection.keeper.is_aborted
        connection.keeper.dataReceived(pair * 2)
        assert connection.keeper.is_aborted
        other = Connection()
        other.keeper.dataReceived(b"\0\1a\0\0" * (BOX_LIMIT // 5 + 1))
        assert other.keeper.is_aborted
        other.end()

    @pytest_twisted.ensureDeferred
    async def test_boxes_are_counted_one_by_one(self, connection):
        """The limit is that of a box, not of a connection; what is not known and wants no answer
        gets none.
        """
        box = b"\0\10_command\0\1x" + (b"\0\1a\xff\xff" + b"x" * 65535) * 10 + b"\0\0"
        connection.far.protocol.dataReceived = answers = _Answers()
        for _ in range(3):
            connection.keeper.dataReceived(box)
        await turns()
        assert not connection.is_ended
        assert answers.data == b""

    @pytest_twisted.ensureDeferred
    async def test_fault_of_our_own_ends_the_connection(self, connection, failures):
        """What nobody can be told of is not passed over."""
        connection.keeper.unhandledError(Failure(ZeroDivisionError()))
        await turns()
        assert connection.is_ended
        assert failures.pop().check(ZeroDivisionError)

    @pytest_twisted.ensureDeferred
    async def test_nobody_speaks_tls(self, connection):
        """What AMP offers of its own is refused like any unknown command."""
        connection.far.protocol.dataReceived = answers = _Answers()
        connection.keeper.dataReceived(b"\0\10_command\0\10StartTLS\0\4_ask\0\0011\0\0")
        await turns()
        assert b"UNHANDLED" in answers.data
        assert not connection.is_ended

    @pytest_twisted.ensureDeferred
    async def test_abort_of_one_that_is_over_does_nothing(self, connection):
        """An end may be noticed twice."""
        connection.end()
        connection.keeper.abort()
        connection.keeper.distrust("too late")


class _Answers:
    data = b""

    def __call__(self, data):
        self.data += data


class SocketTests:
    def test_lanes_are_streams_of_the_size_asked_for(self):
        """Both ends are the same."""
        ours, theirs = make_lane(50_000)
        for end in (ours, theirs):
            assert end.type == socket.SOCK_STREAM
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) >= 50_000
            end.close()
