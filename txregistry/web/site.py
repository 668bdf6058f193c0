# SPDX-License-Identifier: Apache-2.0
# mypy: allow-untyped-calls
# (the classes of twisted.web that are extended here have no annotations)
"""The site: what all connections share, and how it is made.

Room: web. Must not know routes. It counts connections, ticks their deadlines, keeps the headers that
stand on every answer, and tells the access log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import datetimeToString
from twisted.web.server import Site

from txregistry.auth.decisions import State
from txregistry.oci.errors import Code, OciError
from txregistry.registry import Registry
from txregistry.web.answer import Answer, format_headers, head_of
from txregistry.web.app import RegistryApp
from txregistry.web.call import House
from txregistry.web.channel import RegistryChannel
from txregistry.web.connections import Census, host_of
from txregistry.web.faults import refusal
from txregistry.web.filelane import Run
from txregistry.web.gate import Gate
from txregistry.web.pace import Stage
from txregistry.web.request import RegistryRequest
from txregistry.web.settings import AccessRecord, WebSettings
from txregistry.web.urls import make_urls
from txregistry.web.wire import Wire

#: Seconds between two looks at the deadlines.
TICK = 1.0

#: Connections over the caps that are told so at a time; others are dropped. Arbitrary.
REFUSERS = 64

#: Seconds that a refused connection has to read why.
REFUSER_TIME = 2.0

_STANDING = {
    "Docker-Distribution-API-Version": "registry/2.0",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
_OURS = frozenset({"server", "date", "content-length", "connection", "transfer-encoding"})

log = Logger()


class RegistrySite(Site):
    """The factory of all connections.

    Attributes:
        channels: the open connections.
        is_draining: no connection stays open after its present answer.
    """

    protocol = RegistryChannel  # type: ignore[assignment]  # Twisted types its own function here
    requestFactory: Any = RegistryRequest

    def __init__(self, app: RegistryApp, settings: WebSettings, reactor: Any) -> None:
        super().__init__(app.resource(), reactor=reactor, timeout=None, parsePOSTFormSubmission=False)
        self.settings = settings
        self.limits = settings.limits
        self.is_draining = False
        self._app = app
        self._fixed = _fixed_headers(settings)
        proxies = settings.trusted_proxies
        self._census = Census(self.limits.connections, self.limits.connections_per_address, proxies)
        self.channels: set[RegistryChannel] = set()
        self._refusers = 0
        self._empty: Deferred[None] | None = None
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = reactor

    # --- connections

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Return what talks to a new connection."""
        host = host_of(addr)
        group = self._census.admit(host)
        if group is None:
            return self._turn_away(host)
        channel: Any = super().buildProtocol(addr)
        channel.group = group
        return channel

    def acceptableProtocols(self) -> list[bytes]:
        """Return what TLS may negotiate."""
        return [b"http/1.1"]

    def channel_opened(self, channel: RegistryChannel) -> None:
        """A connection was made."""
        self.channels.add(channel)
        if not self._ticking.running:
            self._freshen()
            self._ticking.start(TICK, now=False)

    def channel_closed(self, channel: RegistryChannel) -> None:
        """A connection is gone."""
        self.channels.discard(channel)
        self._census.leave(channel.group)
        if not self.channels:
            if self._ticking.running:
                self._ticking.stop()
            if self._empty is not None:
                empty, self._empty = self._empty, None
                empty.callback(None)

    async def drain(self, timeout: float) -> None:
        """Close connections as soon as they have no request in progress, and all that are left later.

        Args:
            timeout: seconds that requests in progress are given.
        """
        self.is_draining = True
        for channel in list(self.channels):
            channel.persistent = False
            if channel.pace.stage in (Stage.FIRST, Stage.IDLE):
                channel.loseConnection()
        late = self.reactor.callLater(timeout, self._drop)
        while self.channels:
            self._empty = Deferred()
            await self._empty
        if late.active():
            late.cancel()

    def _drop(self) -> None:
        for channel in list(self.channels):
            channel.abort()

    def _turn_away(self, host: str) -> IProtocol:
        log.debug("connection of {host} refused: too many are open", host=host)
        is_told = self._refusers < REFUSERS
        self._refusers += 1
        answer = refusal(OciError(Code.UNAVAILABLE, "too many connections"))
        told = self._spell(answer) if is_told else b""
        return _Refuser(told, self.reactor, self._refuser_gone)

    def _refuser_gone(self) -> None:
        self._refusers -= 1

    # --- answers

    def refuse(self, request: RegistryRequest, error: OciError, status: int | None) -> None:
        """Answer a request that no route will answer."""
        self._app.send(request, refusal(error, status=status))

    def request_ended(self, request: RegistryRequest) -> None:
        """The request was answered, or never will be: tell the access log."""
        if self.settings.access_log is not None:
            self.settings.access_log(self._record_of(request))

    def log(self, request: Any) -> None:
        """Twisted's own access log is not written."""

    def startFactory(self) -> None:
        """Twisted would start a timer for its own access log here."""

    def stopFactory(self) -> None:
        """There is nothing to stop: timers end with the last connection."""

    def _spell(self, answer: Answer) -> bytes:
        self._freshen()
        assert isinstance(answer.body, bytes)
        return head_of(answer, self._app.standing, is_last=True) + answer.body

    # --- time

    def _tick(self) -> None:
        self._freshen()
        now = self.reactor.seconds()
        for channel in list(self.channels):
            channel.tick(now)

    def _freshen(self) -> None:
        date = datetimeToString(self.reactor.seconds())
        self._app.standing = b"Server: txregistry\r\nDate: %b\r\n%b" % (date, self._fixed)

    def _record_of(self, request: RegistryRequest) -> AccessRecord:
        came = request.began > 0.0
        return AccessRecord(
            client=self._client_of(request),
            method=request.method.decode("ascii") if came else "",
            target=request.path.decode("ascii") if came else "",
            status=request.status,
            sent=request.sentLength,
            received=request.body.received,
            duration=self.reactor.seconds() - request.began if came else 0.0,
            user_agent=request.header(b"User-Agent") or "",
            referer=request.header(b"Referer") or "",
            is_complete=not request.is_over,
        )

    def _client_of(self, request: RegistryRequest) -> str:
        """Return the peer, or the last address before our own proxies if the peer is one of them."""
        host = host_of(request.client)
        trusted = self.settings.trusted_proxies
        if host in trusted:
            forwarded = (request.header(b"X-Forwarded-For") or "").split(",")
            for hop in reversed(forwarded):
                if hop.strip() and hop.strip() not in trusted:
                    return hop.strip()
        return host


class _Refuser(Protocol):
    """Says why a connection is over the caps, if there is something to say, and closes it."""

    transport: Any

    def __init__(self, told: bytes, clock: Any, gone: Callable[[], None]) -> None:
        self._told = told
        self._clock = clock
        self._gone = gone
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        if not self._told:
            self.transport.abortConnection()
            return
        self._deadline = self._clock.callLater(REFUSER_TIME, self.transport.abortConnection)
        self.transport.write(self._told)
        # With a request unread, closing outright would take our answer back.
        if Wire(self.transport).is_plain:
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone()
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()


def _fixed_headers(settings: WebSettings) -> bytes:
    """Return what stands on every answer but the date, configuration winning over ours."""
    configured = [(name, value) for name, values in settings.headers.items() for value in values]
    configured = [(name, value) for name, value in configured if name.lower() not in _OURS]
    names = {name.lower() for name, _ in configured}
    ours = [(name, value) for name, value in _STANDING.items() if name.lower() not in names]
    return format_headers(ours + configured)


def make_site(
    registry: Registry, settings: WebSettings, reactor: Any, *, run: Run | None = None
) -> RegistrySite:
    """Return the site that serves ``registry``; listen with it.

    Args:
        reactor: clock of all deadlines, and where threads are if ``run`` is not given.
        run: runs a blocking function in one of a bounded number of threads.
    """

    def in_pool(function: Any) -> Any:
        return deferToThreadPool(reactor, reactor.getThreadPool(), function)

    urls = make_urls(settings.prefix, settings.host, relative=settings.relative_urls)
    gate = Gate(State(read_only=settings.read_only, delete_enabled=settings.delete_enabled))
    house = House(registry, settings, urls, gate)
    return RegistrySite(RegistryApp(house, run or in_pool), settings, reactor)
