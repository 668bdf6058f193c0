# SPDX-License-Identifier: Apache-2.0
"""kill -9, again and again, while clients are at work.

Of the driver, which nobody may notice; of the whole server, after which clients come back. The next
kill strikes some time after the driver is ready again, so that each one hits a driver that works.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import random
import shutil
import subprocess
import threading
import time
from collections import Counter

import pytest

from tests.functional.images import Layout, check_layout
from tests.functional.servers import Registry, need
from tests.functional.test_interruptions import Content

from .campaign import Campaign, is_long, short_or_long
from .checker import Findings, find_losses
from .journal import Journal
from .patrons import Crowd, Line, Patron
from .processes import end_all

MIB = 1024 * 1024

#: Seconds that a program or a server may take on a busy machine.
PATIENCE = 300.0

#: Kills of a campaign, however fast or slow the machine is.
LEAST_KILLS = 2


class Killer:
    """Kills the driver of a server some time after it is ready, until told to stop.

    Attributes:
        kills: how many.
        waits: seconds from each kill to the first answer that needed a driver.
    """

    def __init__(self, server, choice, soonest, latest):
        self.server = server
        self.kills = 0
        self.waits = []
        self._choice = choice
        self._span = (soonest, latest)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def has_struck(self):
        """Whether there were enough kills.

        Raises:
            AssertionError: there never will be.
        """
        assert self._thread.is_alive(), "nobody kills any more"
        return self.kills >= LEAST_KILLS

    def _run(self):
        line = Line(self.server.port)
        try:
            self._wait_ready(line)
            while not self._stop.wait(self._choice.uniform(*self._span)):
                if self.server.kill_driver():
                    self.kills += 1
                    self.waits.append(self._wait_ready(line))
        finally:
            line.close()

    def _wait_ready(self, line):
        """Ask for what only a driver can tell; returns the seconds that it took."""
        start = time.monotonic()
        while not self._stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                if line.get("/v2/nothing/manifests/nothing").status == 404:
                    break
            time.sleep(0.005)
        return time.monotonic() - start


class Images:
    """skopeo, that pushes and pulls images of a size."""

    def __init__(self, directory, server, size):
        self.directory = directory
        self.server = server
        self.size = size

    def make(self, name):
        layout = Layout(self.directory / name)
        layout.tag(layout.add_image([self.size // 4] * 4), "it")
        return layout

    def push(self, layout, repository):
        return self._copy(
            f"oci:{layout.directory}:it", f"docker://{self.server.address}/{repository}:it"
        )

    def pull(self, repository, name):
        return self._copy(
            f"docker://{self.server.address}/{repository}:it", f"oci:{self.directory}/{name}:it"
        )

    def _copy(self, source, destination):
        """What went wrong; empty if nothing did."""
        insecure = ("--src-tls-verify=false", "--dest-tls-verify=false", "--preserve-digests")
        done = subprocess.run(
            [need("skopeo"), "--insecure-policy", "copy", *insecure, source, destination],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.stderr.strip() if done.returncode else ""


@pytest.fixture
def directory(tmp_path):
    """Large; so it goes at the end."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


class DriverTests:
    def test_clients_see_no_death_of_the_driver(self, directory):
        """skopeo pushes and pulls go on, without one error, while the driver is killed every few
        seconds.
        """
        pushers, size, seconds = (4, 200 * MIB, 120) if is_long() else (1, 12 * MIB, 5)
        span = (2, 4) if is_long() else (0.3, 1)
        with (
            Campaign("clients through deaths of the driver", strikes="kills") as campaign,
            Registry(directory / "server") as server,
        ):
            images = Images(directory, server, size)
            first = images.make("first")
            assert not images.push(first, "first/app")
            killer = Killer(server, campaign.choice, *span)
            until = time.monotonic() + seconds
            counted = threading.Lock()

            def rounds():
                """Numbers, until there was time and kills enough."""
                for count in itertools.count():
                    if time.monotonic() > until and killer.has_struck():
                        return
                    yield count

            def push(number):
                for count in rounds():
                    layout = images.make(f"push-{number}-{count}")
                    repository = f"kills/push-{number}-{count}"
                    error = images.push(layout, repository)
                    problems = [error] if error else self._pushed(server, layout, repository)
                    shutil.rmtree(layout.directory)
                    with counted:
                        campaign.trial(f"push {number}-{count}", problems)

            def pull(number):
                for count in rounds():
                    name = f"pull-{number}-{count}"
                    error = images.pull("first/app", name)
                    problems = [error] if error else []
                    if not error and check_layout(directory / name) != first.blobs():
                        problems.append("other blobs came")
                    shutil.rmtree(directory / name, ignore_errors=True)
                    with counted:
                        campaign.trial(f"pull {number}-{count}", problems)

            with killer:
                in_threads([(work, number) for work in (push, pull) for number in range(pushers)])
            campaign.struck(killer.kills)
            campaign.notes["longest wait for a driver"] = f"{max(killer.waits):.1f} s"
            server.stop()
            campaign.trial("the tree at the end", Findings(server.root).errors)

    def _pushed(self, server, layout, repository):
        line = Line(server.port)
        try:
            missing = [
                name
                for name in layout.blobs()
                if line.request("HEAD", f"/v2/{repository}/blobs/sha256:{name}").status != 200
                and line.request("HEAD", f"/v2/{repository}/manifests/sha256:{name}").status != 200
            ]
        finally:
            line.close()
        return [f"{name} was pushed and is not there" for name in missing]

    def test_one_push_ends_with_201(self, directory):
        """A gibibyte in one PUT, the driver killed twice a second on average."""
        content = Content((1024 if is_long() else 48) * MIB)
        digest = content.digest()
        with (
            Campaign("one push through deaths of the driver", strikes="kills") as campaign,
            Registry(directory / "server") as server,
        ):
            line = Line(server.port)
            location = line.request("POST", "/v2/one/push/blobs/uploads/").headers["Location"]
            line.close()
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
            connection.putrequest("PUT", f"{location}&digest={digest}")
            connection.putheader("Content-Length", str(content.size))
            connection.endheaders()
            with Killer(server, campaign.choice, 0, 1 if is_long() else 0.4) as killer:
                started = time.monotonic()
                for start in range(0, content.size, MIB):
                    if start + MIB >= content.size:
                        wait_until(killer.has_struck)
                    connection.send(content.chunk(start, start + MIB))
                    # No faster than this, so that there is time to be struck.
                    time.sleep(max(0.0, started + start / (16 * MIB) - time.monotonic()))
                response = connection.getresponse()
                answer = response.read()
            problems = [] if response.status == 201 else [f"{response.status} {answer[:300]}"]
            connection.close()
            found = line.request("HEAD", f"/v2/one/push/blobs/{digest}")
            if found.headers.get("Content-Length") != str(content.size):
                problems.append("the blob is not there")
            line.close()
            campaign.struck(killer.kills)
            server.stop()
            problems += Findings(server.root).errors
            campaign.trial(f"{content.size // MIB} MiB", problems)


class ServerTests:
    def test_nothing_acknowledged_is_lost(self, directory):
        """The whole server is killed at random moments while clients try again until they are
        answered.
        """
        seconds, patrons = (120, 6) if is_long() else (5, 3)
        with Campaign("kills of the whole server", strikes="acknowledged") as campaign:
            server = Registry(directory / "server")
            journal = Journal()
            journal.is_in_trouble = True
            crowd = Crowd(
                [
                    Patron(
                        Line(server.port),
                        journal,
                        f"p{number}",
                        random.Random(campaign.choice.random()),
                    )
                    for number in range(patrons)
                ]
            )
            until = time.monotonic() + seconds
            server.start()
            crowd.start(is_patient=True)
            waits = []
            try:
                while (
                    time.monotonic() < until
                    or len(waits) < LEAST_KILLS
                    or journal.acknowledged < patrons
                ):
                    assert time.monotonic() < until + PATIENCE, "clients get no answers"
                    time.sleep(campaign.choice.uniform(0.2, 2.0))
                    if campaign.choice.random() < 0.5:
                        end_all(server)
                    else:
                        server.kill()  # and leaves its driver to find out
                    started = time.monotonic()
                    server.start()
                    waits.append(time.monotonic() - started)
            finally:
                crowd.join(PATIENCE)
                end_all(server)
            warnings = Counter()
            problems = find_losses(journal, server.root, warnings)
            server.start()
            try:
                line = Line(server.port)
                problems += journal.check_over_http(line)
                line.close()
            finally:
                server.stop()
            # What is lost can't be told apart by kills: one of them it was.
            for number in range(len(waits)):
                is_last = number == len(waits) - 1
                campaign.trial("all kills together", problems if is_last else [])
            campaign.struck(journal.acknowledged)
            campaign.notes["longest start"] = f"{max(waits):.1f} s"
            campaign.notes["left behind"] = warnings

    def test_image_pushes_come_to_their_end(self, directory):
        """skopeo, started again when it fails, gets each image in; and all of it is there."""
        count, size = short_or_long(1, 12), (200 if is_long() else 16) * MIB
        name = "image pushes through kills of the whole server"
        with Campaign(name, strikes="kills") as campaign:
            server = Registry(directory / "server").start()
            images = Images(directory, server, size)
            is_over = threading.Event()
            kills = []

            def strike():
                longest = 0.5 + size / (60 * MIB)
                while not is_over.wait(campaign.choice.uniform(0.1, longest)):
                    end_all(server)
                    kills.append(1)
                    server.start()
                    longest *= 1.1  # so that a slow machine, too, has a push between two kills

            reaper = threading.Thread(target=strike)
            reaper.start()
            try:
                number = 0
                # However fast the machine is: the server is struck while there is something to do.
                while number < count or not kills:
                    layout = images.make(f"image-{number}")
                    deadline = time.monotonic() + PATIENCE
                    while error := images.push(layout, f"kills/image-{number}"):
                        assert time.monotonic() < deadline, f"it never gets in: {error}"
                        assert reaper.is_alive(), "the server is not started again"
                    missing = layout.blobs() - stored(server.root)
                    campaign.trial(f"image {number}", [f"{name} is missing" for name in missing])
                    shutil.rmtree(layout.directory)
                    number += 1
            finally:
                is_over.set()
                reaper.join()
                server.stop()
            campaign.struck(len(kills))
            campaign.trial("the tree at the end", Findings(server.root).errors)


def stored(root):
    """Hex of all blobs in a tree."""
    found = set()
    for directory, _, names in os.walk(root / "docker/registry/v2/blobs"):
        if "data" in names:
            found.add(os.path.basename(directory))
    return found


def wait_until(is_so):
    """Wait for something that other threads bring about."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it never comes about"
        time.sleep(0.01)


def in_threads(works):
    """Run functions at once; the first failure is raised."""
    failures = []

    def run(work, *arguments):
        try:
            work(*arguments)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
