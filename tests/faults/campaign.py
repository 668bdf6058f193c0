# SPDX-License-Identifier: Apache-2.0
"""Campaigns: how often something was tried, and what came of it.

``FAULTS=long`` in the environment asks for the long form, which ``FAULTS_SECONDS`` may end before
everything was tried. ``FAULTS_SHARE=3/16`` is the third of sixteen runs that try everything once
between them, where there are points to try. ``FAULTS_RESULTS`` names a file to which one JSON line
is added for each campaign, with the seed by which it can be had again.

Each run of the long form has choices of its own, to find what nobody has thought of. The short form
has the same ones each time: when it fails, something was changed.
"""

from __future__ import annotations

import json
import math
import os
import platform
import random
import subprocess
import tempfile
import time
import zlib
from pathlib import Path

import pytest

#: The lines of this run, for the summary at its end.
LINES = []

#: Losses after which the rest of a campaign tells nothing new.
ENOUGH = 10


def is_long():
    """Whether the long form was asked for."""
    return os.environ.get("FAULTS") == "long"


def short_or_long(short, long):
    """How many, in the form that was asked for; ``FAULTS_COUNT`` overrides both."""
    return int(os.environ.get("FAULTS_COUNT") or (long if is_long() else short))


def pick_seed(name):
    """The seed of a campaign's choices; ``FAULTS_SEED`` overrides it."""
    chosen = random.SystemRandom().randrange(1 << 32) if is_long() else zlib.crc32(name.encode())
    return int(os.environ.get("FAULTS_SEED") or chosen)


def share():
    """Which part of everything is this run's: (its number from 0, how many there are)."""
    number, _, of = (os.environ.get("FAULTS_SHARE") or "1/1").partition("/")
    return int(number) - 1, int(of)


def not_run(reason):
    """Say that a campaign is not run for want of something; where everything must run, fail."""
    text = f"not run: {reason}"
    LINES.append(text)
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)


def told(value):
    """A note in words, whether it is a Counter or not."""
    if not isinstance(value, dict):
        return str(value)
    return (
        ", ".join(f"{count} {name}" for name, count in sorted(value.items()) if count) or "nothing"
    )


class Campaign:
    """Counts the trials of one campaign.

    Use as a context; at its end the line is printed, and a loss fails the test.

    Args:
        strikes: the note that counts what befell the product. Where nothing did there was nothing
            to survive, so such a campaign fails.
        expects_losses: a campaign against a product that was broken on purpose must find something.

    Attributes:
        notes: what else is to be told; those of several runs are added up, where they are numbers
            or Counters of them.
    """

    def __init__(self, name, *, strikes=None, expects_losses=False):
        self.name = name
        self.strikes = strikes
        self.expects_losses = expects_losses
        self.seed = pick_seed(name)
        self.choice = random.Random(self.seed)
        self.tried = 0
        self.losses = []
        self.notes = {} if strikes is None else {strikes: 0}
        self._started = time.monotonic()

    def struck(self, count=1):
        """Count what befell the product."""
        self.notes[self.strikes] += count

    def within(self, items, *, least, seconds):
        """The items, as many as the time allows, but ``least`` of them, and one that struck.

        Args:
            items: a sequence.
            seconds: for all of them, in the short form.
        """
        if is_long():
            seconds = float(os.environ.get("FAULTS_SECONDS") or math.inf)
        deadline = time.monotonic() + seconds
        for number, item in enumerate(items):
            is_enough = number >= least and self._has_struck()
            if is_enough and time.monotonic() > deadline:
                self.notes["ended for want of time before"] = len(items)
                return
            yield item

    def trial(self, where, problems):
        """Count one trial; ``problems`` are the sentences that say what was lost in it."""
        self.tried += 1
        if problems:
            self.losses.append((where, list(problems)))
            assert self.expects_losses or len(self.losses) < ENOUGH, self._told()

    def _has_struck(self):
        return self.strikes is None or self.notes[self.strikes] > 0

    @property
    def line(self):
        survived = self.tried - len(self.losses)
        text = f"{self.name}: tried {self.tried}, survived {survived}, lost {len(self.losses)}"
        notes = "".join(f"; {key}: {told(value)}" for key, value in self.notes.items())
        return f"{text}{notes} (seed {self.seed}, {time.monotonic() - self._started:.0f} s)"

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        LINES.append(self.line)
        print(self.line)
        self._record()
        if kind is None:
            assert self.tried, "nothing was tried"
            assert self._has_struck(), f"nothing befell the registry: {self.line}"
            assert bool(self.losses) == self.expects_losses, self._told()

    def _told(self):
        shown = [f"{where}: {'; '.join(problems[:5])}" for where, problems in self.losses[:5]]
        return "\n".join([self.line, *shown])

    def _record(self):
        path = os.environ.get("FAULTS_RESULTS")
        if path:
            row = {
                "name": self.name,
                "tried": self.tried,
                "lost": len(self.losses),
                "losses": self.losses[:20],
                "is broken on purpose": self.expects_losses,
                "seed": self.seed,
                "seconds": round(time.monotonic() - self._started, 1),
                "form": "long" if is_long() else "short",
                "share": os.environ.get("FAULTS_SHARE") or "1/1",
                "test": os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0],
                "kernel": platform.release(),
                "file system": _file_system(),
                "commit": _commit(),
                **self.notes,
            }
            with open(path, "a") as file:
                file.write(json.dumps(row) + "\n")


def _file_system():
    """Kind and options of what temporary directories are on."""
    device = os.stat(tempfile.gettempdir()).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == wanted:
            options = f"{mount.split()[5]},{kind.split()[2]}".split(",")
            return f"{kind.split()[0]} {','.join(dict.fromkeys(options))}"
    return ""


def _commit():
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],
            cwd=os.path.dirname(__file__),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return found.stdout.strip()
