# SPDX-License-Identifier: Apache-2.0
"""One request on a connection of many, and its answer.

Room: web. Must not know routes, nor frames. For ``RegistryRequest`` it is what ``RegistryChannel``
is over HTTP/1.1: its channel, the line of its body and the transport of its answer. So everything
above - routes, bodies, egress, the access log - is the same for both.

    begin        the head is complete          -> the route runs
    push*, end   the body                      -> RegistryRequest
    send, write  the answer, kept in ``reply`` -> advance, when the connection has a turn for it
    requestDone  the answer is whole           -> END_STREAM
    linger       ... and the body is not       -> END_STREAM, then RST_STREAM with NO_ERROR
    lost         it was reset, or the connection is gone

What a client has sent is given back to its window only when the route has taken it, so what waits
is at most a window.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.python.failure import Failure

from txregistry.oci.errors import Code, OciError
from txregistry.web.answer import Answer
from txregistry.web.framing import malformed
from txregistry.web.http2.heads import VERSION, RequestHead, answer_fields
from txregistry.web.http2.reply import Reply, Sender
from txregistry.web.pace import Pace, Stage, Verdict
from txregistry.web.peer import PeerCertificate
from txregistry.web.request import RegistryRequest
from txregistry.web.wire import LARGE_BUFFER, Wire

#: What may wait to be sent before whoever writes it has to wait, in bytes.
LOW_WATER = 64 * 1024

# RFC 9113 section 7.
PROTOCOL_ERROR = 0x1
INTERNAL_ERROR = 0x2
CANCEL = 0x8


class Trunk(Protocol):
    """What a stream needs of its connection.

    Attributes:
        is_reading: what the client sends is read at present.
    """

    site: Any
    wire: Wire
    is_reading: bool

    def getPeer(self) -> IAddress: ...
    def getHost(self) -> IAddress: ...
    def seconds(self) -> float: ...

    def verified_peer(self) -> PeerCertificate | None:
        """Return the client's certificate if it was verified."""

    def wants_turn(self, stream: Stream) -> None:
        """It has something to send."""

    def acknowledge(self, stream: Stream, size: int) -> None:
        """Open the client's windows by what it has sent."""

    def stop_reading(self, stream: Stream) -> None:
        """Read nothing of this client until the stream says so."""

    def read_again(self, stream: Stream) -> None:
        """The stream does not mind reading any more."""

    def progress(self) -> object:
        """Return what differs from the last time if the client took anything."""

    def reset(self, stream: Stream, code: int) -> None:
        """Tell the client that the stream is broken off."""

    def stream_over(self, stream: Stream) -> None:
        """The answer has left."""


class Stream:
    """One request.

    Attributes:
        number: of the stream.
        is_body_whole: the client has sent all that it will.
        wants_width: a large body comes, for which the usual window would be slow.
        reply: its answer, as far as that has not left.
        served: the number of the turn in which it last sent something.
        persistent: an answer that leaves before the body came ends the stream, not the connection.
    """

    persistent = False

    def __init__(self, trunk: Trunk, number: int) -> None:
        self.number = number
        self.site: Any = trunk.site
        self.wire = trunk.wire
        self.transport = self
        self.pace = Pace(self.site.limits, trunk.seconds())
        self.is_body_whole = False
        self.wants_width = False
        self.reply = Reply(number)
        self.served = 0
        self._trunk = trunk
        self._inbox: list[bytes] = []
        self._is_over = False
        self._producer: IPushProducer | None = None
        self._is_producer_paused = False
        self._excused = 0.0
        self._waited = 0.0
        self._head: RequestHead | None = None
        self.request: RegistryRequest = self.site.requestFactory(self)

    # --- from the connection: what comes

    def begin(self, head: RequestHead, *, is_whole: bool) -> None:
        """The head is complete; ``is_whole`` if no body will come."""
        request, self._head, self.is_body_whole = self.request, head, is_whole
        request.requestHeaders = head.headers
        request.clientproto = VERSION
        if is_whole:
            self.pace.answer_began()
        else:
            self.pace.body_began()
        if head.fault is not None:
            self._refuse(malformed(head.fault))
        elif is_whole and head.length:
            self._refuse(malformed("there is no body, and Content-Length is not 0"))
        elif is_whole:
            request.requestReceived(head.method, head.target, VERSION)
        else:
            request.begin(head.method, head.target, VERSION, head.length)

    def push(self, data: bytes) -> None:
        """Take a part of the body."""
        if data:
            self._inbox.append(data)

    def deliver(self) -> None:
        """Let the route have what came: in one piece, since frames are small and each has a price
        on the way to storage.
        """
        if not self._inbox:
            return
        data = self._inbox[0] if len(self._inbox) == 1 else b"".join(self._inbox)
        self._inbox.clear()
        if self._is_over or self.request.is_over:
            self.taken(len(data))
        else:
            self.request.handleContentChunk(data)

    def end(self) -> None:
        """The client has sent all that it will."""
        if self.is_body_whole:
            return
        self.deliver()
        self.is_body_whole = True
        if self._is_over or self.request.is_over:
            return
        assert self._head is not None
        if self._head.length not in (None, self.request.body.received):
            # After trailers the library does not look.
            self._break_off(PROTOCOL_ERROR)
            return
        if not self.request.startedWriting:
            self.pace.answer_began()
        self.request.requestReceived(self._head.method, self._head.target, VERSION)

    def lost(self, reason: Failure) -> None:
        """Nothing can be sent any more. Repeatable."""
        if self._is_over:
            return
        self.deliver()
        self._is_over = True
        self.reply.clear()
        if not self.request.finished:
            self.request.connectionLost(reason)
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()

    # --- from the connection: a turn to send

    def advance(self, protocol: Sender, turn: int) -> int:
        """Send up to ``turn`` bytes of what waits; returns how many that were."""
        reply = self.reply
        if reply.is_missing:
            self.abort()
            return 0
        sent = reply.advance(protocol, turn)
        if reply.has_left:
            self._finish()
        elif self._is_producer_paused and reply.waiting <= LOW_WATER:
            self._is_producer_paused = False
            assert self._producer is not None
            self._producer.resumeProducing()
        return sent

    @property
    def is_hungry(self) -> bool:
        """There is something that the client would take."""
        return not self._is_over and self.reply.is_hungry

    def _finish(self) -> None:
        """The answer has left."""
        self._is_over = True
        if not self.request.finished:
            self.request.connectionLost(Failure(ConnectionDone()))
        self._trunk.stream_over(self)

    # --- the channel of its request

    def getPeer(self) -> IAddress:
        """The client's address."""
        return self._trunk.getPeer()

    def getHost(self) -> IAddress:
        """Our address."""
        return self._trunk.getHost()

    def seconds(self) -> float:
        """The clock."""
        return self._trunk.seconds()

    def send(self, answer: Answer, standing: bytes, data: bytes, *, is_last: bool) -> None:
        """Write the head of an answer, with its body or the first of it."""
        self.reply.begin(answer_fields(answer, standing))
        self.write(data)

    def requestDone(self, request: RegistryRequest) -> None:
        """The answer is out and the request complete."""
        self._end_answer()

    def linger(self) -> None:
        """The answer is out, the request is not complete; what comes of it is thrown away."""
        self._end_answer()

    def _end_answer(self) -> None:
        self.reply.end()
        self._trunk.wants_turn(self)

    def abort(self) -> None:
        """Break the answer off so that the client sees that it is not whole."""
        self._break_off(INTERNAL_ERROR)

    def _break_off(self, code: int) -> None:
        if not self._is_over:
            self._trunk.reset(self, code)
            self.lost(Failure(ConnectionDone()))

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Have what writes the answer wait while too much of it waits."""
        assert streaming
        self._producer = producer
        self._is_producer_paused = False

    def unregisterProducer(self) -> None:
        """Nothing more is written that would wait. Repeatable."""
        self._producer = None
        self._is_producer_paused = False

    # --- the transport of its answer

    def write(self, data: bytes) -> None:
        """Keep more of the answer until there is a turn for it."""
        if self._is_over:
            return
        self.reply.add(data)
        self._trunk.wants_turn(self)
        if self.reply.waiting > LOW_WATER and self._producer is not None:
            self._is_producer_paused = True
            self._producer.pauseProducing()

    def verified_peer(self) -> PeerCertificate | None:
        """Return the client's certificate if it was verified."""
        return self._trunk.verified_peer()

    # --- the line of its body (``ingest.Line``)

    def body_wanted(self) -> None:
        """The route begins to read the body."""
        if self.request.take_expectation():
            self.reply.say_continue()
        length = self.request.body.length
        self.wants_width = length is None or length >= LARGE_BUFFER
        self._trunk.wants_turn(self)

    def taken(self, size: int) -> None:
        """``size`` bytes of the body are stored; the client may send as many again."""
        if size:
            self._trunk.acknowledge(self, size)

    def pause(self) -> None:
        """Too much waits. Of this body its window takes care; of all together, not being read."""
        if self.site.queues.is_full:
            self._trunk.stop_reading(self)

    def resume(self) -> None:
        """Less waits."""
        self._trunk.read_again(self)

    # --- deadlines

    def tick(self, now: float) -> None:
        """Do what the time that has passed asks for."""
        if self._is_over:
            return
        waited = self.request.body.seconds_waited()
        if not self._trunk.is_reading:
            self._excused += waited - self._waited
        self._waited = waited
        verdict = self._judge(now)
        if verdict is Verdict.TIMEOUT:
            self._refuse(OciError(Code.UNAVAILABLE, message="the client is too slow"), status=408)
        elif verdict is Verdict.ABORT:
            self._break_off(CANCEL)

    def _judge(self, now: float) -> Verdict:
        body = self.request.body
        if self.pace.stage is Stage.BODY and not self.request.startedWriting:
            return self.pace.judge_body(body.received, body.seconds_waited() - self._excused)
        if not self.reply.waiting:
            return self.pace.judge_progress(now, None)
        # Without room in its own windows it does not help a stream that others move.
        others = None if self.reply.is_blocked else self._trunk.progress()
        return self.pace.judge_progress(now, (self.reply.sent, others))

    def _refuse(self, error: OciError, *, status: int | None = None) -> None:
        request = self.request
        if not request.startedWriting:
            self.site.refuse(request, error, status)
        request.cut_off("the request is malformed or too slow")
        self.linger()
