# SPDX-License-Identifier: Apache-2.0
"""``txregistry driver test``: the contract suite against one driver, under a reactor of its own.

Must not know the command line, nor what the cases check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from txregistry.config import Storage
from txregistry.service import StartError, open_driver
from txregistry.serving import the_reactor
from txregistry.storage.contract import Driver


def run_driver_test(storage: Storage, say: Callable[[str], None]) -> int:
    """Open the driver, run every case of the suite against it, and say how each ended.

    Args:
        say: told one line of the report.

    Returns:
        0 if the driver keeps every promise, 1 if not.

    Raises:
        StartError: the driver can't be started or reached.
    """
    reactor = the_reactor()
    outcome: list[int | Failure] = []

    def ended(result: int | Failure) -> None:
        outcome.append(result)
        reactor.stop()

    def start() -> None:
        Deferred.fromCoroutine(_test(storage, reactor, say)).addBoth(ended)

    reactor.callWhenRunning(start)
    reactor.run()
    if not outcome:  # a signal ended it
        return 1
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    return outcome[0]


async def _test(storage: Storage, reactor: Any, say: Callable[[str], None]) -> int:
    opened = open_driver(storage, reactor)
    try:
        await opened.hello()
        return await run_suite(opened.driver, say)
    finally:
        await opened.stop()


async def run_suite(driver: Driver, say: Callable[[str], None]) -> int:
    """Run the cases of ``storage.suite`` and report: a line a case, then how many passed."""
    raise StartError("this version has no contract suite; install a newer one")
