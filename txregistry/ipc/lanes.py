# SPDX-License-Identifier: Apache-2.0
"""Stream lanes: the socketpairs that bytes travel on while AMP does the talking.

Room: ipc. These classes move bytes between a non-blocking socket and a coroutine and know nothing
of paths, digests or replay.

    front end                                   driver
    Outlet   -- bytes of an upload -->          Inlet       (half-close is the end)
             <-- stored offsets, 8 bytes big-endian each --
    Inlet    <-- bytes of a read --             Outlet      (close is the end)

An :class:`Outlet` takes its bytes from a source that remembers what it has not confirmed; an
:class:`Inlet` reads only while somebody awaits a chunk, so a slow consumer stops the producer by
the socket's own buffer.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

#: Kernel buffer asked for on each lane, and the most that one ``recv`` returns, in bytes. Measured:
#: below 256 KiB the system calls show, above it nothing more is gained.
LANE_BUFFER = 1024 * 1024
CHUNK = 256 * 1024

_OFFSET = struct.Struct(">Q")
#: Buffers given to one ``sendmsg``; Linux allows 1,024.
_GATHER = 64


class Source(Protocol):
    """Gives an Outlet what comes next."""

    def next_buffers(self, limit: int) -> Sequence[bytes | memoryview]:
        """Up to ``limit`` non-empty buffers from the unsent position on; empty when there is
        nothing now.
        """

    def sent(self, count: int) -> None:
        """``count`` more bytes have gone out."""

    def confirmed(self, outlet: Outlet, offset: int) -> None:
        """The other side has stored everything before ``offset``."""

    def ended(self, outlet: Outlet) -> None:
        """The lane is gone: the other side closed it, or it broke."""


@implementer(IReadWriteDescriptor)
class _Lane:
    def __init__(self, reactor: IReactorFDSet, end: socket.socket) -> None:
        self._reactor = reactor
        self._socket: socket.socket | None = end
        self._descriptor = end.fileno()

    def fileno(self) -> int:
        return self._descriptor if self._socket is not None else -1

    def logPrefix(self) -> str:
        return type(self).__name__

    def doRead(self) -> None:
        raise NotImplementedError

    def doWrite(self) -> None:
        raise NotImplementedError

    def connectionLost(self, reason: Failure) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        if self._socket is not None:
            self._reactor.removeReader(self)  # while fileno() still tells which
            self._reactor.removeWriter(self)
            self._socket.close()
            self._socket = None


class Outlet(_Lane):
    """The writing end of a lane.

    Args:
        end: our end of the socketpair, non-blocking; owned from here on.
    """

    def __init__(self, reactor: IReactorFDSet, end: socket.socket, source: Source) -> None:
        super().__init__(reactor, end)
        self._source = source
        self._is_ending = False
        self._has_ended = False
        self._is_writing = False
        self._partial = b""
        reactor.addReader(self)

    def wake(self) -> None:
        """There is something to send."""
        if self._socket is not None and not self._is_writing and not self._has_ended:
            self.doWrite()

    def end(self) -> None:
        """Half-close once everything has gone out; confirmations still come in."""
        self._is_ending = True
        self.wake()

    def close(self) -> None:
        """Drop the lane at once, silently."""
        self._close()

    def doWrite(self) -> None:
        end = self._socket
        while end is not None:
            buffers = self._source.next_buffers(_GATHER)
            if not buffers:
                self._stop_writing()
                if self._is_ending:
                    self._has_ended = True
                    end.shutdown(socket.SHUT_WR)  # never fails, whatever the other side did
                return
            try:
                count = end.sendmsg(buffers)
            except BlockingIOError:
                if not self._is_writing:
                    self._is_writing = True
                    self._reactor.addWriter(self)
                return
            except OSError:
                self._lost()
                return
            self._source.sent(count)
            end = self._socket

    def doRead(self) -> None:
        assert self._socket is not None  # the reactor asks for fileno() first
        try:
            data = self._socket.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        data = self._partial + data
        whole = len(data) // _OFFSET.size * _OFFSET.size
        self._partial = data[whole:]
        if whole:
            self._source.confirmed(self, _OFFSET.unpack_from(data, whole - _OFFSET.size)[0])

    def connectionLost(self, reason: Failure) -> None:
        self._lost()

    def _stop_writing(self) -> None:
        if self._is_writing:
            self._is_writing = False
            self._reactor.removeWriter(self)

    def _lost(self) -> None:
        if self._socket is not None:
            self._close()
            self._source.ended(self)


class Inlet(_Lane):
    """The reading end of a lane, one awaited chunk at a time."""

    def __init__(self, reactor: IReactorFDSet, end: socket.socket) -> None:
        super().__init__(reactor, end)
        self._waiter: Deferred[None] | None = None
        self._unsent = b""
        self._is_draining = False

    async def receive(self, limit: int = CHUNK) -> bytes:
        """The next chunk of at most ``limit`` bytes; empty at the end of the lane, or when it
        broke.
        """
        while self._socket is not None:
            try:
                return self._socket.recv(limit)
            except BlockingIOError:
                pass
            except OSError:
                return b""
            if self._is_draining:
                return b""
            await self._wait(self._reactor.addReader)
        return b""

    def stop_waiting(self) -> None:
        """From now on the end is where nothing more is at hand."""
        self._is_draining = True
        self._fire()

    def confirm(self, offset: int) -> None:
        """Tell the writing end that everything before ``offset`` is stored. An older word that is
        still unsent is replaced.
        """
        self._unsent = self._unsent[: len(self._unsent) % _OFFSET.size] + _OFFSET.pack(offset)
        self._flush()

    async def send(self, data: bytes | memoryview) -> bool:
        """Write all of ``data`` (a lane that is read by the other side); False if it broke."""
        view = memoryview(data)
        while self._socket is not None and view:
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                await self._wait(self._reactor.addWriter)
            except OSError:
                return False
        return self._socket is not None

    def close(self) -> None:
        """Free the lane; whoever awaits it gets the end."""
        self._close()
        self._fire()

    def doRead(self) -> None:
        self._reactor.removeReader(self)
        self._fire()

    def doWrite(self) -> None:
        self._reactor.removeWriter(self)
        if self._unsent:
            self._flush()
        self._fire()

    def connectionLost(self, reason: Failure) -> None:
        self.close()

    async def _wait(self, add: Callable[[Inlet], None]) -> None:
        waiter: Deferred[None] = Deferred()
        self._waiter = waiter
        add(self)
        try:
            await waiter
        finally:
            self._waiter = None
            if self._socket is not None:
                self._reactor.removeReader(self)

    def _flush(self) -> None:
        if self._socket is None:
            return
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            self._reactor.addWriter(self)
        except OSError:
            self._unsent = b""

    def _fire(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.called:
            waiter.callback(None)
