# SPDX-License-Identifier: Apache-2.0
"""A blocking client that sends bytes as they are and holds every answer to what all must keep."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass, field

#: Seconds without a byte after which a server is taken to have hung.
PATIENCE = 20.0

#: What no answer may tell: our insides, where we store, and what hostile rows want repeated.
SECRETS = (b"Traceback", b'File "', b"site-packages", b"/docker/registry", b"evil", b"txregistry_")


@dataclass(frozen=True)
class Reply:
    """One answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def code(self):
        """Of the first error."""
        return json.loads(self.body)["errors"][0]["code"]

    def problems(self, *, to_head=False):
        """What is wrong with it, whatever it answers."""
        found = []
        if self.headers.get("x-content-type-options") != "nosniff":
            found.append("no nosniff")
        if 300 <= self.status < 400 and self.status != 304:
            found.append(f"redirects to {self.headers.get('location')}")
        if not self.headers.get("location", "/v2/").startswith("/v2/"):
            found.append(f"location {self.headers['location']}")
        if self.status >= 400 and not to_head:
            found += _document_problems(self)
        told = self.body[: 64 * 1024] + repr(self.headers).encode()
        found += [f"tells {secret!r}" for secret in SECRETS if secret in told]
        return found


def _document_problems(reply):
    if reply.headers.get("content-type") != "application/json":
        return [f"refused as {reply.headers.get('content-type')}"]
    try:
        document = json.loads(reply.body)
    except ValueError:
        return ["the refusal is no JSON"]
    errors = document.get("errors") if isinstance(document, dict) else None
    if not errors or list(document) != ["errors"]:
        return ["the refusal is no error document"]
    return [
        f"malformed error {row}"
        for row in errors
        if not {"code", "message"} <= set(row) <= {"code", "message", "detail"}
        or not row["code"].replace("_", "").isupper()
    ]


class Cut(Exception):
    """The connection ended before the answer did."""


class Wire:
    """One connection. Use as a context."""

    def __init__(self, port, *, source="127.0.0.1", receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))
        self._received = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Send all of it, or what a server takes that closes meanwhile; says which."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def reply(self, *, to_head=False):
        """Read the next answer.

        Raises:
            Cut: it is not whole.
        """
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            self._more()
        line, *fields = self._take(end + 4)[:-4].decode("latin-1").split("\r\n")
        headers = {}
        for name, _, value in (row.partition(": ") for row in fields):
            headers[name.lower()] = value
        version, status = line[:9], int(line[9:12])
        assert version == "HTTP/1.1 ", line
        is_bodiless = to_head or status < 200 or status in (204, 304)
        length = 0 if is_bodiless else int(headers["content-length"])
        while len(self._received) < length:
            self._more()
        return Reply(status, headers, bytes(self._take(length)))

    def replies(self):
        """All answers until the server closes; none of them may be cut."""
        found = []
        while True:
            try:
                found.append(self.reply())
            except Cut:
                assert not self._received, f"the last answer is cut: {bytes(self._received)!r}"
                return found

    def first(self):
        """Wait for the first bytes of an answer."""
        self._more()

    def ended(self):
        """Wait for the server's end; what it still sent before."""
        with contextlib.suppress(Cut):
            while True:
                self._more()
        return bytes(self._received)

    def reset(self):
        """Leave without a word more: RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def _take(self, count):
        taken = self._received[:count]
        del self._received[:count]
        return taken

    def _more(self):
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Cut("the connection ended")
        self._received += data
