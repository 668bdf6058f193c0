# SPDX-License-Identifier: Apache-2.0
"""Tries rows on a server, and counts."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from .rows import Play, get
from .ward import fill_in
from .wire import Cut, Wire

MIB = 1024 * 1024

#: Most that a group may add to the memory of all processes. Manifests of 4 MiB come to one process,
#: are parsed in another and stored by a third; what the allocators of the three keep of them was 3
#: to 15 MiB from run to run.
GROWTH = 32 * MIB

#: Wrong answers after which the rest of a group tells nothing new.
ENOUGH = 20


@dataclass
class Tally:
    """What came of a group.

    Attributes:
        failed: answers of 500 and above that are not expected.
        crashed: processes that ended, and tracebacks.
        growth: of memory, bytes.
        descriptors: that stayed open.
        slowest: seconds in which ``GET /v2/`` was answered afterwards, at worst.
        wrong: what was not right, in words.
    """

    group: str
    tried: int = 0
    right: int = 0
    failed: int = 0
    crashed: int = 0
    growth: int = 0
    descriptors: int = 0
    slowest: float = 0.0
    wrong: list[str] = field(default_factory=list)

    COLUMNS = ("group", "tried", "right", "5xx", "crashes", "memory", "descriptors", "slowest")

    def cells(self):
        """A row of the table."""
        return (
            self.group,
            str(self.tried),
            str(self.right),
            str(self.failed),
            str(self.crashed),
            f"{self.growth / MIB:+.1f} MiB",
            f"{self.descriptors:+d}",
            f"{self.slowest * 1000:.0f} ms",
        )


class Trial:
    """Tries rows on one server. Use as a context, which is one group.

    Args:
        ward: the server.
    """

    def __init__(self, ward, group):
        self.ward = ward
        self.tally = Tally(group)

    def __enter__(self):
        self._before = self.ward.resident(), self.ward.descriptors()
        self._store = self.ward.store()
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            return
        resident, descriptors = self._before
        tally = self.tally
        tally.descriptors = self.ward.descriptors_settled(descriptors) - descriptors
        tally.growth = self.ward.resident() - resident
        if tally.growth >= GROWTH:
            tally.wrong.append(f"memory grew by {tally.growth / MIB:.1f} MiB")
        if tally.descriptors > 0:
            tally.wrong.append(f"{tally.descriptors} descriptors stayed open")

    def try_row(self, row):
        """Try one row, and look what it did."""
        self.judge(row, self._problems(row), changes=isinstance(row, Play) or row.changes)

    def try_together(self, rows):
        """Try rows that mostly wait at the same time."""
        with ThreadPoolExecutor(len(rows)) as threads:
            for row, problems in zip(rows, threads.map(self._problems, rows), strict=True):
                self.judge(row, problems, changes=True)

    def _problems(self, row):
        try:
            return self._play(row) if isinstance(row, Play) else self._send(row)
        except (AssertionError, Cut, OSError) as error:
            return [f"{type(error).__name__}: {error}"]

    def judge(self, row, problems, *, changes=False):
        """Count one trial, of which ``problems`` are known; look for others.

        Args:
            changes: the store may be another now.
        """
        tally = self.tally
        tally.tried += 1
        asked = time.monotonic()
        is_alive = self.ward.is_alive()
        tally.slowest = max(tally.slowest, time.monotonic() - asked)
        complaints = self.ward.complaints()
        tally.crashed += len(complaints) + (not is_alive)
        problems = [*problems, *complaints[:3], *([] if is_alive else ["a process ended"])]
        store = self.ward.store()
        if store != self._store and not changes:
            changed = {path for path, _ in store.items() ^ self._store.items()}
            problems.append(f"the store changed: {sorted(changed)}")
        self._store = store
        tally.right += not problems
        tally.wrong += [f"{row}: {problem}" for problem in problems]
        assert len(tally.wrong) < ENOUGH, "\n".join(tally.wrong)

    def _play(self, play):
        play.act(self.ward, *play.arguments)
        return []

    def _send(self, row):
        target = self.ward.session() if row.has_session else ""
        sent = fill_in(row.sent, target) if target else row.sent
        to_head = sent.startswith(b"HEAD ")
        with Wire(self.ward.port) as wire:
            wire.send(sent + get("/v2/") if row.ends else sent)
            reply = wire.reply(to_head=to_head)
            rest = wire.ended() if row.ends else b""
        problems = self.ward.problems(reply, to_head=to_head)
        if reply.status not in row.statuses:
            self.tally.failed += reply.status >= 500
            problems.append(f"answered {reply.status} {reply.body[:200]!r}")
        elif row.code and reply.code != row.code:
            problems.append(f"answered {reply.code}")
        if rest:
            problems.append(f"what follows was answered: {rest[:100]!r}")
        if target:
            held = self.ward.held(target)
            if held != row.holds:
                problems.append(f"the session holds {held}")
            self.ward.cancel(target)
        return problems


def table(tallies):
    """The table, as lines of text."""
    cells = [Tally.COLUMNS, *(tally.cells() for tally in tallies), total(tallies).cells()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        f"{row[0]:<{widths[0]}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in cells
    ]


def total(tallies):
    """All groups together; memory, descriptors and time are those of the worst."""
    found = Tally("all")
    for tally in tallies:
        found.tried += tally.tried
        found.right += tally.right
        found.failed += tally.failed
        found.crashed += tally.crashed
        found.growth = max(found.growth, tally.growth)
        found.descriptors = max(found.descriptors, tally.descriptors)
        found.slowest = max(found.slowest, tally.slowest)
    return found
