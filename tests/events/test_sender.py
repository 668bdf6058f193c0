# SPDX-License-Identifier: Apache-2.0
"""One request over a real connection: what is sent, and what is made of all that may come back."""

import base64
import gzip
import json
import re

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.task import Clock, deferLater

from txregistry import __version__
from txregistry.events.endpoint import Form
from txregistry.events.sender import HttpSender
from txregistry.events.signing import sign

from ..tls.authority import Authority
from .samples import endpoint, plain

TIMEOUT = 5.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Watch:
    """The reactor, but that our own deadlines pass only when the test says so.

    Attributes:
        deadlines: how many were set.
    """

    def __init__(self):
        self.clock = Clock()
        self.deadlines = 0

    def __getattr__(self, name):
        return getattr(reactor, name)

    def callLater(self, delay, function, *arguments, **words):
        is_deadline = delay == TIMEOUT
        self.deadlines += is_deadline
        clock = self.clock if is_deadline else reactor
        return clock.callLater(delay, function, *arguments, **words)


class Connection(Protocol):
    """Gives the answer of its receiver to each whole request."""

    is_over = False

    def connectionMade(self):
        self.factory.connections.append(self)
        self._data = b""

    def dataReceived(self, data):
        self._data += data
        head, separator, body = self._data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if separator and len(body) >= int(length[1]):
            self.factory.requests.append((head.decode(), body))
            self._data = b""
            self.factory.answer(self.transport)

    def connectionLost(self, reason):
        self.factory.ended += 1
        self.is_over = True


class Receiver(Factory):
    protocol = Connection

    def __init__(self):
        self.connections = []
        self.requests = []
        self.ended = 0
        self.answer = lambda transport: transport.write(OK)
        self.port = reactor.listenTCP(0, self, interface="127.0.0.1")
        self.senders = []
        self.watch = Watch()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port.getHost().port}/in?token=s"

    def sender(self, **words):
        sender = HttpSender(endpoint(**{"url": self.url, "timeout": TIMEOUT} | words), self.watch)
        self.senders.append(sender)
        return sender

    async def send(self, *events, **words):
        return await self.sender(**words).send(events or [plain()])

    def header(self, name):
        found = re.search(rf"(?im)^{name}: (.*)\r?$", self.requests[-1][0])
        return found and found[1].strip()

    async def close(self):
        await maybeDeferred(self.port.stopListening)
        for sender in self.senders:
            await sender.close()
        for connection in self.connections:
            if not connection.is_over:
                connection.transport.abortConnection()


@pytest_twisted.async_yield_fixture
async def receiver():
    receiver = Receiver()
    yield receiver
    await receiver.close()


def saying(data, then=lambda transport: None):
    def answer(transport):
        transport.write(data)
        then(transport)

    return answer


class RequestTests:
    async def test_envelope_is_posted(self, receiver):
        reply = await receiver.send(plain(7))
        assert (reply.status, reply.problem) == (200, "")
        head, body = receiver.requests[0]
        assert head.startswith("POST /in?token=s HTTP/1.1\r\n")
        assert receiver.header("content-type").startswith("application/vnd.docker.distribution.ev")
        assert receiver.header("user-agent") == f"txregistry/{__version__}"
        assert json.loads(body) == {"events": [plain(7)]}
        assert receiver.header("webhook-signature") is None

    async def test_headers_and_the_user_of_the_url(self, receiver):
        url = receiver.url.replace("//", "//us%40er:pass@")
        await receiver.send(url=url, headers={"X-One": ("a",), "X-Two": ("b",)})
        assert (receiver.header("x-one"), receiver.header("x-two")) == ("a", "b")
        assert (
            receiver.header("authorization") == "Basic " + base64.b64encode(b"us@er:pass").decode()
        )
        assert "us%40er" not in receiver.requests[0][0]

    async def test_configured_header_counts_more_than_the_user(self, receiver):
        url = receiver.url.replace("//", "//u:p@")
        await receiver.send(url=url, headers={"Authorization": ("Bearer x",)})
        assert receiver.header("authorization") == "Bearer x"

    async def test_signed_request_can_be_checked(self, receiver):
        await receiver.send(plain(7), secret="s")
        stamp = float(receiver.header("webhook-timestamp"))
        for name, value in sign("s", "7", stamp, receiver.requests[0][1]):
            assert receiver.header(name) == value

    async def test_cloudevents(self, receiver):
        await receiver.send(plain(1), plain(2), form=Form.CLOUDEVENTS, batch=2)
        assert receiver.header("content-type") == "application/cloudevents-batch+json"
        assert len(json.loads(receiver.requests[0][1])) == 2

    @pytest.mark.parametrize("path", ["/in?token=s%2Bt+u~%7E&k", "/a%2Fb/%C3%A9;x"])
    async def test_url_is_asked_for_as_it_is_written(self, receiver, path):
        """What is escaped stays so: a receiver may compare secrets in it byte by byte."""
        await receiver.send(url=receiver.url.partition("/in")[0] + path)
        assert receiver.requests[-1][0].split()[1] == path

    async def test_nothing_packed_is_asked_for(self, receiver):
        await receiver.send()
        assert receiver.header("Accept-Encoding") is None

    async def test_cookies_are_not_kept(self, receiver):
        receiver.answer = saying(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n"))
        sender = receiver.sender()
        for _ in range(2):
            await sender.send([plain()])
        assert len(receiver.requests) == 2
        assert receiver.header("Cookie") is None

    async def test_connection_is_used_again(self, receiver):
        sender = receiver.sender()
        for _ in range(3):
            assert (await sender.send([plain()])).status == 200
        assert (len(receiver.requests), len(receiver.connections)) == (3, 1)


class ReplyTests:
    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    async def test_nobody_is_sent_elsewhere(self, receiver, status):
        """A redirect is no way to have requests made in our name."""
        text = f"HTTP/1.1 {status} Go\r\nLocation: {receiver.url}\r\nContent-Length: 0\r\n\r\n"
        receiver.answer = saying(text.encode())
        reply = await receiver.send()
        assert (reply.status, reply.problem) == (status, f"it answered {status}")
        assert len(receiver.requests) == 1

    @pytest.mark.parametrize(
        ("text", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("-1", 0.0)]
    )
    async def test_retry_after(self, receiver, text, seconds):
        receiver.answer = saying(
            f"HTTP/1.1 429 No\r\nRetry-After: {text}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        assert (await receiver.send()).retry_after == seconds

    async def test_nobody_there(self, receiver):
        sender = receiver.sender()
        await maybeDeferred(receiver.port.stopListening)
        reply = await sender.send([plain()])
        assert reply.status is None
        assert reply.problem.startswith("no connection (")

    async def test_name_that_is_unknown(self, receiver):
        reply = await receiver.send(url="http://receiver.invalid/in")
        assert (reply.status, reply.problem) == (None, "its name is not known")

    async def test_receiver_that_does_not_answer(self, receiver):
        receiver.answer = lambda transport: receiver.watch.clock.advance(5)
        reply = await receiver.send()
        assert (reply.status, reply.problem) == (None, "no answer within 5 s")

    @pytest.mark.parametrize(
        "data", [b"", b"rubbish\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le", b"\0" * 100]
    )
    async def test_answer_that_breaks_off_is_none(self, receiver, data):
        receiver.answer = saying(data, lambda transport: transport.loseConnection())
        reply = await receiver.send()
        assert reply.status is None
        assert reply.problem
        assert "\n" not in reply.problem

    async def test_one_that_is_given_up_is_no_reply(self, receiver):
        """Whoever stops delivering must not be told that the receiver failed."""
        receiver.answer = lambda transport: asked.callback(None)
        asked = Deferred()
        task = Deferred.fromCoroutine(receiver.send())
        await asked
        task.cancel()
        with pytest.raises(CancelledError):
            await task

    async def test_answer_that_is_our_own_request_is_not_quoted(self, receiver):
        """An echo, or a proxy that shows what it was asked: it has the token of our URL in it."""

        def echo(transport):
            transport.write(receiver.requests[-1][0].encode() + b"\r\n\r\n")

        receiver.answer = echo
        reply = await receiver.send()
        assert reply.problem == "the answer is not HTTP (ParseError)"

    @pytest_twisted.ensureDeferred
    async def test_certificate_that_nobody_vouches_for(self, receiver, tmp_path):
        """No event goes to somebody who can't show that they are the receiver."""
        files = Authority(tmp_path).issue("localhost", "localhost")
        context = DefaultOpenSSLContextFactory(str(files.key), str(files.certificate))
        port = reactor.listenSSL(0, receiver, context, interface="127.0.0.1")
        reply = await receiver.send(url=f"https://localhost:{port.getHost().port}/in")
        await maybeDeferred(port.stopListening)
        assert (reply.status, receiver.requests) == (None, [])
        assert reply.problem == (
            "its certificate comes from an authority that this system does not know"
        )


class BodyTests:
    """What comes with an answer is thrown away, and is never a reason to send again."""

    async def test_long_one_is_not_read(self, receiver):
        """10 GiB: the connection goes."""
        receiver.answer = saying(
            b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n" + b"x" * 9
        )
        assert (await receiver.send()).status == 200

    async def test_endless_one_is_cut_off(self, receiver):
        chunk = b"2000\r\n" + b"x" * 0x2000 + b"\r\n"
        receiver.answer = saying(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 100
        )
        assert (await receiver.send()).status == 200

    async def test_one_that_never_comes_is_not_waited_for(self, receiver):
        receiver.answer = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        task = Deferred.fromCoroutine(receiver.send())
        while receiver.watch.deadlines < 2:  # of the head, which came, and of the body
            await deferLater(reactor, 0)
        receiver.watch.clock.advance(5)
        assert (await task).status == 200

    async def test_packed_one_is_not_unpacked(self, receiver):
        """A small answer must not become a large one."""
        bomb = gzip.compress(b"\0" * 10_000_000)
        receiver.answer = saying(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
            + f"Content-Length: {len(bomb)}\r\n\r\n".encode()
            + bomb
        )
        assert (await receiver.send()).status == 200

    async def test_broken_one_does_not_matter(self, receiver):
        receiver.answer = saying(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
            lambda transport: transport.loseConnection(),
        )
        assert (await receiver.send()).status == 200
