# SPDX-License-Identifier: Apache-2.0
"""Work that repeats while the registry serves: one run after the other, on the clock, until it is
stopped.

Must not know what the work is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()


class Repeated:
    """Runs something again and again; a run that fails is logged and the next one comes all the
    same.

    Args:
        name: of the work, for the log.
        work: one run.
        interval: seconds from the end of a run to the start of the next.
        first_after: seconds until the first run.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        clock: IReactorTime,
        *,
        interval: float,
        first_after: float,
    ) -> None:
        self._name = name
        self._work = work
        self._clock = clock
        self._interval = interval
        self._running: Deferred[None] | None = None
        self._next: IDelayedCall | None = clock.callLater(first_after, self._start)

    def _start(self) -> None:
        self._next = None
        self._running = Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        try:
            await self._work()
        except CancelledError:
            raise
        except Exception:  # the owner of the task: whatever ended this run, the next one is due
            _log.failure(
                "{name} failed and is tried again in {interval:g} s",
                name=self._name,
                interval=self._interval,
            )
        self._next = self._clock.callLater(self._interval, self._start)

    def stop(self) -> None:
        """End it, a run in progress included; repeatable."""
        if self._next is not None and self._next.active():
            self._next.cancel()
        if self._running is not None:
            end_quietly(self._running)


def end_quietly(task: Deferred[None]) -> None:
    """Cancel a task that the caller owns; that it was cancelled is no failure."""
    task.addErrback(_ignore_cancellation)
    task.cancel()


def _ignore_cancellation(failure: Failure) -> None:
    failure.trap(CancelledError)
