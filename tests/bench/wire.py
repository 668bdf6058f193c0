# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 over a bare socket, and what is pushed and pulled through it.

Knows as much of HTTP as both registries answer with: a status line, headers, Content-Length. On the
timed path nothing is hashed or allocated: the content is one block of random bytes whose first
eight count the blocks, so it is neither sparse nor alike anywhere, its digest is computed before,
and what is pulled lands in one buffer.
"""

from __future__ import annotations

import functools
import hashlib
import random
import socket
import time
from collections.abc import Iterator
from types import TracebackType
from urllib.parse import urlsplit

from attrs import field, frozen

from .failures import BenchError

BLOCK_SIZE = 1 << 20
_HEAD_LIMIT = 64 * 1024
_TIMEOUT = 120.0


def digest_of(content: bytes) -> str:
    """The sha256 digest in the spec's form."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


@frozen
class Content:
    """Bytes that are cheap to make: the same on every run, different in every block."""

    size: int

    def blocks(self) -> Iterator[memoryview]:
        """The content in order; a block is good until the next one is asked for."""
        block = bytearray(random.Random(self.size).randbytes(BLOCK_SIZE))
        view = memoryview(block)
        for number, start in enumerate(range(0, self.size, BLOCK_SIZE)):
            block[:8] = number.to_bytes(8, "big")
            yield view[: min(BLOCK_SIZE, self.size - start)]

    @property
    def digest(self) -> str:
        """Its sha256 digest; computed once for each size."""
        return _digest_of_size(self.size)


@functools.cache
def _digest_of_size(size: int) -> str:
    running = hashlib.sha256()
    for block in Content(size).blocks():
        running.update(block)
    return "sha256:" + running.hexdigest()


@frozen
class Answer:
    """An answer's head, and the part of its body that came with it."""

    status: int
    headers: dict[str, str] = field(repr=False)
    start: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes of the body.

        Raises:
            BenchError: the head does not say.
        """
        try:
            return int(self.headers["content-length"])
        except (KeyError, ValueError):
            raise BenchError(f"an answer {self.status} came without a Content-Length") from None


class Connection:
    """One keep-alive connection to a server on this host."""

    def __init__(self, port: int, timeout: float = _TIMEOUT) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._host = f"127.0.0.1:{port}"
        self._buffer = bytearray(BLOCK_SIZE)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def ask(
        self, method: str, target: str, expected: int, body: bytes = b"", **headers: str
    ) -> bytes:
        """Send a small request and return the body of its answer.

        Args:
            headers: more of them, ``content_type`` for ``Content-Type``.

        Raises:
            BenchError: the answer has another status than the expected one.
        """
        answer = self._ask(method, target, expected, body, **headers)
        return b"" if method == "HEAD" else b"".join(bytes(part) for part in self._body(answer))

    def push(self, repository: str, content: Content) -> float:
        """Push a blob as docker does: POST, PATCH with all of it, PUT with the digest.

        Returns:
            Seconds from the POST to the 201.

        Raises:
            BenchError: the registry did not take it.
        """
        before = time.perf_counter()
        location = self._start_upload(repository)
        self._send_head(
            "PATCH",
            location,
            {"Content-Type": "application/octet-stream", "Content-Length": str(content.size)},
        )
        try:
            for block in content.blocks():
                self._socket.sendall(block)
        except ConnectionError as error:
            raise BenchError(f"the server hung up during the push ({error.strerror})") from error
        answer = self._read_head("PATCH", location, 202)
        self._skip_body(answer)
        self._commit(answer.headers["location"], content.digest)
        return time.perf_counter() - before

    def put_blob(self, repository: str, content: bytes) -> str:
        """Push a small blob; returns its digest.

        Raises:
            BenchError: the registry did not take it.
        """
        digest = digest_of(content)
        location = self._start_upload(repository)
        self._commit(location, digest, content)
        return digest

    def pull(self, target: str, size: int) -> float:
        """GET a blob and drop its bytes.

        Returns:
            Seconds from the request to the last byte.

        Raises:
            BenchError: the answer has another size or is no 200.
        """
        before = time.perf_counter()
        answer = self._get(target, size)
        self._skip_body(answer)
        return time.perf_counter() - before

    def check(self, target: str, content: Content) -> None:
        """GET a blob and compare it with what was pushed; not for the timed path.

        Raises:
            BenchError: other bytes came.
        """
        answer = self._get(target, content.size)
        running = hashlib.sha256()
        for part in self._body(answer):
            running.update(part)
        if f"sha256:{running.hexdigest()}" != content.digest:
            raise BenchError(f"{target}: the bytes that came are not those that were pushed")

    def _get(self, target: str, size: int) -> Answer:
        self._send_head("GET", target, {})
        answer = self._read_head("GET", target, 200)
        if answer.size != size:
            raise BenchError(f"{target}: Content-Length is {answer.size}, {size} were pushed")
        return answer

    def _start_upload(self, repository: str) -> str:
        answer = self._ask("POST", f"/v2/{repository}/blobs/uploads/", 202)
        self._skip_body(answer)
        return answer.headers["location"]

    def _commit(self, location: str, digest: str, content: bytes = b"") -> None:
        target = f"{location}{'&' if '?' in location else '?'}digest={digest}"
        self._skip_body(
            self._ask("PUT", target, 201, content, content_type="application/octet-stream")
        )

    def _ask(
        self, method: str, target: str, expected: int, body: bytes = b"", **headers: str
    ) -> Answer:
        fields = {name.replace("_", "-").title(): value for name, value in headers.items()}
        if method not in ("GET", "HEAD"):
            fields["Content-Length"] = str(len(body))
        self._send_head(method, target, fields, body)
        return self._read_head(method, target, expected)

    def _send_head(
        self, method: str, location: str, fields: dict[str, str], body: bytes = b""
    ) -> None:
        parts = urlsplit(location)  # a Location may be a whole URL
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}", "User-Agent: bench"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def _read_head(self, method: str, target: str, expected: int) -> Answer:
        """The next answer.

        Raises:
            BenchError: it has another status than the expected one, or there is none.
        """
        received = b""
        while b"\r\n\r\n" not in received:
            more = self._socket.recv(_HEAD_LIMIT)
            if not more or len(received) > _HEAD_LIMIT:
                raise BenchError(f"{method} {target}: the server hung up before it answered")
            received += more
        head, _, start = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        answer = Answer(
            status=int(first.split()[1]),
            headers={name.lower(): value.strip() for name, _, value in pairs},
            start=start,
        )
        if answer.status != expected:
            reason = start[:300].decode(errors="replace").strip()
            raise BenchError(
                f"{method} {target}: answered {answer.status} instead of {expected}: {reason}"
            )
        return answer

    def _body(self, answer: Answer) -> Iterator[bytes | memoryview]:
        """The parts of a body; each is good until the next one is asked for."""
        yield answer.start
        missing = answer.size - len(answer.start)
        view = memoryview(self._buffer)
        while missing > 0:
            received = self._socket.recv_into(self._buffer, min(missing, BLOCK_SIZE))
            if not received:
                raise BenchError(f"the server hung up with {missing} bytes to go")
            missing -= received
            yield view[:received]

    def _skip_body(self, answer: Answer) -> None:
        for _ in self._body(answer):
            pass
