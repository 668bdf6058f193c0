# SPDX-License-Identifier: Apache-2.0
"""Very many, very slow uploads at once: what each costs, and whether others are served meanwhile.

Limits of connections are raised for this, and the least rate of a body is lowered to half of what
comes, so that a pause of this machine is not taken for one of a client.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import statistics
import threading
import time
from pathlib import Path

from tests.functional.servers import Registry

from .campaign import Campaign, is_long, not_run
from .journal import digest_of
from .patrons import MANIFEST, OCTETS, Line, WholeResponse, here
from .test_model import image

KIB = 1024

#: Bytes that each upload sends in a second.
RATE = KIB

#: Uploads that are given their bytes together.
SHARE = 50

#: Seconds between two questions of the client that is not slow.
PACE = 0.02

LIMITS = {"connections": 10_000, "connectionsperaddress": 10_000, "requests": 20_000}


class SlowUpload:
    """One PATCH whose body takes its time."""

    def __init__(self, line, port, size):
        answer = line.request("POST", "/v2/slow/app/blobs/uploads/")
        self.location = here(answer.headers["Location"])
        self.size = size
        self._port = port
        self._socket = None

    def send(self, data):
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
            data = (
                f"PATCH {self.location} HTTP/1.1\r\nHost: a\r\nContent-Length: {self.size}\r\n\r\n"
            ).encode() + data
        self._socket.sendall(data)

    def end(self, line, digest):
        """Have the whole accepted, and made a blob; returns what is wrong."""
        with self._socket:
            response = WholeResponse(self._socket, method="PATCH")
            response.begin()
            answer = response.status, response.headers["Range"]
            if answer != (202, f"0-{self.size - 1}"):
                return [f"the answer is {answer}: {response.read()[:200]}"]
            location = here(response.headers["Location"])
            response.close()
        answer = line.request("PUT", f"{location}&digest={digest}", b"", OCTETS)
        return [] if answer.status == 201 else [f"{answer.status} {answer.body[:200]}"]


class Other:
    """A client that is not slow, and takes the time of each answer.

    Attributes:
        seconds: of each.
        problems: answers that are not what they should be.
    """

    def __init__(self, server):
        self.seconds = []
        self.problems = []
        self._line = Line(server.port)
        data = os.urandom(100 * KIB)
        path = f"/v2/other/app/blobs/uploads/?digest={digest_of(data)}"
        assert self._line.request("POST", path, data, OCTETS).status == 201
        manifest = json.dumps(image(data, [data])).encode()
        put = self._line.request(
            "PUT", "/v2/other/app/manifests/it", manifest, {"Content-Type": MANIFEST}
        )
        assert put.status == 201
        self._paths = ("/v2/other/app/manifests/it", f"/v2/other/app/blobs/{digest_of(data)}")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._line.close()

    def _run(self):
        while not self._stop.wait(PACE):
            for path in self._paths:
                started = time.perf_counter()
                status = self._line.get(path).status
                self.seconds.append(time.perf_counter() - started)
                if status != 200:
                    self.problems.append(f"{path}: {status}")

    def told(self):
        """How long it waited, in words."""
        cuts = statistics.quantiles(self.seconds, n=100)
        return f"p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms"


def resident(pid):
    """Bytes of memory that a process has."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * KIB
    return 0


def memory(server):
    """Bytes of memory that each process of a server has."""
    return {"front end": resident(server.process.pid), "driver": resident(server.driver())}


def allow_descriptors(count):
    """Let this process, and what it starts, have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        not_run(f"needs {count} open files, {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count, hard)), hard))


def test_very_many_slow_uploads_are_borne(tmp_path):
    """All get in, each for little memory, and another client is served meanwhile."""
    count, seconds = (2000, 60) if is_long() else (100, 3)
    allow_descriptors(3 * count + 200)
    piece = os.urandom(RATE)
    limits = {"http": {"limits": {**LIMITS, "bodyrate": RATE // 2}}}
    with Campaign("slow uploads at once") as campaign, Registry(tmp_path, limits) as server:
        with Other(server) as other:
            line = Line(server.port)
            before = memory(server)
            uploads = [SlowUpload(line, server.port, seconds * RATE) for _ in range(count)]
            other.seconds.clear()  # so far nobody was slow
            send_slowly(uploads, piece, seconds)
            after = memory(server)
            campaign.notes["others waited"] = other.told()
            digest = digest_of(piece * seconds)
            for number, upload in enumerate(uploads):
                campaign.trial(f"upload {number}", upload.end(line, digest))
            line.close()
        campaign.trial("others", other.problems)
        for name in after:
            each = (after[name] - before[name]) / count / KIB
            campaign.notes[f"memory of an upload, {name}"] = f"{each:.1f} KiB"
            campaign.notes[f"resident, {name}"] = f"{after[name] / KIB / KIB:.0f} MiB"


def send_slowly(uploads, piece, seconds):
    """Give each upload a piece in each second."""
    started = time.monotonic()
    for second in range(seconds):
        for first in range(0, len(uploads), SHARE):
            due = started + second + first / len(uploads)
            time.sleep(max(0.0, due - time.monotonic()))
            for upload in uploads[first : first + SHARE]:
                upload.send(piece)
