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
from txregistry.storage.suite import CASES, Verdict

from ..objects.promises import LACKING, LATE
from ..process.promises import run_over_process

BUCKET = "contract"


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
    outcome, left = await run_over_process(opened, case)
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
