# SPDX-License-Identifier: Apache-2.0
"""A store that takes no writes: refused at once, found out now and then, healed by itself."""

from __future__ import annotations

import errno
import os

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher

from txregistry.storage import paths
from txregistry.storage.blocking import run_inline
from txregistry.storage.errors import Corrupt, NoSpace, ReadOnly, SyncFailed, Unavailable
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.suite.case import fetch, fill, sha256
from txregistry.storage.writability import PROBE_INTERVAL, Condition, Writability
from txregistry_drivers.filesystem import create

from .doubles import RecordingStore, Threads
from .syscalls import Syscalls


class FullStore(RecordingStore):
    """A memory store that has no room for as long as ``trouble`` is set."""

    trouble = None

    def _note(self, method, path):
        super()._note(method, path)
        if self.trouble is not None and method in ("put", "append", "publish"):
            raise self.trouble


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store():
    return FullStore()


@pytest.fixture
def driver(store, clock):
    return HostedDriver(store, run=run_inline, now=clock.seconds)


@pytest.fixture
def lines():
    """What is logged of the change of state."""
    lines = []

    def observer(event):
        if event.get("log_namespace") == "txregistry.storage.writability":
            lines.append(event["log_level"])

    globalLogPublisher.addObserver(observer)
    yield lines
    globalLogPublisher.removeObserver(observer)


class WritabilityTests:
    @pytest.mark.parametrize(
        ("before", "error", "after"),
        [
            ((), NoSpace(), "no-space"),
            ((), ReadOnly(), "read-only"),
            ((), SyncFailed(), "suspect"),
            ((), Corrupt(), "ok"),
            ((), Unavailable(), "ok"),
            ((NoSpace(),), ReadOnly(), "read-only"),
            ((NoSpace(),), SyncFailed(), "suspect"),
            ((ReadOnly(),), NoSpace(), "no-space"),
            ((SyncFailed(),), NoSpace(), "suspect"),
        ],
    )
    def test_each_refusal_leads_on(self, clock, before, error, after):
        """The rows of the table."""
        state = Writability(clock.seconds)
        for one in (*before, error):
            state.refused(one)
        assert state.condition.value == after

    def test_suspicion_stays(self, clock):
        """No probe, and no probe that passes, makes good a failed sync."""
        state = Writability(clock.seconds)
        state.refused(SyncFailed())
        clock.advance(1e6)
        assert not state.takes_probe()
        state.passed()
        assert state.condition is Condition.SUSPECT


@pytest.mark.parametrize(
    ("trouble", "state"), [(NoSpace("full"), "no-space"), (ReadOnly("ro"), "read-only")]
)
@pytest_twisted.ensureDeferred
async def test_full_store_is_left_alone_until_a_probe_passes(
    driver, store, clock, lines, trouble, state
):
    """One trip finds it out, the next are refused without one, and it heals within the interval."""
    kind = type(trouble)
    assert driver.state == "ok"
    store.trouble = trouble
    with pytest.raises(kind, match=trouble.message):
        await driver.put("/a", b"x")
    assert driver.state == state
    store.events.clear()
    for call in (driver.put("/a", b"x"), driver.open_writer("/u/data", 0), driver.put("/b", b"")):
        with pytest.raises(kind, match=trouble.message):
            await call
    assert store.events == []

    for _ in range(2):  # time for a probe, which fails: again nobody else is let through
        clock.advance(PROBE_INTERVAL)
        for _ in range(3):
            with pytest.raises(kind):
                await driver.put("/a", b"x")
        assert store.events == [("put", paths.PROBE)]
        store.events.clear()

    store.trouble = None
    with pytest.raises(kind):
        await driver.put("/a", b"x")
    clock.advance(PROBE_INTERVAL)
    await driver.put("/a", b"x")
    assert store.events == [("put", paths.PROBE), ("delete", paths.PROBE), ("put", "/a")]
    assert driver.state == "ok"
    assert lines == [LogLevel.error, LogLevel.info]


@pytest_twisted.ensureDeferred
async def test_reads_deletes_and_commits_go_on(driver, store):
    """What is there is served and may be removed, what is staged may be published."""
    await driver.put("/a", b"x")
    await fill(await driver.open_writer("/u/data", 0), b"staged")
    store.faults["put"] = NoSpace()
    with pytest.raises(NoSpace):
        await driver.put("/b", b"x")
    assert await fetch(driver, "/a") == b"x"
    await driver.delete("/a")
    await driver.sync(["/u"])
    await driver.commit("/u/data", "/blob", size=6, digest=sha256(b"staged"))
    await driver.move("/blob", "/blob2")
    assert driver.state == "no-space"


@pytest_twisted.ensureDeferred
async def test_writer_that_finds_no_room_keeps_what_was_stored(driver, store, clock):
    """The upload goes on at the stored size when there is room again."""
    writer = await driver.open_writer("/u/data", 0)
    await writer.write(b"first")
    store.trouble = NoSpace()
    with pytest.raises(NoSpace):
        await writer.write(b"second")
        await writer.close()
    assert driver.state == "no-space"
    assert (await driver.stat("/u/data")).size == 5
    store.trouble = None
    clock.advance(PROBE_INTERVAL)
    await fill(await driver.open_writer("/u/data", 5), b"second")
    assert await fetch(driver, "/u/data") == b"firstsecond"


@pytest_twisted.ensureDeferred
async def test_failed_sync_ends_all_writing(driver, store, clock):
    """Nothing is promised any more; what is there is read."""
    await driver.put("/a", b"x")
    await fill(await driver.open_writer("/u/data", 0), b"staged")
    store.faults["put"] = SyncFailed("Input/output error")
    with pytest.raises(Corrupt):
        await driver.put("/b", b"x")
    clock.advance(10 * PROBE_INTERVAL)
    store.events.clear()
    calls = (
        driver.put("/a", b""),
        driver.open_writer("/v/data", 0),
        driver.commit("/u/data", "/blob", size=6, digest=sha256(b"staged")),
        driver.move("/a", "/b"),
        driver.delete("/a"),
        driver.sync(["/a"]),
    )
    for call in calls:
        with pytest.raises(ReadOnly, match="a sync failed before"):
            await call
    assert store.events == []
    assert await fetch(driver, "/a") == b"x"


def test_one_probe_is_under_way_at_a_time(store, clock):
    """Those who come while somebody probes are refused at once."""
    threads = Threads()
    driver = HostedDriver(store, run=threads, now=clock.seconds)
    outcomes = []
    store.faults["put"] = NoSpace()
    for advance in (0, PROBE_INTERVAL, 0):
        clock.advance(advance)
        Deferred.fromCoroutine(driver.put("/a", b"x")).addBoth(outcomes.append)
        if not advance and not outcomes:
            threads.run_all()
    assert (
        len(threads.waiting) == 1 and len(outcomes) == 2
    )  # the prober waits, the third was refused
    threads.run_all()
    assert [type(getattr(one, "value", one)) for one in outcomes] == [NoSpace, NoSpace, str]


@pytest.mark.parametrize(
    ("call", "number", "state"),
    [
        ("pwrite", errno.ENOSPC, "no-space"),
        ("pwrite", errno.EDQUOT, "no-space"),
        ("rename", errno.EROFS, "read-only"),
        ("fsync", errno.EIO, "suspect"),
        ("pwrite", errno.EIO, "ok"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_the_disk_says_is_understood(tmp_path, monkeypatch, call, number, state):
    """The errno of a full, read-only or broken disk; a read error is not taken for a failed
    sync.
    """
    store = create({"rootdirectory": os.fspath(tmp_path / "root")})
    driver = HostedDriver(store, run=run_inline)
    Syscalls(monkeypatch, tmp_path / "root").fail(call, number)
    with pytest.raises((NoSpace, ReadOnly, Corrupt)):
        await driver.put("/a", b"x")
    assert driver.state == state
    await driver.aclose()
