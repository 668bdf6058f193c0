# SPDX-License-Identifier: Apache-2.0
"""The contract suite over the S3 driver in a process of its own, killed and started again by the
cases, over servers that are not ours.
"""

from __future__ import annotations

import os

import pytest
import pytest_twisted
from twisted.internet import reactor

from txregistry.process.opening import OpenDriver
from txregistry.process.spec import find_driver
from txregistry.storage.suite import CASES, Environment, Verdict, leftovers, run_case

from ..census import until
from ..process.test_contract_over_process import Tidy

#: Cases that make very many requests, which Swift is slow at; they run there with SERVERS=long.
MANY_REQUESTS = {
    "a walk comes in pages",
    "a walk goes on after anything",
    "a walk sees everything in order",
    "a list has the children",
    "states pile up no further",
    "of many writers one is left",
}

LACKING = {
    "nothing is put below a file",  # directories are what keys have in common
    "a descriptor holds the whole object",
    "states are saved on the way",  # only tried with large data
}


PAIRS = [
    pytest.param(kind, case, id=f"{kind}-{case.name.replace(' ', '-')}")
    for kind in ("moto", "swift")
    for case in CASES
    if kind == "moto" or case.name not in MANY_REQUESTS or os.environ.get("SERVERS") == "long"
]


@pytest_twisted.async_yield_fixture(scope="module")
async def opened(request):
    """One driver for all cases; each append is stored at once, so that none is left out."""
    server = request.getfixturevalue(request.param)
    options = server.options(f"contract-{request.param}", rootdirectory="/some/root", flushafter=0)
    driver = OpenDriver(find_driver("s3", options), reactor)
    await driver.hello()
    await driver.driver.stat("/")
    driver.client = server.client()
    yield driver
    await driver.stop()


@pytest.mark.parametrize(("opened", "case"), PAIRS, indirect=["opened"])
@pytest_twisted.ensureDeferred
async def test_promise_is_kept(opened, case):
    """Each promise of the contract, and nothing is left in the bucket."""

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
        assert (outcome.verdict, outcome.why) == (Verdict.PASSED, "")
    assert left == ()


@pytest.mark.parametrize("opened", ["moto", "swift"], indirect=True)
@pytest_twisted.ensureDeferred
async def test_nothing_is_left(opened):
    """After all of it the bucket is empty, and no multipart upload is open."""
    bucket = next(iter(opened.client.list_buckets()["Buckets"]))["Name"]
    found = opened.client.list_objects_v2(Bucket=bucket).get("Contents", [])
    assert [one["Key"] for one in found] == []
    assert opened.client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
