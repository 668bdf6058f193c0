# SPDX-License-Identifier: Apache-2.0
"""A download over a stream lane: ranges, readers that leave, stop or are slow, a driver that dies."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import socket
import threading
import time

import pytest

from ..functional.client import Client
from ..functional.servers import peak_resident
from . import MIB
from .conftest import hosts_on
from .images import sha256
from .relay import Relay

SIZE = 48 * MIB

#: Downloads that wait for their readers.
STALLED = 6

#: What one of them may have taken from S3 beyond what its reader took: the buffers of the sockets
#: and of the lane, and a block of the driver's.
AHEAD = 16 * MIB

#: Of all processes of a registry, while nothing but downloads goes on.
RESIDENT = 260 * MIB

#: Seconds on a busy machine.
PATIENCE = 120


@pytest.fixture(scope="module")
def relay(moto):
    with Relay(moto.port) as relay:
        yield relay


@pytest.fixture(scope="module")
def served(moto, relay, tmp_path_factory):
    """A registry behind a relay, and a blob of many MiB in it; its path and its bytes."""
    directory = tmp_path_factory.mktemp("lanes")
    with hosts_on(moto, directory, 1, {"regionendpoint": relay.url}) as [host]:
        data = os.urandom(SIZE)
        Client(host).push_blob("lanes/app", data, sha256(data))
        yield host, f"/v2/lanes/app/blobs/{sha256(data)}", data


@contextlib.contextmanager
def download(host, path, **headers):
    """The answer of a GET whose body is not read yet, by a client with a small buffer."""
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=PATIENCE)
    connection.sock = socket.socket()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    connection.sock.settimeout(PATIENCE)
    connection.sock.connect(("127.0.0.1", host.port))
    try:
        connection.request("GET", path, headers=headers)
        yield connection.getresponse()
    finally:
        connection.close()


class LaneTests:
    def test_lane_that_breaks_is_reopened_at_its_offset(self, served):
        """A driver killed again and again in the middle of whole and ranged downloads."""
        host, path, data = served
        for start, stop in ((0, SIZE), (3, SIZE - 5)):
            with download(host, path, Range=f"bytes={start}-{stop - 1}") as answer:
                running = hashlib.sha256()
                for number in range(SIZE // MIB + 1):
                    running.update(answer.read(MIB))
                    if number in (2, 20):
                        host.strike()
                running.update(answer.read())
            assert running.digest() == hashlib.sha256(data[start:stop]).digest()

    def test_slow_readers_hold_up_s3_and_nobody_else(self, served, relay):
        """What S3 sends to a reader that stops is bounded; others are served; it gets its rest."""
        host, path, data = served
        whole = hashlib.sha256(data).digest()
        assert hashlib.sha256(Client(host).get(path).body).digest() == whole
        before = len(relay.brought), sum(relay.brought)
        with contextlib.ExitStack() as stack:
            readers = [stack.enter_context(download(host, path)) for _ in range(STALLED)]
            heads = [reader.read(MIB) for reader in readers]
            for _ in range(3):
                assert hashlib.sha256(Client(host).get(path).body).digest() == whole
            taken = sum(relay.brought) - before[1] - 3 * SIZE
            assert taken < STALLED * (MIB + AHEAD), f"{taken} bytes for {STALLED} MiB"
            peaks = [peak_resident(pid) for pid in host.tree()]
            print(
                f"{STALLED} stalled downloads hold {taken / MIB / STALLED:.1f} MiB each; peak"
                f" resident MiB: {[peak // MIB for peak in peaks]}"
            )
            assert sum(peaks) < RESIDENT
            for reader, head in zip(readers[:2], heads, strict=False):
                assert hashlib.sha256(head + reader.read()).digest() == whole

    def test_readers_that_leave_leave_nothing(self, served):
        """Neither descriptors nor threads' work; the connection to S3 ends with the reader."""
        host, path, data = served

        def descriptors():
            return [len(os.listdir(f"/proc/{pid}/fd")) for pid in host.tree()]

        def leave():
            with download(host, path) as answer:
                answer.read(1000)

        for _ in range(3):
            leave()
        assert Client(host).get(path, {"Range": "bytes=0-9"}).body == data[:10]
        before = descriptors()
        threads = [threading.Thread(target=leave) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        deadline = time.monotonic() + PATIENCE
        while any(now > then + 4 for now, then in zip(descriptors(), before, strict=True)):
            assert time.monotonic() < deadline, (before, descriptors())
            time.sleep(0.05)
        assert Client(host).get(path, {"Range": "bytes=5-9"}).body == data[5:10]
