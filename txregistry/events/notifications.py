# SPDX-License-Identifier: Apache-2.0
"""All of it: the queue's directory, its writer, and a delivery for each receiver.

Room: events. Cursors are saved a second after they moved, and what every receiver has been told of
is removed then; a crash in between means that some events are delivered twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from attrs import field, frozen
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from txregistry.events.counts import EndpointCounts, Growth, QueueCounts
from txregistry.events.cursors import load_cursors, save_cursors
from txregistry.events.delivery import Delivery
from txregistry.events.directory import QueueDirectory, QueueError
from txregistry.events.endpoint import Endpoint
from txregistry.events.envelope import Source
from txregistry.events.log import EventLog
from txregistry.events.notifier import Notifier, Wishes
from txregistry.events.segments import BEGINNING, Position, SegmentReader, SegmentWriter
from txregistry.events.sender import HttpSender, Sender
from txregistry.registry import Parse
from txregistry.storage.blocking import Bell, Run

#: Seconds from a cursor's move until it is saved. Arbitrary: what a crash delivers twice.
SAVE_AFTER = 1.0

#: Threads that read the queue, and save how far it was read; one more writes. Arbitrary: a read is
#: short, and receivers are few.
READERS = 2

log = Logger()


@frozen
class Plan:
    """What notifications are to be.

    Attributes:
        directory: where the queue is kept.
        is_synced: an event is on stable storage before what it tells of is answered.
        endpoints: receivers.
    """

    directory: str
    endpoints: tuple[Endpoint, ...]
    wishes: Wishes = field(factory=Wishes)
    is_synced: bool = True


class Notifications:
    """The notifications of one registry.

    Args:
        parse: reads a manifest.
        make_sender: for tests.

    Raises:
        QueueError: the queue can't be had.

    Attributes:
        observer: to be told by the registry.
        queue_counts, endpoint_counts: what is counted.
    """

    def __init__(
        self,
        plan: Plan,
        reactor: Any,
        *,
        source: Source,
        parse: Parse,
        make_sender: Callable[[Endpoint, Any], Sender] = HttpSender,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._reactor = reactor
        self._directory = QueueDirectory(plan.directory)
        self._saving: IDelayedCall | None = None
        self._writing = ThreadPool(0, 1, "events-writing")
        self._reading = ThreadPool(0, READERS, "events-reading")
        self.queue_counts = QueueCounts()
        self.endpoint_counts = [EndpointCounts(each.name, each.where) for each in plan.endpoints]
        self._reader = SegmentReader(plan.directory)
        positions, old_end, self._writer = self._open(plan)
        self._grown = Bell()
        self._log = EventLog(
            self._writer,
            reactor,
            self._run_in(self._writing),
            grown=self._grown,
            counts=self.queue_counts,
        )
        counted = list(zip(plan.endpoints, self.endpoint_counts, strict=True))
        self.observer = Notifier(
            self._log,
            counted,
            source=source,
            wishes=plan.wishes,
            now=reactor.seconds,
            parse=parse,
        )
        self._deliveries = [
            Delivery(
                endpoint,
                self._reader,
                make_sender(endpoint, reactor),
                position=positions[endpoint.name],
                old_end=old_end,
                clock=reactor,
                run=self._run_in(self._reading),
                grown=self._grown,
                moved=self._save_soon,
                counts=counts,
                uniform=uniform,
            )
            for endpoint, counts in counted
        ]

    def _open(self, plan: Plan) -> tuple[dict[str, Position], Position, SegmentWriter]:
        """Return where each receiver goes on, where the queue ended until now, and its writer.

        Raises:
            QueueError: the directory can't be used, and is left to others.
        """
        try:
            positions = self._positions(plan.endpoints)
            old_end = self._reader.end()
            newest = max((place.segment for place in positions.values()), default=0)
            save_cursors(plan.directory, positions)
            writer = SegmentWriter(plan.directory, is_synced=plan.is_synced, after=newest)
        except OSError as error:
            self._directory.close()
            raise QueueError(
                f"the queue of notifications in {plan.directory} can't be used ({error.strerror});"
                " mend that, or name another directory in notifications.queue.directory"
            ) from None
        return positions, old_end, writer

    def grew(self, more: Growth) -> None:
        """Another process has queued something: count it, and look for it at once."""
        self.queue_counts.written += more.written
        self.queue_counts.pulls_lost += more.pulls_lost
        self.queue_counts.refused += more.refused
        for counts in self.endpoint_counts:
            counts.took(more.queued.get(counts.name, 0))
        self._grown.ring()

    def start(self) -> None:
        """Begin to deliver."""
        for pool in (self._writing, self._reading):
            pool.start()
        for delivery in self._deliveries:
            delivery.start()

    async def stop(self) -> None:
        """Queue what has happened, deliver nothing more, leave the directory."""
        await self._log.settled()
        for delivery in self._deliveries:
            await delivery.stop()
        if self._saving is not None and self._saving.active():
            self._saving.cancel()
        for pool in (self._writing, self._reading):
            pool.stop()
        try:
            self._save()
        except OSError as error:
            log.error("the queue's cursors could not be saved: {error}", error=error)
        self.abandon()

    def abandon(self) -> None:
        """Leave the directory; for what was not started."""
        self._writer.close()
        self._directory.close()

    def _positions(self, endpoints: Sequence[Endpoint]) -> dict[str, Position]:
        """Return where each receiver goes on.

        One that is new begins with what comes from now on; all begin at the beginning if nobody
        knows.
        """
        path = self._directory.path
        known = load_cursors(path)
        if known is None:
            return {each.name: BEGINNING for each in endpoints}
        for name in known.keys() - {each.name for each in endpoints}:
            log.warn(
                "{name} is no longer among the notifications' endpoints; what waited for it is"
                " dropped",
                name=name,
            )
        end = self._reader.end()
        return {each.name: known.get(each.name, end) for each in endpoints}

    def _run_in(self, pool: ThreadPool) -> Run:
        def run(work: Callable[[], Any], /) -> Any:
            return deferToThreadPool(self._reactor, pool, work)

        return run

    def _save_soon(self) -> None:
        if self._saving is None:
            self._saving = self._reactor.callLater(SAVE_AFTER, self._save_later)

    def _save_later(self) -> None:
        self._saving = None
        deferToThreadPool(self._reactor, self._reading, self._save).addErrback(
            lambda failure: log.failure("the queue's cursors could not be saved", failure=failure)
        )

    def _save(self) -> None:
        """Keep the cursors, and remove what all of them are behind. Blocks."""
        positions = {each.endpoint.name: each.position for each in self._deliveries}
        save_cursors(self._directory.path, positions)
        self._reader.remove_before(min(place.segment for place in positions.values()))
