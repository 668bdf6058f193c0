# SPDX-License-Identifier: Apache-2.0
"""An endpoint that is down for an hour under load costs disk, and nothing else.

The long form brings, as fast as it can, as many events as 50 a second are in an hour: one in ten is
a push, the others are pulls. Meanwhile the queue grows and memory does not; when the endpoint comes
back it is told everything.
"""

from __future__ import annotations

import json
import math
import threading
import time

from tests.functional.servers import Registry, peak_resident

from .campaign import Campaign, is_long, short_or_long
from .test_notifications import PATIENCE, Patron, Receiving, digest_of
from .test_slow_uploads import resident

HOUR = 50 * 3600
SHORT = 400

WORKERS = 4
#: Pulls for each push.
LOOKS = 9

#: Bytes that the registry may grow by between a tenth of the load and its end: what Python's
#: allocator may do meanwhile. The events of an hour are a hundred MiB.
GROWTH = 32 * 2**20

#: Least bytes of an event on disk.
LEAST_EVENT = 300


class Worker(Patron):
    """Pushes a blob, looks at it, and pushes the next one.

    Attributes:
        seconds: of each push, in order.
    """

    def __init__(self, number, port, count):
        super().__init__(number, port, count, threading.Event())
        self.seconds = []
        self.count = count

    def push_all(self):
        for number in range(self.count):
            data = f"{self.repository} {number}".encode()
            began = time.perf_counter()
            self.blob(data)
            self.seconds.append(time.perf_counter() - began)
            for _ in range(LOOKS):
                self.until(200, "HEAD", f"blobs/{digest_of(data)}")


def percentile(seconds, share):
    """In milliseconds."""
    return round(sorted(seconds)[math.ceil(share * len(seconds)) - 1] * 1000, 1)


def size_of(queue):
    return sum(path.stat().st_size for path in queue.glob("*.log"))


def settings_for(receiving, queue):
    return {
        "queue": {"directory": str(queue)},
        "endpoints": [
            {
                "name": "down",
                "url": f"http://127.0.0.1:{receiving.port}/many",
                "timeout": "5s",
                "backoff": "100ms",
                "threshold": 100_000,
                "batch": 100,
            }
        ],
    }


def test_endpoint_that_is_down_costs_disk_and_not_memory(tmp_path):
    """And nobody is slower for it; at the end it is told of everything."""
    total = short_or_long(SHORT, HOUR)
    queue = tmp_path / "queue"
    with Campaign("an endpoint down for an hour") as campaign:
        receiving = Receiving(tmp_path)
        receiving.kill()
        server = Registry(
            tmp_path / "server", {"notifications": settings_for(receiving, queue)}
        ).start()
        try:
            each = total // WORKERS // (1 + LOOKS)
            workers = [Worker(number, server.port, each) for number in range(WORKERS)]
            before = load(campaign, server, workers)
            judge_memory(campaign, server, before)
            count = WORKERS * each * (1 + LOOKS)
            campaign.notes |= {"events": count, "queue MiB": round(size_of(queue) / 2**20, 1)}
            is_kept = size_of(queue) >= count * LEAST_EVENT
            campaign.trial("queue", [] if is_kept else ["events are missing from it"])
            judge_arrival(campaign, receiving, workers, count)
        finally:
            server.stop()
            receiving.kill()


def load(campaign, server, workers):
    """Let everybody work; returns the registry's memory when a tenth was done."""
    threads = [threading.Thread(target=worker.work) for worker in workers]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    tenth = workers[0].count // 10
    while any(thread.is_alive() for thread in threads) and any(
        len(worker.seconds) < tenth for worker in workers
    ):
        time.sleep(0.01)
    before = resident(server.process.pid)
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    assert all(len(worker.seconds) == worker.count for worker in workers), "somebody gave up"
    first = [second for worker in workers for second in worker.seconds[:tenth]]
    last = [second for worker in workers for second in worker.seconds[-tenth:]]
    for name, seconds in (("first", first), ("last", last)):
        campaign.notes[f"ms of a push, {name} tenth, median"] = percentile(seconds, 0.5)
        campaign.notes[f"ms of a push, {name} tenth, p99"] = percentile(seconds, 0.99)
    count = sum(worker.count for worker in workers) * (1 + LOOKS)
    campaign.notes["events a second"] = round(count / took)
    if is_long():  # else a tenth is a handful of pushes
        is_slower = percentile(last, 0.5) > 1.5 * percentile(first, 0.5) + 5
        campaign.trial("pushes", ["they have become slower"] if is_slower else [])
    return before


def judge_memory(campaign, server, before):
    after = resident(server.process.pid)
    campaign.notes |= {
        "MiB after a tenth": round(before / 2**20, 1),
        "MiB at the end": round(after / 2**20, 1),
        "peak MiB": round(peak_resident(server.process.pid) / 2**20, 1),
    }
    campaign.trial("memory", ["it has grown"] if after - before > GROWTH else [])


def judge_arrival(campaign, receiving, workers, count):
    """The endpoint comes back, and is told of everything; of some of it twice, perhaps."""
    began = time.monotonic()
    receiving.start("good")
    ids, pushed = set(), set()
    with receiving.path.open("rb") as record:
        rest = b""
        while len(ids) < count and time.monotonic() < began + PATIENCE:
            *lines, rest = (rest + record.read()).split(b"\n")
            for event in map(json.loads, filter(None, lines)):  # each start begins with a line end
                ids.add(event["id"])
                if event["action"] == "push":
                    pushed.add((event["target"]["repository"], event["target"]["digest"]))
            time.sleep(0 if lines else 0.05)
    campaign.notes["seconds until it was told"] = round(time.monotonic() - began, 1)
    campaign.trial("events", [] if len(ids) == count else [f"{len(ids)} of {count} arrived"])
    for worker in workers:
        missing = {(each[1], each[2]) for each in worker.acknowledged} - pushed
        campaign.trial(worker.repository, [f"{len(missing)} never arrived"] if missing else [])
