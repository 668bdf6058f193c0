# SPDX-License-Identifier: Apache-2.0
# mypy: allow-untyped-calls
# (the classes of twisted.web that are extended here have no annotations)
"""One client connection: framing, refusals below HTTP, deadlines.

Room: web. Must not know routes. Twisted's ``HTTPChannel`` parses; what is stricter or otherwise
than there, and why:

* a request goes to its route when its headers are complete, not when its body is (nothing is
spooled);
* ``100 Continue`` is sent when the route first pulls the body, so never after or instead of a
refusal;
* line folding (RFC 9112 section 5.2), and what ``framing`` finds, is refused;
* what can't be parsed is answered as every other refusal, by JSON, and the connection closes;
* deadlines are absolute (``pace``); Twisted's own timeout starts again with every byte and is off.

An answer that leaves before the body came is followed by a lingering close: our side is shut, what
comes is thrown away for a bounded time, so that the client can read the answer while it still
sends.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IAddress, IHandshakeListener, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from zope.interface import implementer

from txregistry.oci.errors import Code, OciError
from txregistry.web.answer import Answer, head_of
from txregistry.web.framing import (
    can_begin,
    fault_of_line,
    find_fault,
    is_beyond_belief,
    malformed,
    may_stay_open,
)
from txregistry.web.pace import Pace, Stage, Verdict
from txregistry.web.request import RegistryRequest
from txregistry.web.room import Room
from txregistry.web.settings import Limits
from txregistry.web.wire import LARGE_BUFFER, Wire


class Premises(Protocol):
    """What a connection needs of the site that it belongs to.

    Attributes:
        is_draining: we are to stop; no connection stays open after its present answer.
        queues: bytes that arrived and wait to be stored.
        wholes: bytes of bodies that are read whole.
        buffers: bytes of receive buffers that are larger than usual.
    """

    limits: Limits
    reactor: IReactorTime
    is_draining: bool
    queues: Room
    wholes: Room
    buffers: Room

    def channel_opened(self, channel: RegistryChannel) -> None:
        """A connection was made."""

    def channel_closed(self, channel: RegistryChannel) -> None:
        """A connection is gone."""

    def channel_succeeded(self, channel: RegistryChannel) -> None:
        """The client has negotiated HTTP/2: another protocol takes the transport over."""

    def refuse(self, request: RegistryRequest, error: OciError, status: int | None) -> None:
        """Answer a request that no route will answer; the connection closes after it."""


@implementer(IHandshakeListener)
class RegistryChannel(HTTPChannel):
    """One connection.

    Attributes:
        group: under which the connection is counted.
        persistent: the connection stays open after the present answer.
        is_refused: we answered below HTTP; nothing that comes is looked at any more.
    """

    site: Premises
    transport: Any
    group: str
    requests: list[RegistryRequest]
    wire: Wire
    pace: Pace
    persistent: bool
    is_refused = False

    _peer: IAddress
    _host: IAddress
    _requests_left = 0
    _discarded = 0
    _is_clogged = False
    _suspect: bytes | None = None

    # --- life of the connection

    def connectionMade(self) -> None:
        """Begin to watch the connection."""
        limits = self.site.limits
        self.maxHeaders = limits.headers
        self.totalHeadersSize = limits.head_size
        self._requests_left = limits.requests_per_connection
        self.wire = Wire(self.transport)
        self._peer = self.transport.getPeer()
        self._host = self.transport.getHost()
        self.pace = Pace(limits, self.seconds())
        super().connectionMade()
        self.site.channel_opened(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the request in progress and the site."""
        super().connectionLost(reason)
        self.wire.restore_buffer()
        self.site.channel_closed(self)

    def handshakeCompleted(self) -> None:
        """TLS has come about, and with it what is to be spoken."""
        if self.transport.negotiatedProtocol == b"h2":
            self.transport.unregisterProducer()
            self.site.channel_succeeded(self)

    def retire(self) -> None:
        """Close as soon as no request is in progress."""
        self.persistent = False
        if self.pace.stage in (Stage.FIRST, Stage.IDLE):
            self.loseConnection()

    def loseConnection(self) -> None:
        """Close once everything written has left, which has a deadline too."""
        self.pace.closing_began(self.seconds())
        super().loseConnection()

    def getPeer(self) -> IAddress:
        """The client's address; asked once, since it is a system call and every request wants
        it.
        """
        return self._peer

    def getHost(self) -> IAddress:
        """Our address, likewise."""
        return self._host

    def seconds(self) -> float:
        """The clock."""
        return self.site.reactor.seconds()

    # --- what comes in

    def dataReceived(self, data: bytes) -> None:
        """Parse, unless nothing that comes is of interest any more."""
        stage = self.pace.stage
        if stage is Stage.DISCARD:
            self._discarded += len(data)
            if self._discarded > self.site.limits.drain_size:
                # The deadline closes; until then the peer may read what we said.
                self.transport.pauseProducing()
        elif stage is Stage.IDLE or stage is Stage.FIRST:
            self.pace.head_began(self.seconds())
            if stage is Stage.FIRST and not can_begin(data):
                # Most likely a client that tries TLS first and waits to be told that there is none.
                self.refuse(malformed("this is not HTTP; the port speaks it without TLS"))
        if not self.is_refused:
            LineReceiver.dataReceived(self, data)

    def lineReceived(self, line: bytes) -> None:
        """Take a line of the head; folded ones are refused."""
        if line[:1] in (b" ", b"\t"):
            self.refuse(malformed("a header line is folded"))
            return
        if self._receivedHeaderSize + len(line) > self.totalHeadersSize:
            self.lineLengthExceeded(line)
            return
        super().lineReceived(line)

    def headerReceived(self, line: bytes) -> bool:
        """Take a whole header; says whether the parser may go on."""
        if is_beyond_belief(line):
            self.refuse(malformed("Content-Length is too large"))
            return False
        self._suspect = line
        is_good = bool(super().headerReceived(line))
        self._suspect = None
        return is_good

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a line that is longer than a whole head may be."""
        self.refuse(malformed("the request's head is too large"))

    def allHeadersReceived(self) -> None:
        """Judge the framing and hand the request to its route."""
        request = self.requests[-1]
        headers = request.requestHeaders
        fault = find_fault(self._version, self._path, headers, self.length)
        if fault is not None:
            self.refuse(malformed(fault))
            return
        self._requests_left -= 1
        is_enough = self._requests_left <= 0 or self.site.is_draining
        self.persistent = not is_enough and may_stay_open(self._version, headers)
        if self.length != 0:
            self.pace.body_began()
            request.begin(self._command, self._path, self._version, self.length)

    def allContentReceived(self) -> None:
        """The body is complete (for most requests: there is none)."""
        if self.is_refused:
            return
        if self.pace.stage is not Stage.DISCARD:
            self.pace.answer_began()
        super().allContentReceived()

    def requestDone(self, request: RegistryRequest) -> None:
        """The answer is out and the request complete: go on to the next one or close."""
        self.wire.restore_buffer()
        self._discarded = 0
        self.pace.idle_began(self.seconds())
        super().requestDone(request)

    def send(self, answer: Answer, standing: bytes, data: bytes, *, is_last: bool) -> None:
        """Write the head of an answer, with its body or the first of it."""
        self.transport.write(head_of(answer, standing, is_last=is_last) + data)

    # --- refusals below HTTP

    def _respondToBadRequestAndDisconnect(self) -> None:
        # Twisted's parser calls this private method wherever it gives up; there is no public hook.
        if self._suspect is not None:
            fault = fault_of_line(self._suspect)
        elif self._transferDecoder is not None:
            fault = "the chunked body is malformed"
        else:
            fault = "the request line must be a method, a path and HTTP/1.1"
        self.refuse(malformed(fault))

    def refuse(self, error: OciError, *, status: int | None = None) -> None:
        """Answer in place of any route, if an answer can still be given, and close."""
        if self.is_refused:
            return
        self.is_refused = True
        self.persistent = False
        self.clearLineBuffer()
        if not self.requests:
            # A line that never ended: there was no request line yet.
            self.requests.append(RegistryRequest(self))
        request = self.requests[-1]
        if not request.startedWriting:
            self.site.refuse(request, error, status)
        request.cut_off("the request is malformed or too slow")
        self.linger()

    def linger(self) -> None:
        """Close our side; go on reading for a while so that the peer can read what we said."""
        self.pace.discard_began(self.seconds())
        self.transport.resumeProducing()
        if self.wire.is_plain:
            self.transport.loseWriteConnection()
        else:
            # TLS tells the peer that we close, as soon as it has no producer any more, and waits
            # for the same from it.
            super().loseConnection()

    # --- how full the transport is

    def pauseProducing(self) -> None:
        """The transport holds enough for now."""
        self._is_clogged = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """The transport has room again; only now an answer that was written at once is out."""
        self._is_clogged = False
        if self.pace.stage is Stage.IDLE:
            self.pace.idle_began(self.seconds())
        super().resumeProducing()

    # --- the line of a body (``ingest.Line``)

    def body_wanted(self) -> None:
        """A route begins to read the body of the present request."""
        request = self.requests[-1]
        if request.take_expectation():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.body.length is None or request.body.length >= LARGE_BUFFER:
            self.wire.enlarge_buffer(self.site.buffers)

    def pause(self) -> None:
        """Stop reading the client."""
        self.transport.pauseProducing()

    def resume(self) -> None:
        """Read the client again."""
        self.transport.resumeProducing()

    def taken(self, size: int) -> None:
        """Nothing: TCP has been told already, by our having read."""

    # --- deadlines

    def tick(self, now: float) -> None:
        """Do what the time that has passed asks for; called about once a second."""
        verdict = self._judge(now)
        if verdict is Verdict.TIMEOUT:
            self.refuse(OciError(Code.UNAVAILABLE, message="the client is too slow"), status=408)
        elif verdict is Verdict.CLOSE:
            self.loseConnection()
        elif verdict is Verdict.ABORT:
            self.abort()

    def abort(self) -> None:
        """Drop the connection so that the peer notices."""
        self.transport.abortConnection()

    def _judge(self, now: float) -> Verdict:
        stage = self.pace.stage
        if stage is Stage.CLOSING or (stage is Stage.IDLE and self._is_clogged):
            return self.pace.judge_progress(now, self.wire.unacknowledged())
        if stage not in (Stage.BODY, Stage.ANSWER):
            return self.pace.judge_deadline(now)
        request = self.requests[-1]
        if stage is Stage.BODY and not request.startedWriting:
            return self.pace.judge_body(request.body.received, request.body.seconds_waited())
        held = self.wire.unacknowledged()
        if not held and not self._is_clogged:
            # It has nothing to take: the answer is still being made.
            return self.pace.judge_progress(now, None)
        return self.pace.judge_progress(now, (request.sentLength, held))
