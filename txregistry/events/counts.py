# SPDX-License-Identifier: Apache-2.0
"""What is counted, for whoever shows it.

Room: events. Plain numbers since the start of the process; nothing in them is secret.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from attrs import define, field, frozen


@define
class EndpointCounts:
    """Of one receiver; all numbers are events unless it says otherwise.

    Attributes:
        name: of the endpoint.
        where: the origin of its URL.
        queued: put into the queue for it since the start.
        waiting: in the queue, and not told yet.
        delivered: it accepted them, now and then one twice.
        failures: requests that it did not accept, or that did not reach it.
        statuses: requests by the status of their answer; "none" for no answer.
        dropped_for_size: more was waiting than may.
        dropped_for_age: they waited for longer than they may.
        dropped_refused: it refused them again and again.
        damaged: lines of the queue that were passed over, because a crash had torn them.
        waiting_bytes: of the queue that it has not been told of.
        waiting_since: when the oldest event that waits was queued, seconds since the epoch; None if
            none waits.
        failures_in_row: without a success since.
    """

    name: str
    where: str
    queued: int = 0
    waiting: int = 0
    delivered: int = 0
    failures: int = 0
    statuses: Counter[str] = field(factory=Counter)
    dropped_for_size: int = 0
    dropped_for_age: int = 0
    dropped_refused: int = 0
    damaged: int = 0
    waiting_bytes: int = 0
    waiting_since: float | None = None
    failures_in_row: int = 0

    def took(self, count: int = 1) -> None:
        """So many more are in the queue."""
        self.queued += count
        self.waiting += count


@define
class QueueCounts:
    """Of the queue, whoever it is for.

    Attributes:
        written: events.
        pulls_lost: pulls that were not queued, because the disk was slow or refused them.
        refused: events that could not be queued, so that the client was told that it failed.
    """

    written: int = 0
    pulls_lost: int = 0
    refused: int = 0


@frozen
class Growth:
    """What one process has put into the queue since it said so the last time.

    Attributes:
        queued: events, by the endpoint that they wait for.
        written, pulls_lost, refused: as in :class:`QueueCounts`.
    """

    queued: Mapping[str, int]
    written: int = 0
    pulls_lost: int = 0
    refused: int = 0
