# SPDX-License-Identifier: Apache-2.0
"""A client that says exactly what it is told to, byte by byte, and reads answers as they come."""

from __future__ import annotations

import json

from attrs import field, frozen
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol


@frozen
class Reply:
    """One answer as it came."""

    status: int
    headers: dict[str, str]
    raw_headers: list[tuple[str, str]]
    body: bytes = field(repr=False)

    @property
    def code(self) -> str:
        """The first error's code."""
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)["errors"][0]["code"]

    def all(self, name):
        """Every value of a header."""
        return [value for key, value in self.raw_headers if key.lower() == name.lower()]


class RawClient(Protocol):
    """One connection.

    Attributes:
        was_clean: how it ended: by FIN (True) or reset (False); None while it is open.
    """

    def __init__(self, *, is_deaf=False):
        self._is_deaf = is_deaf
        self.received = bytearray()
        self.was_clean = None
        self._waiting = []
        self._closed = Deferred()

    def connectionMade(self):
        if self._is_deaf:
            self.transport.pauseProducing()

    def dataReceived(self, data):
        self.received += data
        self._wake()

    def connectionLost(self, reason):
        self.was_clean = reason.check(ConnectionDone) is not None
        self._wake()
        self._closed.callback(None)

    def _wake(self):
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def send(self, data):
        self.transport.write(data if isinstance(data, bytes) else data.encode("latin-1"))

    async def until(self, condition):
        """Wait until ``condition()`` or the end of the connection; say which."""
        while not condition():
            if self.was_clean is not None:
                return False
            arrival = Deferred()
            self._waiting.append(arrival)
            await arrival
        return True

    async def reply(self, *, to_head=False):
        """Take the next answer from what was received."""
        assert await self.until(lambda: b"\r\n\r\n" in self.received), self.received
        end = self.received.index(b"\r\n\r\n")
        line, *rows = self.received[:end].decode("latin-1").split("\r\n")
        del self.received[: end + 4]
        raw = [tuple(row.split(": ", 1)) for row in rows]
        headers = {name.lower(): value for name, value in raw}
        status = int(line.split(" ")[1])
        assert line.startswith("HTTP/1.1 ")
        length = 0 if to_head or status < 200 else int(headers.get("content-length", "0"))
        assert await self.until(lambda: len(self.received) >= length), "the answer is cut"
        body = bytes(self.received[:length])
        del self.received[:length]
        return Reply(status, headers, raw, body)

    async def ended(self):
        """Wait for the end of the connection."""
        if self.was_clean is None:
            await self._closed
        return self.was_clean

    async def close(self):
        if self.was_clean is None:
            self.transport.abortConnection()
            await self._closed


async def connect(port, client=None):
    """Connect to a port of this host."""
    endpoint = HostnameEndpoint(reactor, "127.0.0.1", port)
    return await connectProtocol(endpoint, client or RawClient())


def request(method, target, *, headers=(), body=None, host="registry.test"):
    """Spell a request; a body is declared, and follows."""
    rows = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]
    if body is not None:
        rows.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(rows) + "\r\n\r\n").encode("latin-1") + (body or b"")


def chunked(method, target, *chunks, headers=()):
    """Spell a request with a chunked body, its end included."""
    head = request(method, target, headers=("Transfer-Encoding: chunked", *headers))
    return head + b"".join(chunk(data) for data in chunks) + b"0\r\n\r\n"


def chunk(data):
    """Spell one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)
