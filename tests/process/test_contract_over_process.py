# SPDX-License-Identifier: Apache-2.0
"""The contract suite over real processes: what a driver promises holds when it is killed, too."""

from __future__ import annotations

import os

import pytest
import pytest_twisted
from twisted.internet import reactor

from txregistry.process.opening import OpenDriver
from txregistry.process.spec import find_driver
from txregistry.storage.suite import CASES, NotOffered, Verdict

from .promises import run_over_process

#: What a driver may lack without breaking a promise, and which of ours lack it.
LACKING = {
    "a redirect is a url": {"memory", "filesystem"},
    "a descriptor holds the whole object": {"memory"},
    "states are saved on the way": {"memory", "filesystem"},  # only tried with large data
}


@pytest_twisted.async_yield_fixture(scope="module")
async def opened(tmp_path_factory):
    """One process of each driver, for all cases."""
    root = tmp_path_factory.mktemp("storage")
    drivers = {
        "memory": OpenDriver(find_driver("memory", {}), reactor),
        "filesystem": OpenDriver(
            find_driver("filesystem", {"rootdirectory": os.fspath(root)}), reactor
        ),
    }
    for driver in drivers.values():
        await driver.hello()
        await driver.driver.stat("/")
    yield drivers
    for driver in drivers.values():
        await driver.stop()


@pytest.mark.parametrize("kind", ["memory", "filesystem"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
@pytest_twisted.ensureDeferred
async def test_promise_holds_over_a_process(opened, case, kind):
    """Each promise of the contract, kept by a process of its own."""

    async def forget():
        raise NotOffered("it forgets everything when it ends")

    reopen = forget if kind == "memory" else None
    outcome, left = await run_over_process(opened[kind], case, reopen=reopen)
    lacking = (
        kind in LACKING.get(case.name, ()) or outcome.why == "it forgets everything when it ends"
    )
    assert (outcome.verdict, outcome.why if not lacking else "") == (
        Verdict.NOT_OFFERED if lacking else Verdict.PASSED,
        "",
    )
    assert left == ()
