# SPDX-License-Identifier: Apache-2.0
"""One request to a receiver, by HTTP.

Room: events. Must not know the queue. What comes back is a status and a few words; the answer's
body is thrown away, at most 64 KiB of it, and nobody is sent elsewhere: a redirect is a problem
like others. Certificates are checked. Variables such as ``http_proxy`` are not looked at.

treq keeps cookies, and unpacks what is packed without a bound; a receiver must not be able to fill
our memory, so each request has a client of its own, and :class:`_PlainAgent` stands behind it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

import treq
from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from txregistry import __version__
from txregistry.events.endpoint import Endpoint
from txregistry.events.envelope import render
from txregistry.events.retry import Reply
from txregistry.events.signing import identity_of, sign
from txregistry.outgoing import CheckedCertificates, Untrusted

#: Bytes of an answer that are read, so that the connection can be used again. Arbitrary.
ANSWER_LIMIT = 64 * 1024

_USER_AGENT = f"txregistry/{__version__}"


class Sender(Protocol):
    """Sends events to one receiver."""

    async def send(self, events: Sequence[Mapping[str, Any]]) -> Reply:
        """Try once; raises nothing but a cancellation."""

    async def close(self) -> None:
        """Send nothing any more."""


class HttpSender:
    """Sends by POST, over one connection that is kept.

    Args:
        agent: for tests.
        trust: authorities for certificates; None is the system's.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        reactor: Any,
        agent: IAgent | None = None,
        *,
        trust: Any = None,
    ) -> None:
        self._endpoint = endpoint
        self._reactor = reactor
        self._url, self._credentials = _split(endpoint.url)
        self._pool = HTTPConnectionPool(reactor, persistent=True)
        self._pool.maxPersistentPerHost = 1
        self._agent = _PlainAgent(
            agent
            or Agent(
                reactor,
                CheckedCertificates(trust),
                connectTimeout=endpoint.timeout,
                pool=self._pool,
            )
        )

    async def send(self, events: Sequence[Mapping[str, Any]]) -> Reply:
        """Try once; raises nothing but a cancellation."""
        task = Deferred.fromCoroutine(self._post(events))
        task.addTimeout(self._endpoint.timeout, self._reactor, onTimeoutCancel=_too_late)
        try:
            response = await task
            await _throw_away(response, self._endpoint.timeout, self._reactor)
            return _reply(response)
        except CancelledError:
            raise
        except ResponseFailed as error:
            inner = error.reasons[0].value if error.reasons else error
            if isinstance(inner, CancelledError):
                raise inner from error
            return Reply(None, _broken(inner))
        except TimeoutError:
            return Reply(None, f"no answer within {self._endpoint.timeout:g} s")
        except ConnectError as error:
            return Reply(None, f"no connection ({_words(error)})")
        except DNSLookupError:
            return Reply(None, "its name is not known")
        except Exception as error:  # the border round a client library; the next try may do better
            return Reply(None, f"it could not be asked ({type(error).__name__})")

    async def close(self) -> None:
        """Close the connection that is kept."""
        await self._pool.closeCachedConnections()

    async def _post(self, events: Sequence[Mapping[str, Any]]) -> IResponse:
        is_batched = self._endpoint.batch > 1
        media_type, body = render(events, self._endpoint.form, is_batched=is_batched)
        identity = identity_of([str(event["id"]) for event in events])
        headers = self._headers(media_type, identity, body)
        client = treq.client.HTTPClient(self._agent)  # and no cookie of an earlier answer
        response: IResponse = await client.post(
            self._url,
            headers=headers,
            data=_Body(body),
            allow_redirects=False,
            unbuffered=True,
            reactor=self._reactor,
        )
        return response

    def _headers(self, media_type: str, identity: str, body: bytes) -> Headers:
        headers = Headers({"User-Agent": [_USER_AGENT]})
        if self._credentials:
            headers.setRawHeaders("Authorization", [self._credentials])
        for name, values in self._endpoint.headers.items():
            headers.setRawHeaders(name, list(values))
        headers.setRawHeaders("Content-Type", [media_type])
        if self._endpoint.secret:
            now = self._reactor.seconds()
            for name, value in sign(self._endpoint.secret, identity, now, body):
                headers.setRawHeaders(name, [value])
        return headers


@implementer(IAgent)
class _PlainAgent:
    """An agent that neither asks treq's question for packed answers nor tells it of one."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Ask, and return an answer that is as it came."""
        if headers is not None:
            headers.removeHeader("Accept-Encoding")
        return self._agent.request(method, uri, headers, bodyProducer).addCallback(_as_it_came)


def _as_it_came(response: IResponse) -> IResponse:
    response.headers.removeHeader("Content-Encoding")
    return response


@implementer(IBodyProducer)
class _Body:
    """A request's body, written at once.

    Twisted's own take another turn of the reactor to find that it has ended; a receiver that has
    answered by then is taken for one that did not wait for it, and the connection is given up.
    """

    def __init__(self, data: bytes) -> None:
        self.length = len(data)
        self._data = data

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Write it."""
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:
        """It is written."""

    def resumeProducing(self) -> None:
        """It is written."""

    def stopProducing(self) -> None:
        """It is written."""


class _Sink(TwistedProtocol):
    """Takes a body and keeps nothing of it.

    Attributes:
        ended: fires when there is no more, or there was too much.
    """

    def __init__(self, limit: int) -> None:
        self.ended: Deferred[None] = Deferred(lambda _: self._stop())
        self._left = limit

    def connectionMade(self) -> None:
        """Take nothing of what may take nothing."""
        self.dataReceived(b"")

    def dataReceived(self, data: bytes) -> None:
        """Throw it away."""
        self._left -= len(data)
        if self._left < 0:
            self._stop()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """It was the end; why does not matter, the status came before."""
        if not self.ended.called:
            self.ended.callback(None)

    def _stop(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


async def _throw_away(response: IResponse, timeout: float, clock: IReactorTime) -> None:
    """Read what comes with an answer, for a while."""
    is_long = response.length is not UNKNOWN_LENGTH and response.length > ANSWER_LIMIT
    sink = _Sink(-1 if is_long else ANSWER_LIMIT)
    response.deliverBody(sink)
    sink.ended.addTimeout(timeout, clock, onTimeoutCancel=lambda result, seconds: None)
    await sink.ended
    # The connection goes back to its pool in this turn, after us.
    await deferLater(clock, 0)


def _reply(response: IResponse) -> Reply:
    is_accepted = 200 <= response.code < 300
    return Reply(
        response.code,
        "" if is_accepted else f"it answered {response.code}",
        _seconds(response.headers.getRawHeaders(b"Retry-After")),
    )


def _split(url: str) -> tuple[str, str]:
    """Return a URL without its user, and the header that the user becomes."""
    parts = urlsplit(url)
    user, separator, host = parts.netloc.rpartition("@")
    if not separator:
        return url, ""
    token = base64.b64encode(unquote(user).encode("utf-8")).decode("ascii")
    return urlunsplit(parts._replace(netloc=host)), f"Basic {token}"


def _seconds(values: Sequence[bytes] | None) -> float:
    """Return what ``Retry-After`` says in seconds; a date counts as nothing."""
    value = values[-1].strip() if values else b""
    return float(value) if value.isdigit() and len(value) < 10 else 0.0


def _too_late(result: object, timeout: float) -> NoReturn:
    """Say so, however a client library tells that it was cancelled."""
    raise TimeoutError(timeout, "Deferred")


def _broken(error: BaseException) -> str:
    """Return why there is no whole answer. What the other side sent is not quoted: it may be our
    own request, with all its secrets.
    """
    if isinstance(error, Untrusted):
        return _words(error)
    if isinstance(error, ConnectionClosed):
        return f"the answer broke off ({_words(error)})"
    if isinstance(error, SSL.Error):
        return "it speaks no TLS that we do"
    return f"the answer is not HTTP ({type(error).__name__})"


def _words(error: BaseException) -> str:
    """Return what an exception says, short and on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:200]
