# SPDX-License-Identifier: Apache-2.0
"""An upload survives the loss of its client, of the driver and of the whole server."""

from __future__ import annotations

import hashlib
import http.client
import os
import random
import select
import socket
import time

import pytest

from .client import Client
from .servers import Registry

MIB = 1024 * 1024

#: What one PATCH of the interrupted client carries, and how it is written.
PIECE = 256 * 1024


class Content:
    """A gibibyte (or less) that costs little memory: one random block, varied by its number."""

    def __init__(self, size):
        self.size = size
        self.block = os.urandom(MIB)

    def chunk(self, start, stop):
        """The bytes ``[start, stop)``."""
        pieces = []
        while start < stop:
            number, within = divmod(start, MIB)
            count = min(MIB - within, stop - start)
            block = number.to_bytes(8, "big") + self.block[8:]
            pieces.append(block[within : within + count])
            start += count
        return b"".join(pieces)

    def digest(self):
        running = hashlib.sha256()
        for start in range(0, self.size, MIB):
            running.update(self.chunk(start, min(start + MIB, self.size)))
        return f"sha256:{running.hexdigest()}"


#: Bytes that the client is ahead of the disk, at most: what is on the way over a link that is slower
#: than the disk. What is sent faster than it is stored waits in the kernel's buffers (up to tcp_rmem
#: and tcp_wmem, 35 MiB on some machines), which end with the server that is killed; nothing that the
#: server does could tell a client of these bytes.
AHEAD = 2 * MIB

#: Seconds after which it sends another piece although the disk does not follow: a front end takes a
#: driver's death to heart when more arrives.
TRICKLE = 0.25


def held_by(file):
    """Bytes in a file that may not be there yet."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


class Interrupted:
    """A client that pushes one blob, and resumes after each interruption at the offset that the
    server tells.
    """

    def __init__(self, server, content, repository="slow/app"):
        self.server = server
        self.content = content
        self.repository = repository
        self.client = Client(server)
        self.location = self.client.start_upload(repository)
        self.sent = 0
        self.offset = 0

    def push_until(self, stop, on_the_way=lambda position: None):
        """Stream ``[offset, stop)`` as one PATCH that announces the whole rest.

        Returns:
            ``stopped`` when the client has left at ``stop``, ``done`` when the whole was answered,
            ``moved`` when the server refused to begin, because it still took in what an earlier
            connection had left: ask again.
        """
        connection = socket.create_connection(("127.0.0.1", self.server.port), timeout=60)
        try:
            head = (
                f"PATCH {self.location} HTTP/1.1\r\nHost: {self.server.address}\r\n"
                "Expect: 100-continue\r\nContent-Type: application/octet-stream\r\n"
                f"Content-Length: {self.content.size - self.offset}\r\n"
                f"Content-Range: {self.offset}-{self.content.size - 1}\r\n\r\n"
            )
            connection.sendall(head.encode())
            start = connection.recv(25)
            if start.startswith(b"HTTP/1.1 416"):
                return "moved"
            assert start == b"HTTP/1.1 100 Continue\r\n\r\n", start
            position = self.offset
            while position < stop:
                self.wait_until_stored(position - AHEAD, connection)
                if select.select([connection], [], [], 0)[0]:
                    return self.read_refusal(connection)
                data = self.content.chunk(position, min(position + PIECE, stop))
                connection.sendall(data)
                position += len(data)
                self.sent += len(data)
                on_the_way(position)
            if stop < self.content.size:
                return "stopped"
            response = http.client.HTTPResponse(connection, method="PATCH")
            response.begin()
            assert response.status == 202, response.read()
            self.location = self.client.here(response.headers["Location"])
            return "done"
        finally:
            connection.close()

    def wait_until_stored(self, size, connection):
        """So many bytes of the upload are in its file, or it was waited for, or there is an
        answer.
        """
        uploads = f"docker/registry/v2/repositories/{self.repository}/_uploads"
        id_ = self.location.partition("?")[0].rpartition("/")[2]
        data = self.server.root / uploads / id_ / "data"
        deadline = time.monotonic() + TRICKLE
        while size > 0 and held_by(data) < size and time.monotonic() < deadline:
            if select.select([connection], [], [], 0.001)[0]:
                return

    def read_refusal(self, connection):
        """An answer before the body's end may only say that the upload is elsewhere by now: an
        earlier connection's bytes were stored between the judging of this request and its first
        byte.
        """
        response = http.client.HTTPResponse(connection, method="PATCH")
        response.begin()
        assert response.status == 416, (response.status, response.read())
        return "moved"

    def interrupt(self, stop, kind, following):
        """Push on until ``stop`` and strike there; after a driver's death the same request goes on
        to ``following``.

        Returns:
            Whether the whole blob was answered.
        """
        if kind != "driver":
            self.resume_until(stop)
            if kind == "server":
                self.server.kill()
                self.server.start()
            return False
        struck = []

        def strike(position):
            if position >= stop and not struck:
                self.server.strike()
                struck.append(position)

        is_done = self.resume_until(following, strike)
        assert struck
        return is_done

    def resume_until(self, stop, on_the_way=lambda position: None):
        """Ask where the server is and push to ``stop``; returns whether the whole was answered."""
        outcome = "moved"
        while outcome == "moved":
            self.ask()
            outcome = self.push_until(stop, on_the_way)
        return outcome == "done"

    def ask(self):
        """Where the server is now."""
        answer = self.client.request("GET", self.location)
        assert answer.status == 204, f"the session is lost: {answer}"
        self.location = self.client.here(answer.headers["Location"])
        last = int(answer.headers["Range"].partition("-")[2])
        self.offset = last + 1 if last else 0


class InterruptionTests:
    @pytest.fixture
    def registry(self, tmp_path):
        with Registry(tmp_path) as server:
            yield server

    def test_a_gibibyte_interrupted_twenty_times_arrives(self, registry, record_property):
        """Drops of the client, kill -9 of the driver and of the server: right digest, no session
        lost, under 5 % sent twice.
        """
        content = Content(1024 * MIB)
        digest = content.digest()
        choice = random.Random(20)
        stops = sorted(choice.randrange(1, content.size) for _ in range(20))
        kinds = [("client", "driver", "server")[number % 3] for number in range(20)]
        choice.shuffle(kinds)
        upload = Interrupted(registry, content)
        is_done = False
        for number, (stop, kind) in enumerate(zip(stops, kinds, strict=True)):
            is_done = upload.interrupt(stop, kind, [*stops, content.size][number + 1])
        if not is_done:
            upload.resume_until(content.size)
        separator = "&" if "?" in upload.location else "?"
        answer = upload.client.request("PUT", f"{upload.location}{separator}digest={digest}", b"")
        assert answer.status == 201, answer
        assert answer.headers["Docker-Content-Digest"] == digest
        again = upload.sent / content.size - 1
        record_property("sent again", f"{again:.2%}")
        print(f"interruptions: {sorted(kinds)}, sent again {again:.2%}")
        assert again < 0.05
        assert self.digest_of(registry, digest) == digest

    def digest_of(self, registry, digest):
        connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=60)
        connection.request("GET", f"/v2/slow/app/blobs/{digest}")
        response = connection.getresponse()
        assert response.status == 200
        running = hashlib.sha256()
        while chunk := response.read(MIB):
            running.update(chunk)
        connection.close()
        return f"sha256:{running.hexdigest()}"

    def test_death_of_the_driver_is_not_seen_by_a_push(self, registry):
        """One PUT of 256 MiB goes on to its 201 although the driver is killed every 24 MiB."""
        content = Content(256 * MIB)
        digest = content.digest()
        client = Client(registry)
        location = client.start_upload("kill/app")
        connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=120)
        connection.putrequest("PUT", f"{location}&digest={digest}")
        connection.putheader("Content-Length", str(content.size))
        connection.endheaders()
        for start in range(0, content.size, MIB):
            connection.send(content.chunk(start, start + MIB))
            if start % (24 * MIB) == 23 * MIB:
                registry.strike()
        response = connection.getresponse()
        assert response.status == 201, response.read()
        connection.close()

    def test_download_goes_on_without_its_driver(self, registry):
        """What the driver has handed over is served to the end after its death."""
        content = Content(64 * MIB)
        digest = content.digest()
        client = Client(registry)
        client.push_blob("read/app", content.chunk(0, content.size), digest)
        connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=60)
        connection.request("GET", f"/v2/read/app/blobs/{digest}")
        response = connection.getresponse()
        running = hashlib.sha256(response.read(MIB))
        registry.strike()
        while chunk := response.read(MIB):
            running.update(chunk)
        assert f"sha256:{running.hexdigest()}" == digest
        connection.close()
