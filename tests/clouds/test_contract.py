# SPDX-License-Identifier: Apache-2.0
"""The contract suite over each cloud's driver in a process of its own, killed and started again by
the cases.
"""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet import reactor

from txregistry.process.opening import OpenDriver
from txregistry.process.spec import find_driver
from txregistry.storage.suite import CASES, Environment, Verdict, leftovers, run_case

from ..census import until
from ..process.test_contract_over_process import Tidy

BUCKET = "contract"

LACKING = {
    "nothing is put below a file",  # directories are what keys have in common
    "a descriptor holds the whole object",
    "states are saved on the way",  # only tried with large data
}


#: Lacking as well while bytes wait to become a segment; tried with each append stored at once.
LATE = {
    "a newer writer fences the older",
    "a stale writer fences nobody",
    "what takes the path fences its writer",
    "an upload survives the driver",
}


@pytest_twisted.async_yield_fixture(scope="module")
async def drivers(server):
    """As it comes, and one that stores each append at once; for all cases."""
    options = server.options(BUCKET, rootdirectory="/some/root")
    opened = {}
    for kind, more in (("usual", {}), ("prompt", {"flushafter": 0})):
        driver = OpenDriver(find_driver(server.driver, options | more), reactor)
        await driver.hello()
        await driver.driver.stat("/")
        opened[kind] = driver
    yield opened
    for driver in opened.values():
        await driver.stop()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
@pytest_twisted.ensureDeferred
async def test_promise_is_kept(drivers, case):
    """Each promise of the contract."""
    opened = drivers["prompt" if case.name in LATE else "usual"]

    async def reopen():
        before = opened.links.greetings
        opened.child.kill()
        await until(lambda: opened.links.greetings > before, "the next run")
        return tidy

    tidy = Tidy(opened.driver)
    environment = Environment(tidy, f"/contract/{case.name.replace(' ', '-')}", reopen)
    outcome = await run_case(case, environment)
    left = await leftovers(environment)
    await tidy.end()
    if case.name in LACKING:
        assert outcome.verdict is Verdict.NOT_OFFERED
    else:
        assert (outcome.verdict, outcome.why) in (
            (Verdict.PASSED, ""),
            (Verdict.NOT_OFFERED, "the driver has no redirects"),
        )
    assert left == ()


def test_nothing_is_left(server, drivers):
    """After all of it the bucket is empty."""
    assert server.keys(BUCKET) == []
