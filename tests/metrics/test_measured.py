# SPDX-License-Identifier: Apache-2.0
"""A driver that is timed promises what a driver promises, and tells what it took."""

import inspect
from contextvars import copy_context

import pytest
from twisted.internet.defer import Deferred

from txregistry.errand import CURRENT, Errand
from txregistry.metrics import Actions, MeasuredDriver
from txregistry.storage.blocking import run_inline
from txregistry.storage.contract import Driver, Writer
from txregistry.storage.errors import Missing
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore
from txregistry.storage.suite import CASES, Environment, Verdict, run_case

#: What the store in memory does not offer.
LACKING = {
    "a redirect is a url",
    "a descriptor holds the whole object",
    "states are saved on the way",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
async def test_driver_keeps_the_promise(case):
    """Each promise of the contract holds for a driver that is timed."""
    store = MemoryStore()

    async def reopen():
        return MeasuredDriver(HostedDriver(store, run=run_inline), Actions("memory"))

    outcome = await run_case(case, Environment(await reopen(), "/contract/case", reopen))
    expected = Verdict.NOT_OFFERED if case.name in LACKING else Verdict.PASSED
    assert outcome.verdict is expected, outcome.why


class Seconds:
    """A clock that goes on by one at each look."""

    now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


@pytest.fixture
def actions():
    return Actions("memory", Seconds())


@pytest.fixture
def driver(actions):
    return MeasuredDriver(HostedDriver(MemoryStore(), run=run_inline), actions)


async def test_every_call_is_counted_under_its_name(driver, actions):
    """registry:3's words, where it has them."""
    await driver.put("/a", b"1")
    await driver.get("/a")
    await driver.get_several(["/a"])
    await driver.stat("/a")
    await driver.list("/")
    await driver.walk("/")
    reading = await driver.read("/a")
    await reading.aclose()
    await driver.sync(["/a"])
    await driver.redirect_url("/a", "GET", 60)
    writer = await driver.open_writer("/u/data", 0, algorithms=["sha256"])
    await writer.write(b"x")
    closing = await writer.close()
    await driver.commit("/u/data", "/b/data", size=1, digest="sha256:" + closing.digests["sha256"])
    await driver.move("/a", "/c")
    await driver.delete("/c")
    assert {
        labels[1]: sum(series.counts) for labels, series in actions.durations.series.items()
    } == {
        "PutContent": 1,
        "GetContent": 2,
        "Stat": 1,
        "List": 1,
        "Walk": 1,
        "Reader": 1,
        "Sync": 1,
        "RedirectURL": 1,
        "Writer": 1,
        "CloseWriter": 1,
        "Commit": 1,
        "Move": 1,
        "Delete": 1,
    }
    assert {labels[0] for labels in actions.durations.series} == {"memory"}
    assert actions.errors.values == {}


async def test_refusal_is_counted_and_passed_on(driver, actions):
    with pytest.raises(Missing):
        await driver.get("/none")
    assert actions.errors.values == {("memory", "GetContent", "Missing"): 1}
    assert sum(actions.durations.series["memory", "GetContent"].counts) == 1


async def test_request_learns_what_its_calls_took(driver):
    """The access log says how much of a request was storage."""
    errand = Errand("1")

    async def serve():
        await driver.put("/a", b"1")
        await driver.get("/a")

    context = copy_context()
    context.run(CURRENT.set, errand)
    await context.run(Deferred.fromCoroutine, serve())
    assert errand.driver_seconds == 2.0


def test_nothing_of_a_driver_is_left_out():
    """Who adds a method to drivers adds it here."""
    for contract, measured in ((Driver, MeasuredDriver),):
        for name, method in inspect.getmembers(contract, inspect.isfunction):
            if not name.startswith("_"):
                own = inspect.signature(getattr(measured, name)).parameters
                assert list(own) == list(inspect.signature(method).parameters), name


async def test_writer_is_one(driver):
    writer = await driver.open_writer("/u/data", 0)
    assert isinstance(writer, Writer)
    told = []
    writer.progress = told.append
    await writer.write(b"abc")
    assert writer.offset == 3
    await writer.close()
    assert writer.stored == 3
    assert told[-1:] == [3]
