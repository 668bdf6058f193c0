# SPDX-License-Identifier: Apache-2.0
"""All metrics as text, in the form that a collector asks for.

Room: metrics. prometheus_client knows the forms, their escaping, and what the process itself uses;
numbers are handed to it when a collector asks and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from txregistry.metrics.families import FAMILIES, Family, Kind
from txregistry.metrics.measured import Actions
from txregistry.metrics.requests import Requests
from txregistry.metrics.samples import Sample
from txregistry.metrics.tallies import Counts, Histogram, Series


class Exposition:
    """The metrics of one registry.

    Args:
        requests, actions: what was counted.
        present: says what is true now.
    """

    def __init__(
        self, requests: Requests, actions: Actions, present: Callable[[], Iterable[Sample]]
    ) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(_Collector(requests, actions, present))

    def render(self, accept: str) -> tuple[str, bytes]:
        """Return the content type and the text.

        Args:
            accept: the collector's Accept header.
        """
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)


class _Collector(Collector):
    def __init__(
        self, requests: Requests, actions: Actions, present: Callable[[], Iterable[Sample]]
    ) -> None:
        self._present = present
        self._counts = {
            "registry_http_requests": requests.answered,
            "registry_http_refusals": requests.refusals,
            "registry_upload_sessions": requests.steps,
            "registry_storage_action_errors": actions.errors,
        }
        self._histograms = {
            "registry_http_request_duration_seconds": requests.durations,
            "registry_http_request_size_bytes": requests.request_sizes,
            "registry_http_response_size_bytes": requests.response_sizes,
            "registry_storage_action_seconds": actions.durations,
            "registry_storage_cache_redis_seconds": actions.redis,
            "registry_driver_command_seconds": actions.commands,
        }

    def describe(self) -> Iterator[Metric]:
        """Nothing: names can't clash, and asking for numbers at the start would be too early."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Return every metric, those of which there is nothing to tell included."""
        samples: dict[str, list[Sample]] = {name: [] for name in FAMILIES}
        for name, counts in self._counts.items():
            samples[name] += _samples_of(name, counts)
        for sample in self._present():
            samples[sample.name].append(sample)
        for name, family in FAMILIES.items():
            histogram = self._histograms.get(name)
            yield _plain(family, samples[name]) if histogram is None else _told(family, histogram)


def _samples_of(name: str, counts: Counts) -> list[Sample]:
    return [Sample(name, labels, value) for labels, value in counts.values.items()]


def _plain(family: Family, samples: Iterable[Sample]) -> Metric:
    shape = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    metric = shape(family.name, family.meaning, labels=family.labels)
    for sample in samples:
        metric.add_metric(sample.labels, sample.value)
    return metric


def _told(family: Family, histogram: Histogram) -> Metric:
    metric = HistogramMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, series in histogram.series.items():
        metric.add_metric(labels, _buckets(histogram, series), series.total)
    return metric


def _buckets(histogram: Histogram, series: Series) -> list[tuple[str, float]]:
    """Return the end of each bucket, with the count of all values up to it."""
    ends = [
        *(f"{bound:g}" if bound < 1e6 else f"{bound:.1f}" for bound in histogram.bounds),
        "+Inf",
    ]
    buckets, so_far = [], 0
    for end, count in zip(ends, series.counts, strict=True):
        so_far += count
        buckets.append((end, float(so_far)))
    return buckets
