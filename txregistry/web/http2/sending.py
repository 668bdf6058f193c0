# SPDX-License-Identifier: Apache-2.0
"""The sending side of one connection: whose turn it is, and what the client makes us keep.

Room: web. Must not know requests, nor what comes. Streams that have something to send do so in
turns of ``TURN`` bytes, while the transport takes more. What is said beside answers -
acknowledgements, windows, resets - leaves at once, and is bounded if the client reads nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from h2.connection import H2Connection
from twisted.internet.interfaces import IDelayedCall

from txregistry.web.http2.stream import Stream

#: What a stream sends before others have their turn, in bytes. Arbitrary: four frames.
TURN = 64 * 1024

#: What we say beside answers to a client that reads nothing, in bytes. Arbitrary: twice what
#: answers all frames that it may send for nothing.
UNHEARD = 64 * 1024


class Listener(Protocol):
    """What the sending side needs of its connection."""

    def about_to_send(self) -> None:
        """Streams may be given what came for them; what they answer leaves at once."""

    def turn_began(self, stream: Stream) -> None:
        """It is about to send."""

    def turn_ended(self, stream: Stream, sent: int) -> None:
        """It has sent so many bytes of a body."""

    def has_sent(self) -> None:
        """All has left that can leave now."""

    def reads_nothing(self) -> None:
        """The client makes us keep more than it may."""


class Sending:
    """What leaves one connection.

    Args:
        protocol: the library's.
        reactor: calls later.

    Attributes:
        is_clogged: the transport holds enough for now.
        written: bytes that were given to it while it took them.
    """

    def __init__(
        self, protocol: H2Connection, listener: Listener, transport: Any, reactor: Any
    ) -> None:
        self.is_clogged = False
        self.written = 0
        self._protocol = protocol
        self._listener = listener
        self._transport = transport
        self._reactor = reactor
        self._hungry: dict[int, Stream] = {}
        self._is_ended = False
        self._is_pumping = False
        self._pumping: IDelayedCall | None = None
        self._turns = 0
        self._unheard = 0

    def end(self) -> None:
        """Send nothing more by itself. Repeatable."""
        self._is_ended = True
        pumping, self._pumping = self._pumping, None
        if pumping is not None:
            pumping.cancel()

    # --- whose turn it is

    def wants_turn(self, stream: Stream) -> None:
        """It has something to send."""
        self._hungry.setdefault(stream.number, stream)
        self.soon()

    def forget(self, stream: Stream) -> None:
        """It has not any more. Repeatable."""
        self._hungry.pop(stream.number, None)

    def unblock(self, streams: Iterable[Stream]) -> None:
        """The client's windows have room again: who was served last is last.

        Whoever has just used up the connection's window must not have all of it again.
        """
        blocked = [stream for stream in streams if stream.reply.is_blocked]
        for stream in sorted(blocked, key=lambda stream: stream.served):
            stream.reply.is_blocked = False
            if stream.is_hungry:
                self._hungry.setdefault(stream.number, stream)

    def _take_turn(self, stream: Stream) -> None:
        self._listener.turn_began(stream)
        sent = stream.advance(self._protocol, TURN)
        if sent:
            self._turns += 1
            stream.served = self._turns
            self._listener.turn_ended(stream, sent)
        if stream.is_hungry:
            self._hungry[stream.number] = stream

    # --- when it leaves

    def soon(self) -> None:
        """Have what waits leave in one piece, when whoever is at work has done it."""
        if self._pumping is None and not self._is_pumping and not self._is_ended:
            self._pumping = self._reactor.callLater(0, self._late)

    def _late(self) -> None:
        self._pumping = None
        self._listener.about_to_send()
        self._pump()

    def _pump(self) -> None:
        if self._is_pumping or self._is_ended:
            return
        self._is_pumping = True
        try:
            self.flush()
            while self._hungry and not self.is_clogged and not self._is_ended:
                self._take_turn(self._hungry.pop(next(iter(self._hungry))))
                self.flush()
        finally:
            self._is_pumping = False
        if not self._is_ended:
            self._listener.has_sent()

    # --- the transport

    def clog(self) -> None:
        """The transport holds enough for now."""
        self.is_clogged = True

    def unclog(self) -> None:
        """The transport has room again."""
        self.is_clogged = False
        self._unheard = 0
        self._pump()

    def flush(self) -> None:
        """Write what the library has to say."""
        data = self._protocol.data_to_send()
        if data:
            self.write(data)

    def write(self, data: bytes) -> None:
        """Write frames."""
        if self.is_clogged:
            # No answer, which would wait; and no sign that the client has taken anything.
            self._unheard += len(data)
        else:
            self.written += len(data)
        self._transport.write(data)
        if self._unheard > UNHEARD:
            self._listener.reads_nothing()
