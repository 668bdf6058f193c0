# SPDX-License-Identifier: Apache-2.0
"""The queue's writing end: events that come together are written, and synced, together.

Room: events. Must not know what an event says. While one batch is being written the next one
gathers, so that any number of requests at once costs two syncs at most for each of them; and what
nobody waits for (pulls) gathers for a moment by itself::

    append ---> gathering --(as soon as nothing is being written)--> writing ---> callers go on
    append_soon --^ (after LINGER)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txregistry.events.counts import QueueCounts
from txregistry.events.segments import SegmentWriter
from txregistry.oci.errors import Code, OciError
from txregistry.storage.blocking import Bell, Run

#: Seconds that events which nobody waits for may be in memory only. Arbitrary.
LINGER = 0.05

#: Bytes of such events that may be in memory at once; what comes then is lost, and counted.
#: Arbitrary: some ten thousand pulls.
ROOM = 8 * 1024 * 1024

#: When a client whose event could not be queued is to come again, in seconds: it needs an operator.
RETRY_AFTER = 30

log = Logger()


def _do_nothing() -> None:
    """For an event that nobody counts."""


class EventLog:
    """Appends events.

    Args:
        run: runs what blocks; one piece of this object's work at a time is asked of it.
        grown: rung when there is more to read.
    """

    def __init__(
        self,
        writer: SegmentWriter,
        clock: IReactorTime,
        run: Run,
        *,
        grown: Bell,
        counts: QueueCounts,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._run = run
        self._grown = grown
        self._counts = counts
        self._lines: list[tuple[bytes, Callable[[], None]]] = []
        self._waiters: list[Deferred[None]] = []
        self._size = 0
        self._lingering: IDelayedCall | None = None
        self._writing: Deferred[None] | None = None
        self._is_failing = False

    async def append(self, line: bytes, when_written: Callable[[], None] = _do_nothing) -> None:
        """Return when an event is in the queue to stay.

        Args:
            when_written: called once it is, even if nobody waits for this any more.

        Raises:
            OciError: UNAVAILABLE: it is not, or nobody knows.
        """
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        self._add(line, when_written)
        self._begin()
        await waiter

    def append_soon(self, line: bytes, when_written: Callable[[], None] = _do_nothing) -> bool:
        """Queue an event within a moment; it may be lost if the process dies before.

        Args:
            when_written: called once it is in the queue.

        Returns:
            Whether there was room for it.
        """
        if self._size + len(line) > ROOM:
            self._counts.pulls_lost += 1
            return False
        self._add(line, when_written)
        if self._lingering is None and self._writing is None:
            self._lingering = self._clock.callLater(LINGER, self._begin)
        return True

    async def settled(self) -> None:
        """Write what has gathered, and return when nothing is being written."""
        self._begin()
        while self._writing is not None:
            await _until(self._writing)

    def _add(self, line: bytes, when_written: Callable[[], None]) -> None:
        self._lines.append((line, when_written))
        self._size += len(line)

    def _begin(self) -> None:
        if self._lingering is not None:
            if self._lingering.active():
                self._lingering.cancel()
            self._lingering = None
        if self._writing is None and self._lines:
            writing = Deferred.fromCoroutine(self._write())
            if not writing.called:
                self._writing = writing

    async def _write(self) -> None:
        await self._write_batch()
        while self._waiters:
            await self._write_batch()
        self._writing = None
        if self._lines:
            self._lingering = self._clock.callLater(LINGER, self._begin)

    async def _write_batch(self) -> None:
        lines, waiters = self._lines, self._waiters
        self._lines, self._waiters = [], []
        data = b"".join([line for line, _ in lines])
        try:
            await self._run(partial(self._writer.append, data, durable=bool(waiters)))
        except (OSError, RuntimeError) as error:  # the latter if there can be no more threads
            self._failed(error, len(lines), waiters)
        else:
            self._is_failing = False
            self._counts.written += len(lines)
            for _, when_written in lines:
                when_written()
            for waiter in waiters:
                if not waiter.called:  # cancelled meanwhile
                    waiter.callback(None)
            self._grown.ring()
        finally:
            self._size -= len(data)

    def _failed(self, error: Exception, count: int, waiters: list[Deferred[None]]) -> None:
        if not self._is_failing:
            self._is_failing = True
            log.error(
                "the queue of notifications can't be written ({reason}): pushes and deletes are"
                " answered with 503 until it can, and pulls are not notified",
                reason=error,
            )
        self._counts.refused += len(waiters)
        self._counts.pulls_lost += count - len(waiters)
        for waiter in waiters:
            if not waiter.called:
                waiter.errback(_refusal(error))


def _refusal(error: Exception) -> OciError:
    refusal = OciError(
        Code.UNAVAILABLE, "the notification of it could not be queued", retry_after=RETRY_AFTER
    )
    refusal.__cause__ = error
    return refusal


def _until(task: Deferred[None]) -> Deferred[None]:
    """Return what fires when a task has ended, without taking its result."""
    ended: Deferred[None] = Deferred()

    def pass_on(result: object) -> object:
        ended.callback(None)
        return result

    task.addBoth(pass_on)
    return ended
