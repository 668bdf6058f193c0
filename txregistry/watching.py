# SPDX-License-Identifier: Apache-2.0
"""What looks at a registry from outside while it runs: its health, what it counts, its traces.

The wiring of ``health``, ``metrics`` and ``tracing``, apart from ``service`` because it is a page
of its own. Must not know who serves clients, nor how::

    bind       the debug port is had
    start      storage is looked at, the debug pages are served
    serving    clients are served: this host is ready, and there is more to show
    stopping   it is ready no more
    stop       the debug port is closed, the last spans are sent
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
from twisted.internet.threads import deferToThread

from txregistry import __version__
from txregistry.checking import make_checks
from txregistry.config import Configuration, NamedDriver
from txregistry.debug_port import DebugPort
from txregistry.events import Notifications
from txregistry.front import Serving
from txregistry.health import Board
from txregistry.metrics import (
    Actions,
    Exposition,
    MeasuredDriver,
    Numbers,
    Pool,
    Requests,
    Sample,
    driver_samples,
    pool_samples,
    queue_samples,
)
from txregistry.process.status import DriverStatus
from txregistry.stacks import dump
from txregistry.storage.contract import Driver
from txregistry.translation import open_tracing
from txregistry.web import AccessRecord, Pages, WebSettings


class Watched(Protocol):
    """The storage driver (``process.opening.OpenDriver``)."""

    driver: Driver

    def status(self) -> DriverStatus:
        """How it is now."""

    def time_commands(self, told: Callable[[str, float], None]) -> None:
        """Have ``told`` called with the name of each command that was answered, and its seconds."""


class Watch:
    """Looks at one registry.

    Args:
        pools: processes that do slow work, by name.

    Attributes:
        board: what is known of its health.
    """

    def __init__(
        self,
        configuration: Configuration,
        reactor: Any,
        pools: Mapping[str, Pool] | None = None,
    ) -> None:
        self._configuration = configuration
        self._pools = pools or {}
        self._reactor = reactor
        self._began = reactor.seconds()
        self._state = "the registry is starting"
        self._watched: Watched | None = None
        self._front: Serving | None = None
        self._port = DebugPort(reactor)
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
        self._port.bind(self._configuration.http.debug.address)

    def release(self) -> None:
        """Give the port up without having served it."""
        self._port.release()

    def start(self, watched: Watched, notifications: Notifications | None) -> None:
        """Begin to look, and to show."""
        self._watched = watched
        self._notifications = notifications
        if self._is_counting:
            watched.time_commands(self._actions.answered)
        name = "storagedriver_" + watched.status().name  # registry:3 calls it so
        self.board.add_condition(name, "storage", lambda: watched.status().trouble)
        health = self._configuration.health
        for check in make_checks(health, watched.driver, name, self._reactor):
            self.board.add_check(check)
        self.board.start()
        self._port.serve(self._pages)

    def serving(self, front: Serving) -> None:
        """Clients are served from now on."""
        self._front = front
        self._state = ""

    def stopping(self) -> None:
        """The registry is about to end: nobody should be sent here any more."""
        self._state = "the registry is stopping"

    async def stop(self) -> None:
        """Look no more."""
        self.board.stop()
        await self._port.stop()
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

    def _pages(self) -> Pages:
        return Pages(
            problems=lambda: {
                name: problem.text for name, problem in self.board.problems().items()
            },
            variables=self._variables,
            stacks=self._all_stacks,
            metrics=self._make_metrics() if self._is_counting else None,
            metrics_path=self._configuration.http.debug.prometheus.path,
        )

    def _make_metrics(self) -> Callable[[str], Awaitable[tuple[str, bytes]]]:
        exposition = Exposition(self._requests, self._actions, self._samples)

        async def metrics(accept: str) -> tuple[str, bytes]:
            others = () if self._front is None else await self._front.numbers()
            return exposition.render(accept, others)

        return metrics

    async def _all_stacks(self) -> str:
        return self.stacks() + ("" if self._front is None else await self._front.stacks())

    def numbers(self) -> Numbers:
        """Return what was counted here."""
        return Numbers.of(self._requests, self._actions, self._samples())

    def _variables(self) -> Mapping[str, Any]:
        """What ``/debug/vars`` shows; registry:3 puts its whole configuration there, secrets
        included, so this names each thing.
        """
        status = None if self._watched is None else self._watched.status()
        front = self._front
        return {
            "version": __version__,
            "python": sys.version.split()[0],
            "pid": os.getpid(),
            "uptime": round(self._reactor.seconds() - self._began, 3),
            "threads": threading.active_count(),
            "driver": None if status is None else _plain(status),
            "connections": 0 if front is None else front.connections,
            "front_ends": 0 if front is None else front.front_ends,
        }

    def _samples(self) -> Iterator[Sample]:
        """What is true now, for a collector."""
        problems = self.board.problems()
        yield Sample("registry_build_info", (__version__,), 1)
        yield Sample("registry_ready", (), float(not problems))
        for name, kind in self.board.names().items():
            yield Sample("registry_health_failing", (name, kind), float(name in problems))
        yield from pool_samples(self._pools)
        front = self._front
        yield Sample("registry_front_ends", (), 0 if front is None else front.front_ends)
        yield Sample("registry_front_end_deaths", (), 0 if front is None else front.deaths)
        if self._watched is not None:
            yield from driver_samples(self._watched.status())
        if self._notifications is not None:
            told = self._notifications
            now = self._reactor.seconds()
            yield from queue_samples(told.queue_counts, told.endpoint_counts, now)
        if front is not None:
            yield from front.samples()

    def stacks(self, interrupted: FrameType | None = None) -> str:
        """Return what every request and every thread is at.

        Args:
            interrupted: what the main thread was at, if this is called in the midst of it.
        """
        return dump(() if self._front is None else self._front.errands(), interrupted)


def _plain(status: DriverStatus) -> dict[str, Any]:
    return attrs.asdict(
        status,
        value_serializer=lambda _, __, value: value.value if isinstance(value, Enum) else value,
    )
