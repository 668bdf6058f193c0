# SPDX-License-Identifier: Apache-2.0
"""The wiring of ``health``: which checks a configuration asks for.

Must not know who is told what they find.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from txregistry.config import Health
from txregistry.config.addresses import parse_tcp
from txregistry.health import (
    PROBE_TIMEOUT,
    Check,
    Probe,
    probe_file,
    probe_http,
    probe_storage,
    probe_tcp,
    shown,
)
from txregistry.storage.contract import Driver


class Timing(Protocol):
    """How often a check runs, and how many failures in a row count."""

    @property
    def interval(self) -> float: ...

    @property
    def threshold(self) -> int: ...


def make_checks(health: Health, driver: Driver, name: str, reactor: Any) -> Iterator[Check]:
    """Make the checks that are configured.

    Args:
        driver, name: the storage, and how health pages call it.
    """

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
        yield check(name, "storage", probe_storage(driver), health.storage_driver)
    for file in health.file:
        yield check(file.file, "file", probe_file(file.file), file)
    for page in health.http:
        probe = probe_http(reactor, page.uri, page.headers, page.status_code)
        yield check(shown(page.uri), "http", probe, page, page.timeout)
    for port in health.tcp:
        address = parse_tcp(port.addr)
        probe = probe_tcp(reactor, address.host, address.port)
        yield check(port.addr, "tcp", probe, port, port.timeout)
