# SPDX-License-Identifier: Apache-2.0
"""What probes see, over real sockets of this host."""

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import Factory, Protocol

from txregistry.health import (
    Unhealthy,
    probe_file,
    probe_http,
    probe_storage,
    probe_tcp,
    shown,
)
from txregistry.storage.blocking import run_inline
from txregistry.storage.errors import Missing, Unavailable
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore


class Answering(Protocol):
    """Answers whatever comes with one prepared answer, and keeps what came."""

    def dataReceived(self, data):
        self.factory.received += data
        if self.factory.answer and b"\r\n\r\n" in self.factory.received:
            self.transport.write(self.factory.answer)
            self.transport.loseConnection()


@pytest_twisted.async_yield_fixture
async def server():
    factory = Factory.forProtocol(Answering)
    factory.received = b""
    factory.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    factory.port = port.getHost().port
    factory.stop = lambda: maybeDeferred(port.stopListening)
    yield factory
    await factory.stop()


async def problem_of(probe):
    try:
        await probe()
    except Unhealthy as error:
        return str(error)
    return ""


class StorageTests:
    async def test_storage_that_answers_is_well(self):
        assert await problem_of(probe_storage(HostedDriver(MemoryStore(), run=run_inline))) == ""

    @pytest.mark.parametrize(
        ("error", "text"),
        [
            (Missing("nothing there", path="/"), ""),
            (Unavailable("no route to it"), "Unavailable: no route to it"),
        ],
    )
    async def test_refusal_says_why(self, error, text):
        """An empty storage is one that works."""

        class Refusing:
            async def stat(self, path):
                assert path == "/"
                raise error

        assert await problem_of(probe_storage(Refusing())) == text


async def test_file_takes_the_host_out_of_service(tmp_path):
    probe = probe_file(str(tmp_path / "down"))
    assert await problem_of(probe) == ""
    (tmp_path / "down").symlink_to("/nowhere")
    assert await problem_of(probe) == "the file exists"


class TcpTests:
    async def test_port_that_takes_connections_is_well(self, server):
        assert await problem_of(probe_tcp(reactor, "127.0.0.1", server.port)) == ""

    async def test_port_that_does_not_is_a_problem(self, server):
        await server.stop()
        problem = await problem_of(probe_tcp(reactor, "127.0.0.1", server.port))
        assert problem == "no connection: ConnectionRefusedError"


class HttpTests:
    def probe(self, server, status=200, **headers):
        uri = f"http://127.0.0.1:{server.port}/health?key=hunter2"
        return probe_http(reactor, uri, headers, status)

    async def test_status_that_was_asked_for_is_well(self, server):
        assert await problem_of(self.probe(server, Authorization=("Basic x", "y"))) == ""
        assert server.received.startswith(b"HEAD /health?key=hunter2 HTTP/1.1\r\n")
        assert b"authorization: basic x\r\n" in server.received.lower()

    async def test_other_status_is_a_problem(self, server):
        server.answer = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"
        assert await problem_of(self.probe(server)) == "the answer is 302, not 200"
        assert await problem_of(self.probe(server, 302)) == ""

    async def test_what_is_not_http_is_a_problem(self, server):
        server.answer = b"220 smtp.example ESMTP\r\n"
        assert (await problem_of(self.probe(server))).startswith("no answer: ")

    async def test_nobody_there_is_a_problem(self, server):
        await server.stop()
        problem = await problem_of(self.probe(server))
        assert problem == "no answer: ConnectionRefusedError"


def test_url_is_shown_without_what_may_be_secret():
    assert shown("https://u:hunter2@x.example:8/a?token=hunter3#h") == "https://x.example:8/a"
