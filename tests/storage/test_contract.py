# SPDX-License-Identifier: Apache-2.0
"""The contract suite over the drivers of this process, and the suite's own judgement."""

from __future__ import annotations

import gc
import os

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from txregistry.storage.blocking import run_inline
from txregistry.storage.errors import Denied, Missing
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore
from txregistry.storage.suite import (
    CASES,
    Broken,
    Case,
    Environment,
    NotOffered,
    Verdict,
    leftovers,
    run_case,
    run_suite,
)
from txregistry.storage.suite.case import equal, exists, refuses, until_fenced
from txregistry_drivers.filesystem import create

#: What a driver may lack without breaking a promise, and which of ours lack it.
LACKING = {
    "a redirect is a url": {"memory", "filesystem"},
    "a descriptor holds the whole object": {"memory"},
    "states are saved on the way": {"memory", "filesystem"},  # only tried with large data
}


class _MemoryHost:
    """Storage that outlives its driver, as a disk does."""

    name = "memory"

    def __init__(self, directory):
        self._store = MemoryStore()

    def open(self):
        return self._store


class _FilesystemHost:
    name = "filesystem"

    def __init__(self, directory):
        self._options = {"rootdirectory": os.fspath(directory / "root")}

    def open(self):
        return create(self._options)


HOSTS = {
    "memory-inline": (_MemoryHost, run_inline),
    "memory-threads": (_MemoryHost, deferToThread),
    "filesystem-inline": (_FilesystemHost, run_inline),
    "filesystem-threads": (_FilesystemHost, deferToThread),
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
@pytest_twisted.ensureDeferred
async def test_driver_keeps_the_promise(case, host, tmp_path):
    """Each promise of the contract, on each driver that runs in this process."""
    make, run = HOSTS[host]
    storage = make(tmp_path)
    drivers = [HostedDriver(storage.open(), run=run)]

    async def reopen():
        await drivers[-1].aclose()
        drivers.append(HostedDriver(storage.open(), run=run))
        return drivers[-1]

    environment = Environment(drivers[0], "/contract/case", reopen)
    outcome = await run_case(case, environment)
    left = await leftovers(environment)
    await drivers[-1].aclose()
    lacking = storage.name in LACKING.get(case.name, ())
    assert (outcome.verdict, outcome.why if not lacking else "") == (
        Verdict.NOT_OFFERED if lacking else Verdict.PASSED,
        "",
    )
    assert left == ()


class SuiteTests:
    """The suite's own judgement, on drivers that are not as they should be."""

    @staticmethod
    def environment(case):
        return Environment(
            HostedDriver(MemoryStore(), run=run_inline), f"/suite/{case.name.replace(' ', '-')}"
        )

    async def run(self, *functions, clock=None, timeout=1.0):
        async def factory(case):
            return self.environment(case)

        lines = []
        cases = [Case(function.__name__, "it holds", function) for function in functions]
        summary = await run_suite(factory, lines.append, cases=cases, clock=clock, timeout=timeout)
        return summary, lines

    @pytest_twisted.ensureDeferred
    async def test_each_ending_is_told_and_counted(self):
        """What a driver lacks never looks like success, and one failure does not end the run."""

        async def passes(env):
            await env.driver.put(env.path("a/b"), b"x")

        async def lacks(env):
            raise NotOffered("no such thing")

        async def breaks(env):
            raise Broken("it is blue")

        async def refused(env):
            raise Denied("no", path="/x")

        async def crashes(env):
            raise ZeroDivisionError("by zero")

        summary, lines = await self.run(passes, lacks, breaks, refused, crashes)
        assert [summary.count(verdict) for verdict in Verdict] == [1, 3, 1]
        assert not summary.is_kept
        assert lines == [
            "passed       passes",
            "not offered  lacks: no such thing",
            "FAILED       breaks: it is blue",
            "             promised: it holds",
            "FAILED       refused: unexpected Denied: no (/x)",
            "             promised: it holds",
            "FAILED       crashes: unexpected ZeroDivisionError: by zero",
            "             promised: it holds",
            "1 passed, 3 failed, 1 not offered",
        ]

    @pytest_twisted.ensureDeferred
    async def test_a_case_without_end_is_ended(self):
        """A driver that hangs is a failure, not a wait for ever."""
        clock = Clock()

        async def hangs(env):
            await Deferred()

        running = Deferred.fromCoroutine(self.run(hangs, clock=clock, timeout=5))
        clock.advance(6)
        summary, lines = await running
        assert summary.count(Verdict.FAILED) == 1
        assert lines[0] == "FAILED       hangs: no end after 5 s"

    @pytest_twisted.ensureDeferred
    async def test_what_stays_behind_is_named(self):
        """A driver whose delete leaves files behind is found out."""

        class Hoarder(HostedDriver):
            async def delete(self, path, *, if_version=None):
                return None

        driver = Hoarder(MemoryStore(), run=run_inline)
        lines = []

        async def factory(case):
            return Environment(driver, "/suite/hoard")

        async def puts(env):
            await env.driver.put(env.path("d/file"), b"x")

        summary = await run_suite(factory, lines.append, cases=[Case("puts", "", puts)])
        assert summary.leftovers == ("/suite/hoard/d/file",)
        assert not summary.is_kept
        assert lines[1] == "left over    /suite/hoard/d/file"

    @pytest_twisted.ensureDeferred
    async def test_a_delete_that_fails_fails_the_case(self):
        """What can't be cleaned up is no success; a case that failed keeps its own reason."""

        class Denying(HostedDriver):
            async def delete(self, path, *, if_version=None):
                raise Denied("no")

        async def passes(env):
            pass

        async def breaks(env):
            raise Broken("first")

        for function, why in ((passes, "what it made can't be removed: no"), (breaks, "first")):
            environment = Environment(Denying(MemoryStore(), run=run_inline), "/x")
            outcome = await run_case(Case("c", "", function), environment)
            assert (outcome.verdict, outcome.why) == (Verdict.FAILED, why)

    @pytest_twisted.ensureDeferred
    async def test_a_case_that_fails_leaves_no_call_behind(self, recwarn):
        """A report full of failures is not drowned in warnings about calls that nobody made."""

        class Unmoving(HostedDriver):
            async def move(self, source, destination):
                raise Denied("no")

        driver = Unmoving(MemoryStore(), run=run_inline)

        async def factory(case):
            return Environment(driver, "/suite/case")

        summary = await run_suite(factory, lambda line: None)
        assert summary.count(Verdict.FAILED) > 0
        gc.collect()
        assert [str(one.message) for one in recwarn if "never awaited" in str(one.message)] == []

    @pytest_twisted.ensureDeferred
    async def test_a_driver_that_loses_bytes_fails(self):
        """Planted faults are found: bytes lost, an order changed, a fence forgotten, a lie at
        commit.
        """

        class Losing(MemoryStore):
            def get(self, path):
                content = super().get(path)
                return type(content)(content.data[:-1], content.version)

        class Unsorted(MemoryStore):
            def list(self, path, after, limit):
                listing = super().list(path, after, limit)
                return type(listing)(listing.children[::-1], listing.has_more)

        class Unfenced(HostedDriver):
            async def _fence(self, path):
                pass

        class Credulous(HostedDriver):
            async def _verify(self, staging):
                pass

        planted = (
            HostedDriver(Losing(), run=run_inline),
            HostedDriver(Unsorted(), run=run_inline),
            Unfenced(MemoryStore(), run=run_inline),
            Credulous(MemoryStore(), run=run_inline),
        )
        for driver in planted:

            async def factory(case, driver=driver):
                return Environment(driver, "/suite/case")

            summary = await run_suite(factory, lambda line: None)
            assert summary.count(Verdict.FAILED) > 0, driver

    @pytest_twisted.ensureDeferred
    async def test_a_whole_run_leaves_nothing(self):
        """The suite over a good driver passes and leaves the storage as empty as it was."""
        driver = HostedDriver(MemoryStore(), run=run_inline)

        async def factory(case):
            return Environment(driver, "/suite/" + case.name.replace(" ", "-"))

        summary = await run_suite(factory, lambda line: None)
        assert summary.is_kept
        assert summary.count(Verdict.NOT_OFFERED) < 10
        assert (await driver.list("/")).children == ()

    @pytest_twisted.ensureDeferred
    async def test_leftovers_of_nothing_are_none(self):
        """A root that is gone has no leftovers."""
        environment = self.environment(CASES[0])
        assert await leftovers(environment) == ()
        with pytest.raises(Missing):
            await environment.driver.stat(environment.root)

    @pytest_twisted.ensureDeferred
    async def test_cases_for_large_data_run(self):
        """What is tried only with large data is tried here, over memory, once."""
        case = next(case for case in CASES if case.name == "states are saved on the way")
        environment = self.environment(case)
        environment.is_large = True
        outcome = await run_case(case, environment)
        assert (outcome.verdict, outcome.why) == (Verdict.PASSED, "")

    @pytest_twisted.ensureDeferred
    async def test_a_driver_with_less_is_not_blamed(self, monkeypatch):
        """No reopening, no states, late confirmation, paths below files: not offered, and no
        more.
        """

        class Late(HostedDriver):
            async def open_writer(self, path, offset, *, algorithms=(), states=None):
                writer = await super().open_writer(path, offset, algorithms=algorithms)
                monkeypatch.setattr(type(writer), "stored", 0)
                return writer

        class Flat(HostedDriver):
            async def put(self, path, data, **conditions):
                return ""

        class Recordless(HostedDriver):
            async def commit(self, path, destination, *, size, digest, record=None, states=None):
                await super().commit(path, destination, size=size, digest=digest)

            async def put(self, path, data, *, record=None, **conditions):
                return await super().put(path, data, **conditions)

        lacking = {
            "a commit keeps a record": Recordless(MemoryStore(), run=run_inline),
            "a put keeps a record": Recordless(MemoryStore(), run=run_inline),
            "an upload survives the driver": HostedDriver(MemoryStore(), run=run_inline),
            "states are kept in go form": Late(MemoryStore(), run=run_inline),
            "a newer writer fences the older": Late(MemoryStore(), run=run_inline),
            "nothing is put below a file": Flat(MemoryStore(), run=run_inline),
        }
        for name, driver in lacking.items():
            case = next(case for case in CASES if case.name == name)
            outcome = await run_case(case, Environment(driver, "/suite/case"))
            assert outcome.verdict is Verdict.NOT_OFFERED, outcome
            assert outcome.why

    @pytest_twisted.ensureDeferred
    async def test_a_redirect_is_judged(self):
        """A URL passes; anything else that is given for one does not."""
        case = next(case for case in CASES if case.name == "a redirect is a url")
        for url, verdict in (("https://h/x", Verdict.PASSED), ("/x", Verdict.FAILED)):
            store = MemoryStore()
            store.redirect_url = lambda path, method, expires_in, url=url: url
            environment = Environment(HostedDriver(store, run=run_inline), "/suite/case")
            assert (await run_case(case, environment)).verdict is verdict

    @pytest_twisted.ensureDeferred
    async def test_refusals_are_judged(self):
        """The wrong refusal, or none, is named; an older writer that goes on is found out."""

        async def wrong():
            raise Denied("no")

        async def none():
            return "a result"

        for call, why in (
            (wrong, "it raises Denied \\(no\\), not Missing"),
            (none, "it gives 'a result'"),
        ):
            with pytest.raises(Broken, match=why):
                await refuses(Missing, call(), "it")

        environment = self.environment(CASES[0])
        writer = await environment.driver.open_writer("/suite/a", 0)
        assert await exists(environment.driver, "/suite/a")
        with pytest.raises(Broken, match="may write on"):
            await until_fenced(environment, writer)
        await writer.close()
        with pytest.raises(Broken, match="raises Closed, not Fenced"):
            await until_fenced(environment, writer)
        with pytest.raises(Broken, match="it is 1, not 2"):
            equal(1, 2, "it")
