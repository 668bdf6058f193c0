# SPDX-License-Identifier: Apache-2.0
"""Notifications of what was acknowledged arrive, whatever dies.

While patrons push and delete, the receiver is killed, hangs, answers errors and forgets to answer,
and the server is killed. At the end every event of what a client was told is done has arrived at
every endpoint, each repository's in the order in which they were acknowledged.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from tests.functional.servers import Registry, free_port, peak_resident

from . import receiver
from .campaign import Campaign, is_long, short_or_long

#: Seconds that everything may take to arrive in the end, on a busy machine.
PATIENCE = 300.0

CONFIG = b"{}"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PATRONS = 4
PATHS = ("/one", "/many")


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Patron:
    """Pushes blobs and images to a repository of its own, one after the other, until each is
    acknowledged.

    Attributes:
        acknowledged: what the events must tell of, in order.
        pushes: how many of those were pushes.
    """

    def __init__(self, number, port, count, enough):
        self.repository = f"lib/patron{number}"
        self.acknowledged = []
        self.pushes = 0
        self._port = port
        self._count = count
        self._enough = enough
        self._line = None

    def work(self):
        try:
            self.push_all()
        finally:
            if self._line is not None:
                self._line.close()

    def push_all(self):
        self.blob(CONFIG)
        number = 0
        while self.pushes < self._count or not all(one.is_set() for one in self._enough):
            number += 1
            data = f"{self.repository} {number}".encode()
            self.blob(data)
            if number % 4 == 0:
                self.image(data, f"v{number}")
            if number % 12 == 0:
                self.untag(f"v{number}")

    def blob(self, data):
        digest = digest_of(data)
        self.until(201, "POST", f"blobs/uploads/?digest={digest}", data)
        self.done("push", digest)

    def image(self, layer, tag):
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.descriptor("application/vnd.oci.image.config.v1+json", CONFIG),
            "layers": [self.descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
        }
        data = json.dumps(manifest).encode()
        self.until(201, "PUT", f"manifests/{tag}", data, {"Content-Type": MANIFEST})
        self.done("push", digest_of(data), tag)

    def untag(self, tag):
        """Delete a tag; one that was deleted by a request without an answer is 404 then, and of
        that nothing was acknowledged.
        """
        if self.until((202, 404), "DELETE", f"manifests/{tag}") == 202:
            self.done("delete", "", tag)

    def done(self, action, digest, tag=""):
        self.acknowledged.append((action, self.repository, digest, tag))
        self.pushes += action == "push"

    def until(self, wanted, method, path, body=None, headers=None):
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        while True:
            try:
                if self._line is None:
                    self._line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
                self._line.request(method, f"/v2/{self.repository}/{path}", body, headers or {})
                answer = self._line.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                if self._line is not None:
                    self._line.close()
                self._line = None
                time.sleep(0.02)
                continue
            if answer.status in wanted:
                return answer.status
            assert answer.status >= 500, f"{method} {path}: {answer.status}"
            time.sleep(0.02)

    @staticmethod
    def descriptor(media_type, data):
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


class Receiving:
    """The receiver, and what is done to it.

    Attributes:
        moods: how often it was in each.
        kills: how often it was killed.
        path: of the file that names what has arrived.
    """

    def __init__(self, directory):
        self.port = free_port()
        self.moods = Counter()
        self.kills = 0
        self._mood = Path(directory, "mood")
        self.path = Path(directory, "record")
        self.path.touch()
        self._process = None
        self.start("good")

    def start(self, mood):
        self.be(mood)
        program = [sys.executable, receiver.__file__, str(self.port), self._mood, self.path]
        self._process = subprocess.Popen(program, stdout=subprocess.PIPE)
        assert self._process.stdout.readline() == b"ready\n"

    def be(self, mood):
        self.moods[mood] += 1
        new = self._mood.with_suffix(".new")
        new.write_text(mood)
        new.replace(self._mood)

    def kill(self):
        self.kills += 1
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def events(self):
        """What has arrived, in order: path -> (action, repository, digest, tag)s."""
        arrived = {path: [] for path in PATHS}
        for line in self.path.read_text().splitlines(keepends=True):
            try:
                event = json.loads(line)
            except ValueError:  # its rest is still being written, or the receiver was killed then
                continue
            target = event["target"]
            what = (event["action"], target["repository"], target["digest"], target.get("tag", ""))
            arrived[event["to"]].append(what)
        return arrived


def torment(receiving, choice, enough, stop):
    """Let the receiver fail in all ways, with good times in between."""
    while not stop.is_set():
        for mood in choice.sample(("kill", "hang", "error", "forget"), 4):
            receiving.be("good")
            stop.wait(choice.uniform(0.1, 0.6))
            if mood == "kill":
                receiving.kill()
                stop.wait(choice.uniform(0.1, 1.0))
                receiving.start("good")
            else:
                receiving.be(mood)
                stop.wait(choice.uniform(0.1, 0.8))
        enough.set()


def kill_now_and_then(server, choice, wanted, enough, stop):
    """kill -9 of the server, some time after each time that it answers; returns how often."""
    kills = 0
    while not stop.wait(choice.uniform(0.2, 2.0)):
        server.kill()
        kills += 1
        server.start()
        if kills >= wanted:
            enough.set()
    return kills


def judge(campaign, path, patrons, arrived):
    """Count each acknowledgment as a trial: it must have arrived, and not before an earlier one."""
    first = {}
    for place, what in enumerate(arrived):
        first.setdefault(what, place)
    for patron in patrons:
        latest = -1
        for what in patron.acknowledged:
            place = first.get(what)
            if place is None:
                campaign.trial(f"{path} {what}", ["never arrived"])
                continue
            campaign.trial(f"{path} {what}", ["out of order"] if place < latest else [])
            latest = max(latest, place)


def endpoints(port):
    return [
        {
            "name": path.strip("/"),
            "url": f"http://127.0.0.1:{port}{path}",
            "timeout": "300ms",
            "backoff": "50ms",
            "threshold": 100_000,
            "batch": 1 if path == "/one" else 50,
            "ignore": {"actions": ["pull"]},
        }
        for path in PATHS
    ]


def test_every_acknowledged_push_and_delete_is_told_of(tmp_path):
    """At least once, in order, to every endpoint; and memory does not grow with what waits."""
    total = short_or_long(240, 10_000)
    with Campaign("notifications", strikes="server killed") as campaign:
        receiving = Receiving(tmp_path)
        queue = tmp_path / "queue"
        settings = {"queue": {"directory": str(queue)}, "endpoints": endpoints(receiving.port)}
        server = Registry(tmp_path / "server", {"notifications": settings}).start()
        try:
            enough = threading.Event(), threading.Event()
            patrons = [
                Patron(each, server.port, total // PATRONS, enough) for each in range(PATRONS)
            ]
            kills = trouble(campaign, server, receiving, patrons, enough)
            arrived = all_that_arrives(receiving, patrons)
            campaign.notes["peak MiB"] = peak_resident(server.process.pid) // 2**20
        finally:
            server.stop()
            receiving.kill()
        for path in PATHS:
            judge(campaign, path, patrons, arrived[path])
        pushes = sum(patron.pushes for patron in patrons)
        acknowledged = sum(len(patron.acknowledged) for patron in patrons)
        campaign.notes |= {
            "pushes acknowledged": pushes,
            "deletes acknowledged": acknowledged - pushes,
            "arrived at one by one": len(arrived["/one"]),
            "arrived in batches": len(arrived["/many"]),
            "server killed": kills,
            "receiver killed": receiving.kills - 1,
            "receiver": dict(receiving.moods),
        }
        assert pushes >= total


def trouble(campaign, server, receiving, patrons, enough):
    """Let everybody work while everything fails.

    Args:
        enough: set when the server was killed often enough, and when the receiver failed in all
            ways.

    Returns:
        How often the server was killed.
    """
    stop = threading.Event()
    kills = []
    wanted = 30 if is_long() else 2
    killing = threading.Thread(
        target=lambda: kills.append(
            kill_now_and_then(server, campaign.choice, wanted, enough[0], stop)
        )
    )
    tormenting = threading.Thread(
        target=torment, args=(receiving, campaign.choice, enough[1], stop)
    )
    working = [threading.Thread(target=patron.work) for patron in patrons]
    for thread in (killing, tormenting, *working):
        thread.start()
    for thread in working:
        thread.join()
    stop.set()
    for thread in (killing, tormenting):
        thread.join()
    receiving.be("good")
    return kills[0]


def all_that_arrives(receiving, patrons):
    """Wait until nothing is missing; what has arrived when patience ends."""
    deadline = time.monotonic() + PATIENCE
    wanted = {what for patron in patrons for what in patron.acknowledged}
    while True:
        arrived = receiving.events()
        is_complete = all(wanted <= set(events) for events in arrived.values())
        if is_complete or time.monotonic() > deadline:
            return arrived
        time.sleep(0.1)
