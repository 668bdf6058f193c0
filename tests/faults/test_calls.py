# SPDX-License-Identifier: Apache-2.0
"""Every call by which the driver changes the disk or answers, struck in turn: killed, refused, cut
short.

The same operation is done again and again in a fresh repository, and each time another call is the
one. A driver that is killed must not be noticed by the client; a refusal may be told, with an
honest status, and must be over when it is over.

The long form strikes every call of every operation. ``FAULTS_SHARE=3/16`` strikes the third
sixteenth of them; runs with one ``FAULTS_SEED`` and all the shares strike each of them once.
"""

from __future__ import annotations

import contextlib
import errno
import random
import shutil
import threading
import time
from collections import Counter
from dataclasses import dataclass
from itertools import chain, islice

from .campaign import Campaign, is_long, share, short_or_long
from .checker import find_losses
from .journal import Journal
from .patrons import Line, Patron, Unanswered
from .processes import end_all
from .shim import CHANGES, ERRORS, Shim, storage_of
from .warm import WarmRegistry, driver_program

#: What is done, and what must have been done before. Names of a patron's operations.
SCENARIOS = {
    "push": ((), "push_image"),
    "push again": (("push_image", "delete_tag"), "push_image"),
    "tag": (("push_image",), "retag"),
    "index": (("push_image", "push_image"), "push_index"),
    "referrer": (("push_image",), "push_referrer"),
    "mount": (("push_image",), "mount"),
    "resume": (("begin_upload",), "resume_upload"),
    "delete tag": (("push_image",), "delete_tag"),
    "delete manifest": (("push_image",), "delete_manifest"),
    "delete blob": (("push_image", "delete_manifest"), "delete_blob"),
}

#: One that is held in memory, and one that goes through a writer.
SIZES = ((100, 1_000), (70_000, 80_000))

#: Seconds in which a registry must do again what it refused.
HEALING = 30.0

#: Deaths of a whole server on one storage tree, which is read and checked after each.
DEATHS_ON_A_TREE = 10


class Bench:
    """A registry whose driver runs under the shim, and one operation after the other on it."""

    def __init__(self, directory, seed, front):
        self.root = directory / "root"
        self.shim = Shim(directory, self.root)
        self.driver = driver_program(self.shim.environment)
        storage = storage_of(self.driver.command, self.root)
        self.server = WarmRegistry(directory, front, self.driver, storage)
        self.line = Line(self.server.port)
        self.journal = Journal()
        self.seed = seed
        self.count = 0
        self.calls = {}

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.shim.disarm()
        self.line.close()
        self.server.stop()
        self.driver.close()
        self.shim.close()

    def prepare(self, scenario):
        """Do what comes before; returns the operation itself."""
        self.count += 1
        before, operation = SCENARIOS[scenario]
        # The same choices each time, so that the same calls are made; other bytes, so that these
        # are not at the second time those of a push of what is there.
        choice, salt = random.Random(self.seed), self.count.to_bytes(8, "big")
        patron = Patron(self.line, self.journal, f"r{self.count}", choice, sizes=SIZES, salt=salt)
        repository = patron.repositories[0]
        for name in before:
            self._make(patron, name, repository)()
        target = patron.repositories[1] if operation == "mount" else repository
        return self._make(patron, operation, target)

    def _make(self, patron, name, repository):
        options = {"is_tagged": True} if name == "push_image" else {}
        return getattr(patron, name)(repository, **options)

    def measure(self):
        """How many calls of each kind the operation of each scenario makes."""
        for scenario in SCENARIOS:
            operation = self.prepare(scenario)
            self.shim.arm(())
            self.shim.start_trace()
            operation()
            self.calls[scenario] = Counter(self.shim.kinds_in_trace())
            self.shim.stop_trace()
            self.shim.disarm()

    def find_losses(self):
        """What is wrong with the tree."""
        return find_losses(self.journal, self.root, Counter())

    def look(self):
        """What is wrong with the present repositories, by what is served."""
        mine = f"r{self.count}/"
        keys = [key for key in self.journal.possible if key[1].startswith(mine)]
        repositories = sorted({key[1] for key in keys})
        return self.journal.check_over_http(self.line, keys, repositories)


def points(campaign, bench, kinds, count, seconds):
    """Which calls to strike: (scenario, number).

    All of them (of this run's share) in the long form, else ``count``, and fewer if that would take
    longer than ``seconds``.
    """
    mine, of = share()
    every = [
        (scenario, number + 1)
        for scenario, calls in bench.calls.items()
        for number in range(sum(calls[kind] for kind in kinds))
        if number % of == mine
    ]
    campaign.notes["calls in all"] = campaign.notes.get("calls in all", 0) + len(every)
    count = min(len(every), short_or_long(count, len(every)))
    return campaign.within(campaign.choice.sample(every, count), least=count // 3, seconds=seconds)


class KillTests:
    def test_death_of_the_driver_at_any_call_is_not_noticed(self, tmp_path, front):
        """Pushes, tags and deletes go on through it; nothing is lost, nothing half is left."""
        with (
            Campaign("kill points of the driver", strikes="struck") as campaign,
            Bench(tmp_path, campaign.seed, front) as bench,
        ):
            bench.measure()
            for scenario, number in points(campaign, bench, CHANGES, 40, 6):
                operation = bench.prepare(scenario)
                bench.shim.arm(CHANGES, strike_at=number)
                with contextlib.suppress(Unanswered):  # the journal has that as a problem
                    operation()
                bench.shim.disarm()
                where = f"{scenario}, call {number}: {_struck(campaign, bench)}"
                campaign.trial(where, bench.look())
            campaign.trial("the tree at the end", bench.find_losses())

    def test_death_of_all_at_any_call_loses_nothing(self, tmp_path, front):
        """Front end and driver die together: acknowledged is there, all else is whole or absent."""
        with Campaign("kill points of the whole server", strikes="struck") as campaign:
            with Bench(tmp_path / "measured", campaign.seed, front) as bench:
                bench.measure()
            chosen = points(campaign, bench, CHANGES, 12, 6)
            for first in chosen:
                directory = tmp_path / f"bench-{campaign.tried}"
                with Bench(directory, campaign.seed, front) as bench:
                    for point in chain([first], islice(chosen, DEATHS_ON_A_TREE - 1)):
                        problems = self._die_and_return(bench, *point)
                        campaign.trial(f"{point}: {_struck(campaign, bench)}", problems)
                shutil.rmtree(directory)

    def _die_and_return(self, bench, scenario, number):
        operation = bench.prepare(scenario)
        bench.journal.is_in_trouble = True
        is_over = threading.Event()

        def strike():
            while not is_over.is_set():
                if bench.shim.struck:
                    end_all(bench.server)
                    return
                time.sleep(0.0005)

        bench.shim.arm(CHANGES, strike_at=number)
        reaper = threading.Thread(target=strike)
        reaper.start()
        with contextlib.suppress(Unanswered):
            operation()
        is_over.set()
        reaper.join()
        bench.shim.disarm()
        if not bench.shim.struck:
            end_all(bench.server)
        bench.line.close()
        problems = bench.find_losses()
        bench.server.start()
        bench.journal.is_in_trouble = False
        problems += bench.look()
        with contextlib.suppress(Unanswered):
            operation()  # once more: it must get through
        return problems + bench.look()


def _struck(campaign, bench):
    """What was struck, in words; an operation may take fewer calls than when it was measured."""
    campaign.struck(bool(bench.shim.struck))
    if not bench.shim.struck:
        campaign.notes["not reached"] = campaign.notes.get("not reached", 0) + 1
    return bench.shim.struck or "not reached"


@dataclass(frozen=True)
class Refusal:
    """What one call meets: an error, or only half of it is done."""

    name: str
    kinds: tuple
    action: str
    number: int = 0


REFUSALS = (
    *(Refusal(errno.errorcode[number], kinds, "fail", number) for number, kinds in ERRORS.items()),
    Refusal("short write", ("write",), "shorten"),
)


class ErrorTests:
    def test_refusal_of_any_call_is_told_honestly_and_over(self, tmp_path, front):
        """No answer claims what is not there, nobody crashes, and the next attempt gets through."""
        with (
            Campaign("error points", strikes="struck") as campaign,
            Bench(tmp_path, campaign.seed, front) as bench,
        ):
            bench.measure()
            answers, poisoned, waited = Counter(), 0, set()
            for refusal in REFUSALS:
                for scenario, call in points(campaign, bench, refusal.kinds, 7, 1):
                    operation = self._prepare(bench, scenario)
                    outcome, problems = self._refuse(bench, operation, refusal, call)
                    poisoned += self._is_poisoned(bench)
                    if outcome != "done":
                        may_wait = is_long() and not share()[0] and refusal.name not in waited
                        problems += self._repeat(bench, operation, may_wait=may_wait)
                        waited.add(refusal.name)
                    bench.journal.is_in_trouble = False
                    answers[f"{refusal.name} {outcome}"] += 1
                    where = f"{scenario}, {refusal.name} at {call}: {_struck(campaign, bench)}"
                    campaign.trial(where, problems + bench.look())
            campaign.trial("the tree at the end", bench.find_losses())
            campaign.notes["uploads to begin anew after a failed sync"] = poisoned
            campaign.notes["answers"] = answers

    def _prepare(self, bench, scenario):
        """What was refused after the last answer is not known here, and the store may be taken for
        full because of it.
        """
        try:
            return bench.prepare(scenario)
        except Unanswered:
            if not bench.shim.struck:
                raise
            bench.journal.take_problems()
            bench.server.kill_driver()
            return bench.prepare(scenario)

    def _refuse(self, bench, operation, refusal, call):
        """Returns what came of the operation, and what is wrong then."""
        driver = bench.server.driver()
        bench.journal.is_in_trouble = True
        bench.shim.arm(refusal.kinds, strike_at=call, action=refusal.action, error=refusal.number)
        try:
            operation()
            outcome = "done"
        except Unanswered as answer:
            outcome = str(answer)
        bench.shim.disarm()
        problems = []
        if outcome != "done" and not outcome.isdigit():
            problems.append(f"there was no answer: {outcome}")
        if bench.server.process.poll() is not None or bench.server.driver() != driver:
            problems.append("a process ended")
        return outcome, problems

    def _is_poisoned(self, bench):
        """After a failed sync nothing is known of the staged bytes, so they are dropped."""
        if not ("_uploads" in bench.shim.struck and "sync" in bench.shim.struck):
            return False
        for session in bench.journal.sessions.values():
            if session.repository.startswith(f"r{bench.count}/"):
                session.held = 0
        return True

    def _repeat(self, bench, operation, *, may_wait):
        """It must get through once the fault is over: at once, or when a driver is fresh.

        A store that was full is taken for that for a while, one that a sync failed of until an
        operator starts the driver again.

        Args:
            may_wait: find out whether that passes by itself, too.
        """
        struck = bench.shim.struck
        heals = may_wait and not struck.startswith(("fsync", "fdatasync"))
        deadline = time.monotonic() + HEALING
        while True:
            try:
                operation()
                return []
            except Unanswered as answer:
                if time.monotonic() > deadline:
                    return [f"it is still refused: {answer}"]
                if not heals:
                    bench.server.kill_driver()
                    heals = True
                time.sleep(0.02)
