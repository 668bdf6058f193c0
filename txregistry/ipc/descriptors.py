# SPDX-License-Identifier: Apache-2.0
"""Descriptors that cross the connection: received safely, checked before use, never leaked.

Room: ipc. Twisted matches descriptors to boxes by a bare counter and ignores the kernel's word that
one was dropped, so a single slip would hand over another request's file for ever after. Hence the
rules kept here: each is made close-on-exec at once; few may wait unclaimed; device, inode and size
travel in the box and are compared with ``fstat``; a mismatch ends the connection; what is left when
the connection ends is closed.

Both ends keep another rule here: a peer that breaks the protocol costs its connection and nothing
else. A box has a limit, what comes after the end of trust is not even parsed, and an end that
waits for nothing is not held up by a peer that does not read.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat

from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from txregistry.storage.errors import Unavailable

#: Descriptors that may wait for their box. Twisted sends those of queued boxes first, so as many as
#: calls in flight that carry one.
UNCLAIMED_LIMIT = 64

#: Most bytes in one box, as the wire document has it. A pair costs its lengths too, so that empty
#: ones don't come for nothing.
BOX_LIMIT = 1024 * 1024
_PAIR_OVERHEAD = 4

_log = Logger()


class WrongDescriptor(Exception):
    """A descriptor is not what its box says; the connection that brought it can't be trusted any
    more.
    """


class DescriptorKeeper(amp.AMP):
    """An AMP connection over a UNIX socket that keeps the rules above, for both ends."""

    #: The connection has ended.
    is_ended = False
    #: It was ended by this side; nothing more of it is parsed.
    is_aborted = False
    _box_size = 0

    # -- descriptors

    def fileDescriptorReceived(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        super().fileDescriptorReceived(descriptor)
        if self.is_aborted:
            self.close_unclaimed()
        elif len(self._descriptors) > UNCLAIMED_LIMIT:
            self.distrust(f"more than {UNCLAIMED_LIMIT} descriptors that no box claims")

    def close_unclaimed(self) -> None:
        """Close the descriptors that arrived and that no box claimed."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    # -- boxes

    def dataReceived(self, data: bytes) -> None:
        if self.is_aborted:
            return
        try:
            super().dataReceived(data)
        except (KeyError, amp.AmpError) as error:
            self.distrust(f"a box that makes no sense: {error!r}")

    def proto_value(self, string: bytes) -> str:
        self._box_size += len(self._currentKey or b"") + len(string) + _PAIR_OVERHEAD
        if self._box_size > BOX_LIMIT:
            self.distrust(f"a box of more than {BOX_LIMIT} bytes")
        state: str = super().proto_value(string)
        return state

    def ampBoxReceived(self, box: amp.AmpBox) -> None:
        self._box_size = 0
        super().ampBoxReceived(box)

    def lengthLimitExceeded(self, length: int) -> None:
        self.distrust(f"a key of {length} bytes")

    def locateResponder(self, name: bytes) -> object:
        # AMP itself offers to speak TLS from here on, which is no command of ours.
        return None if name == amp.StartTLS.commandName else super().locateResponder(name)

    def unhandledError(self, failure: Failure) -> None:
        if not isinstance(failure.value, amp.RemoteAmpError):  # else a request that wants no answer
            super().unhandledError(failure)

    # -- the end

    def distrust(self, what: str) -> None:
        """End the connection because the peer sent ``what``."""
        _log.error(
            "the connection to {peer} is ended: it sent {what}", peer=type(self).__name__, what=what
        )
        self.abort()

    def abort(self) -> None:
        """End the connection at once, without flushing."""
        self.is_aborted = True
        self.paused = True  # the rest of what is being parsed is left alone
        self.close_unclaimed()
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]  # a UNIX stream has it

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_ended = True
        self.close_unclaimed()
        super().connectionLost(reason)


def identity(descriptor: int) -> tuple[int, int, int]:
    """``(device, inode, size)`` of an open descriptor, as they travel beside it."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size


def check_file(descriptor: int, device: int, inode: int, size: int) -> None:
    """Make sure that a received descriptor is the read-only regular file that its box names.

    Raises:
        WrongDescriptor: it is anything else.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise WrongDescriptor("the descriptor is not a regular file")
    if (status.st_dev, status.st_ino, status.st_size) != (device, inode, size):
        raise WrongDescriptor(
            f"the descriptor is {status.st_dev}:{status.st_ino} of {status.st_size} bytes,"
            f" the box says {device}:{inode} of {size}"
        )
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
        raise WrongDescriptor("the descriptor is writable")


def check_lane(descriptor: int, device: int, inode: int) -> None:
    """Make sure that a received descriptor is the stream socket that its box names.

    Raises:
        WrongDescriptor: it is anything else.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISSOCK(status.st_mode) or (status.st_dev, status.st_ino) != (device, inode):
        raise WrongDescriptor("the lane is not the socket that the box says")


def take_lane(descriptor: int, device: int, inode: int) -> socket.socket:
    """Check a received lane and own it as a non-blocking socket.

    Raises:
        WrongDescriptor: it is not the lane of the box; the descriptor is closed.
    """
    try:
        check_lane(descriptor, device, inode)
        lane = socket.socket(fileno=descriptor)
    except (WrongDescriptor, OSError) as error:
        os.close(descriptor)
        raise WrongDescriptor(str(error)) from error
    lane.setblocking(False)
    return lane


def make_lane(buffer_bytes: int) -> tuple[socket.socket, socket.socket]:
    """A socketpair whose buffers hold about ``buffer_bytes`` each way, as far as the kernel allows;
    both ends non-blocking.

    Raises:
        Unavailable: this process has no descriptors left.
    """
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise Unavailable(f"a lane can't be made: {error.strerror}") from error
    for end in (ours, theirs):
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
    return ours, theirs
