# SPDX-License-Identifier: Apache-2.0
"""Very many uploads to S3 at once, slow and fast ones: the memory of all processes is bounded."""

from __future__ import annotations

import hashlib
import http.client
import time
from concurrent.futures import ThreadPoolExecutor

from ..functional.client import Client
from ..functional.servers import peak_resident
from . import IS_LONG, MIB, PART
from .conftest import hosts_on

#: Uploads at once.
UPLOADS = 200 if IS_LONG else 40

#: Bytes of each. In the long form one part and a tail, so that all wait for their part together.
SLOW_SIZE = PART + 100_000 if IS_LONG else 300_000

#: Bytes a second that each sends, in the long form.
RATE = 30_000

#: Uploads that come as fast as they are taken, to a registry that was given little memory.
FAST, FAST_SIZE = (60 if IS_LONG else 24), PART + 100_000

#: What the replay windows, and the parts that wait, are given then.
LITTLE = 16 * MIB

#: What one of them sends before the next one's turn.
PIECE = 64 * 1024

#: Peak resident memory of the front end and the driver together.
LIMIT = 400 * MIB

#: The same with little. The processes take 150 before there is any upload; all that comes would be
#: 122 more twice.
LITTLE_LIMIT = 290 * MIB

#: Seconds that an answer may take on a busy machine.
PATIENCE = 600


class Upload:
    """A PATCH whose body comes piece by piece."""

    def __init__(self, host, number, size):
        self.size = size
        self.block = number.to_bytes(4, "big") * (PIECE // 4)
        self.client = Client(host, timeout=PATIENCE)
        self.location = self.client.start_upload("slow/app")
        self.connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=PATIENCE)
        self.sent = 0

    def begin(self):
        """Ask; the body has to come at some rate from then on."""
        self.connection.putrequest("PATCH", self.location)
        self.connection.putheader("Content-Length", str(self.size))
        self.connection.endheaders()

    def send(self):
        """The next piece; whether there was one."""
        piece = self.block[: self.size - self.sent]
        if piece:
            self.connection.send(piece)
        self.sent += len(piece)
        return bool(piece)

    def end(self):
        answer = self.connection.getresponse()
        assert answer.status == 202, answer.read()
        assert answer.headers["Range"] == f"0-{self.size - 1}"
        self.location = self.client.here(answer.headers["Location"])
        self.connection.close()

    def digest(self):
        whole = self.block * (self.size // PIECE + 1)
        return f"sha256:{hashlib.sha256(whole[: self.size]).hexdigest()}"


def send(uploads, rate=None):
    """All bytes of all uploads, in turns; not faster than ``rate`` each."""
    for upload in uploads:
        upload.begin()
    waiting = uploads
    began, turns = time.monotonic(), 0
    while waiting := [upload for upload in waiting if upload.send()]:
        turns += 1
        if rate is not None:
            time.sleep(max(0.0, began + turns * PIECE / rate - time.monotonic()))
    for upload in uploads:
        upload.end()


def send_at_once(uploads):
    """All bytes of all uploads, each by a thread that waits for nobody else."""

    def send_all(upload):
        upload.begin()
        while upload.send():
            pass
        upload.end()

    with ThreadPoolExecutor(len(uploads)) as threads:
        list(threads.map(send_all, uploads))


def finish(uploads):
    """Close some of them; they are what was sent."""
    for upload in uploads[:: len(uploads) // 4]:
        digest = upload.digest()
        upload.client.finish_upload(upload.location, digest)
        body = upload.client.get(f"/v2/slow/app/blobs/{digest}").body
        assert f"sha256:{hashlib.sha256(body).hexdigest()}" == digest


def peaks_of(host, title):
    """Peak resident memory of the front end and the driver."""
    peaks = [peak_resident(pid) for pid in host.tree()]
    print(f"{title}: peak resident MiB: {[peak // MIB for peak in peaks]}")
    assert len(peaks) == 2
    return peaks


LIMITS = {"limits": {"connections": 1000, "connectionsperaddress": 1000}}


class SlowUploadsTests:
    def test_slow_uploads_at_once_are_borne(self, moto, tmp_path):
        """Each is taken whole, with the memory that a registry is given by default."""
        with hosts_on(moto, tmp_path, 1, http=LIMITS) as [host]:
            uploads = [Upload(host, number, SLOW_SIZE) for number in range(UPLOADS)]
            send(uploads, RATE if IS_LONG else None)
            finish(uploads)
            peaks = peaks_of(host, f"{UPLOADS} slow uploads at once")
        assert sum(peaks) < LIMIT

    def test_fast_uploads_at_once_are_borne(self, moto, tmp_path):
        """Likewise when all of them come as fast as they are taken, and less is kept for replay."""
        count = UPLOADS if IS_LONG else 8
        storage = {"supervision": {"replaybudget": 48 * MIB}}
        with hosts_on(moto, tmp_path, 1, http=LIMITS, storage=storage) as [host]:
            uploads = [Upload(host, number, FAST_SIZE) for number in range(count)]
            send_at_once(uploads)
            finish(uploads)
            peaks = peaks_of(host, f"{count} fast uploads at once")
        assert sum(peaks) < LIMIT

    def test_given_little_memory_it_takes_no_more(self, moto, tmp_path):
        """Parts wait on disk, and what can't be kept to be sent again is not kept."""
        with hosts_on(
            moto,
            tmp_path,
            1,
            {"maxmemory": LITTLE},
            http=LIMITS,
            storage={"supervision": {"replaybudget": LITTLE}},
        ) as [host]:
            uploads = [Upload(host, number, FAST_SIZE) for number in range(FAST)]
            send(uploads)
            finish(uploads)
            peaks = peaks_of(host, f"{FAST} uploads, little memory")
        assert sum(peaks) < LITTLE_LIMIT
