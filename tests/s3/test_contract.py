# SPDX-License-Identifier: Apache-2.0
"""The contract suite over the S3 driver in a process of its own, killed and started again by the
cases, over servers that are not ours.
"""

from __future__ import annotations

import os

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from txregistry.process.opening import OpenDriver
from txregistry.process.spec import find_driver
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.suite import CASES, Environment, Verdict, run_case
from txregistry_drivers.objects import Tuning

from ..objects.promises import LACKING
from ..process.promises import run_over_process
from .fake import FakeS3, Limits
from .test_faults import store_on

#: What is tried on the servers that are not ours each time; SERVERS=long tries everything there.
SHORT = {
    "content comes back as it was",
    "put if absent creates and never replaces",
    "put if version replaces only that version",
    "delete if version removes only that version",
    "an open read keeps what it opened",
    "a read can be closed early",
    "nothing can be continued",
    "one of many conditional puts wins",
    "a newer writer fences the older",
    "an upload survives the driver",
    "a broken destination is replaced",
    "what is published stays",
    "many commit the same",
    "a list is in byte order",
    "a move takes all along",
    "a delete removes just that",
    "a redirect is a url",
}

TRIED = [case for case in CASES if case.name in SHORT or os.environ.get("SERVERS") == "long"]


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


# Each with a mark of its own: as pairs, every one would have its own driver.
@pytest.mark.parametrize("case", TRIED, ids=lambda case: case.name.replace(" ", "-"))
@pytest.mark.parametrize("opened", ["moto", "swift"], indirect=True)
@pytest_twisted.ensureDeferred
async def test_promise_is_kept(opened, case):
    """Each promise of the contract, and nothing is left in the bucket."""
    outcome, left = await run_over_process(opened, case)
    if case.name in LACKING:
        assert outcome.verdict is Verdict.NOT_OFFERED
    else:
        assert (outcome.verdict, outcome.why) == (Verdict.PASSED, "")
    assert left == ()


def test_short_cases_are_there():
    """A case that is renamed does not drop out."""
    assert {case.name for case in CASES} >= SHORT


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
@pytest_twisted.ensureDeferred
async def test_promise_is_kept_in_this_process(case):
    """Each promise, on the S3 of our own, which is quick; limits are scaled down."""
    with FakeS3(Limits(smallest_part=40_000, most_parts=400, copy_limit=700_000)) as fake:
        tuning = Tuning(part_size=100_000, copy_threshold=300_000, flush_after=0)

        def open_driver():
            return HostedDriver(store_on(fake, tuning=tuning), run=deferToThread)

        drivers = [open_driver()]

        async def reopen():
            await drivers[-1].aclose()
            drivers.append(open_driver())
            return drivers[-1]

        environment = Environment(drivers[0], "/contract/case", reopen)
        outcome = await run_case(case, environment)
        await drivers[-1].aclose()
        verdict = Verdict.NOT_OFFERED if case.name in LACKING else Verdict.PASSED
        assert (outcome.verdict, "" if case.name in LACKING else outcome.why) == (verdict, "")
        assert (fake.objects, fake.uploads) == ({}, {})


@pytest.mark.parametrize("opened", ["moto", "swift"], indirect=True)
@pytest_twisted.ensureDeferred
async def test_nothing_is_left(opened):
    """After all of it the bucket is empty, and no multipart upload is open."""
    bucket = next(iter(opened.client.list_buckets()["Buckets"]))["Name"]
    found = opened.client.list_objects_v2(Bucket=bucket).get("Contents", [])
    assert [one["Key"] for one in found] == []
    assert opened.client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
