# SPDX-License-Identifier: Apache-2.0
"""Runs one piece of work against a storage driver, under a reactor of its own: what commands do.

Must not know the command line, nor what the work is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, eventAsText, globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import provider

from txregistry.config import Storage
from txregistry.process.opening import OpenDriver
from txregistry.process.spec import StartError
from txregistry.process.words import Words
from txregistry.serving import the_reactor
from txregistry.translation import driver_spec

T = TypeVar("T")


def run_with_driver(
    storage: Storage, work: Callable[[OpenDriver, Any], Coroutine[Any, Any, T]]
) -> T | None:
    """Open the configured driver, do ``work`` with it, and end it.

    What a driver that is started here writes itself (tracebacks, above all) goes to standard error.

    Args:
        work: is given the driver, which is ready, and the reactor.

    Returns:
        What the work returns; None if a signal ended it.

    Raises:
        StartError: the driver can't be started or reached.
    """
    reactor = the_reactor()
    globalLogBeginner.beginLoggingTo([_show], redirectStandardIO=False)
    outcome: list[T | Failure] = []

    def ended(result: T | Failure) -> None:
        outcome.append(result)
        reactor.stop()

    def start() -> None:
        Deferred.fromCoroutine(_attend(storage, reactor, work)).addBoth(ended)

    reactor.callWhenRunning(start)
    reactor.run()
    if not outcome:
        return None
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    return outcome[0]


async def _attend(
    storage: Storage, reactor: Any, work: Callable[[OpenDriver, Any], Coroutine[Any, Any, T]]
) -> T:
    opened = OpenDriver(driver_spec(storage), reactor)
    try:
        if not await opened.hello():
            way_out = "start it first" if opened.child is None else "its log may say why"
            raise StartError(f"{storage.driver.describe()} does not answer; {way_out}")
        return await work(opened, reactor)
    finally:
        await opened.stop()


@provider(ILogObserver)
def _show(event: LogEvent) -> None:
    """Print the driver's lines and our own mistakes; that it is killed and started again is no
    news.
    """
    if "line" in event and event["log_namespace"] == Words.__module__:
        print(f"[{event['driver']}] {event['line']}", file=sys.stderr)
    elif event["log_level"] is LogLevel.critical:
        print(eventAsText(event, includeTimestamp=False), file=sys.stderr)
