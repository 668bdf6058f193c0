# SPDX-License-Identifier: Apache-2.0
"""One trace of a real driver, and every state in which a power cut could have left its disk.

No luck is needed here: what a sync is missing for is shown, whatever a file system does. The same
trace is read for order: bytes are synced before they get a name, and names before the answer.
"""

from __future__ import annotations

import random
import re
import shutil

from tests.functional.servers import Registry

from .campaign import Campaign, short_or_long
from .checker import Findings
from .journal import Journal
from .oracle import LEFTOVER, examine_files
from .patrons import Line, Patron
from .shim import Shim
from .states import Model

#: What is done, in this order, in one repository.
OPERATIONS = (
    *("push_image", "push_image", "retag", "push_referrer", "push_index", "mount"),
    *(
        "begin_upload",
        "resume_upload",
        "push_image",
        "delete_tag",
        "delete_manifest",
        "delete_blob",
    ),
)

SIZES = ((100, 1_000), (70_000, 80_000))


class Recording:
    """A registry whose driver's calls are written down, and a client of it.

    Attributes:
        steps: (operation, position of the trace at its start, and at its answer).
    """

    def __init__(self, directory, seed, left_out=""):
        self.shim = Shim(directory, directory / "root", left_out=left_out)
        self.shim.start_trace()
        self.server = Registry(directory, storage=self.shim.storage())
        self.journal = Journal(self.shim.position)
        self.patron = Patron(
            Line(self.server.port), self.journal, "p", random.Random(seed), sizes=SIZES
        )
        self.steps = []

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.patron.line.close()
        self.server.stop()
        self.shim.close()

    def do(self, operations=OPERATIONS):
        app, deep = self.patron.repositories
        for name in operations:
            options = {"is_tagged": True} if name == "push_image" else {}
            operation = getattr(self.patron, name)(deep if name == "mount" else app, **options)
            if operation is not None:
                start = self.shim.position()
                operation()
                self.steps.append((name, start, self.shim.position()))
        assert not self.journal.problems


def states(run, most):
    """Every state in which the disk of a recording could have been left.

    Args:
        most: unsynced changes that are undone together, at most.

    Yields:
        Where, the position of the trace, files and directories.
    """
    model, seen = Model(), set()
    for position, name, result, fields in run.shim.trace():
        if not model.follow(name, result, fields):
            continue
        for lost in model.losses(most):
            files, directories = model.left(lost)
            key = hash((frozenset(files.items()), frozenset(directories), position))
            if key not in seen:
                seen.add(key)
                undone = " and ".join(map(str, lost)) or "nothing"
                yield f"after {name} {fields[0]}, without {undone}", position, files, directories


def test_every_state_after_a_power_cut_keeps_what_was_acknowledged(tmp_path):
    """All of a trace up to each call, without any two of the changes that were not synced by
    then.
    """
    with (
        Campaign("enumerated crash states") as campaign,
        Recording(tmp_path / "run", campaign.seed) as run,
    ):
        run.do()
        share = short_or_long(40, 2000)
        for number, (where, position, files, directories) in enumerate(states(run, 2)):
            problems = run.journal.as_of(position).settle(examine_files(files, directories))
            if campaign.choice.random() < share / 10_000:
                root = tmp_path / f"state-{number}"
                materialise(root, files, directories)
                problems += Findings(root).errors
                campaign.notes["on a real disk, too"] = (
                    campaign.notes.get("on a real disk, too", 0) + 1
                )
                shutil.rmtree(root)
            campaign.trial(where, problems)


def materialise(root, files, directories):
    root.mkdir()
    for directory in directories:
        (root / directory).mkdir(parents=True, exist_ok=True)
    for path, data in files.items():
        (root / path).write_bytes(data)


class Lint:
    """Reads a trace for the order of its syncs.

    Attributes:
        problems: what was out of order: one sentence each.
    """

    def __init__(self):
        self.model = Model()
        self.problems = []

    def read(self, trace, start, answered, *, step):
        """Take the calls up to an answer, and judge those after ``start``."""
        for position, name, result, fields in trace:
            if position > start and result >= 0 and name in ("rename", "link"):
                self._check_named(*fields, step=step)
            self.model.follow(name, result, fields)
        paths = self.model.paths()
        for change in self.model.unsynced:
            if any(inode in paths for inode in change.inodes) and LEFTOVER not in change.path:
                self.problems.append(f"{step} was answered before {change} was synced")

    def _check_named(self, old, new, *, step):
        """What gets a name that others see has its bytes on the disk."""
        if LEFTOVER in new:
            return
        inode = self.model.find(old)
        for change in self.model.unsynced:
            if change.is_write and inode in change.inodes:
                self.problems.append(f"in {step} {new} got its name before its bytes were synced")


def lint(run):
    """Judge all steps of a recording; returns what is out of order."""
    trace, reader, done = run.shim.trace(), Lint(), 0
    for step, start, answered in run.steps:
        upto = next((number for number, call in enumerate(trace) if call[0] > answered), len(trace))
        reader.read(trace[done:upto], start, answered, step=step)
        done = upto
    return reader.problems


def test_order_of_syncs(tmp_path):
    """Before each answer: bytes, then the name, then its directory and each new one above it."""
    with Campaign("order of syncs") as campaign, Recording(tmp_path, campaign.seed) as run:
        run.do()
        problems = lint(run)
        for step, _, _ in run.steps:
            campaign.trial(step, [one for one in problems if f" {step} " in f" {one} "])


def is_lossy(run, state):
    _, position, files, directories = state
    return bool(run.journal.as_of(position).settle(examine_files(files, directories)))


def kinds_of_syncs(run):
    """Patterns of the paths that were synced, each for one place in the tree."""
    found = {
        fields[0] for _, name, result, fields in run.shim.trace() if name == "sync" and result == 0
    }
    for pattern, stands_for in (
        (r"/\.txregistry-[0-9a-f]+\.tmp", "/.txregistry-*.tmp"),
        (r"/[0-9a-f]{64}(?=/|$)", "/" + "?" * 64),
        (r"/[0-9a-f]{8}-[0-9a-f-]{27}(?=/|$)", "/" + "?" * 36),
        (r"/sha256/[0-9a-f]{2}(?=/|$)", "/sha256/??"),
        (r"/tags/t[0-9](?=/|$)", "/tags/t?"),
    ):
        found = {re.sub(pattern, stands_for, path) for path in found}
    return sorted(found)


#: What no client was promised: shortcuts for the hash of an upload.
UNPROMISED = ("/hashstates",)


def test_missing_syncs_are_noticed(tmp_path):
    """The lab tested: each sync that the driver makes, left out on purpose, is missed by both
    readers.
    """
    with Campaign("syncs left out on purpose, lost being what the lab does not see") as campaign:
        with Recording(tmp_path / "whole", campaign.seed) as run:
            run.do()
            kinds = kinds_of_syncs(run)
        chosen = campaign.choice.sample(kinds, min(short_or_long(6, 1000), len(kinds)))
        campaign.notes["kinds"] = len(kinds)
        for number, left_out in enumerate(campaign.within(chosen, least=3, seconds=6)):
            with Recording(tmp_path / f"run-{number}", campaign.seed, left_out) as run:
                run.do()
                problems = [] if lint(run) else ["the order of syncs looks right"]
                is_promised = not any(part in left_out for part in UNPROMISED)
                if is_promised and not any(is_lossy(run, state) for state in states(run, 1)):
                    problems.append("no state loses anything")
            campaign.trial(left_out, problems)
