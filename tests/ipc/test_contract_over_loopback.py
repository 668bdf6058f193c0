# SPDX-License-Identifier: Apache-2.0
"""The contract suite over the wire: what a driver promises holds for a driver elsewhere too."""

from __future__ import annotations

import os

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from txregistry.storage.memory import MemoryStore
from txregistry.storage.suite import CASES, Environment, Verdict, leftovers, run_case
from txregistry_drivers.filesystem import create

from .loopback import Loopback, hosting, inline, over

#: What a driver may lack without breaking a promise, and which of ours lack it.
LACKING = {
    "a redirect is a url": {"memory", "filesystem"},
    "a descriptor holds the whole object": {"memory"},
    "states are saved on the way": {"memory", "filesystem"},  # only tried with large data
}


def memory(directory):
    return MemoryStore()


def filesystem(directory):
    return create({"rootdirectory": os.fspath(directory / "root")})


STORES = {"memory": (memory, inline), "filesystem": (filesystem, deferToThread)}


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
@pytest_twisted.ensureDeferred
async def test_promise_holds_over_the_wire(case, kind, tmp_path):
    """Each promise of the contract, asked for and kept over a connection."""
    make, run = STORES[kind]
    store = make(tmp_path)
    loopback = Loopback(hosting(store), run=run)
    driver = over(loopback)

    async def reopen():
        if kind == "memory":
            loopback.kill()
        else:  # its locks and descriptors end with a process only: see tests/process
            await loopback.end()
        return driver

    environment = Environment(driver, "/contract/case", reopen)
    outcome = await run_case(case, environment)
    left = await leftovers(environment)
    await loopback.end()
    store.close()
    lacking = kind in LACKING.get(case.name, ())
    assert (outcome.verdict, outcome.why if not lacking else "") == (
        Verdict.NOT_OFFERED if lacking else Verdict.PASSED,
        "",
    )
    assert left == ()
