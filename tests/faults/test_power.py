# SPDX-License-Identifier: Apache-2.0
"""Power cuts under load: the disk of a real server goes at a random moment, again and again.

Nothing that a client was told before may be lost, whatever the file system does with what was not
synced. An answer that comes while the power goes does not count. No machine could send it; and the
kernel says that a sync succeeded which was overtaken by the shutdown (the last test here shows that
without us).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import subprocess
import threading
import time
from collections import Counter

import pytest

from .campaign import Campaign, is_long, not_run, short_or_long
from .checker import find_losses
from .disk import CannotMount, Disk, check_mounts, pick_directory
from .journal import Journal
from .patrons import Crowd, Line, Patron
from .processes import end_all
from .shim import Shim, storage_of
from .warm import WarmRegistry, driver_program

#: (options of the mount, options of mkfs). Each treats otherwise what was not synced.
KINDS = (
    ("data=ordered", ()),
    ("data=writeback", ()),
    ("nodelalloc", ()),
    ("noauto_da_alloc", ()),
    ("data=writeback,noauto_da_alloc,nodelalloc", ()),
    ("data=ordered", ("-b", "1024")),
    ("data=ordered,noauto_da_alloc", ("-O", "fast_commit")),
)

#: Cuts that one image lives through.
CUTS_OF_IMAGE = 10 if is_long() else 3

#: Seconds of load before the cut, at most.
LOAD = 0.5

#: Seconds for what must come before a cut, on a busy machine.
PATIENCE = 60.0

#: Answers before a cut without which a lack of syncs could show nothing.
LEAST_ANSWERS = 5


class Host:
    """A registry on a disk, and the clients that use it, until the power goes."""

    def __init__(self, directory, disk, choice, front, driver):
        self.disk = disk
        self.choice = choice
        self.journal = Journal()
        self.lives = 0
        self.warnings = Counter()
        root = disk.path / "storage"
        storage = storage_of(driver.command, root)
        self.server = WarmRegistry(directory, front, driver, storage)
        self.patrons = [
            Patron(
                Line(self.server.port), self.journal, f"p{number}", random.Random(choice.random())
            )
            for number in range(3)
        ]

    def live_and_lose_power(self, least=0):
        """One life: come up, show that all is there, take load, and go dark.

        Args:
            least: answers that clients have before that.

        Returns:
            What was lost: one sentence each.
        """
        self.lives += 1
        self.server.start()
        self.journal.is_in_trouble = self.journal.is_dark = False
        before = self.journal.acknowledged
        try:
            problems = self._check_served()
            crowd = Crowd(self.patrons)
            crowd.start()
            # A span of load is what is meant, so this is a sleep.
            time.sleep(self.choice.uniform(0, LOAD))
            self._wait_for_answers(before + least)
            self.journal.is_in_trouble = self.journal.is_dark = True
            self.disk.cut()
            crowd.join()
        finally:
            end_all(self.server)
        self.disk.unmount()
        self.disk.mount()
        problems += find_losses(self.journal, self.disk.path / "storage", self.warnings)
        # A file may have grown before its bytes were written (``data=writeback``), or the shutdown
        # came between the two: then something else follows what was acknowledged. Such an upload
        # ends with 400 and begins anew.
        self.warnings["upload-spoiled"] += len(self.journal.spoiled)
        self.journal.spoiled.clear()
        return problems

    def _wait_for_answers(self, count):
        deadline = time.monotonic() + PATIENCE
        while self.journal.acknowledged < count and not self.journal.problems:
            assert time.monotonic() < deadline, "clients get no answers"
            time.sleep(0.01)

    def is_old(self):
        return self.lives >= CUTS_OF_IMAGE or self.disk.is_half_full()

    def _check_served(self):
        keys = list(self.journal.possible)
        line = Line(self.server.port)
        try:
            return self.journal.check_over_http(line, self.choice.sample(keys, min(40, len(keys))))
        finally:
            line.close()


def cut_power(campaign, directory, count, front, left_out=""):
    """Cut the power ``count`` times, over all kinds of file systems.

    Args:
        left_out: a pattern of paths whose syncs do nothing.
    """
    left_behind, mounts = Counter(), Counter()
    with contextlib.ExitStack() as stack:
        host = None
        for number in campaign.within(range(count), least=50, seconds=0):
            if host is None or host.is_old():
                stack.close()
                options, format_options = KINDS[number // CUTS_OF_IMAGE % len(KINDS)]
                disk = stack.enter_context(
                    Disk(directory / f"image-{number}", options, format_options)
                )
                place, environment = directory / f"host-{number}", None
                if left_out:
                    shim = Shim(place, disk.path / "storage", left_out=left_out)
                    environment = shim.environment
                driver = stack.enter_context(contextlib.closing(driver_program(environment)))
                host = Host(place, disk, campaign.choice, front, driver)
            before = host.journal.acknowledged
            mount = " ".join((options, *format_options))
            mounts[mount] += 1
            problems = host.live_and_lose_power(LEAST_ANSWERS if left_out else 0)
            campaign.trial(f"cut {number + 1}, {mount}", problems)
            campaign.struck(host.journal.acknowledged - before)
            left_behind.update(host.warnings)
            host.warnings.clear()
    campaign.notes["left behind"] = left_behind
    campaign.notes["cuts of ext4 with"] = mounts


@pytest.fixture
def directory(tmp_path):
    place = pick_directory(tmp_path)
    try:
        check_mounts(place)
    except CannotMount as reason:
        not_run(f"needs root and a loop device ({reason})")
    yield place
    shutil.rmtree(place, ignore_errors=True)


def test_power_cuts_lose_nothing_acknowledged(directory, front):
    """Pushes, tags and deletes are there after the power went, in every kind of ext4."""
    with Campaign("power cuts", strikes="acknowledged") as campaign:
        cut_power(campaign, directory, short_or_long(50, 1000), front)
        assert campaign.notes["acknowledged"] > campaign.tried


def test_cut_is_one(directory):
    """The kernel by itself: what was synced before the cut is there, what was not is not."""
    with Campaign("power cuts without a registry") as campaign, Disk(directory / "image") as disk:
        for number in range(short_or_long(5, 100)):
            campaign.trial(f"cut {number}", _append_and_cut(disk, number, campaign.choice))


def test_cut_disk_comes_back_whoever_holds_it(directory):
    """A container that somebody starts has our mounts, too: the dead one in it is none of ours."""
    container = ["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo up; read _"]
    with Disk(directory / "image") as disk:
        (disk.path / "kept").write_bytes(b"bytes")
        os.sync()
        with subprocess.Popen(container, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout.readline() == b"up\n"
            disk.cut()
            disk.unmount()
            disk.mount()
            assert (disk.path / "kept").read_bytes() == b"bytes"
            (disk.path / "new").write_bytes(b"more")
            disk.unmount()


def _append_and_cut(disk, number, choice):
    path, is_synced = disk.path / f"file-{number}", threading.Event()
    synced, written = [], []

    def append():
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
            sync_directory(disk.path)
            for end in itertools.count(100, 100):
                os.pwrite(descriptor, b"x" * 100, end - 100)
                os.fdatasync(descriptor)
                synced.append((end, time.monotonic()))
                is_synced.set()
        written.append(os.fstat(descriptor).st_size)
        os.close(descriptor)

    thread = threading.Thread(target=append)
    thread.start()
    assert is_synced.wait(PATIENCE)
    time.sleep(choice.uniform(0, 0.05))
    instant = time.monotonic()
    disk.cut()
    thread.join()
    disk.unmount()
    disk.mount()
    kept = path.stat().st_size if path.exists() else 0
    path.unlink(missing_ok=True)
    sure = max((end for end, when in synced if when < instant), default=0)
    return [] if sure <= kept <= written[0] else [f"{sure} bytes were synced, {kept} are there"]


def sync_directory(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("left_out", ["*/_uploads/*/data", "*/.txregistry-*.tmp"])
def test_missing_syncs_are_noticed(directory, front, left_out):
    """The lab tested: without these syncs, which a shim leaves out on purpose, power cuts lose
    something.
    """
    name = f"power cuts without syncs of {left_out}"
    with Campaign(name, strikes="acknowledged", expects_losses=True) as campaign:
        cut_power(campaign, directory, 3, front, left_out)
