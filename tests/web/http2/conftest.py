# SPDX-License-Identifier: Apache-2.0
"""The house of ``tests.web``, with TLS and HTTP/2 before it."""

from __future__ import annotations

import os

import pytest
import pytest_twisted
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from tests.tls.authority import Authority
from tests.web.conftest import FileStore, House
from txregistry.config.tls_settings import Tls
from txregistry.storage.memory import MemoryStore
from txregistry.tls import TlsFactory, make_contexts

from .frames import FrameClient


@implementer(IOpenSSLClientConnectionCreator)
class Offering:
    """Trusts any server, and offers protocols."""

    def __init__(self, protocols):
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.set_alpn_protos(list(protocols))

    def clientConnectionForTLS(self, protocol):
        return SSL.Connection(self._context, None)


class Http2House(House):
    """A site behind TLS; time stands still, but what is due at once is done."""

    contexts = None
    tls_port = 0

    def serve(self, **settings):
        super().serve(**settings)
        port = reactor.listenTCP(
            0, TlsFactory(self.contexts, self.site, reactor), interface="127.0.0.1"
        )
        self.ports.append(port)
        self.tls_port = port.getHost().port
        return self

    def drain(self):
        """Tell the site to stop; what waits for its end is closed with the house."""
        self.drained = Deferred.fromCoroutine(self.site.drain(1000))

    async def turn(self):
        self.clock.advance(0)
        await super().turn()

    def requests(self):
        """What is in progress, on all connections."""
        return [request for channel in self.site.channels for request in channel.requests]

    def taken(self):
        """Bytes of the only body in progress that nobody has to take any more."""
        [request] = self.requests() or [None]
        return -1 if request is None else request.body.received - self.site.queues.used

    async def h2(self, client=None, protocols=(b"h2", b"http/1.1")):
        """A new connection that has negotiated HTTP/2."""
        client = client or FrameClient()
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.tls_port)
        await connectProtocol(wrapClientTLS(Offering(protocols), endpoint), client)
        self.clients.append(_Closing(self, client))
        if isinstance(client, FrameClient):
            await self.until(lambda: client.settings or client.is_gone)
        return client

    async def answer(self, client, number):
        """Wait for all of an answer."""
        await self.until(lambda: client.answers[number].is_over or client.is_gone)
        return client.answers[number]

    async def get(self, client, path, **words):
        """One request without a body."""
        return await self.answer(client, client.ask(words.pop("method", "GET"), path, **words))

    async def send(self, client, number, data):
        """Send all of a body, as fast as we are let."""
        while data := client.body(number, data, is_last=True):
            await self.turn()

    async def put(self, client, method, path, data, headers=()):
        """One request with a body."""
        number = client.ask(method, path, headers=headers, is_whole=False)
        await self.send(client, number, data)
        return await self.answer(client, number)

    async def begin_upload(self, client):
        """Start an upload; returns where it goes on."""
        started = await self.get(client, "/v2/a/blobs/uploads/", method="POST")
        assert started.status == 202
        return started.headers["location"]

    async def open_streams(self, client, count):
        """Begin requests that wait for their bodies; returns their streams."""
        locations = [await self.begin_upload(client) for _ in range(count)]
        return [client.ask("PATCH", location, is_whole=False) for location in locations]


class _Closing:
    """What a house does with its clients."""

    def __init__(self, house, client):
        self._house = house
        self._client = client

    async def close(self):
        if self._client.was_clean is None:
            self._client.transport.abortConnection()
        await self._house.turn()


@pytest.fixture(scope="session")
def contexts(tmp_path_factory):
    """Contexts that offer HTTP/2."""
    authority = Authority(tmp_path_factory.mktemp("authority") / "h2")
    server = authority.issue("server", "registry.test")
    settings = Tls(certificate=os.fspath(server.certificate), key=os.fspath(server.key))
    return make_contexts(settings, http2=True)


async def _open(store, contexts):
    house = Http2House(store)
    house.contexts = contexts
    return house.serve()


@pytest_twisted.async_yield_fixture
async def house(contexts):
    """A site with a store in memory: its content comes in streams."""
    house = await _open(MemoryStore(), contexts)
    yield house
    await house.close()


@pytest_twisted.async_yield_fixture
async def file_house(contexts):
    """A site whose content is files."""
    house = await _open(FileStore(), contexts)
    yield house
    await house.close()
