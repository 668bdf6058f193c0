# SPDX-License-Identifier: Apache-2.0
"""Whom we take for the server that we meant to call."""

from datetime import UTC, datetime, timedelta

import pytest
import pytest_twisted
from twisted.internet import reactor, ssl
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import globalLogPublisher

from txregistry import outgoing
from txregistry.outgoing import CheckedCertificates, CheckedConnections, Untrusted

from .tls.authority import Authority

YESTERDAY = datetime.now(UTC) - timedelta(days=1)


class Caller(Protocol):
    """Says a word, and waits for the end."""

    def __init__(self):
        self.ended = Deferred()
        self.heard = b""

    def connectionMade(self):
        self.transport.write(b"secret")

    def dataReceived(self, data):
        self.heard += data
        self.transport.loseConnection()

    def connectionLost(self, reason):
        self.ended.callback((reason,))  # a failure alone would be raised


class Listener(Protocol):
    """Answers, and remembers what it was told."""

    def dataReceived(self, data):
        self.factory.told.append(data)
        self.transport.write(b"ok")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


async def call(files, trusted, *, name="localhost", told):
    """Call a server that shows a certificate; (what it said, why the connection ended)."""
    factory = Factory.forProtocol(Listener)
    factory.told = told
    context = ssl.DefaultOpenSSLContextFactory(str(files.key), str(files.certificate))
    port = reactor.listenSSL(0, factory, context, interface="127.0.0.1")
    try:
        roots = ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(trusted.file.read_bytes())])
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", port.getHost().port)
        caller = Caller()
        secure = wrapClientTLS(CheckedConnections(name, roots), endpoint)
        await secure.connect(Factory.forProtocol(lambda: caller))
        (reason,) = await caller.ended
    finally:
        await maybeDeferred(port.stopListening)
    return caller.heard, reason


@pytest.fixture
def logged():
    events = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
@pytest_twisted.ensureDeferred
async def test_certificate_for_the_name_or_the_address_is_taken(authority, name):
    heard, _ = await call(authority.issue("right", "localhost"), authority, name=name, told=[])
    assert heard == b"ok"


@pytest.mark.parametrize(
    ("shown", "name", "why"),
    [
        ({}, "other.example", "is not for other.example"),
        ({}, "127.0.0.2", "is not for 127.0.0.2"),
        # What Twisted alone logs a traceback of, and takes:
        ({"nameless": True}, "localhost", r"names no server \(it has no subjectAltName\)"),
        ({"until": YESTERDAY}, "localhost", "has expired"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_certificate_for_anything_else_is_refused(authority, logged, shown, name, why):
    """A trusted authority signed it; the server hears nothing of ours, and the caller hears why."""
    files = authority.issue("localhost", *([] if shown else ["localhost"]), **shown)
    told = []
    heard, reason = await call(files, authority, name=name, told=told)
    assert (heard, told) == (b"", [])
    with pytest.raises(Untrusted, match=f"^its certificate {why}$"):
        reason.raiseException()
    assert not [event for event in logged if "log_failure" in event]


@pytest_twisted.ensureDeferred
async def test_authority_that_nobody_trusts_vouches_for_nothing(authority, tmp_path):
    files = Authority(tmp_path, "stranger").issue("localhost", "localhost")
    _, reason = await call(files, authority, told=[])
    with pytest.raises(Untrusted, match="authority that this system does not know"):
        reason.raiseException()


@pytest_twisted.ensureDeferred
async def test_certificate_that_can_not_be_read_is_refused(authority, monkeypatch):
    """A hostile one must not get through by the fault that it brings about."""

    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(outgoing, "extract_patterns", fail)
    _, reason = await call(authority.issue("right", "localhost"), authority, told=[])
    with pytest.raises(Untrusted, match=r"can't be read \(ZeroDivisionError\)"):
        reason.raiseException()


def test_agent_is_given_connections_to_the_host_of_its_url():
    creator = CheckedCertificates().creatorForNetloc(b"registry.example", 443)
    assert isinstance(creator, CheckedConnections)
