# SPDX-License-Identifier: Apache-2.0
"""A check of a whole tree, in order, and what came of it.

Room: admin. Must not know how results are written. A repair may uncover something (a manifest that
is only now without its layer, in a repository that was looked at before), so a repairing check goes
round until nothing is left to repair; data are read once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from attrs import evolve, frozen

from txregistry.admin.check.blobs import check_blobs
from txregistry.admin.check.findings import Kind, Severity
from txregistry.admin.check.inspection import (
    DAMAGED,
    LINKED,
    Inspection,
    Options,
    Reporter,
    Totals,
    Unfinished,
)
from txregistry.admin.check.quarantine import Quarantine
from txregistry.admin.check.repositories import check_repositories, check_top
from txregistry.registry.manifest_reader import Parse
from txregistry.storage.blocking import Run
from txregistry.storage.contract import Driver
from txregistry.storage.errors import StorageError

#: Times that a repairing check goes round at most. Arbitrary: two are the rule, and each of them
#: only finds what the one before uncovered.
ROUNDS = 10


@frozen
class Orphans:
    """Blobs that no repository has, as far as their data are in order; ``bytes`` in all."""

    blobs: int = 0
    bytes: int = 0


@frozen
class Summary:
    """What came of a check.

    Attributes:
        counts: findings of each class that has some.
        totals: what was looked at.
        repairable: findings that a repair would do away with.
        repairs: things that were moved or written.
        quarantine: the directories that they were moved to, if any were; one as a rule.
        unfinished: why it could not be finished; None: it was.
    """

    counts: Mapping[Kind, int]
    totals: Totals
    orphans: Orphans
    repairable: int = 0
    repairs: int = 0
    quarantine: tuple[str, ...] = ()
    unfinished: str | None = None

    def count(self, severity: Severity) -> int:
        """Return how many findings of a severity there were."""
        return sum(number for kind, number in self.counts.items() if kind.severity is severity)

    def is_clean(self, *, strict: bool = False) -> bool:
        """Say whether nothing is wrong; ``strict``: warnings count."""
        return not self.count(Severity.ERROR) and not (strict and self.count(Severity.WARNING))


async def check(
    driver: Driver,
    reporter: Reporter,
    *,
    parse: Parse,
    compute: Run,
    now: Callable[[], float],
    pause: Callable[[float], Awaitable[None]],
    options: Options | None = None,
    repair: bool = False,
) -> Summary:
    """Check a storage tree. A registry may be at work on it, but not while it is repaired.

    Args:
        parse: reads what a manifest says.
        compute: runs a computation that takes long.
        now: the clock, seconds since the epoch.
        pause: waits for some seconds.
        repair: put what is damaged into quarantine.
    """
    quarantine = Quarantine(driver, now) if repair else None
    first = Inspection(
        driver=driver,
        options=options or Options(),
        reporter=reporter,
        parse=parse,
        compute=compute,
        now=now,
        pause=pause,
        mend=quarantine.mend if quarantine else None,
    )
    inspections = [first]
    unfinished = await _try(first, quarantine)
    while (
        quarantine and unfinished is None and inspections[-1].repairs and len(inspections) < ROUNDS
    ):
        inspections.append(_another(first))
        unfinished = await _try(inspections[-1], quarantine)
    return Summary(
        counts=_added([inspection.counts for inspection in inspections]),
        totals=first.totals,
        orphans=Orphans(*first.blobs.unmarked(LINKED | DAMAGED))
        if unfinished is None
        else Orphans(),
        repairable=sum(inspection.repairable for inspection in inspections),
        repairs=sum(inspection.repairs for inspection in inspections),
        quarantine=tuple(quarantine.directories) if quarantine else (),
        unfinished=unfinished,
    )


def _another(first: Inspection) -> Inspection:
    """Return the tools for going round again, with nothing found."""
    return Inspection(
        driver=first.driver,
        options=evolve(first.options, read_data=False),
        reporter=first.reporter,
        parse=first.parse,
        compute=first.compute,
        now=first.now,
        pause=first.pause,
        mend=first.mend,
        is_again=True,
    )


async def _try(inspection: Inspection, quarantine: Quarantine | None) -> str | None:
    """Go round once; returns why that could not be finished."""
    try:
        try:
            await check_top(inspection)
            await check_blobs(inspection)
            await check_repositories(inspection)
        finally:
            if quarantine is not None:
                await quarantine.close()
    except Unfinished as error:
        return str(error)
    except StorageError as error:
        return f"storage failed: {error}"
    if inspection.unchecked:
        return f"storage failed {len(inspection.unchecked)} times: {inspection.unchecked[0]}"
    return None


def _added(counts: list[dict[Kind, int]]) -> dict[Kind, int]:
    total: dict[Kind, int] = {}
    for one in counts:
        for kind, number in one.items():
            total[kind] = total.get(kind, 0) + number
    return total
