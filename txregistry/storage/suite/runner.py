# SPDX-License-Identifier: Apache-2.0
"""Runs the cases one after the other and reports: for the command line, and under any test runner.

Room: storage. Must not know pytest, nor how the driver is reached. A case ends as *passed*,
*failed* or
*not offered*: what a driver lacks is counted apart and never looks like success.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Sequence

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime

from txregistry.storage.errors import Missing, StorageError
from txregistry.storage.suite.case import Broken, Case, Environment, NotOffered
from txregistry.storage.suite.promises import CASES


class Verdict(enum.Enum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "FAILED"
    NOT_OFFERED = "not offered"


@frozen
class Outcome:
    """How a case ended, and why if it did not pass."""

    case: Case
    verdict: Verdict
    why: str = ""


@frozen
class Summary:
    """How all of them ended.

    Attributes:
        leftovers: paths that are still there after cases removed what they had made.
    """

    outcomes: tuple[Outcome, ...]
    leftovers: tuple[str, ...]

    def count(self, verdict: Verdict) -> int:
        return sum(outcome.verdict is verdict for outcome in self.outcomes)

    @property
    def is_kept(self) -> bool:
        """Whether the driver keeps its promises."""
        return not self.count(Verdict.FAILED) and not self.leftovers


async def run_case(case: Case, environment: Environment) -> Outcome:
    """Run one case, and remove what it made."""
    try:
        await case.run(environment)
    except NotOffered as err:
        outcome = Outcome(case, Verdict.NOT_OFFERED, str(err))
    except Broken as err:
        outcome = Outcome(case, Verdict.FAILED, str(err))
    except StorageError as err:
        outcome = Outcome(case, Verdict.FAILED, f"unexpected {err.code}: {err}")
    except CancelledError:
        raise
    except Exception as err:  # whatever the driver under test did, the others are to run
        outcome = Outcome(case, Verdict.FAILED, f"unexpected {type(err).__name__}: {err}")
    else:
        outcome = Outcome(case, Verdict.PASSED)
    try:
        await environment.driver.delete(environment.root)
    except Missing:
        pass
    except StorageError as err:
        if outcome.verdict is not Verdict.FAILED:
            outcome = Outcome(case, Verdict.FAILED, f"what it made can't be removed: {err}")
    return outcome


async def leftovers(environment: Environment) -> tuple[str, ...]:
    """Files that are still below the root of a case; empty directories may stay."""
    try:
        walk = await environment.driver.walk(environment.root)
    except Missing:
        return ()
    return tuple(entry.path for entry in walk.entries if not entry.is_directory)


async def run_suite(
    environment_factory: Callable[[Case], Awaitable[Environment]],
    report: Callable[[str], None],
    *,
    cases: Sequence[Case] = CASES,
    clock: IReactorTime | None = None,
    timeout: float = 300.0,
) -> Summary:
    """Run the cases against a driver.

    Args:
        environment_factory: gives each case a driver and a root of its own.
        report: told one line at a time.
        cases: which, and in what order.
        clock: ends a case that takes longer than ``timeout`` seconds; None waits for ever.
    """
    outcomes: list[Outcome] = []
    used: list[Environment] = []
    for case in cases:
        environment = await environment_factory(case)
        used.append(environment)
        running = Deferred.fromCoroutine(run_case(case, environment))
        if clock is not None:
            running.addTimeout(timeout, clock)
        try:
            outcome = await running
        except TimeoutError:
            outcome = Outcome(case, Verdict.FAILED, f"no end after {timeout:g} s")
        outcomes.append(outcome)
        report(
            f"{outcome.verdict.value:<11}  {case.name}"
            + (f": {outcome.why}" if outcome.why else "")
        )
        if outcome.verdict is Verdict.FAILED:
            report(f"{'':<11}  promised: {case.promise}")
    left = [path for environment in used for path in await leftovers(environment)]
    for path in left:
        report(f"{'left over':<11}  {path}")
    summary = Summary(tuple(outcomes), tuple(left))
    report(", ".join(f"{summary.count(verdict)} {verdict.value.lower()}" for verdict in Verdict))
    return summary
