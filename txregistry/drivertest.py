# SPDX-License-Identifier: Apache-2.0
"""``txregistry driver test``: the contract suite against one driver.

Must not know the command line, nor what the cases check. The suite works below a directory of its
own in the driver's storage and removes it in the end, so that a driver with content can be tested
too.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.task import deferLater

from txregistry.config import Storage
from txregistry.oneshot import run_with_driver
from txregistry.process.opening import OpenDriver
from txregistry.process.spec import StartError
from txregistry.storage.contract import Driver
from txregistry.storage.errors import Missing
from txregistry.storage.suite import CASES, Case, Environment, NotOffered, run_suite

#: Seconds that a driver that was killed may take to be there again, and between two looks.
RETURN_TIMEOUT = 30.0
_LOOK = 0.02

_MARK = "mark"


def find_cases(words: str) -> tuple[Case, ...]:
    """The cases whose names have these words in them, in the order of the suite; maybe none."""
    return tuple(case for case in CASES if words in case.name)


def run_driver_test(
    storage: Storage,
    say: Callable[[str], None],
    *,
    cases: Sequence[Case] = CASES,
    is_large: bool = False,
) -> int:
    """Open the driver, run cases of the suite against it, and say how each ended.

    Args:
        say: told one line of the report at a time.
        cases: which.
        is_large: use large data and many rounds.

    Returns:
        0 if the driver keeps every promise that was tried, 1 if not.

    Raises:
        StartError: the driver can't be started or reached.
    """

    async def work(opened: OpenDriver, reactor: Any) -> int:
        bench = _Bench(opened, reactor, is_large)
        await bench.prepare()
        summary = await run_suite(bench.environment, say, cases=cases, clock=reactor)
        await bench.clear()
        return 0 if summary.is_kept else 1

    status = run_with_driver(storage, work)
    return 1 if status is None else status


class _Bench:
    """Gives each case a directory of its own below one of the suite's own."""

    def __init__(self, opened: OpenDriver, reactor: Any, is_large: bool) -> None:
        self._opened = opened
        self._reactor = reactor
        self._is_large = is_large
        self._root = f"/driver-test-{uuid.uuid4()}"
        self._count = 0

    async def environment(self, case: Case) -> Environment:
        self._count += 1
        reopen = self._reopen if self._opened.child is not None else None
        return Environment(
            self._opened.driver, f"{self._root}/{self._count}", reopen, self._is_large
        )

    async def _reopen(self) -> Driver:
        """Kill the driver, and wait until it says hello again.

        Raises:
            NotOffered: it forgets everything when it ends, as the memory driver does.
        """
        assert self._opened.child is not None
        links = self._opened.links
        before = links.greetings
        self._opened.child.kill()
        deadline = self._reactor.seconds() + RETURN_TIMEOUT
        while links.greetings == before:
            if self._reactor.seconds() > deadline:
                raise StartError("the driver was killed and did not come back")
            await deferLater(self._reactor, _LOOK)
        try:
            await self._opened.driver.stat(f"{self._root}/{_MARK}")
        except Missing:
            raise NotOffered("the driver forgets everything when it ends") from None
        return self._opened.driver

    async def prepare(self) -> None:
        """Leave a mark from which it can be told whether the driver's content outlives it."""
        await self._opened.driver.put(f"{self._root}/{_MARK}", b"")

    async def clear(self) -> None:
        """Remove what is left."""
        with contextlib.suppress(Missing):
            await self._opened.driver.delete(self._root)
