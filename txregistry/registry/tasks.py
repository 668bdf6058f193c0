# SPDX-License-Identifier: Apache-2.0
"""Doing several things at once, and finishing things although nobody waits for them any more.

Room: registry. Must not know what is done. Nothing is started here without somebody who waits for
it: :func:`together` and :func:`each` end when all that they started has ended, and what outlives
its caller belongs to :class:`Finishing`, which a shutdown waits for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar, overload

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txregistry.oci.errors import OciError
from txregistry.registry.body import BodyCut
from txregistry.storage.errors import Fenced, Missing, StorageError, WrongOffset

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
T = TypeVar("T")

#: Driver calls that one request has under way at most. Arbitrary: enough to hide the round trip to
#: an object store, few enough to leave a driver's slots to others.
WIDTH = 16

#: How work ends that was finished without its client, and nobody needs to know. The last two: the
#: client is back, and its upload is in newer hands.
_EXPECTED = (OciError, BodyCut, CancelledError, Fenced, WrongOffset)

log = Logger()


@overload
async def together(
    one: Coroutine[Any, Any, A], other: Coroutine[Any, Any, B], /
) -> tuple[A, B]: ...


@overload
async def together(
    one: Coroutine[Any, Any, A], other: Coroutine[Any, Any, B], third: Coroutine[Any, Any, C], /
) -> tuple[A, B, C]: ...


@overload
async def together(*work: Coroutine[Any, Any, T]) -> tuple[T, ...]: ...


async def together(*work: Coroutine[Any, Any, Any]) -> tuple[Any, ...]:
    """Do all of ``work`` at once and return what each returned.

    All of it has ended when this returns or raises; of several failures the first one is raised. A
    cancellation cancels all.
    """
    failures: list[Failure] = []
    tasks = [Deferred.fromCoroutine(one).addErrback(failures.append) for one in work]
    results = []
    for task in tasks:
        results.append(await task)
        if failures and isinstance(failures[-1].value, CancelledError):
            for other in tasks:
                other.cancel()
    if failures:
        failures[0].raiseException()
    return tuple(results)


async def each(
    function: Callable[[A], Awaitable[B]], arguments: Iterable[A], *, width: int = WIDTH
) -> list[B]:
    """Call ``function`` with each of ``arguments``, at most ``width`` calls at once.

    Nothing more is started after a failure, which is raised when what was under way has ended.

    Returns:
        What the calls returned, in the order of the arguments.
    """
    waiting = dict(enumerate(arguments))
    results: dict[int, B] = {}

    async def work() -> None:
        while waiting:
            index = next(iter(waiting))
            argument = waiting.pop(index)
            try:
                results[index] = await function(argument)
            except BaseException:
                waiting.clear()
                raise

    await together(*(work() for _ in range(min(width, len(waiting)))))
    return [results[index] for index in sorted(results)]


async def if_there(call: Awaitable[T]) -> T | None:
    """Return what a driver call returns, None if it finds nothing."""
    try:
        return await call
    except Missing:
        return None


def _log_unseen(failure: Failure) -> None:
    """Log how something ended that nobody waits for."""
    value = failure.value
    if isinstance(value, StorageError) and value.is_retryable:  # the storage's trouble, not a fault
        log.warn("what was finished without its client failed: {error}", error=str(value))
    elif not isinstance(value, _EXPECTED):
        log.failure("what was finished without its client failed", failure=failure)


class Finishing:
    """Owns work that a departed client must not stop: a commit, a delete, the end of a writer."""

    def __init__(self) -> None:
        self._running: set[object] = set()
        self._waiters: list[Deferred[None]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> Deferred[T]:
        """Start ``work``; cancelling what is returned leaves it running.

        What becomes of it then is only logged.
        """
        answer: Deferred[T] = Deferred()
        running = Deferred.fromCoroutine(work)

        def ended(result: T | Failure) -> None:
            self._running.discard(running)
            if not answer.called:
                answer.callback(result)
            elif isinstance(result, Failure):
                _log_unseen(result)
            if not self._running:
                waiters, self._waiters = self._waiters, []
                for waiter in waiters:
                    waiter.callback(None)

        self._running.add(running)
        running.addBoth(ended)
        return answer

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        if self._running:
            waiter: Deferred[None] = Deferred()
            self._waiters.append(waiter)
            await waiter
