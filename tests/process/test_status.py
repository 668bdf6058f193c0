# SPDX-License-Identifier: Apache-2.0
"""How a driver is, for whoever watches: each state as the operator meets it."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet import reactor

from txregistry.process.opening import OpenDriver
from txregistry.process.spec import DriverSpec, StartError, find_driver
from txregistry.process.status import State, Windows
from txregistry.process.supervision import Supervision

from ..census import until
from .programs import MEMORY, driver, python

REFUSING = """
from txregistry.driver import BadOptions, main
def create(options):
    raise BadOptions("no bucket")
main(create)
"""

WAITING = """
from txregistry.driver import Unavailable, main
def create(options):
    raise Unavailable("no route to the bucket")
main(create)
"""


@pytest_twisted.async_yield_fixture
async def opened(request):
    """Opens drivers, and ends them with the test."""
    drivers = []

    def open_driver(spec, **more):
        drivers.append(OpenDriver(spec, reactor, **more))
        return drivers[-1]

    yield open_driver
    for one in drivers:
        await one.stop()
        assert one.status().state is State.STOPPED


class StatusTests:
    @pytest_twisted.ensureDeferred
    async def test_driver_that_works_is_ready(self, opened):
        """Its name, version, process and isolation are told, and what it says of itself."""
        one = opened(find_driver("memory", {}), supervision=Supervision(replay_budget=1000))
        before = one.status()
        assert (before.state, before.is_ready, before.version) == (State.STARTING, False, "")
        assert before.reason == "the driver is starting"
        await one.hello()
        await until(lambda: one.status().pong)
        status = one.status()
        assert (status.name, status.state, status.is_ready, status.reason) == (
            "memory",
            State.READY,
            True,
            "",
        )
        assert (status.deaths, status.greetings, status.retry_in) == (0, 1, 0.0)
        assert status.pid == one.child.pid
        assert one.socket == one.child.path
        assert "no-new-privs" in status.isolation
        assert status.pong.operations == 0
        assert status.pong.resident > 1_000_000
        assert status.windows == Windows(used=0, total=1000, unprotected=0)
        assert before.state is State.STARTING

    @pytest_twisted.ensureDeferred
    async def test_driver_that_died_is_restarting(self, opened):
        """The death is counted, and what the dead one said of itself is forgotten."""
        one = opened(DriverSpec("tested", command=driver(MEMORY)))
        await one.hello()
        await until(lambda: one.status().pong)
        one.child.kill()
        await until(lambda: one.status().state is State.RESTARTING)
        assert one.status().pong is None
        await until(lambda: one.status().is_ready)
        assert (one.status().deaths, one.status().greetings) == (1, 2)

    @pytest_twisted.ensureDeferred
    async def test_driver_that_refuses_its_options_is_refused(self, opened):
        """Its own sentence is the reason."""
        one = opened(DriverSpec("tested", command=driver(REFUSING)))
        with pytest.raises(StartError):
            await one.hello()
        status = one.status()
        assert (status.state, status.reason) == (
            State.REFUSED,
            "the driver refused: no bucket",
        )
        assert status.retry_in > 0

    @pytest_twisted.ensureDeferred
    async def test_driver_whose_storage_is_away_is_ready_and_in_trouble(self, opened):
        """It answers, so it is not started again; what needs the storage can't be served."""
        one = opened(DriverSpec("tested", command=driver(WAITING)))
        await one.hello()
        await until(lambda: one.status().pong)
        status = one.status()
        assert (status.is_ready, status.reason) == (True, "")
        assert status.trouble == "the driver can't reach its storage"

    @pytest_twisted.ensureDeferred
    async def test_driver_that_never_comes_up_is_broken(self, opened):
        """The breaker is open: the reason says so."""
        one = opened(DriverSpec("tested", command=python("raise SystemExit(1)")))
        await until(lambda: one.status().is_breaker_open)
        status = one.status()
        assert (status.state, status.reason) == (
            State.BROKEN,
            "the driver does not come up, or answers nothing",
        )
        assert status.greetings == 0
        assert status.trouble == status.reason

    @pytest_twisted.ensureDeferred
    async def test_driver_of_somebody_else_has_no_process_here(self, opened, tmp_path):
        """Its process is not ours to name, and its deaths are not known."""
        one = opened(DriverSpec("tested", socket=str(tmp_path / "s")))
        assert one.socket == str(tmp_path / "s")
        status = one.status()
        assert (status.pid, status.deaths, status.isolation) == (None, 0, ())
