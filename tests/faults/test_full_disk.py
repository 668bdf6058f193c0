# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up: what fits is stored, what does not is refused honestly, what is there is served.

At each step a little more room is left, of bytes or of inodes. A push is tried with that, everything that
was there is read, then the room comes back, and the same push must get through without anybody's help.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter

import pytest

from tests.functional.servers import Registry

from .campaign import Campaign, not_run, short_or_long
from .checker import find_losses
from .disk import Disk, SmallDisk, pick_directory
from .journal import Journal
from .patrons import Line, Patron, Unanswered

KIB = 1024
MIB = 1024 * KIB

#: Sizes of blobs.
SIZES = ((100, 300), (20_000, 30_000), (66_000, 70_000))

#: A driver that looks more often than it would whether there is room again, so that steps don't last.
_HASTY = (
    "import runpy; from txregistry.storage import writability; writability.PROBE_INTERVAL = 0.2;"
    " runpy.run_module('txregistry_drivers.filesystem', run_name='__main__')"
)

#: The note that counts pushes that met a full disk.
FULL = "pushes that met a full disk"

#: Seconds in which a registry must work again once there is room.
HEALING = 30.0


class Filling:
    """A registry on a small disk, beside which something else takes the room."""

    def __init__(self, directory, disk, choice, *, is_hasty=True):
        self.disk = disk
        self.root = disk / "storage"
        storage = {"filesystem": {"rootdirectory": str(self.root)}, "delete": {"enabled": True}}
        if is_hasty:
            command = [sys.executable, "-I", "-c", _HASTY]
            del storage["filesystem"]
            storage["external"] = {"command": command, "options": {"rootdirectory": str(self.root)}}
        self.server = Registry(directory, storage=storage)
        self.journal = Journal()
        self.line = Line(self.server.port)
        self.choice = choice
        self._count = itertools.count()
        self._ballast = disk / "ballast"

    def __enter__(self):
        self.server.start()
        self._ballast.mkdir()
        self.patron("first").push_image("first/app", is_tagged=True)()
        self.first = list(self.journal.possible)
        return self

    def __exit__(self, *_):
        self.line.close()
        self.server.stop()

    def patron(self, name):
        return Patron(
            self.line, self.journal, name, random.Random(self.choice.random()), sizes=SIZES
        )

    def leave_bytes(self, free):
        status = os.statvfs(self.disk)
        with (self._ballast / "bytes").open("wb") as file:
            count = max(1, status.f_bavail * status.f_frsize - free)
            # ext4 may need a block of its own for that; then it is full all the same.
            with suppress_errno(errno.ENOSPC):
                os.posix_fallocate(file.fileno(), 0, count)

    def leave_inodes(self, free):
        for number in range(os.statvfs(self.disk).f_favail - free):
            (self._ballast / f"inode-{number}").touch()

    def free(self):
        for path in self._ballast.iterdir():
            path.unlink()

    def step(self, leave, free):
        """Try a push with so much room, and again with more.

        Returns:
            What came of the first try, and what is wrong.
        """
        name = f"step-{next(self._count)}"
        operation = self.patron(name).push_image(f"{name}/app", is_tagged=True)
        self.journal.is_in_trouble = True
        leave(free)
        outcome = self._try(operation)
        problems = [] if outcome in ("done", "503", "507") else [f"the answer was {outcome}"]
        problems += self.journal.check_over_http(self.line, self.first)
        self.free()
        deadline = time.monotonic() + HEALING
        while outcome != "done" and self._try(operation) != "done":
            if time.monotonic() > deadline:
                problems.append("there is room again, and still nothing is taken")
                break
            time.sleep(0.05)
        self.journal.is_in_trouble = False
        mine = [key for key in self.journal.possible if key[1].startswith(f"{name}/")]
        return outcome, problems + self.journal.check_over_http(self.line, mine)

    def _try(self, operation):
        try:
            operation()
        except Unanswered as answer:
            return str(answer)
        return "done"

    def find_losses(self):
        warnings = Counter()
        problems = find_losses(self.journal, self.root, warnings)
        # Nothing died, so nobody had a reason to leave these.
        return problems + [f"{warnings['temp']} temporary files are left"] * bool(warnings["temp"])


@contextlib.contextmanager
def suppress_errno(number):
    try:
        yield
    except OSError as error:
        if error.errno != number:
            raise


@pytest.fixture
def directory(tmp_path):
    place = pick_directory(tmp_path)
    place.mkdir()
    yield place
    shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def mounted(disk):
    """A disk while it is mounted; says so where it can't be."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(disk)
        except (OSError, subprocess.CalledProcessError) as reason:
            not_run(f"needs root, mounts and a loop device ({reason})")
        yield disk


def fill(campaign, filling, steps, seconds):
    """Go through steps: (how room is left, how much), after one with no room at all."""
    outcomes = Counter()
    with filling:
        for leave, free in campaign.within([("leave_bytes", 0), *steps], least=4, seconds=seconds):
            outcome, problems = filling.step(getattr(filling, leave), free)
            outcomes[outcome] += 1
            campaign.struck(outcome != "done")
            campaign.trial(f"{leave} {free}", problems)
        filling.server.stop()
        campaign.trial("the tree at the end", filling.find_losses())
    campaign.notes["answers"] = outcomes


def test_tmpfs_fills_up(directory, tmp_path):
    """Bytes and inodes run out at every place of a push."""
    by_bytes = [("leave_bytes", free) for free in range(0, 256 * KIB, 4 * KIB)]
    by_inodes = [("leave_inodes", free) for free in range(48)]
    disk = SmallDisk(directory / "tmpfs", size=64 * MIB, inodes=12_000)
    with mounted(disk), Campaign("full tmpfs", strikes=FULL) as campaign:
        steps = [*by_bytes, *by_inodes]
        steps = campaign.choice.sample(steps, short_or_long(12, len(steps)))
        fill(campaign, Filling(tmp_path / "server", disk.path, campaign.choice), steps, 5)


def test_ext4_fills_up(directory, tmp_path):
    """The same on a file system that finds out later where things go."""
    steps = [("leave_bytes", free) for free in range(0, 256 * KIB, 4 * KIB)]
    disk = Disk(directory / "ext4", format_options=("-m", "0"), size=48 * MIB)
    with mounted(disk), Campaign("full ext4", strikes=FULL) as campaign:
        steps = campaign.choice.sample(steps, short_or_long(6, len(steps)))
        fill(campaign, Filling(tmp_path / "server", disk.path, campaign.choice), steps, 3)


@pytest.mark.slow
def test_driver_as_it_is_finds_room_by_itself(directory, tmp_path):
    """Without the haste of the other tests."""
    disk = SmallDisk(directory / "tmpfs", size=16 * MIB, inodes=4_000)
    name = "full tmpfs, driver without haste"
    with mounted(disk), Campaign(name, strikes=FULL) as campaign:
        filling = Filling(tmp_path / "server", disk.path, campaign.choice, is_hasty=False)
        fill(campaign, filling, [("leave_bytes", 0), ("leave_inodes", 0)] * 2, 60)
