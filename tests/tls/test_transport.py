# SPDX-License-Identifier: Apache-2.0
"""One TLS connection inside the process: whose certificate it is, and what a reload changes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, PrivateCertificate, optionsForClientTLS

from txregistry.config.tls_settings import Tls
from txregistry.tls import TlsFactory, make_contexts
from txregistry.tls.transport import _describe
from txregistry.web.peer import PeerCertificate, peer_certificate

from .authority import DAY, Authority


class Greeter(Protocol):
    """Says at the first byte who is there."""

    def dataReceived(self, data):
        self.factory.peers.append(peer_certificate(self.transport))
        self.transport.write(b"hello")

    def connectionMade(self):
        self.factory.early.append(peer_certificate(self.transport))

    def connectionLost(self, reason):
        assert peer_certificate(self.transport) is None


class Caller(Protocol):
    """Says something, and waits for the answer."""

    def __init__(self):
        self.answer = Deferred()
        self.gone = Deferred()

    def connectionMade(self):
        self.transport.write(b"who am I?")

    def dataReceived(self, data):
        self.answer.callback(data)

    def connectionLost(self, reason):
        if not self.answer.called:
            self.answer.errback(reason)
        self.gone.callback(None)


class Place:
    """A port with TLS, and calls to it."""

    def __init__(self, directory):
        self.authority = Authority(directory)
        self.server = self.authority.issue("server", "registry.example")
        self.greeter = Factory.forProtocol(Greeter)
        self.greeter.peers = []
        self.greeter.early = []
        self.port = None

    def listen(self, **settings):
        self.factory = TlsFactory(self.contexts(self.server, **settings), self.greeter, reactor)
        self.port = reactor.listenTCP(0, self.factory, interface="127.0.0.1")

    def contexts(self, server, **settings):
        return make_contexts(
            Tls(certificate=str(server.certificate), key=str(server.key), **settings)
        )

    async def begin(self, show=None):
        mine = None
        if show is not None:
            mine = PrivateCertificate.loadPEM(show.key.read_bytes() + show.certificate.read_bytes())
        options = optionsForClientTLS(
            "registry.example",
            trustRoot=Certificate.loadPEM(self.authority.file.read_bytes()),
            clientCertificate=mine,
        )
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port.getHost().port)
        return await connectProtocol(wrapClientTLS(options, endpoint), Caller())

    async def call(self, show=None):
        """Call; return how the other side describes the caller."""
        caller = await self.begin(show)
        await caller.answer
        caller.transport.loseConnection()
        await caller.gone
        return self.greeter.peers[-1]


@pytest_twisted.async_yield_fixture
async def place(tmp_path):
    place = Place(tmp_path)
    yield place
    if place.port is not None:
        await maybeDeferred(place.port.stopListening)


@pytest.fixture
def robot(place):
    others = [
        x509.RFC822Name("robot@example.org"),
        x509.UniformResourceIdentifier("spiffe://example.org/robot"),
    ]
    return place.authority.issue("robot", "robot.example", client=True, others=others)


async def test_verified_certificate_is_told(place, robot):
    place.listen(client_cas=(str(place.authority.file),))
    peer = await place.call(robot)
    assert peer == PeerCertificate(
        subject="CN=robot",
        common_name="robot",
        dns_names=("robot.example",),
        emails=("robot@example.org",),
        uris=("spiffe://example.org/robot",),
        addresses=(),
        fingerprint=peer.fingerprint,
    )
    assert len(peer.fingerprint) == 64
    assert place.greeter.early == [None]


async def test_certificate_without_alternative_names_is_told(place):
    place.listen(client_cas=(str(place.authority.file),))
    peer = await place.call(place.authority.issue("bare", client=True))
    assert (peer.common_name, peer.dns_names, peer.uris) == ("bare", (), ())


@pytest.mark.parametrize("how", ["request-client-cert", "require-any-client-cert"])
async def test_certificate_that_nobody_verified_is_nobody(place, tmp_path, how):
    """Anybody can make one that says anything."""
    place.listen(client_cas=(str(place.authority.file),), client_auth=how)
    stranger = Authority(tmp_path / "elsewhere").issue("robot", client=True)
    assert await place.call(stranger) is None
    own = place.authority.issue("robot", client=True)
    assert await place.call(own) is None


async def test_client_without_a_certificate_is_nobody(place):
    place.listen(client_cas=(str(place.authority.file),), client_auth="verify-client-cert-if-given")
    assert await place.call() is None


async def test_plain_connection_is_nobody(place):
    place.port = reactor.listenTCP(0, place.greeter, interface="127.0.0.1")
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", place.port.getHost().port)
    caller = await connectProtocol(endpoint, Caller())
    await caller.answer
    assert place.greeter.peers == [None]
    caller.transport.loseConnection()
    await caller.gone


async def test_new_contexts_are_for_new_connections(place, robot):
    """A connection keeps the terms that it began with."""
    place.listen(client_cas=(str(place.authority.file),))
    first = await place.begin(robot)
    await first.answer
    assert place.greeter.peers[-1].common_name == "robot"
    place.factory.use(place.contexts(place.server))
    assert await place.call(robot) is None
    first.answer = Deferred()
    first.transport.write(b"and now?")
    await first.answer
    assert place.greeter.peers[-1].common_name == "robot"
    first.transport.loseConnection()
    await first.gone


async def test_certificate_that_was_renewed_is_shown(place):
    place.listen()
    expired = place.authority.issue("late", "registry.example", until=datetime.now(UTC) - DAY)
    place.factory.use(place.contexts(expired))
    with pytest.raises(Exception, match="certificate verify failed"):
        await place.call()
    place.factory.use(place.contexts(place.authority.issue("fresh", "registry.example")))
    await place.call()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x06\x03\x55\x1d\x11", b"\x06\x03\x55\x1d\x13"),
        (b"\x82\x08abcdefgh", b"\xa3\x08abcdefgh"),
    ],
    ids=["extension twice", "name of an odd kind"],
)
def test_certificate_whose_names_nobody_can_read_has_none(place, old, new):
    """An authority may have signed it all the same, and its requests are no errors of ours."""
    der = place.authority.issue("robot", "abcdefgh", client=True).x509.public_bytes(Encoding.DER)
    assert der.count(old) == 1
    peer = _describe(x509.load_der_x509_certificate(der.replace(old, new)))
    assert (peer.common_name, peer.dns_names) == ("robot", ())
