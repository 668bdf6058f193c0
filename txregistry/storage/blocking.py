# SPDX-License-Identifier: Apache-2.0
"""How the asynchronous half of a driver calls the blocking half.

Room: storage. Must not know what is called, nor a reactor: *run* is given, ``deferToThread`` in a
driver's process, :func:`run_inline` in tests. Of Twisted only the Deferred is used.

A thread can't be called back. So whatever waits for one is wrapped in :func:`shielded`: a caller
that is cancelled stops waiting, the work goes on to its end, and what it made is discarded there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from txregistry.storage.errors import Internal, StorageError

T = TypeVar("T")

log = Logger()


class Run(Protocol):
    """Run a blocking call somewhere and give what it returns."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


async def run_inline(work: Callable[[], T], /) -> T:
    """A :class:`Run` that blocks: for tests, and for stores that never wait."""
    return work()


def guarded(run: Run) -> Run:
    """``run`` for calls of a driver author: what is not a StorageError becomes Internal.

    Its traceback is logged here, in the driver's process: no other one will ever see it.
    """

    def run_guarded(work: Callable[[], T], /) -> Awaitable[T]:
        def guard() -> T:
            try:
                return work()
            except StorageError:
                raise
            except Exception as err:  # the border round foreign code
                log.failure("a fault of the store")
                raise Internal(f"{type(err).__name__}: {err}") from err

        return run(guard)

    return run_guarded


def shielded(
    work: Coroutine[Any, Any, T], discard: Callable[[T], object] | None = None
) -> Deferred[T]:
    """Start ``work`` and wait for it; cancelling the wait does not cancel the work.

    Args:
        discard: called with the result if nobody waits for it any more.
    """
    waiting: Deferred[T] = Deferred(lambda _: abandoned.append(True))
    abandoned: list[bool] = []

    def arrived(result: T | Failure) -> None:
        if not abandoned:
            waiting.callback(result)
        elif isinstance(result, Failure):
            if not isinstance(result.value, StorageError):  # refusals concern whoever asked
                log.failure("failed after its caller had gone", failure=result)
        elif discard is not None:
            discard(result)

    Deferred.fromCoroutine(work).addBoth(arrived)
    return waiting


class Bell:
    """Wakes all who wait for something to have changed; they look again for themselves."""

    def __init__(self) -> None:
        self._waiting: list[Deferred[None]] = []

    def rung(self) -> Deferred[None]:
        """Fires at the next ring."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def ring(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.called:  # cancelled meanwhile
                one.callback(None)
