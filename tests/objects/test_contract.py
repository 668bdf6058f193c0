# SPDX-License-Identifier: Apache-2.0
"""The contract suite over stores made of buckets in memory, with limits scaled down."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from txregistry.storage.hosted import HostedDriver
from txregistry.storage.suite import CASES, Environment, Verdict, leftovers, run_case
from txregistry_drivers.objects import Capabilities, MemoryBucket, ObjectStore, Tuning

from .promises import LACKING, LATE

_SMALL = Capabilities(smallest_piece=40_000, copy_limit=700_000, most_pieces=400)
_BARE = Capabilities(
    if_absent=False, if_version=False, delete_if_version=False, smallest_piece=1, copy_limit=10**6
)
_TUNED = Tuning(part_size=100_000, copy_threshold=300_000, memory=1_000_000)

BUCKETS = {
    "stock": (Capabilities(), Tuning(), LATE),
    # Each append is stored at once.
    "prompt": (_SMALL, Tuning(part_size=100_000, flush_after=0), set()),
    "small-parts": (_SMALL, _TUNED, LATE),
    "without-conditions": (_BARE, _TUNED, LATE),
}


@pytest.mark.parametrize("kind", BUCKETS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
@pytest_twisted.ensureDeferred
async def test_store_keeps_the_promise(case, kind):
    """Each promise of the contract, whatever the bucket can do."""
    capabilities, tuning, late = BUCKETS[kind]
    bucket = MemoryBucket(capabilities)

    def open_driver():
        return HostedDriver(ObjectStore(bucket, "/some/root", tuning), run=deferToThread)

    drivers = [open_driver()]

    async def reopen():
        await drivers[-1].aclose()
        drivers.append(open_driver())
        return drivers[-1]

    environment = Environment(drivers[0], "/contract/case", reopen)
    outcome = await run_case(case, environment)
    left = await leftovers(environment)
    await drivers[-1].aclose()
    assert (outcome.verdict, outcome.why) == (Verdict.PASSED, "") or (
        outcome.verdict is Verdict.NOT_OFFERED and case.name in LACKING | late
    )
    assert left == ()
    assert bucket.stored_keys() == []
    assert bucket.unfinished == set()
