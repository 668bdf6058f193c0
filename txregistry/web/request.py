# SPDX-License-Identifier: Apache-2.0
# mypy: allow-untyped-calls
# (the classes of twisted.web that are extended here have no annotations)
"""One request on one connection: what was asked, its body, and how much of an answer has left.

Room: web. Must not know routes. Of Twisted's ``Request`` it keeps what Klein calls and the order of
requests on a connection; it never parses forms, cookies or encodings, and an answer's head is
spelled by ``answer``, not from ``responseHeaders``.

    begin      headers complete (a body is to come)       -> the route runs
    push*      handleContentChunk, into the body
    complete   requestReceived                            -> without a body, the route runs now
    send*      the answer, by egress
    finish     by Klein: now, or when the body is complete, or the connection lingers and closes
"""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import parse_qsl

from klein.interfaces import IKleinRequest
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.iweb import INonQueuedRequestFactory
from twisted.web.resource import IResource
from twisted.web.server import Request
from zope.interface import implementer, provider

from txregistry.errand import Errand
from txregistry.oci.errors import Code, OciError
from txregistry.web.answer import Answer
from txregistry.web.connections import host_of
from txregistry.web.errands import REQUEST_ID, errand_of
from txregistry.web.ingest import NO_BODY, Body, Line, NoBody
from txregistry.web.pace import Pace
from txregistry.web.room import Room
from txregistry.web.settings import WebSettings
from txregistry.web.wire import Wire

#: Most parameters of a query. Arbitrary: more than the tags that one push may name.
QUERY_LIMIT = 256

#: A body that nobody read is waited for up to this many bytes rather than closing the connection.
#: Arbitrary: what a client has sent before it can have seen an early answer.
SMALL_REST = 64 * 1024


class Connection(Line, Protocol):
    """What a request needs of its connection."""

    persistent: bool
    wire: Wire
    pace: Pace
    transport: Any

    def send(self, answer: Answer, standing: bytes, data: bytes, *, is_last: bool) -> None:
        """Write the head of an answer, with its body or the first of it.

        Args:
            standing: formatted headers of every answer.
            is_last: the connection closes after this answer.

        Raises:
            ValueError: a header holds a line break; nothing was written.
        """

    def linger(self) -> None:
        """Close our side and read on for a while."""

    def abort(self) -> None:
        """Drop the connection so that the peer notices."""


class Lobby(Protocol):
    """What a request needs of the site that it came to."""

    resource: IResource
    reactor: IReactorTime
    settings: WebSettings
    queues: Room
    wholes: Room

    def request_ended(self, request: RegistryRequest) -> None:
        """The request was answered, or never will be."""


@implementer(IKleinRequest)
@provider(INonQueuedRequestFactory)
class RegistryRequest(Request):
    """One request.

    Attributes:
        body: of the request.
        query: the text after ``?``, still encoded.
        status: of the answer, 0 before it was sent.
        mapper: set and read by Klein.
        is_over: no answer can be given any more: the client left, or the connection answered
            itself.
        finished_early: the answer is out, the body is not complete.
        began: by the clock, when the headers were complete.
    """

    defaultContentType = None
    clientproto = b"HTTP/1.1"
    channel: Any
    body: Body | NoBody = NO_BODY
    query = ""
    status = 0
    mapper: Any = None
    branch_segments: tuple[str, ...] = ("",)
    is_over = False
    finished_early = False
    began = 0.0
    _expects_continue = False
    _has_ended = False
    _errand: Errand | None = None

    def __init__(self, channel: Any) -> None:
        super().__init__(channel, parsePOSTFormSubmission=False)
        self.lobby: Lobby = channel.site

    # --- from the connection

    def begin(self, method: bytes, target: bytes, version: bytes, length: int | None) -> None:
        """Run the route of a request whose body is still to come."""
        self.body = Body(self.channel, length, queues=self.lobby.queues, wholes=self.lobby.wholes)
        expect = (self.header(b"Expect") or "").lower()
        self._expects_continue = expect == "100-continue" and version != b"HTTP/1.0"
        self._run(method, target, version)

    def handleContentChunk(self, data: bytes) -> None:
        """Take a part of the body."""
        assert isinstance(self.body, Body)
        self.body.push(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The request is complete; one without a body runs its route only now."""
        if not isinstance(self.body, Body):
            self._run(command, path, version)
            return
        self.body.finish()
        if self.finished_early:
            super().finish()

    def take_expectation(self) -> bool:
        """Say, once, whether the client waits for ``100 Continue``."""
        expects, self._expects_continue = self._expects_continue, False
        return expects and not self.startedWriting

    def cut_off(self, why: str) -> None:
        """Nothing more will come, and nothing more may be said."""
        self.is_over = True
        self.body.fail(why)
        self._end()

    def connectionLost(self, reason: Failure) -> None:
        """The client is gone; Twisted calls this."""
        self.is_over = True
        self.body.fail("the client went away")
        super().connectionLost(reason)
        self._end()

    def _run(self, method: bytes, target: bytes, version: bytes) -> None:
        self.method, self.uri, self.clientproto = method, target, version
        self.path, _, query = target.partition(b"?")
        self.query = query.decode("ascii")
        self.began = self.lobby.reactor.seconds()
        self.process()

    def process(self) -> None:
        """Hand the request to Klein with its path as it came: neither split nor decoded."""
        self.prepath: list[bytes] = []
        self.postpath = [self.path]
        self.lobby.resource.render(self)

    # --- what was asked

    @property
    def errand(self) -> Errand:
        """What is known of it, for whoever tells of it."""
        if self._errand is None:
            self._errand = errand_of(self, self.lobby.settings.trusted_proxies)
        return self._errand

    def id_line(self) -> bytes:
        """Return the header line that tells the client the request's id."""
        return b"%b: %b\r\n" % (REQUEST_ID, self.errand.id.encode("ascii"))

    def header(self, name: bytes) -> str | None:
        """Return the value of a header, None if there is none; several lines are one list.

        Source: RFC 9110 section 5.3.
        """
        values = self.requestHeaders.getRawHeaders(name)
        return b", ".join(values).decode("latin-1") if values else None

    @property
    def is_from_proxy(self) -> bool:
        """A trusted proxy sent it."""
        return host_of(self.client) in self.lobby.settings.trusted_proxies

    def trace_headers(self) -> dict[str, str]:
        """Return what says to which trace it belongs. Source: W3C Trace Context."""
        found = {name: self.header(name.encode("ascii")) for name in ("traceparent", "tracestate")}
        return {name: value for name, value in found.items() if value is not None}

    def parameters(self) -> list[tuple[str, str]]:
        """Return the parameters of the query, decoded, in order.

        Raises:
            OciError: too large: there are more than ``QUERY_LIMIT``.
        """
        if not self.query:
            return []
        try:
            return parse_qsl(self.query, keep_blank_values=True, max_num_fields=QUERY_LIMIT)
        except ValueError:
            raise OciError(Code.UNSUPPORTED, "too many parameters", too_large=True) from None

    # --- the answer

    def is_last(self) -> bool:
        """Say whether the connection must close after an answer that is sent now."""
        if not self.body.is_complete and not self._is_rest_small():
            self.channel.persistent = False
        return not self.channel.persistent

    def _is_rest_small(self) -> bool:
        length = self.body.length
        return not self._expects_continue and length is not None and length <= SMALL_REST

    def send(self, answer: Answer, standing: bytes, data: bytes) -> None:
        """Write the head of an answer, with its body or the first of it.

        Raises:
            ValueError: a header holds a line break; nothing was written.
        """
        self.channel.send(answer, standing, data, is_last=self.is_last())
        self.startedWriting = 1
        self.code = self.status = answer.status

    def finish(self) -> None:
        """The answer is out, whether or not the request is complete."""
        if self.is_over or self.finished or self.finished_early:
            return
        self._end()
        if self.body.is_complete:
            super().finish()
            return
        self.finished_early = True
        self.body.discard()
        if self.channel.persistent:
            self.channel.pace.discard_began(self.channel.seconds())
        else:
            self.channel.linger()

    def abort(self) -> None:
        """Break the answer off so that the client sees that it is not whole."""
        if not self.is_over:
            self.is_over = True
            self.channel.abort()

    def _end(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self.lobby.request_ended(self)

    # --- what Klein asks of every request; the Host header takes no part in routing

    def getRequestHostname(self) -> bytes:
        """Return nothing: no answer depends on it."""
        return b""

    def isSecure(self) -> bool:
        """Return False: no URL is built from it."""
        return False

    def url_for(self, *_: object, **__: object) -> str:
        """Refuse: URLs are built by ``urls``."""
        raise NotImplementedError
