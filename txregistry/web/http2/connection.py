# SPDX-License-Identifier: Apache-2.0
"""One HTTP/2 connection: what the client may ask for, its streams, deadlines.

Room: web. Must not know routes. The ``h2`` library is the protocol (states, windows, HPACK) and has
no input or output; this is what moves bytes, and everything that a server has to decide:

* Each stream that is open beside another counts as a connection does, against the same caps.
* ``Sending`` has the turns in which streams send, ``Windows`` how much the client may.
* ``FrameMeter`` judges frames before they are parsed; streams that the client takes back, or that
  have to be refused, cost something of an allowance of their own.
* Told to stop, we say GOAWAY, refuse new streams, and close with the last one.

Deadlines are those of HTTP/1.1 (``pace``). A body's and an answer's are each stream's own; here are
those of what belongs to no stream: the first byte, a head that stays incomplete, idleness, a client
that takes nothing.

Source: RFC 9113.
"""

from __future__ import annotations

from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import H2Error
from hyperframe.frame import GoAwayFrame
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Protocol as BaseProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from txregistry.web.http2.frames import Allowance, Flood, FrameMeter
from txregistry.web.http2.heads import read_head
from txregistry.web.http2.premises import Premises
from txregistry.web.http2.sending import Sending
from txregistry.web.http2.stream import Stream
from txregistry.web.http2.terms import bound_terms, say_terms
from txregistry.web.http2.windows import Windows
from txregistry.web.pace import Pace, Stage, Verdict
from txregistry.web.peer import PeerCertificate, peer_certificate
from txregistry.web.request import RegistryRequest
from txregistry.web.wire import Wire

#: Streams that end before they were answered, at once and a second. Arbitrary; a client that gives
#: up a pull takes back the handful that it had open.
RESETS = 100
RESETS_REFILL = 10

log = Logger()


@implementer(IPushProducer)
class Http2Connection(BaseProtocol):
    """One connection.

    Args:
        group: under which the connection is counted.

    Attributes:
        protocol: the library's.
        is_reading: what the client sends is read at present.
    """

    transport: Any
    wire: Wire
    pace: Pace
    is_reading = True

    _peer: IAddress
    _host: IAddress

    def __init__(self, site: Premises, group: str) -> None:
        self.site = site
        self.group = group
        self._limits = site.limits
        self.protocol = H2Connection(
            H2Configuration(
                client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False
            )
        )
        self._streams: dict[int, Stream] = {}
        self._fed: dict[int, Stream] = {}
        self._places: list[str] = []
        self._mute: set[int] = set()
        self._requests_left = self._limits.requests_per_connection
        self._is_leaving = False
        self._is_ended = False
        self._discarded = 0
        self._hearers: dict[type[Event], Any] = {
            RequestReceived: self._request_received,
            DataReceived: self._data_received,
            StreamEnded: self._stream_ended,
            StreamReset: self._stream_reset,
            WindowUpdated: self._window_updated,
            RemoteSettingsChanged: self._settings_changed,
            ConnectionTerminated: self._terminated,
        }

    # --- life of the connection

    def connectionMade(self) -> None:
        """Say how we want it."""
        now, limits = self.seconds(), self._limits
        self.wire = Wire(self.transport)
        self._peer = self.transport.getPeer()
        self._host = self.transport.getHost()
        self.pace = Pace(limits, now)
        self._meter = FrameMeter(limits.head_size, now)
        self._resets = Allowance(RESETS, RESETS_REFILL, now)
        self._sending = Sending(self.protocol, self, self.transport, self.site.reactor)
        self._windows = Windows(self.protocol, self.wire, self.site.queues, self.site.buffers)
        self.transport.registerProducer(self, True)
        # A client that waits for its window has nothing to send, so it acknowledges late, and the
        # next small frame of ours would wait for that.
        self.transport.setTcpNoDelay(True)
        say_terms(self.protocol, limits)
        self._windows.begin(limits.streams)
        self._sending.flush()
        self.site.channel_opened(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the requests and the site."""
        self._end_input()
        for stream in list(self._streams.values()):
            self._forget(stream)
            stream.lost(reason)
        self.wire.restore_buffer()
        self.site.channel_closed(self)

    @property
    def requests(self) -> list[RegistryRequest]:
        """What is in progress."""
        return [stream.request for stream in self._streams.values()]

    def retire(self) -> None:
        """Take no more requests; close when those in progress are answered. Repeatable.

        The library would take a GOAWAY for the end of everything, so it is not asked for one.
        """
        if self._is_leaving or self._is_ended:
            return
        self._is_leaving = True
        last = self.protocol.highest_inbound_stream_id
        frame = GoAwayFrame(0, last_stream_id=last, error_code=ErrorCodes.NO_ERROR)
        self._sending.write(frame.serialize())
        if not self._streams:
            self.loseConnection()

    def loseConnection(self) -> None:
        """Close once everything written has left, which has a deadline too."""
        self._end_input()
        self.pace.closing_began(self.seconds())
        # TLS says that it closes as soon as it has no producer any more.
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def abort(self) -> None:
        """Drop the connection so that the peer notices."""
        self._end_input()
        self.transport.abortConnection()

    def _give_up(self, why: str, code: ErrorCodes) -> None:
        """The client broke the rules: say so, and listen no more."""
        log.debug("an HTTP/2 connection of {peer} ends: {why}", peer=self._peer, why=why)
        self.protocol.close_connection(code)
        self._sending.flush()
        self._end_input()
        for stream in list(self._streams.values()):
            self._forget(stream)
            stream.lost(Failure(ConnectionLost()))
        self.transport.unregisterProducer()
        self.transport.loseConnection()
        self.pace.discard_began(self.seconds())

    def _end_input(self) -> None:
        self._is_ended = True
        self._sending.end()

    # --- what a stream asks (``stream.Trunk``)

    def getPeer(self) -> IAddress:
        """The client's address."""
        return self._peer

    def getHost(self) -> IAddress:
        """Our address."""
        return self._host

    def seconds(self) -> float:
        """The clock."""
        return float(self.site.reactor.seconds())

    def verified_peer(self) -> PeerCertificate | None:
        """Return the client's certificate if it was verified."""
        return peer_certificate(self.transport)

    def wants_turn(self, stream: Stream) -> None:
        """It has something to send; unless it is gone, which a route may not know yet."""
        if stream.number in self._streams:
            self._sending.wants_turn(stream)

    def acknowledge(self, stream: Stream, size: int) -> None:
        """Open the client's windows by what it has sent."""
        if not self._is_ended:
            self._windows.acknowledge(stream.number, size)
            self._sending.soon()

    def stop_reading(self, stream: Stream) -> None:
        """Read nothing of this client until the stream says so."""
        self._mute.add(stream.number)
        if self.is_reading and not self._is_ended:
            self.is_reading = False
            self.transport.pauseProducing()

    def read_again(self, stream: Stream) -> None:
        """The stream does not mind reading any more."""
        self._mute.discard(stream.number)
        if not self.is_reading and not self._mute:
            self.is_reading = True
            self.transport.resumeProducing()

    def progress(self) -> object:
        """Return what differs from the last time if the client took anything."""
        return self._sending.written, self.wire.unacknowledged()

    def reset(self, stream: Stream, code: int) -> None:
        """Tell the client that the stream is broken off."""
        self._send_reset(stream.number, code)
        self._forget(stream)

    def stream_over(self, stream: Stream) -> None:
        """The answer has left."""
        self._meter.earn(answered=1)
        if not stream.is_body_whole:
            self._send_reset(stream.number, ErrorCodes.NO_ERROR)
        self._forget(stream)

    def _send_reset(self, number: int, code: int) -> None:
        if self._is_ended:
            return
        try:
            self.protocol.reset_stream(number, code)
        except H2Error:
            return  # the client has ended it, or everything, and we are about to be told
        self._sending.soon()

    def _forget(self, stream: Stream) -> None:
        if self._streams.pop(stream.number, None) is None:
            return
        self._sending.forget(stream)
        self._windows.forget(stream)
        self.read_again(stream)
        if self._places:
            self.site.stream_left(self._places.pop())
        if not self._streams and not self._is_ended:
            self.pace.idle_began(self.seconds())
            self._sending.soon()

    # --- what comes

    def dataReceived(self, data: bytes) -> None:
        """Take frames."""
        if self._is_ended:
            self._discarded += len(data)
            if self._discarded > self._limits.drain_size:
                self.transport.pauseProducing()
            return
        now = self.seconds()
        if self.pace.stage is Stage.FIRST:
            self.pace.head_began(now)
        try:
            self._meter.take(data, now)
            events = self.protocol.receive_data(data)
        except Flood as flood:
            self._give_up(str(flood), ErrorCodes.ENHANCE_YOUR_CALM)
            return
        except H2Error as error:
            # Its text may hold a header, and that a secret.
            code = getattr(error, "error_code", ErrorCodes.PROTOCOL_ERROR)
            self._give_up(type(error).__name__, code)
            return
        for event in events:
            hear = self._hearers.get(type(event))
            if hear is not None and not self._is_ended:
                hear(event)
        self._sending.soon()

    def _request_received(self, event: RequestReceived) -> None:
        number = event.stream_id
        place = None
        is_refused = self._is_leaving or len(self._streams) >= self._limits.streams
        if not is_refused and self._streams:
            place = self.site.admit_stream(self._peer)
            is_refused = place is None
        if is_refused:
            self._send_reset(number, ErrorCodes.REFUSED_STREAM)
            self._count_reset()
            return
        if place is not None:
            self._places.append(place)
        stream = self._streams[number] = Stream(self, number)
        if self.pace.stage is not Stage.ANSWER:
            self.pace.answer_began()
        self._requests_left -= 1
        if self._requests_left <= 0 or self.site.is_draining:
            self.retire()
        head = read_head(event.headers, self._limits.headers)
        stream.begin(head, is_whole=event.stream_ended is not None)

    def _data_received(self, event: DataReceived) -> None:
        stream = self._streams.get(event.stream_id)
        size = len(event.data)
        padding = event.flow_controlled_length - size
        if stream is None:
            # Of a stream that we have just ended.
            self._windows.acknowledge(event.stream_id, size + padding)
            return
        self._meter.earn(moved=size)
        if padding:
            self._windows.acknowledge(event.stream_id, padding)
        stream.push(event.data)
        self._fed[stream.number] = stream

    def _stream_ended(self, event: StreamEnded) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.end()

    def _stream_reset(self, event: StreamReset) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            self._forget(stream)
            stream.lost(Failure(ConnectionLost()))
        self._count_reset()

    def _count_reset(self) -> None:
        if not self._resets.spend(1, self.seconds()):
            self._give_up("too many streams were taken back", ErrorCodes.ENHANCE_YOUR_CALM)

    def _window_updated(self, event: WindowUpdated) -> None:
        if not event.stream_id:
            self._sending.unblock(self._streams.values())
        elif event.stream_id in self._streams:
            self._sending.unblock([self._streams[event.stream_id]])

    def _settings_changed(self, event: RemoteSettingsChanged) -> None:
        bound_terms(self.protocol, event.changed_settings)
        self._sending.unblock(self._streams.values())

    def _terminated(self, event: ConnectionTerminated) -> None:
        """The client leaves; the library sends nothing any more."""
        self._end_input()
        for stream in list(self._streams.values()):
            self._forget(stream)
            stream.lost(Failure(ConnectionLost()))
        self.loseConnection()

    # --- what leaves (``sending.Listener``)

    def about_to_send(self) -> None:
        """Give the routes what came, all that came for each in one piece."""
        fed, self._fed = self._fed, {}
        for stream in fed.values():
            stream.deliver()

    def turn_began(self, stream: Stream) -> None:
        """It is about to send: its window, too, if it asked for one."""
        if stream.wants_width:
            stream.wants_width = False
            self._windows.widen(stream)

    def turn_ended(self, stream: Stream, sent: int) -> None:
        """It has sent so many bytes of a body."""
        self._meter.earn(moved=sent)

    def has_sent(self) -> None:
        """All has left that can leave now."""
        if self._is_leaving and not self._streams:
            self.loseConnection()

    def reads_nothing(self) -> None:
        """The client makes us keep more than it may."""
        log.debug("an HTTP/2 connection of {peer} ends: it reads nothing", peer=self._peer)
        self.abort()

    def pauseProducing(self) -> None:
        """The transport holds enough for now."""
        self._sending.clog()

    def resumeProducing(self) -> None:
        """The transport has room again."""
        if self.pace.stage is Stage.IDLE:
            self.pace.idle_began(self.seconds())
        self._sending.unclog()

    def stopProducing(self) -> None:
        """The connection is about to be lost; it will tell."""

    # --- deadlines

    def tick(self, now: float) -> None:
        """Do what the time that has passed asks for; called about once a second."""
        for stream in list(self._streams.values()):
            stream.tick(now)
        verdict = self._judge(now)
        if verdict is Verdict.ABORT:
            self.abort()
        elif verdict is not Verdict.GO_ON:
            self.retire()
            self.loseConnection()

    def _judge(self, now: float) -> Verdict:
        if not self.is_reading:
            self._meter.excuse(now)
        since = self._meter.unfinished_since
        if not self._is_ended and since is not None and now - since >= self._limits.head_timeout:
            return Verdict.ABORT
        stage = self.pace.stage
        if stage is Stage.CLOSING or (stage is Stage.IDLE and self._sending.is_clogged):
            return self.pace.judge_progress(now, self.wire.unacknowledged())
        if stage is not Stage.ANSWER:
            return self.pace.judge_deadline(now)
        return self.pace.judge_progress(now, self.progress() if self._sending.is_clogged else None)
