# SPDX-License-Identifier: Apache-2.0
"""Writers: what is taken, what is stored, and how a writer ends."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred

from txregistry.storage.blocking import run_inline
from txregistry.storage.errors import (
    Closed,
    Corrupt,
    Fenced,
    Internal,
    Missing,
    NoSpace,
    TooLarge,
    WrongOffset,
)
from txregistry.storage.hashes import RunningHash
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.suite.case import fill, noise, sha256
from txregistry.storage.writing import ALL_WINDOWS, BATCH, LEAST_WINDOW, WINDOW

from .doubles import RecordingStore, Threads

DATA, STATES = "/u/data", "/u/states"


def start(coroutine):
    return Deferred.fromCoroutine(coroutine)


def result(deferred):
    """What a Deferred holds; it must have fired."""
    found = []
    deferred.addBoth(found.append)
    assert found, "still waiting"
    return getattr(found[0], "value", found[0])


@pytest.fixture
def store():
    return RecordingStore()


@pytest.fixture
def threads():
    return Threads()


class HeldWriterTests:
    """With threads that move only when told."""

    @pytest.fixture
    def driver(self, store, threads):
        return HostedDriver(store, run=threads)

    @pytest.fixture
    def writer(self, driver, threads):
        return self.opened(driver, threads)

    @staticmethod
    def opened(driver, threads, offset=0, **options):
        opening = start(driver.open_writer(DATA, offset, **options))
        threads.run_all()
        return result(opening)

    def test_write_returns_while_there_is_room(self, writer, threads):
        """Receiving goes on while a thread stores; offset runs ahead of stored."""
        assert result(start(writer.write(b"x" * (WINDOW - 1)))) is None
        assert (writer.offset, writer.stored) == (WINDOW - 1, 0)
        threads.run_all()
        assert writer.stored == WINDOW - 1

    def test_write_waits_when_the_window_is_full(self, writer, threads):
        """Memory is bounded by the window, whatever the speed of the disk."""
        piece = b"x" * (BATCH // 4)
        writes = [start(writer.write(piece)) for _ in range(8)]
        assert [write.called for write in writes] == [True] * 7 + [False]
        threads.step()
        assert writer.stored == len(piece)
        assert writes[-1].called

    def test_many_writers_have_less_each(self, driver, threads):
        """Memory is bounded for all of them together; what a writer drops counts no more."""
        writers = []
        for number in range(200):
            opening = start(driver.open_writer(f"/many/{number}", 0))
            threads.run_all()
            writers.append(result(opening))
        for writer in writers:
            while start(writer.write(bytes(LEAST_WINDOW))).called:
                pass
        held = sum(writer.offset for writer in writers)
        assert held <= ALL_WINDOWS + len(writers) * LEAST_WINDOW
        assert writers[-1].appetite == LEAST_WINDOW
        endings = [start(writer.abandon()) for writer in writers[:-1]]
        threads.run_all()
        assert all(ending.called for ending in endings)
        assert writers[-1].appetite == WINDOW

    def test_progress_is_told_as_it_is_made(self, writer, threads):
        """Whoever confirms to a sender learns each new offset once, and never an older one."""
        told = []
        writer.progress = told.append
        for _ in range(3):
            start(writer.write(b"x" * 10))
            threads.run_all()
        closing = start(writer.close())
        threads.run_all()
        assert (told, result(closing).size) == ([10, 20, 30], 30)

    def test_bytes_that_somebody_else_adds_are_not_ours(self, driver, writer, threads, store):
        """A size that is not what this writer left makes what is known of the path void."""
        start(writer.write(b"abc"))
        threads.run_all()
        closing = start(writer.close())
        threads.step()
        store.append(DATA, 3).append(memoryview(b"d"))
        threads.run_all()
        assert result(closing).size == 3
        commit = start(driver.commit(DATA, "/blob", size=4, digest=sha256(b"abcd")))
        threads.run_all()
        assert result(commit) is None

    def test_batches_keep_order_and_size(self, writer, threads, store):
        """Small writes are stored together, in order, about a batch at a time."""
        pieces = [bytes([n]) * (BATCH // 3) for n in range(5)]
        for piece in pieces:
            start(writer.write(piece))
        stored = []
        while threads.waiting:
            threads.step()
            stored.append(writer.stored // (BATCH // 3))
        assert stored == [1, 4, 5]
        assert store.get(DATA).data == b"".join(pieces)

    def test_write_that_is_cancelled_has_been_taken(self, writer, threads):
        """A caller that goes away while it waits for room leaves its bytes, which are stored."""
        write = start(writer.write(b"x" * WINDOW))
        write.addErrback(lambda failure: failure.trap(CancelledError))
        write.cancel()
        threads.run_all()
        assert (writer.offset, writer.stored) == (WINDOW, WINDOW)

    def test_close_that_is_cancelled_goes_on(self, writer, threads, store):
        """The close happens even if nobody waits for it any more."""
        start(writer.write(b"abc"))
        closing = start(writer.close())
        closing.addErrback(lambda failure: failure.trap(CancelledError))
        closing.cancel()
        threads.run_all()
        assert store.appenders[0].is_closed
        assert store.get(DATA).data == b"abc"

    def test_fence_waits_for_the_thread_at_work(self, driver, writer, threads, store):
        """What a thread is storing is finished and freed before a newer writer opens."""
        start(writer.write(b"first"))
        start(writer.write(b"second"))
        newer = start(driver.open_writer(DATA, 5))
        assert not newer.called
        threads.step()  # first is stored; second was dropped from the queue
        threads.run_all()
        assert result(newer).offset == 5
        assert store.events == [("append", DATA), ("free", DATA)]
        assert isinstance(result(start(writer.write(b"x"))), Fenced)
        assert isinstance(result(start(writer.close())), Fenced)
        assert isinstance(result(start(writer.close())), Fenced)
        assert result(start(writer.abandon())) is None

    def test_write_that_waits_is_woken_by_a_fence(self, driver, writer, threads):
        """A write that waits for room learns at once that the writer was fenced."""
        write = start(writer.write(b"x" * WINDOW))
        newer = start(driver.open_writer(DATA, 0))
        assert isinstance(result(write), Fenced)
        threads.run_all()
        assert result(newer).actual == WINDOW  # the thread at work had taken them all

    def test_writer_that_is_closing_ends_in_peace(self, driver, writer, threads, store):
        """Who comes while a close is under way waits for it, and the close succeeds."""
        start(writer.write(b"abc"))
        closing, newer = start(writer.close()), start(driver.open_writer(DATA, 3))
        threads.run_all()
        assert result(closing).size == 3
        assert result(newer).offset == 3

    def test_write_that_waits_while_somebody_closes_is_stored(self, writer, threads, store):
        """Bytes that were taken before the close are stored by it."""
        write = start(writer.write(b"x" * WINDOW))
        closing = start(writer.close())
        threads.run_all()
        assert result(write) is None
        assert result(closing).size == WINDOW

    def test_abandon_of_two_callers_ends_once(self, writer, threads, store):
        """Repeatable, also at the same time; the appender is freed once."""
        start(writer.write(b"abc"))
        abandons = [start(writer.abandon()) for _ in range(2)]
        threads.run_all()
        assert [result(abandon) for abandon in abandons] == [None, None]
        assert store.events.count(("free", DATA)) == 1

    def test_open_that_is_cancelled_leaves_no_writer(self, driver, threads, store):
        """Who cancels an open leaves nothing open: the writer is abandoned when it comes."""
        opening = start(driver.open_writer(DATA, 0))
        opening.addErrback(lambda failure: failure.trap(CancelledError))
        opening.cancel()
        threads.run_all()
        assert store.appenders[0].is_closed
        assert self.opened(driver, threads).offset == 0

    def test_stale_open_is_judged_by_what_was_confirmed(self, driver, writer, threads):
        """Between what is stored and what was taken an offset may be right; others fence nobody."""
        start(writer.write(b"0123456789"))
        refused = result(start(driver.open_writer(DATA, 11)))
        assert (type(refused), refused.actual) == (WrongOffset, 0)
        threads.run_all()
        refused = result(start(driver.open_writer(DATA, 3)))
        assert (type(refused), refused.actual) == (WrongOffset, 10)
        assert result(start(writer.write(b"more"))) is None


class FailingWriterTests:
    @pytest.fixture
    def driver(self, store):
        return HostedDriver(store, run=run_inline)

    @pytest_twisted.ensureDeferred
    async def test_failed_append_ends_the_writer(self, driver, store):
        """The error is told by write or close, once; then the writer is closed. What is stored goes
        on.
        """
        writer = await driver.open_writer(DATA, 0, algorithms=["sha256"], states=STATES)
        await writer.write(b"good")
        store.faults["append"] = TooLarge("full")
        with pytest.raises(TooLarge):
            await writer.write(b"bad")
        assert store.appenders[0].is_closed
        with pytest.raises(TooLarge):
            await writer.write(b"bad")
        with pytest.raises(TooLarge):
            await writer.close()
        with pytest.raises(Closed):
            await writer.close()
        with pytest.raises(Closed):
            await writer.write(b"x")
        writer = await driver.open_writer(DATA, 4, algorithms=["sha256"], states=STATES)
        await fill(writer, b" again")
        await driver.commit(DATA, "/blob", size=10, digest=sha256(b"good again"))

    def test_failure_that_comes_while_closing_is_the_close_s(self, store, threads):
        """Bytes that can't be stored fail the close; the appender is freed."""
        driver = HostedDriver(store, run=threads)
        opening = start(driver.open_writer(DATA, 0))
        threads.run_all()
        writer = result(opening)
        start(writer.write(b"bad"))
        closing = start(writer.close())
        store.faults["append"] = ZeroDivisionError("a driver author's mistake")
        threads.run_all()
        assert isinstance(result(closing), Internal)
        assert store.appenders[0].is_closed

    def test_failure_while_fenced_is_nobody_s(self, store, threads):
        """A writer that was fenced stays fenced, whatever its last append did."""
        driver = HostedDriver(store, run=threads)
        opening = start(driver.open_writer(DATA, 0))
        threads.run_all()
        writer = result(opening)
        start(writer.write(b"bad"))
        newer = start(driver.open_writer(DATA, 0))
        store.faults["append"] = TooLarge("full")
        threads.run_all()
        assert result(newer).offset == 0
        assert isinstance(result(start(writer.close())), Fenced)

    @pytest_twisted.ensureDeferred
    async def test_failed_sync_fails_the_close_and_saves_no_state(self, driver, store):
        """A state promises synced bytes: without the sync there is none."""
        writer = await driver.open_writer(DATA, 0, algorithms=["sha256"], states=STATES)
        await writer.write(b"abc")
        store.faults["sync"] = Corrupt("the disk is dying")
        with pytest.raises(Corrupt):
            await writer.close()
        assert store.appenders[0].is_closed
        with pytest.raises(Missing):
            store.list(STATES, "", 10)

    @pytest_twisted.ensureDeferred
    async def test_failed_state_costs_nothing(self, driver, store):
        """A state that can't be kept is left out: the bytes are stored, and hashed again if need
        be.
        """
        store.faults["put"] = NoSpace("full")
        writer = await driver.open_writer(DATA, 0, algorithms=["sha256"], states=STATES)
        closing = await fill(writer, b"abc")
        assert closing.digests["sha256"] == sha256(b"abc")[7:]
        await driver.commit(DATA, "/blob", size=3, digest=sha256(b"abc"))

    @pytest_twisted.ensureDeferred
    async def test_failed_free_is_told_to_whoever_closes(self, driver, store):
        """What a network file system reports at close reaches the caller; an abandon has none."""
        writer = await driver.open_writer(DATA, 0)
        await writer.write(b"abc")
        store.faults["free"] = TooLarge("full")
        with pytest.raises(TooLarge):
            await writer.close()
        writer = await driver.open_writer(DATA, 3)
        store.faults["free"] = TooLarge("full")
        await writer.abandon()
        assert (await driver.open_writer(DATA, 3)).offset == 3


class StateTests:
    @pytest.fixture
    def driver(self, store):
        return HostedDriver(store, run=run_inline, checkpoint=1000)

    @staticmethod
    def saved(store, algorithm="sha256"):
        return sorted(
            int(child.name) for child in store.list(f"{STATES}/{algorithm}", "", 1000).children
        )

    @pytest_twisted.ensureDeferred
    async def test_bytes_are_synced_before_their_state(self, driver, store):
        """Append, sync, state: in that order, at checkpoints and at close."""
        writer = await driver.open_writer(DATA, 0, algorithms=["sha256"], states=STATES)
        await writer.write(b"x" * 1000)
        await writer.write(b"y" * 10)
        await writer.close()
        assert store.events == [
            ("append", DATA),
            ("sync", DATA),
            ("put", f"{STATES}/sha256/1000"),
            ("append", DATA),
            ("sync", DATA),
            ("put", f"{STATES}/sha256/1010"),
            ("free", DATA),
        ]

    @pytest_twisted.ensureDeferred
    async def test_no_state_no_sync(self, driver, store):
        """A writer without states syncs nothing: a commit will."""
        await fill(await driver.open_writer(DATA, 0, algorithms=["sha256"]), b"x" * 5000)
        assert ("sync", DATA) not in store.events

    @pytest_twisted.ensureDeferred
    async def test_nothing_new_saves_nothing(self, driver, store):
        """An upload that is opened and closed at its end costs no sync; nor does an empty one a
        state.
        """
        await fill(await driver.open_writer(DATA, 0, algorithms=["sha256"], states=STATES), b"abc")
        events = len(store.events)
        await (await driver.open_writer(DATA, 3, algorithms=["sha256"], states=STATES)).close()
        assert store.events[events:] == [("free", DATA)]
        await (
            await driver.open_writer("/e/data", 0, algorithms=["sha256"], states="/e/states")
        ).close()
        with pytest.raises(Missing):
            store.list("/e/states", "", 10)

    @pytest_twisted.ensureDeferred
    async def test_superseded_states_go_after_the_newer_is_there(self, driver, store):
        """Old states are removed in bulk, after a newer one is durable; another digest's stay."""
        store.put(f"{STATES}/sha256/notes", b"", if_absent=False, if_version=None)
        for offset in range(12):
            writer = await driver.open_writer(DATA, offset, algorithms=["sha256"], states=STATES)
            await fill(writer, b"x")
        kept = [child.name for child in store.list(f"{STATES}/sha256", "", 99).children]
        assert kept == ["10", "11", "12", "9", "notes"]
        deletes = [index for index, event in enumerate(store.events) if event[0] == "delete"]
        newest = store.events.index(("put", f"{STATES}/sha256/9"))
        assert newest < deletes[0]

    @pytest_twisted.ensureDeferred
    async def test_superseded_state_that_is_gone_already_is_no_matter(self, driver, store):
        """Somebody else may have removed the upload's states."""
        for offset in range(8):
            writer = await driver.open_writer(DATA, offset, algorithms=["sha256"], states=STATES)
            await fill(writer, b"x")
        store.delete(f"{STATES}/sha256/3", if_version=None)
        await fill(await driver.open_writer(DATA, 8, algorithms=["sha256"], states=STATES), b"x")
        assert self.saved(store) == [9]

    @pytest_twisted.ensureDeferred
    async def test_newest_good_state_below_the_end_is_used(self, driver, store):
        """After a crash between checkpoints only the rest is hashed again."""
        await fill(
            await driver.open_writer(DATA, 0, algorithms=["sha256"], states=STATES), b"x" * 2000
        )
        appender = store.append(DATA, 2000)
        appender.append(memoryview(b"y" * 500))
        store.put(f"{STATES}/sha256/2100", b"junk", if_absent=False, if_version=None)
        store.put(f"{STATES}/sha256/9000", b"beyond", if_absent=False, if_version=None)
        hashed = []
        store.open, opened = lambda path, at: hashed.append(at) or opened(path, at), store.open
        fresh = HostedDriver(store, run=run_inline)
        writer = await fresh.open_writer(DATA, 2500, algorithms=["sha256"], states=STATES)
        closing = await writer.close()
        assert hashed == [2000]
        assert closing.digests["sha256"] == sha256(b"x" * 2000 + b"y" * 500)[7:]
        assert self.saved(store) == [2000, 2100, 2500]

    @pytest_twisted.ensureDeferred
    async def test_driver_that_dies_between_checkpoints_gets_on(self, store):
        """However short its lives are, the next one has less than a checkpoint to hash."""
        hashed = []
        store.open, opened = lambda path, at: hashed.append(at) or opened(path, at), store.open
        for offset in range(0, 4000, 400):
            fresh = HostedDriver(store, run=run_inline, checkpoint=1000)
            writer = await fresh.open_writer(DATA, offset, algorithms=["sha256"], states=STATES)
            await writer.write(b"x" * 400)  # and no close
        # One life in a few gets as far as a checkpoint, and the next goes on from there.
        assert self.saved(store) == [1200, 2400, 3600]
        assert hashed == [0, 0, 1200, 1200, 2400, 2400]

    @pytest_twisted.ensureDeferred
    async def test_states_of_many_pages_are_surveyed(self, driver, store):
        """A directory with thousands of foreign states is read page by page."""
        state = RunningHash("sha256")
        for offset in range(1, 1501):
            state.update(b"x")
            store.put(f"{STATES}/sha256/{offset}", state.export(), if_absent=False, if_version=None)
        store.append(DATA, 0).append(memoryview(b"x" * 1499))
        writer = await driver.open_writer(DATA, 1499, algorithms=["sha256"], states=STATES)
        closing = await fill(writer, b"y")
        assert closing.digests["sha256"] == sha256(b"x" * 1499 + b"y")[7:]

    @pytest_twisted.ensureDeferred
    async def test_states_move_with_the_caller(self, driver, store):
        """Another place for states, or none, holds from the next writer on."""
        await fill(await driver.open_writer(DATA, 0, algorithms=["sha256"], states=STATES), b"a")
        await fill(await driver.open_writer(DATA, 1, algorithms=["sha256"]), b"b")
        await fill(await driver.open_writer(DATA, 2, algorithms=["sha256"], states="/other"), b"c")
        assert self.saved(store) == [1]
        assert [child.name for child in store.list("/other/sha256", "", 9).children] == ["3"]

    @pytest_twisted.ensureDeferred
    async def test_second_digest_may_join_later(self, driver, store):
        """A digest that is asked for in a later session catches up with the stored bytes."""
        await fill(await driver.open_writer(DATA, 0, algorithms=["sha256"], states=STATES), b"abc")
        writer = await driver.open_writer(DATA, 3, algorithms=["sha256", "sha512"], states=STATES)
        closing = await fill(writer, b"def")
        running = RunningHash("sha512")
        running.update(b"abcdef")
        assert closing.digests["sha512"] == running.hexdigest()
        assert self.saved(store, "sha512") == [6]

    @pytest_twisted.ensureDeferred
    async def test_system_without_states_still_commits(self, driver, store, monkeypatch):
        """Where only hashlib computes no state is kept, and stored bytes are hashed after a
        restart.
        """
        monkeypatch.setattr("txregistry.storage.hashes._library", lambda: None)
        await fill(await driver.open_writer(DATA, 0, algorithms=["sha256"], states=STATES), b"abc")
        with pytest.raises(Missing):
            store.list(STATES, "", 10)
        fresh = HostedDriver(store, run=run_inline)
        await fill(await fresh.open_writer(DATA, 3, algorithms=["sha256"], states=STATES), b"def")
        await fresh.commit(DATA, "/blob", size=6, digest=sha256(b"abcdef"))


class TrailingDigestTests:
    """Uploads whose digest has to catch up with what is stored."""

    SIZE = 50 * 1024 * 1024

    @pytest.fixture
    def driver(self, store, threads):
        store.append(DATA, 0).append(memoryview(noise(self.SIZE)))
        return HostedDriver(store, run=threads, checkpoint=1024 * 1024)

    @staticmethod
    def opened(driver, threads, store):
        """Opened without waiting for the digest: the first reads of stored bytes are still held."""
        opening = start(driver.open_writer(DATA, TrailingDigestTests.SIZE, algorithms=["sha256"]))
        threads.step()
        return result(opening)

    def test_writer_opens_and_closes_without_waiting(self, driver, threads, store):
        """Appending goes on beside the hashing; a close does not wait for what takes long."""
        writer = self.opened(driver, threads, store)
        start(writer.write(b"abc"))
        closing = start(writer.close())
        threads.waiting.rotate(-1)  # the append comes before the first read
        while not closing.called:
            threads.step()
        assert result(closing).digests == {}
        assert store.stat(DATA).size == self.SIZE + 3

    def test_commit_waits_for_the_hashing(self, driver, threads, store):
        """Whoever commits meanwhile gets the right answer, when it is known."""
        writer = self.opened(driver, threads, store)
        start(writer.write(b"abc"))
        start(writer.close())
        whole = sha256(noise(self.SIZE) + b"abc")
        commit = start(driver.commit(DATA, "/blob", size=self.SIZE + 3, digest=whole))
        threads.run_all()
        assert result(commit) is None
        assert store.stat("/blob").size == self.SIZE + 3

    def test_unreadable_bytes_fail_only_the_commit(self, driver, threads, store):
        """Stored bytes that can't be read for the moment cost nothing until somebody commits."""
        store.faults["open"] = Corrupt("unreadable")
        writer = self.opened(driver, threads, store)
        start(writer.write(b"abc"))
        closing = start(writer.close())
        threads.run_all()
        assert result(closing).size == self.SIZE + 3
        whole = sha256(noise(self.SIZE) + b"abc")
        for fault, outcome in ((Corrupt("still"), Corrupt), (None, type(None))):
            if fault is not None:
                store.faults["open"] = fault
            commit = start(driver.commit(DATA, "/blob", size=self.SIZE + 3, digest=whole))
            threads.run_all()
            assert isinstance(result(commit), outcome)

    def test_hashing_follows_bytes_that_come_meanwhile(self, driver, threads, store):
        """The goal moves with the upload; nothing is hashed twice or left out."""
        writer = self.opened(driver, threads, store)
        for n in range(20):
            start(writer.write(b"%d" % n * 1000))
            threads.step()
        threads.run_all()
        closing = start(writer.close())
        threads.run_all()
        tail = b"".join(b"%d" % n * 1000 for n in range(20))
        assert result(closing).digests["sha256"] == sha256(noise(self.SIZE) + tail)[7:]


def test_window_is_two_batches():
    """While a thread stores one half, the other half arrives."""
    assert WINDOW == 2 * BATCH
