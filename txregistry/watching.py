# SPDX-License-Identifier: Apache-2.0
"""What looks at a registry from outside while it runs: its health, and the port that shows it.

The wiring of ``health`` and of ``web``'s pages, apart from ``service`` because it is a page of its
own. The port (``http.debug.addr``) is served from the start to the end, while the registry's own
ports are only open in between.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from enum import Enum
from types import FrameType
from typing import Any, Protocol

import attrs
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from txregistry import __version__
from txregistry.config import Configuration, Health, NamedDriver
from txregistry.config.addresses import parse_tcp
from txregistry.config.tracing_settings import Tracing
from txregistry.events import Notifications
from txregistry.health import (
    PROBE_TIMEOUT,
    Board,
    Check,
    Probe,
    probe_file,
    probe_http,
    probe_storage,
    probe_tcp,
    shown,
)
from txregistry.listening import Listener, listen
from txregistry.metrics import (
    Actions,
    Exposition,
    MeasuredDriver,
    Numbers,
    Pool,
    Requests,
    Sample,
    cache_samples,
    driver_samples,
    handler_of,
    pool_samples,
    queue_samples,
)
from txregistry.process.spec import StartError
from txregistry.process.status import DriverStatus
from txregistry.redis_cache import RedisCache
from txregistry.registry import Registry
from txregistry.stacks import dump
from txregistry.storage.contract import Driver
from txregistry.web import AccessRecord, Limits, Pages, RegistrySite, WebSettings, make_site

#: Connections to the debug port at once. Arbitrary: a few collectors and people.
DEBUG_CONNECTIONS = 64

_log = Logger()


class Watched(Protocol):
    """The storage driver (``process.opening.OpenDriver``)."""

    driver: Driver

    def status(self) -> DriverStatus:
        """How it is now."""

    def time_commands(self, told: Callable[[str, float], None]) -> None:
        """Have ``told`` called with the name of each command that was answered, and its seconds."""


class FrontEnds(Protocol):
    """Other processes that serve for this one (``sharing.SharedFronts``)."""

    @property
    def serving(self) -> int:
        """How many do now."""

    @property
    def deaths(self) -> int:
        """How many have ended without being asked to."""

    async def numbers(self) -> Sequence[Numbers]:
        """What they have counted."""

    async def stacks(self) -> str:
        """What all of their threads and requests are at."""


class Timing(Protocol):
    """How often a check runs, and how many failures in a row count."""

    @property
    def interval(self) -> float: ...

    @property
    def threshold(self) -> int: ...


class Watch:
    """Looks at one registry.

    Args:
        pools: tells the processes that do the slow work of requests, by name.

    Attributes:
        board: what is known of its health.
    """

    def __init__(
        self,
        configuration: Configuration,
        reactor: Any,
        pools: Callable[[], Mapping[str, Pool]] = dict,
    ) -> None:
        self._configuration = configuration
        self._pools = pools
        self._reactor = reactor
        self._began = reactor.seconds()
        self._state = "the registry is starting"
        self._watched: Watched | None = None
        self._front: RegistrySite | None = None
        self._registry: Registry | None = None
        self._redis: RedisCache | None = None
        self._fronts: FrontEnds | None = None
        self._listener: Listener | None = None
        self._port: IListeningPort | None = None
        self._site: RegistrySite | None = None
        self._notifications: Notifications | None = None
        self._is_counting = configuration.http.debug.prometheus.enabled
        self._requests = Requests()
        self._tracing: Any = None
        driver = configuration.storage.driver
        self._name = driver.name if isinstance(driver, NamedDriver) else "external"
        self._actions = Actions(self._name)
        self.board = Board()
        self.board.add_condition("registry", "registry", lambda: self._state)

    # -- its life

    def bind(self) -> None:
        """Have the port, while the process may still do what its user may not.

        Raises:
            ListenError: the address can't be had.
            StartError: traces are asked for, and what makes them is not installed.
        """
        self._tracing = open_tracing(self._configuration.tracing)
        address = self._configuration.http.debug.address
        if address is not None:
            self._listener = listen(address, key="http.debug.addr")

    def release(self) -> None:
        """Give the port up without having served it."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def start(self, watched: Watched, notifications: Notifications | None) -> None:
        """Begin to look, and to show."""
        self._watched = watched
        self._notifications = notifications
        if self._is_counting:
            watched.time_commands(self._actions.answered)
        name = storage_name(watched)
        self.board.add_condition(name, "storage", lambda: watched.status().trouble)
        for check in make_checks(self._configuration.health, watched, self._reactor):
            self.board.add_check(check)
        self.board.start()
        if self._listener is None:
            return
        _log.info("debug pages are at {where}", where=self._listener.where)
        self._site = make_site(None, self._debug_settings(), self._reactor)
        self._site.noisy = False
        self._port = self._listener.serve(self._reactor, self._site)
        self._listener = None

    def serving(
        self, front: RegistrySite, registry: Registry, redis: RedisCache | None = None
    ) -> None:
        """The registry's ports are open.

        Args:
            redis: the cache that hosts share, if there is one.
        """
        self._front = front
        self._registry = registry
        self._redis = redis
        self._state = ""

    def serving_by(self, fronts: FrontEnds) -> None:
        """Others serve the registry's ports."""
        self._fronts = fronts
        self._state = ""
        self.board.add_condition(
            "front ends", "registry", lambda: "" if fronts.serving else "no front end is there"
        )

    def stopping(self) -> None:
        """The registry is about to end: nobody should be sent here any more."""
        self._state = "the registry is stopping"

    async def stop(self) -> None:
        """Look no more."""
        self.board.stop()
        self.release()
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
        if self._site is not None:
            await self._site.drain(0)
        if self._tracing is not None:
            await deferToThread(self._tracing.flush)

    # -- what others are told

    def settings_of(self, settings: WebSettings) -> WebSettings:
        """Return the registry's own settings, with what it asks here."""
        closes = self._configuration.health.close_on_failure
        return attrs.evolve(
            settings,
            access_log=self._told_of(settings.access_log),
            trace=self._tracing,
            not_ready=self._kinds,
            is_closed=self.board.has_failing_check if closes else None,
        )

    def measured(self, driver: Driver) -> Driver:
        """Return the driver for the registry: what it takes is counted."""
        measured = MeasuredDriver(driver, self._actions)
        return measured if self._tracing is None else self._tracing.traced(measured, self._name)

    def redis_took(self, operation: str, seconds: float) -> None:
        """Count an operation of the cache that hosts share."""
        self._actions.redis_took(operation, seconds)

    def _told_of(
        self, access_log: Callable[[AccessRecord], None] | None
    ) -> Callable[[AccessRecord], None] | None:
        """Return who is told of each request that ended."""
        count = self._requests.ended
        if not self._is_counting:
            return access_log
        if access_log is None:
            return count

        def both(record: AccessRecord) -> None:
            count(record)
            access_log(record)

        return both

    def _kinds(self) -> Sequence[str]:
        return [problem.kind for problem in self.board.problems().values()]

    # -- pages

    def _debug_settings(self) -> WebSettings:
        pages = Pages(
            problems=lambda: {
                name: problem.text for name, problem in self.board.problems().items()
            },
            variables=self._variables,
            stacks=self._all_stacks,
            metrics=self._make_metrics() if self._is_counting else None,
            metrics_path=self._configuration.http.debug.prometheus.path,
        )
        limits = Limits(connections=DEBUG_CONNECTIONS, connections_per_address=DEBUG_CONNECTIONS)
        return WebSettings(pages=pages, limits=limits)

    def _make_metrics(self) -> Callable[[str], Awaitable[tuple[str, bytes]]]:
        exposition = Exposition(self._requests, self._actions, self._samples)

        async def metrics(accept: str) -> tuple[str, bytes]:
            fronts = () if self._fronts is None else await self._fronts.numbers()
            return exposition.render(accept, fronts)

        return metrics

    async def _all_stacks(self) -> str:
        return self.stacks() + ("" if self._fronts is None else await self._fronts.stacks())

    def numbers(self) -> Numbers:
        """Return what was counted here."""
        return Numbers.of(self._requests, self._actions, self._samples())

    def _variables(self) -> Mapping[str, Any]:
        """What ``/debug/vars`` shows; registry:3 puts its whole configuration there, secrets
        included, so this names each thing.
        """
        status = None if self._watched is None else self._watched.status()
        return {
            "version": __version__,
            "python": sys.version.split()[0],
            "pid": os.getpid(),
            "uptime": round(self._reactor.seconds() - self._began, 3),
            "threads": threading.active_count(),
            "driver": None if status is None else _plain(status),
            "connections": 0 if self._front is None else len(self._front.channels),
            "front_ends": 0 if self._fronts is None else self._fronts.serving,
        }

    def _samples(self) -> Iterator[Sample]:
        """What is true now, for a collector."""
        problems = self.board.problems()
        yield Sample("registry_build_info", (__version__,), 1)
        yield Sample("registry_ready", (), float(not problems))
        for name, kind in self.board.names().items():
            yield Sample("registry_health_failing", (name, kind), float(name in problems))
        yield from pool_samples(self._pools())
        fronts = self._fronts
        yield Sample("registry_front_ends", (), 0 if fronts is None else fronts.serving)
        yield Sample("registry_front_end_deaths", (), 0 if fronts is None else fronts.deaths)
        if self._watched is not None:
            yield from driver_samples(self._watched.status())
        if self._notifications is not None:
            told = self._notifications
            now = self._reactor.seconds()
            yield from queue_samples(told.queue_counts, told.endpoint_counts, now)
        if self._front is not None:
            yield from front_samples(self._front)
        if self._registry is not None:
            open_count = self._registry.uploads.open_count
            yield Sample("registry_upload_sessions_open", (), open_count)
            yield from cache_samples(self._registry.caches, self._redis)

    def stacks(self, interrupted: FrameType | None = None) -> str:
        """Return what every request and every thread is at.

        Args:
            interrupted: what the main thread was at, if this is called in the midst of it.
        """
        channels = () if self._front is None else tuple(self._front.channels)
        errands = [
            request.errand for channel in channels for request in channel.requests if request.began
        ]
        return dump(errands, interrupted)


def open_tracing(settings: Tracing) -> Any:
    """Return what traces requests (``tracing.Tracing``), None if nothing is to be traced.

    Raises:
        StartError: what makes traces is not installed.
    """
    if not settings.endpoint:
        return None
    try:
        # An extra of the package: most do without it.
        from txregistry.tracing import make_tracing  # noqa: PLC0415
    except ImportError as error:
        raise StartError(
            f"tracing.endpoint is set and OpenTelemetry is not installed ({error.name} is missing);"
            " pip install 'txregistry[otel]', or remove the section"
        ) from error
    headers = {name: ", ".join(values) for name, values in settings.headers.items()}
    return make_tracing(
        settings.endpoint,
        headers,
        ratio=settings.ratio,
        service=settings.service,
        trust=settings.trust,
    )


def front_samples(front: RegistrySite) -> Iterator[Sample]:
    """Say how busy the registry's own ports are."""
    yield Sample("registry_http_connections", (), len(front.channels))
    yield Sample("registry_http_body_memory_bytes", ("queue",), front.queues.used)
    yield Sample("registry_http_body_memory_bytes", ("whole",), front.wholes.used)
    for endpoint, count in front.flights.items():
        yield Sample("registry_http_in_flight_requests", (handler_of(endpoint),), count)


def storage_name(watched: Watched) -> str:
    """Return how health pages call the storage. Source: registry:3."""
    return "storagedriver_" + watched.status().name


def make_checks(health: Health, watched: Watched, reactor: Any) -> Iterator[Check]:
    """Make the checks that are configured."""

    def check(name: str, kind: str, probe: Probe, timing: Timing, timeout: float = 0.0) -> Check:
        return Check(
            name,
            kind,
            probe,
            reactor,
            interval=timing.interval,
            threshold=timing.threshold,
            timeout=timeout or PROBE_TIMEOUT,
        )

    if health.storage_driver.enabled:
        probe = probe_storage(watched.driver)
        yield check(storage_name(watched), "storage", probe, health.storage_driver)
    for file in health.file:
        yield check(file.file, "file", probe_file(file.file), file)
    for page in health.http:
        probe = probe_http(reactor, page.uri, page.headers, page.status_code)
        yield check(shown(page.uri), "http", probe, page, page.timeout)
    for port in health.tcp:
        address = parse_tcp(port.addr)
        probe = probe_tcp(reactor, address.host, address.port)
        yield check(port.addr, "tcp", probe, port, port.timeout)


def _plain(status: DriverStatus) -> dict[str, Any]:
    return attrs.asdict(
        status,
        value_serializer=lambda _, __, value: value.value if isinstance(value, Enum) else value,
    )
