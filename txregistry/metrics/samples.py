# SPDX-License-Identifier: Apache-2.0
"""What is true now, as samples of metrics: asked when a collector looks.

Room: metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from txregistry.events.counts import EndpointCounts, QueueCounts
from txregistry.metrics.tallies import Labels
from txregistry.process.status import DriverStatus, State

#: What a driver may say of its storage and be shown with; anything else is "other".
STORAGE_STATES = ("ok", "no-space", "read-only", "suspect", "other")


class Sample(NamedTuple):
    """One number: of which metric, with which labels."""

    name: str
    labels: Labels
    value: float


def driver_samples(status: DriverStatus) -> Iterator[Sample]:
    """Say how a driver is."""
    name = status.name
    yield Sample("registry_driver_up", (name,), float(status.is_ready))
    for state in State:
        yield Sample("registry_driver_state", (name, state.value), float(state is status.state))
    yield Sample("registry_driver_breaker_open", (name,), float(status.is_breaker_open))
    yield Sample("registry_driver_greetings", (name,), status.greetings)
    yield Sample("registry_driver_deaths", (name,), status.deaths)
    for reason, count in status.replaced.items():
        yield Sample("registry_driver_replacements", (name, reason), count)
    yield Sample("registry_driver_refused_operations", (name,), status.refused)
    yield Sample("registry_driver_given_up_operations", (name,), status.given_up)
    yield Sample("registry_driver_waiting_operations", (name,), status.waiting)
    yield Sample("registry_replay_window_bytes", (name,), status.windows.used)
    yield Sample("registry_replay_window_limit_bytes", (name,), status.windows.total)
    yield Sample("registry_replay_unprotected_uploads", (name,), status.windows.unprotected)
    yield from _pong_samples(status)


def _pong_samples(status: DriverStatus) -> Iterator[Sample]:
    """What its process says of itself; nothing while it is not there."""
    name, pong = status.name, status.pong
    if pong is None:
        return
    yield Sample("registry_driver_ping_seconds", (name,), pong.round_trip)
    yield Sample("registry_driver_operations", (name,), pong.operations)
    yield Sample("registry_driver_oldest_operation_seconds", (name,), pong.oldest_ms / 1000)
    yield Sample("registry_driver_moved_bytes", (name,), pong.bytes_moved)
    if pong.resident is not None:
        yield Sample("registry_driver_resident_bytes", (name,), pong.resident)
    if pong.descriptors is not None:
        yield Sample("registry_driver_open_descriptors", (name,), pong.descriptors)
    if pong.storage is not None:
        present = pong.storage if pong.storage in STORAGE_STATES else "other"
        for state in STORAGE_STATES:
            labels = (name, state)
            yield Sample("registry_driver_storage_state", labels, float(state == present))


def queue_samples(
    queue: QueueCounts, endpoints: Sequence[EndpointCounts], now: float
) -> Iterator[Sample]:
    """Say how notifications are.

    Args:
        now: seconds since the epoch.
    """
    yield Sample("registry_notifications_unqueued", ("pull",), queue.pulls_lost)
    yield Sample("registry_notifications_unqueued", ("refused",), queue.refused)
    for counts in endpoints:
        name = counts.name
        for kind, count in (
            ("Events", counts.queued),
            ("Successes", counts.delivered),
            ("Failures", counts.failures),
        ):
            yield Sample("registry_notifications_events", (kind, name), count)
        for status, count in counts.statuses.items():
            yield Sample("registry_notifications_status", (status, name), count)
        for reason, count in (
            ("size", counts.dropped_for_size),
            ("age", counts.dropped_for_age),
            ("refused", counts.dropped_refused),
            ("damaged", counts.damaged),
        ):
            yield Sample("registry_notifications_dropped", (reason, name), count)
        yield Sample("registry_notifications_pending_total", (name,), counts.waiting)
        since = counts.waiting_since
        yield Sample("registry_notifications_waiting_bytes", (name,), counts.waiting_bytes)
        waited = 0.0 if since is None else max(now - since, 0.0)
        yield Sample("registry_notifications_oldest_seconds", (name,), waited)


class MemoryCache(Protocol):
    """A cache in this process (``registry.cache.BoundedCache``)."""

    size: int
    hits: int
    misses: int


class RemoteCache(Protocol):
    """A cache that hosts share (``redis_cache.RedisCache``)."""

    requests: int
    hits: int
    errors: int


def cache_samples(caches: Mapping[str, MemoryCache], redis: RemoteCache | None) -> Iterator[Sample]:
    """Say how caches do."""
    for name, cache in caches.items():
        yield Sample("registry_storage_cache_requests", (name,), cache.hits + cache.misses)
        yield Sample("registry_storage_cache_hits", (name,), cache.hits)
        yield Sample("registry_storage_cache_bytes", (name,), cache.size)
    if redis is not None:
        yield Sample("registry_storage_cache_requests", ("redis",), redis.requests)
        yield Sample("registry_storage_cache_hits", ("redis",), redis.hits)
        yield Sample("registry_storage_cache_errors", ("redis",), redis.errors)


class Pool(Protocol):
    """Processes for what takes long (``identify.hashing``, ``process.parsing``)."""

    @property
    def working(self) -> int: ...

    @property
    def waiting(self) -> int: ...

    refused: int


def pool_samples(pools: Mapping[str, Pool]) -> Iterator[Sample]:
    """Say how busy processes are that do the slow work of requests."""
    for name, pool in pools.items():
        yield Sample("registry_pool_working", (name,), pool.working)
        yield Sample("registry_pool_waiting", (name,), pool.waiting)
        yield Sample("registry_pool_refused", (name,), pool.refused)
