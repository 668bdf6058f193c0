# SPDX-License-Identifier: Apache-2.0
"""All that was counted in one process, as one value; and what several of them make together.

Room: metrics. Pure. Where several processes serve, each counts what it does itself; counters and
histograms are added up, and so are those gauges of which each has a part. What the main process
alone can know (the driver's process, the queue on disk, health) is taken from it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import field, frozen

from txregistry.metrics.families import FAMILIES, Kind
from txregistry.metrics.measured import Actions
from txregistry.metrics.requests import Requests
from txregistry.metrics.samples import Sample
from txregistry.metrics.tallies import Counts, Histogram, Labels

#: Gauges of which every front end has a part.
_PARTS = frozenset(
    {
        "registry_driver_waiting_operations",
        "registry_http_body_memory_bytes",
        "registry_http_connections",
        "registry_http_in_flight_requests",
        "registry_pool_waiting",
        "registry_pool_working",
        "registry_replay_window_bytes",
        "registry_storage_cache_bytes",
    }
)

#: Gauges of which every front end knows the whole, or nearly so: the largest holds.
_WHOLES = frozenset({"registry_upload_sessions_open"})

#: What the main process knows for all.
_OF_MAIN = frozenset(
    {
        "registry_driver_deaths",
        "registry_driver_moved_bytes",
        "registry_driver_replacements",
        "registry_front_end_deaths",
        "registry_notifications_dropped",
        "registry_notifications_events",
        "registry_notifications_status",
        "registry_notifications_unqueued",
    }
)


@frozen
class Tally:
    """One histogram.

    Attributes:
        bounds: as in :class:`Histogram`.
        counts: values in each bucket.
        total: of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


@frozen
class Numbers:
    """What one process has counted.

    Attributes:
        plain: metric -> labels -> value.
        histograms: likewise.
    """

    plain: Mapping[str, Mapping[Labels, float]] = field(factory=dict)
    histograms: Mapping[str, Mapping[Labels, Tally]] = field(factory=dict)

    @classmethod
    def of(cls, requests: Requests, actions: Actions, present: Iterable[Sample]) -> Numbers:
        """Return what there is now.

        Raises:
            KeyError: a metric is told of that is not declared.
        """
        plain = {name: dict(counts.values) for name, counts in _counts(requests, actions)}
        for sample in present:
            plain.setdefault(FAMILIES[sample.name].name, {})[sample.labels] = sample.value
        return cls(
            plain,
            {
                name: {
                    labels: Tally(histogram.bounds, tuple(series.counts), series.total)
                    for labels, series in histogram.series.items()
                }
                for name, histogram in _histograms(requests, actions)
            },
        )

    @classmethod
    def from_json(cls, document: Any) -> Numbers:
        """Return what :meth:`to_json` was made of."""
        plain, histograms = document
        return cls(
            {name: {tuple(labels): value for labels, value in rows} for name, rows in plain},
            {
                name: {
                    tuple(labels): Tally(tuple(bounds), tuple(counts), total)
                    for labels, bounds, counts, total in rows
                }
                for name, rows in histograms
            },
        )

    def to_json(self) -> list[Any]:
        """Return it as what JSON can carry."""
        return [
            [[name, list(rows.items())] for name, rows in self.plain.items()],
            [
                [
                    name,
                    [(labels, one.bounds, one.counts, one.total) for labels, one in rows.items()],
                ]
                for name, rows in self.histograms.items()
            ],
        ]

    @property
    def lasting(self) -> Numbers:
        """What stays true of a process that is gone: all that only ever grows."""
        return Numbers(
            {
                name: rows
                for name, rows in self.plain.items()
                if FAMILIES[name].kind is Kind.COUNTER
            },
            self.histograms,
        )


def added(main: Numbers, fronts: Iterable[Numbers]) -> Numbers:
    """Return what the main process and all front ends make together."""
    plain = {name: dict(rows) for name, rows in main.plain.items()}
    histograms = {name: dict(rows) for name, rows in main.histograms.items()}
    for front in fronts:
        for name, labels, value in _told(front):
            rows = plain.setdefault(name, {})
            before = rows.get(labels, 0.0)
            rows[labels] = max(before, value) if name in _WHOLES else before + value
        for name, tallies in front.histograms.items():
            into = histograms.setdefault(name, {})
            for labels, tally in tallies.items():
                into[labels] = _both(into.get(labels), tally)
    return Numbers(plain, histograms)


def _told(front: Numbers) -> Iterator[tuple[str, Labels, float]]:
    """Return what of a front end's numbers counts."""
    for name, rows in front.plain.items():
        is_counter = FAMILIES[name].kind is Kind.COUNTER and name not in _OF_MAIN
        if is_counter or name in _PARTS or name in _WHOLES:
            for labels, value in rows.items():
                yield name, labels, value


def _both(one: Tally | None, other: Tally) -> Tally:
    if one is None:
        return other
    counts = tuple(map(sum, zip(one.counts, other.counts, strict=True)))
    return Tally(one.bounds, counts, one.total + other.total)


class Together:
    """The numbers of front ends as they come and go; sums never go back."""

    def __init__(self) -> None:
        self._gone = Numbers()
        self._latest: dict[int, Numbers] = {}

    def took(self, number: int, numbers: Numbers) -> None:
        """A front end has told its numbers."""
        self._latest[number] = numbers

    def lost(self, number: int) -> None:
        """Its process has ended; the next one begins at nothing."""
        last = self._latest.pop(number, None)
        if last is not None:
            self._gone = added(self._gone, [last.lasting])

    @property
    def all(self) -> list[Numbers]:
        """What to add up."""
        return [self._gone, *self._latest.values()]


def _counts(requests: Requests, actions: Actions) -> list[tuple[str, Counts]]:
    return [
        ("registry_http_requests", requests.answered),
        ("registry_http_refusals", requests.refusals),
        ("registry_upload_sessions", requests.steps),
        ("registry_storage_action_errors", actions.errors),
    ]


def _histograms(requests: Requests, actions: Actions) -> list[tuple[str, Histogram]]:
    return [
        ("registry_http_request_duration_seconds", requests.durations),
        ("registry_http_request_size_bytes", requests.request_sizes),
        ("registry_http_response_size_bytes", requests.response_sizes),
        ("registry_storage_action_seconds", actions.durations),
        ("registry_storage_cache_redis_seconds", actions.redis),
        ("registry_driver_command_seconds", actions.commands),
    ]
