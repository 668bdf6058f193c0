# SPDX-License-Identifier: Apache-2.0
"""The queue for a process that does not deliver: one of several front ends.

Room: events. It appends to the directory that another process (``notifications``) holds, reads and
delivers from; so what it queued before a client was answered is delivered whatever becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from txregistry.events.counts import EndpointCounts, Growth, QueueCounts
from txregistry.events.directory import QueueError
from txregistry.events.envelope import Source
from txregistry.events.log import EventLog
from txregistry.events.notifications import Plan
from txregistry.events.notifier import Notifier
from txregistry.events.segments import SegmentWriter
from txregistry.registry import Parse
from txregistry.storage.blocking import Bell


class Spool:
    """Queues what happens in one process.

    Args:
        parse: reads a manifest.
        grew: called when more is in the queue.

    Raises:
        QueueError: the queue can't be had.

    Attributes:
        observer: to be told by the registry.
    """

    def __init__(
        self,
        plan: Plan,
        reactor: Any,
        *,
        source: Source,
        parse: Parse,
        grew: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._threads = ThreadPool(0, 1, "events-writing")
        self._counts = QueueCounts()
        self._endpoints = [EndpointCounts(each.name, each.where) for each in plan.endpoints]
        try:
            self._writer = SegmentWriter(plan.directory, is_synced=plan.is_synced)
        except OSError as error:
            raise QueueError(
                f"the queue of notifications in {plan.directory} can't be used ({error.strerror})"
            ) from None
        self._log = EventLog(
            self._writer, reactor, self._run, grown=_Caller(grew), counts=self._counts
        )
        self.observer = Notifier(
            self._log,
            list(zip(plan.endpoints, self._endpoints, strict=True)),
            source=source,
            wishes=plan.wishes,
            now=reactor.seconds,
            parse=parse,
        )

    def growth(self) -> Growth:
        """Return what was queued since this was asked before."""
        counts, queued = self._counts, {each.name: each.queued for each in self._endpoints}
        growth = Growth(queued, counts.written, counts.pulls_lost, counts.refused)
        counts.written = counts.pulls_lost = counts.refused = 0
        for each in self._endpoints:
            each.queued = each.waiting = 0
        return growth

    def start(self) -> None:
        """Begin to write."""
        self._threads.start()

    async def stop(self) -> None:
        """Queue what has happened, and leave the directory."""
        await self._log.settled()
        self._threads.stop()
        self.abandon()

    def abandon(self) -> None:
        """Leave the directory; for what was not started."""
        self._writer.close()

    def _run(self, work: Callable[[], Any], /) -> Any:
        return deferToThreadPool(self._reactor, self._threads, work)


class _Caller(Bell):
    """Calls somebody when it is rung."""

    def __init__(self, call: Callable[[], None]) -> None:
        super().__init__()
        self._call = call

    def ring(self) -> None:
        super().ring()
        self._call()
