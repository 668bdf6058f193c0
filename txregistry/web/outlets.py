# SPDX-License-Identifier: Apache-2.0
"""How the bytes of a large answer leave: written with backpressure, or sent by the kernel.

Room: web. Must not know what is sent. Both ways use the public producer interfaces of the transport
only, count what they hand over into ``request.sentLength``, and end with ``ClientGone`` when the
connection does.
"""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

from txregistry.web.filelane import Run, Truncated, is_cached, is_in_memory, warm
from txregistry.web.request import RegistryRequest

#: How much of a file is asked about and sent at once, in bytes.
PIECE = 1024 * 1024

#: Pieces that one connection sends before others have their turn. Arbitrary; about two milliseconds
#: at the speed of the kernel, and only for a client that takes them as fast: with one piece a turn
#: a fast client waits for the reactor between them.
TURN = 4


class ClientGone(Exception):
    """The client left before it had the whole answer."""


@implementer(IPushProducer)
class WrittenOutlet:
    """Writes chunks to the transport, waiting while it is full. For TLS, and for streams."""

    def __init__(self, request: RegistryRequest) -> None:
        if request.is_over:
            raise ClientGone
        self._request = request
        self._channel = request.channel
        self._is_full = False
        self._room: Deferred[None] | None = None
        self._channel.registerProducer(self, True)

    async def write(self, data: bytes) -> None:
        """Write ``data``; returns when there is room for more.

        Raises:
            ClientGone: the connection was lost.
        """
        if self._request.is_over:
            raise ClientGone
        self._request.sentLength += len(data)
        self._channel.transport.write(data)
        if self._is_full:
            self._room = Deferred()
            await self._room

    def close(self) -> None:
        """Take nothing more. Repeatable."""
        self._channel.unregisterProducer()

    def pauseProducing(self) -> None:
        """The transport is full."""
        self._is_full = True

    def resumeProducing(self) -> None:
        """The transport has room again."""
        self._is_full = False
        self._wake(None)

    def stopProducing(self) -> None:
        """The connection was lost."""
        self._is_full = False
        self._wake(ClientGone())

    def _wake(self, error: ClientGone | None) -> None:
        room, self._room = self._room, None
        if room is None:
            return
        if error is None:
            room.callback(None)
        else:
            room.errback(error)


@implementer(IPullProducer)
class SentOutlet:
    """Sends a span of a file by ``sendfile`` over a plain connection.

    The transport asks for more whenever it could write, in its own turn of the reactor; what it
    still buffers (the answer's head) leaves before. While the span is sent the transport's producer
    is this object rather than the channel.
    """

    def __init__(
        self, request: RegistryRequest, file: int, start: int, stop: int, run: Run
    ) -> None:
        if request.is_over:
            raise ClientGone
        self._request = request
        self._channel = request.channel
        self._transport = request.channel.transport
        self._socket = request.channel.wire.socket
        self._file = file
        self._start = start
        self._stop = stop
        self._run = run
        self._never_waits = is_in_memory(file)
        self._is_flushed = False
        self._is_warming = False
        self._is_lost = False
        self._done: Deferred[None] = Deferred()

    def send(self) -> Deferred[None]:
        """Send all of it.

        Raises:
            ClientGone: the connection was lost.
            Truncated: the file is shorter than the span.
            OSError: the file can't be read.
        """
        self._transport.unregisterProducer()
        self._transport.registerProducer(self, False)
        return self._done

    def resumeProducing(self) -> None:
        """Send what the socket takes; the transport calls this when its own buffer is empty."""
        if not self._is_flushed:
            # The first call comes from registerProducer(), before the head has left.
            self._is_flushed = True
            self._transport.startWriting()
            return
        self._send_turn()

    def stopProducing(self) -> None:
        """The connection was lost. A thread that still reads the file is waited for."""
        self._is_lost = True
        if not self._is_warming:
            self._end(ClientGone())

    def _send_turn(self) -> None:
        """Send until the socket is full, the file must be waited for, or the turn is over."""
        for _ in range(TURN):
            stop = min(self._start + PIECE, self._stop)
            if not self._never_waits and not is_cached(self._file, self._start, stop):
                self._warm_until(stop)
                return
            if not self._send_until(stop):
                return
        self._transport.startWriting()

    def _send_until(self, stop: int) -> bool:
        """Send up to ``stop``; True if that went and there is more."""
        try:
            while self._start < stop:
                count = os.sendfile(
                    self._socket.fileno(), self._file, self._start, stop - self._start
                )
                if not count:
                    self._end(Truncated())
                    return False
                self._start += count
                self._request.sentLength += count
        except BlockingIOError:
            self._transport.startWriting()
            return False
        except (BrokenPipeError, ConnectionResetError):
            self._end(ClientGone())
            return False
        except OSError as error:
            self._end(error)
            return False
        if self._start == self._stop:
            self._end(None)
            return False
        return True

    def _warm_until(self, stop: int) -> None:
        self._is_warming = True
        self._warming = Deferred.fromCoroutine(self._warm(stop))

    async def _warm(self, stop: int) -> None:
        start = self._start
        error: Exception | None = None
        try:
            await self._run(lambda: warm(self._file, start, stop))
        except (OSError, Truncated) as caught:
            error = caught
        self._is_warming = False
        if self._is_lost:
            self._end(ClientGone())
        elif error is not None:
            self._end(error)
        elif self._send_until(stop):
            self._transport.startWriting()

    def _end(self, error: Exception | None) -> None:
        if self._done.called:
            return
        self._transport.unregisterProducer()
        if error is not None:
            self._done.errback(error)
            return
        self._transport.registerProducer(self._channel, True)
        # What the transport told its producer while that was not the channel, the channel missed.
        self._channel.resumeProducing()
        self._done.callback(None)
