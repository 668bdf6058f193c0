# SPDX-License-Identifier: Apache-2.0
"""How fast large blobs go through a registry to S3 and back, and the memory that this takes.

The long form (``make figures``) prints the table of ``docs/drivers/s3.md``: a GiB by one client, and
as much by eight, on moto and on Swift.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..functional.client import Client
from ..functional.servers import peak_resident
from ..s3.servers import Moto, Swift
from . import IS_LONG, MIB
from .conftest import hosts_on

#: Bytes that all clients push together, and pull.
TOTAL = 1024 * MIB if IS_LONG else 24 * MIB

#: The driver's own.
DEFAULT_PART = 10 * MIB

SERVERS = {"moto": Moto, "swift": Swift} if IS_LONG else {"moto": Moto}

#: Peak resident memory of the front end and the driver together, by default settings: what is kept
#: for the driver's death, what the driver gathers, and 280 MiB for both processes with everything
#: else, of which 150 are there before there is any upload.
LIMIT = (256 + 64 + 280) * MIB

#: Seconds that an answer may take on a busy machine.
PATIENCE = 1200


class Blob:
    """Bytes that cost a client little: one block, again and again."""

    def __init__(self, size):
        self.size = size
        self.block = os.urandom(MIB)
        whole = hashlib.sha256()
        for _ in range(size // MIB):
            whole.update(self.block)
        self.digest = f"sha256:{whole.hexdigest()}"

    def push(self, host):
        location = Client(host).start_upload("figures/app")
        connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=PATIENCE)
        headers = {"Content-Length": str(self.size)}
        blocks = (self.block for _ in range(self.size // MIB))
        connection.request("PUT", f"{location}&digest={self.digest}", blocks, headers)
        answer = connection.getresponse()
        assert answer.status == 201, answer.read()
        connection.close()

    def pull(self, host):
        connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=PATIENCE)
        connection.request("GET", f"/v2/figures/app/blobs/{self.digest}")
        answer = connection.getresponse()
        view = memoryview(bytearray(MIB))
        for _ in range(self.size // MIB):
            filled = 0
            while filled < MIB:
                count = answer.readinto(view[filled:])
                assert count, "the answer ended early"
                filled += count
            assert view == self.block
        connection.close()


def measured(work, blobs, host):
    """MiB a second of all clients together."""
    with ThreadPoolExecutor(len(blobs)) as threads:
        began = time.monotonic()
        list(threads.map(lambda blob: work(blob, host), blobs))
        return TOTAL / MIB / (time.monotonic() - began)


@pytest.mark.parametrize("clients", [1, 8])
@pytest.mark.parametrize("server", SERVERS)
def test_large_blobs_go_through_in_little_memory(server, clients, tmp_path):
    """Every byte comes back, and the memory is that of the configuration."""
    (tmp_path / "server").mkdir()
    with (
        SERVERS[server](tmp_path / "server") as s3,
        hosts_on(s3, tmp_path, 1, {"chunksize": DEFAULT_PART}) as [host],
    ):
        blobs = [Blob(TOTAL // clients) for _ in range(clients)]
        push = measured(Blob.push, blobs, host)
        pull = measured(Blob.pull, blobs, host)
        peaks = [peak_resident(pid) for pid in host.tree()]
    front, driver = (peak // MIB for peak in peaks)
    size = TOTAL // clients // MIB
    print(
        f"| {server} | {clients}, of {size} MiB | {push:.0f} MiB/s | {pull:.0f} MiB/s"
        f" | {front} and {driver} |"
    )
    assert sum(peaks) < LIMIT
