# SPDX-License-Identifier: Apache-2.0
# mypy: allow-untyped-calls
# (the classes of twisted.web that are extended here have no annotations)
"""The site: what all connections share, and how it is made.

Room: web. Must not know routes. It counts connections, ticks their deadlines, keeps the headers
that stand on every answer, and tells the access log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocol
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.web.http import datetimeToString
from twisted.web.server import Site

from txregistry.auth.decisions import State
from txregistry.oci.errors import Code, OciError
from txregistry.registry import Registry
from txregistry.web.access import record_of
from txregistry.web.answer import Answer, format_headers, head_of
from txregistry.web.app import RegistryApp
from txregistry.web.call import House
from txregistry.web.channel import RegistryChannel
from txregistry.web.connections import Census, host_of
from txregistry.web.faults import refusal
from txregistry.web.filelane import Run
from txregistry.web.gate import Gate
from txregistry.web.request import RegistryRequest
from txregistry.web.room import Room
from txregistry.web.settings import WebSettings
from txregistry.web.turnstile import Turnstile
from txregistry.web.urls import make_urls

#: Seconds between two looks at the deadlines.
TICK = 1.0

_STANDING = {
    "Docker-Distribution-API-Version": "registry/2.0",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
_OURS = frozenset(
    {"server", "date", "content-length", "connection", "transfer-encoding", "x-request-id"}
)

log = Logger()


class Channel(Protocol):
    """A connection, of whichever version.

    Attributes:
        group: under which it is counted.
        requests: that are in progress.
    """

    group: str

    @property
    def requests(self) -> list[RegistryRequest]: ...

    def tick(self, now: float) -> None:
        """Do what the time that has passed asks for."""

    def retire(self) -> None:
        """Close as soon as no request is in progress."""

    def abort(self) -> None:
        """Drop it so that the peer notices."""


class RegistrySite(Site):
    """The factory of all connections.

    Attributes:
        channels: the open connections.
        queues: bytes of bodies that arrived and wait to be stored.
        wholes: bytes of bodies that are read whole.
        buffers: bytes of receive buffers that are larger than usual.
        is_draining: no connection stays open after its present answer.
    """

    protocol = RegistryChannel  # type: ignore[assignment]  # Twisted types its own function here
    requestFactory: Any = RegistryRequest

    def __init__(self, house: House, run: Run, reactor: Any) -> None:
        app = RegistryApp(house, run, reactor.seconds)
        super().__init__(
            app.resource(), reactor=reactor, timeout=None, parsePOSTFormSubmission=False
        )
        settings = house.settings
        self._registry = house.registry
        self.settings = settings
        self.limits = settings.limits
        self.is_draining = False
        self.queues = Room(settings.body_memory)
        self.wholes = Room(2 * settings.body_memory)
        self.buffers = Room(settings.body_memory // 2)
        self._app = app
        self._fixed = _fixed_headers(settings)
        proxies = settings.trusted_proxies
        self._census = Census(self.limits.connections, self.limits.connections_per_address, proxies)
        self.channels: set[Channel] = set()
        self._turnstile = Turnstile(reactor)
        self._empty: Deferred[None] | None = None
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = reactor

    @property
    def flights(self) -> Mapping[str, int]:
        """Requests that are being answered, by endpoint."""
        return self._app.flights

    def adopt(self, settings: WebSettings) -> None:
        """Serve by other settings from now on: new connections and the next requests of open ones.

        ``body_memory`` stays as it was.
        """
        self.settings = settings
        self.limits = settings.limits
        self._app.adopt(_furnish(self._registry, settings))
        self._fixed = _fixed_headers(settings)
        proxies = settings.trusted_proxies
        self._census.adopt(self.limits.connections, self.limits.connections_per_address, proxies)
        self._freshen()

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

    def channel_succeeded(self, channel: RegistryChannel) -> None:
        """Go on with HTTP/2 where a connection has begun."""
        # Of an extra: what is not installed is not offered, so nobody negotiates it.
        from txregistry.web.http2.connection import Http2Connection  # noqa: PLC0415

        self.channels.discard(channel)
        successor = Http2Connection(self, channel.group)
        channel.transport.wrappedProtocol = successor
        successor.makeConnection(channel.transport)

    def admit_stream(self, peer: IAddress) -> str | None:
        """Count a stream of HTTP/2 as what it stands for, a connection.

        Returns:
            What to give to :meth:`stream_left`; None if a cap is reached.
        """
        return self._census.admit(host_of(peer))

    def stream_left(self, place: str) -> None:
        """Count one less."""
        self._census.leave(place)

    def channel_opened(self, channel: Channel) -> None:
        """A connection was made."""
        self.channels.add(channel)
        if not self._ticking.running:
            self._freshen()
            self._ticking.start(TICK, now=False)

    def channel_closed(self, channel: Channel) -> None:
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
        """Close connections as soon as they have no request in progress, and all that are left
        later.

        Args:
            timeout: seconds that requests in progress are given.
        """
        self.is_draining = True
        for channel in list(self.channels):
            channel.retire()
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
        answer = refusal(OciError(Code.UNAVAILABLE, "too many connections"))
        return self._turnstile.turn_away(lambda: self._spell(answer))

    # --- answers

    def refuse(self, request: RegistryRequest, error: OciError, status: int | None) -> None:
        """Answer a request that no route will answer."""
        request.errand.error = error.code.value
        self._app.send(request, refusal(error, status=status))

    def request_ended(self, request: RegistryRequest) -> None:
        """The request was answered, or never will be: tell the access log."""
        if self.settings.access_log is not None:
            self.settings.access_log(record_of(request, self.reactor.seconds()))

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


def _fixed_headers(settings: WebSettings) -> bytes:
    """Return what stands on every answer but the date, configuration winning over ours."""
    configured = [(name, value) for name, values in settings.headers.items() for value in values]
    configured = [(name, value) for name, value in configured if name.lower() not in _OURS]
    names = {name.lower() for name, _ in configured}
    ours = [(name, value) for name, value in _STANDING.items() if name.lower() not in names]
    return format_headers(ours + configured)


def make_site(
    registry: Registry | None, settings: WebSettings, reactor: Any, *, run: Run | None = None
) -> RegistrySite:
    """Return the site that serves ``registry``; listen with it.

    Args:
        registry: None if the settings are those of a port that serves none.
        reactor: clock of all deadlines, and where threads are if ``run`` is not given.
        run: runs a blocking function in one of a bounded number of threads.
    """

    def in_pool(function: Any) -> Any:
        return deferToThreadPool(reactor, reactor.getThreadPool(), function)

    return RegistrySite(_furnish(registry, settings), run or in_pool, reactor)


def _furnish(registry: Registry | None, settings: WebSettings) -> House:
    urls = make_urls(settings.prefix, settings.host, relative=settings.relative_urls)
    state = State(read_only=settings.read_only, delete_enabled=settings.delete_enabled)
    gate = Gate(state, settings.identifying, settings.immutable)
    return House(registry, settings, urls, gate)
