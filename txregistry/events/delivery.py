# SPDX-License-Identifier: Apache-2.0
"""Takes events from the queue to one receiver, in their order, until it has them.

Room: events. Must not know HTTP (``sender``), nor what an answer means (``retry``)::

    read a chunk -> keep what it wants -> send a batch --accepted--> the cursor moves
                                            ^    |
                                            |    +--not accepted--> wait, drop what may not wait
                                            |                        any longer
                                            +------------------------+

One request is under way at a time, so the events of a repository arrive in their order; in memory
is one chunk. The cursor moves behind what was delivered, never ahead of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from txregistry.events.counts import EndpointCounts
from txregistry.events.endpoint import Endpoint
from txregistry.events.records import Record, decode
from txregistry.events.retry import Reply, Step, judge, pause
from txregistry.events.segments import Chunk, Position, SegmentReader
from txregistry.events.sender import Sender
from txregistry.storage.blocking import Bell, Run

#: Bytes of the queue that are in memory for each receiver. Arbitrary: some hundreds of events.
CHUNK = 256 * 1024

#: Seconds after which the queue is looked at although nobody said that it grew: other processes
#: may write to it, and files may be out of order for a while.
LOOK_AGAIN = 1.0

#: Seconds of rest after a fault of our own or of the disk. Arbitrary.
TROUBLE = 10.0

log = Logger()


@frozen
class _Waiting:
    """An event that is to be sent, and the position behind it."""

    record: Record
    after: Position


class Delivery:
    """Delivers to one receiver.

    Args:
        position: where to begin in the queue.
        old_end: up to where an earlier process may have queued.
        run: runs what blocks.
        grown: rung when there may be more to read.
        moved: called whenever ``position`` has moved.
        uniform: a random number between two.

    Attributes:
        position: behind the last event that need not be sent any more.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        reader: SegmentReader,
        sender: Sender,
        *,
        position: Position,
        old_end: Position,
        clock: IReactorTime,
        run: Run,
        grown: Bell,
        moved: Callable[[], None],
        counts: EndpointCounts,
        uniform: Callable[[float, float], float],
    ) -> None:
        self.position = position
        self.endpoint = endpoint
        self.counts = counts
        self._reader = reader
        self._sender = sender
        self._clock = clock
        self._run = run
        self._grown = grown
        self._moved = moved
        self._uniform = uniform
        self._read_to = position
        #: Up to where is counted what an earlier process queued.
        self._counted_to = position
        self._old_end = old_end
        self._waiting: deque[_Waiting] = deque()
        #: Events that go one by one, because together they were refused.
        self._alone = 0
        self._refusals = 0
        self._trouble = 0.0
        self._is_stopping = False
        self._task: Deferred[None] | None = None

    def start(self) -> None:
        """Begin to deliver."""
        self._task = Deferred.fromCoroutine(self._work())

    async def stop(self) -> None:
        """Deliver nothing any more; what is being sent may arrive or not, and is sent again."""
        self._is_stopping = True
        if self._task is not None:
            self._task.cancel()
            await self._task
        await self._sender.close()

    async def _work(self) -> None:
        while not self._is_stopping:
            try:
                await self.step()
            except CancelledError:
                continue  # to the end, if it was we who cancelled
            except OSError as error:
                log.error(
                    "the queue of notifications can't be read for {name}: {reason}",
                    name=self.endpoint.name,
                    reason=error.strerror or str(error),
                )
                self._trouble = TROUBLE
            except Exception:  # the owner of the task: it must go on whatever happened
                log.failure("notifications to {name} were interrupted", name=self.endpoint.name)
                self._trouble = TROUBLE

    async def step(self) -> None:
        """Send one batch, or wait until there may be one."""
        if self._trouble:
            seconds, self._trouble = self._trouble, 0.0
            await deferLater(self._clock, seconds)
        await self._count_what_waits()
        if not self._waiting:
            await self._fill()
            await self._drop_what_may_not_wait()
        if not self._waiting:
            return
        limit = 1 if self._alone else self.endpoint.batch
        batch = list(islice(self._waiting, limit))
        reply = await self._sender.send([each.record.event for each in batch])
        self._note(reply)
        await self._act_on(reply, batch)

    async def _count_what_waits(self) -> None:
        """Once, at the beginning; what is queued from then on counts itself."""
        while self._counted_to < self._old_end:
            position, count = await self._run(self._count)
            self.counts.waiting += count
            if position == self._counted_to:
                position = self._old_end  # it was emptied by hand
            self._counted_to = position

    def _count(self) -> tuple[Position, int]:
        """Return how many events of the next chunk are wanted, and its end. Blocks."""
        chunk = self._reader.read(self._counted_to, CHUNK)
        lines = [line for line, after in chunk.lines if line and after <= self._old_end]
        if not self.endpoint.is_picky:
            return chunk.position, len(lines)
        records = (decode(line) for line in lines)
        return chunk.position, sum(record is not None and self._wants(record) for record in records)

    async def _act_on(self, reply: Reply, batch: list[_Waiting]) -> None:
        refusals = self._refusals + reply.is_refusal
        step = judge(reply, self.endpoint, count=len(batch), refusals=refusals)
        if step is Step.DELIVERED:
            self.counts.delivered += len(batch)
            self._forget(len(batch))
        elif step is Step.ALONE:
            self._alone = len(batch)
        elif step is Step.GIVE_UP:
            self._give_up(batch[0], reply)
        else:
            self._refusals = refusals
            failures = self.counts.failures_in_row
            wait = pause(reply, self.endpoint, failures=failures, uniform=self._uniform)
            await deferLater(self._clock, wait)
            await self._drop_what_may_not_wait()

    async def _fill(self) -> None:
        """Read on; if there is nothing more, wait until there may be."""
        chunk = await self._run(self._read)
        if chunk.position == self._read_to:
            grown, queued = self._grown.rung(), self.counts.queued
            chunk = await self._run(self._read)  # it may have grown before that
            if chunk.position == self._read_to:
                if queued == self.counts.queued:
                    # Else what was torn, or removed by hand, would be counted for ever.
                    self.counts.waiting = 0
                later = self._clock.callLater(LOOK_AGAIN, _fire, grown)
                try:
                    await grown
                finally:
                    if later.active():
                        later.cancel()
                return
        self._take(chunk)

    def _read(self) -> Chunk:
        return self._reader.read(self._read_to, CHUNK)

    def _take(self, chunk: Chunk) -> None:
        self._read_to = chunk.position
        self.counts.damaged += chunk.cut
        for line, after in chunk.lines:
            record = decode(line)
            if record is None:
                self.counts.damaged += bool(line)
            elif self._wants(record):
                self._waiting.append(_Waiting(record, after))
        self._move(self.position if self._waiting else self._read_to)

    def _wants(self, record: Record) -> bool:
        event: Any = record.event
        return self.endpoint.wants(event["action"], event["target"]["mediaType"])

    def _forget(self, count: int) -> None:
        """The first events need not be sent any more."""
        for _ in range(count):
            after = self._waiting.popleft().after
        self.counts.waiting = max(0, self.counts.waiting - count)
        self._alone = max(0, self._alone - count)
        self._refusals = 0
        self._move(after if self._waiting else self._read_to)

    def _move(self, position: Position) -> None:
        self.position = position
        self.counts.waiting_since = self._waiting[0].record.stamp if self._waiting else None
        self._moved()

    def _give_up(self, waiting: _Waiting, reply: Reply) -> None:
        target: Any = waiting.record.event["target"]
        log.warn(
            "notification {event_id} ({action} in {repository}) is dropped: {name} refused it"
            " {times} times ({problem})",
            event_id=waiting.record.event["id"],
            action=waiting.record.event["action"],
            repository=target["repository"],
            name=self.endpoint.name,
            times=self._refusals + 1,
            problem=reply.problem,
        )
        self.counts.dropped_refused += 1
        self._forget(1)

    def _note(self, reply: Reply) -> None:
        """Count a reply, and say so when the receiver begins or ceases to fail."""
        self.counts.statuses["none" if reply.status is None else str(reply.status)] += 1
        before = self.counts.failures_in_row
        if not reply.problem:
            self.counts.failures_in_row = 0
            if before >= self.endpoint.threshold:
                log.info("notifications reach {name} again", name=self.endpoint.name)
            return
        self.counts.failures += 1
        self.counts.failures_in_row = before + 1
        if before + 1 == max(1, self.endpoint.threshold):
            log.warn(
                "notifications do not reach {name} at {where}: {problem}; they are kept, and tried"
                " again",
                name=self.endpoint.name,
                where=self.endpoint.where,
                problem=reply.problem,
            )

    async def _drop_what_may_not_wait(self) -> None:
        """Drop from the front what is too old, and what is more than may wait."""
        oldest = self._clock.seconds() - self.endpoint.queue_age
        count = 0
        for each in self._waiting:
            if each.record.stamp >= oldest:
                break
            count += 1
        self._drop(count, "waited for too long")
        self.counts.dropped_for_age += count
        self.counts.waiting_bytes = await self._run(self._size)
        excess = self.counts.waiting_bytes - self.endpoint.queue_size
        count = 0
        for each in self._waiting:
            if excess <= 0:
                break
            excess -= each.record.length
            count += 1
        self._drop(count, "were more than may wait")
        self.counts.dropped_for_size += count

    def _size(self) -> int:
        return self._reader.size_after(self.position)

    def _drop(self, count: int, why: str) -> None:
        if count:
            log.warn(
                "{count} notifications for {name} are dropped: they {why}",
                count=count,
                name=self.endpoint.name,
                why=why,
            )
            self._forget(count)


def _fire(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)
