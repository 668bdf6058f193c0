# SPDX-License-Identifier: Apache-2.0
"""All metrics as text, in the form that a collector asks for.

Room: metrics. prometheus_client knows the forms, their escaping, and what the process itself uses;
numbers are handed to it when a collector asks and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from txregistry.metrics.families import FAMILIES, Family, Kind
from txregistry.metrics.measured import Actions
from txregistry.metrics.numbers import Numbers, Tally, added
from txregistry.metrics.requests import Requests
from txregistry.metrics.samples import Sample
from txregistry.metrics.tallies import Labels


class Exposition:
    """The metrics of one registry.

    Args:
        requests, actions: what was counted.
        present: says what is true now.
    """

    def __init__(
        self, requests: Requests, actions: Actions, present: Callable[[], Iterable[Sample]]
    ) -> None:
        self._fronts: list[Numbers] = []
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(
            _Collector(lambda: added(Numbers.of(requests, actions, present()), self._fronts))
        )

    def render(self, accept: str, fronts: Iterable[Numbers] = ()) -> tuple[str, bytes]:
        """Return the content type and the text.

        Args:
            accept: the collector's Accept header.
            fronts: what other processes have counted that serve for us.
        """
        self._fronts = list(fronts)
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)


class _Collector(Collector):
    def __init__(self, count: Callable[[], Numbers]) -> None:
        self._count = count

    def describe(self) -> Iterator[Metric]:
        """Nothing: names can't clash, and asking for numbers at the start would be too early."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Return every metric, those of which there is nothing to tell included."""
        numbers = self._count()
        for name, family in FAMILIES.items():
            if family.kind is Kind.HISTOGRAM:
                yield _told(family, numbers.histograms.get(name, {}))
            else:
                yield _plain(family, numbers.plain.get(name, {}))


def _plain(family: Family, rows: Mapping[Labels, float]) -> Metric:
    shape = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    metric = shape(family.name, family.meaning, labels=family.labels)
    for labels, value in rows.items():
        metric.add_metric(labels, value)
    return metric


def _told(family: Family, rows: Mapping[Labels, Tally]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, tally in rows.items():
        metric.add_metric(labels, _buckets(tally), tally.total)
    return metric


def _buckets(tally: Tally) -> list[tuple[str, float]]:
    """Return the end of each bucket, with the count of all values up to it."""
    ends = [
        *(f"{bound:g}" if bound < 1e6 else f"{bound:.1f}" for bound in tally.bounds),
        "+Inf",
    ]
    buckets, so_far = [], 0
    for end, count in zip(ends, tally.counts, strict=True):
        so_far += count
        buckets.append((end, float(so_far)))
    return buckets
