# SPDX-License-Identifier: Apache-2.0
"""A driver made of a store: what it checks, remembers, lets finish and turns into its own words."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs, globalLogPublisher

from txregistry.storage import errors, hosted
from txregistry.storage.blocking import Bell, guarded, run_inline, shielded
from txregistry.storage.contract import CONTENT_LIMIT, Content, Driver, Reading, Store, Writer
from txregistry.storage.digesting import RunningDigests
from txregistry.storage.errors import (
    CODES,
    Closed,
    Corrupt,
    Fenced,
    Internal,
    InvalidPath,
    Mismatch,
    Missing,
    StorageError,
    TooLarge,
    Unavailable,
)
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore
from txregistry.storage.suite.case import fill, sha256, sha512, stage
from txregistry.storage.turns import Turns
from txregistry.storage.walking import walk_page

from .doubles import RecordingStore, Threads
from .test_writing import result, start


@pytest.fixture
def store():
    return RecordingStore()


@pytest.fixture
def threads():
    return Threads()


class HostedDriverTests:
    @pytest.fixture
    def driver(self, store):
        return HostedDriver(store, run=run_inline)

    @pytest_twisted.ensureDeferred
    async def test_what_it_gives_is_of_the_contract(self, driver, store):
        """Drivers, writers and reads are what the contract says they are."""
        as_driver: Driver = driver
        as_store: Store = store
        assert (as_driver.name, as_store.name) == ("memory", "memory")
        await driver.put("/a", b"x")
        assert isinstance(await driver.read("/a"), Reading)
        assert isinstance(await driver.open_writer("/w", 0), Writer)

    @pytest_twisted.ensureDeferred
    async def test_a_store_s_own_mistake_is_internal(self, driver, store):
        """Nothing but the contract's errors leaves a driver, whatever its author did."""
        store.faults["put"] = KeyError("oops")
        with capturedLogs() as events, pytest.raises(Internal, match="KeyError: 'oops'") as caught:
            await driver.put("/a", b"x")
        assert isinstance(caught.value.__cause__, KeyError)
        (event,) = events  # its author finds the traceback in the driver's log
        assert event["log_failure"].check(KeyError)

    @pytest_twisted.ensureDeferred
    async def test_a_store_that_gives_too_much_is_cut(self, driver, store):
        """The limit holds even if a store forgets it."""
        store.get = lambda path: Content(b"x" * (CONTENT_LIMIT + 1), "1")
        with pytest.raises(TooLarge):
            await driver.get("/a")

    @pytest_twisted.ensureDeferred
    async def test_pages_have_at_least_one_name(self, driver):
        """A limit of nothing is taken for one: a caller that loops makes progress."""
        await driver.put("/a/b", b"x")
        assert len((await driver.list("/a", limit=0)).children) == 1
        assert len((await driver.walk("/a", limit=-5)).entries) == 1

    @pytest_twisted.ensureDeferred
    async def test_put_takes_the_path_from_a_writer(self, driver):
        """Content that is put in place of an upload is what is there afterwards."""
        writer = await driver.open_writer("/a", 0)
        await driver.put("/a", b"put")
        with pytest.raises(Fenced):
            await writer.write(b"more")
        assert (await driver.get("/a")).data == b"put"

    @pytest_twisted.ensureDeferred
    async def test_refused_changes_fence_nobody(self, driver):
        """A delete of another version, and a move of nothing, leave a writer alone."""
        writer = await driver.open_writer("/a", 0)
        with pytest.raises(StorageError):
            await driver.delete("/a", if_version="another")
        with pytest.raises(Missing):
            await driver.move("/nothing", "/a")
        await writer.write(b"still mine")
        assert (await writer.close()).size == 10

    @pytest_twisted.ensureDeferred
    async def test_conditional_delete_fences(self, driver):
        """A delete that succeeds takes the path, conditional or not."""
        writer = await driver.open_writer("/a", 0)
        version = (await driver.stat("/a")).version
        await driver.delete("/a", if_version=version)
        with pytest.raises(Fenced):
            await writer.write(b"x")

    @pytest_twisted.ensureDeferred
    async def test_known_digest_is_not_computed_again(self, driver, store):
        """A commit straight after its upload reads nothing."""
        await fill(await driver.open_writer("/u", 0, algorithms=["sha256"]), b"abc")
        await driver.commit("/u", "/blob", size=3, digest=sha256(b"abc"))
        await driver.commit("/u", "/blob", size=3, digest=sha256(b"abc"))
        with pytest.raises(Mismatch):
            await driver.commit("/u", "/blob", size=3, digest=sha256(b"other"))
        assert not [event for event in store.events if event[0] == "open"]

    @pytest_twisted.ensureDeferred
    async def test_bytes_that_somebody_else_wrote_are_hashed(self, driver, store):
        """What this process remembers of a path counts only while nobody else has touched it."""
        await fill(await driver.open_writer("/u", 0, algorithms=["sha256"]), b"abc")
        store.put("/u", b"xyz", if_absent=False, if_version=None)
        with pytest.raises(Mismatch):
            await driver.commit("/u", "/blob", size=3, digest=sha256(b"abc"))
        await driver.commit("/u", "/blob", size=3, digest=sha256(b"xyz"))
        store.put("/u", b"123", if_absent=False, if_version=None)
        closing = await fill(await driver.open_writer("/u", 3, algorithms=["sha256"]), b"4")
        assert closing.digests["sha256"] == sha256(b"1234")[7:]

    @pytest_twisted.ensureDeferred
    async def test_mismatch_through_a_state_is_confirmed_by_a_full_hash(self, driver, store):
        """A bad state makes nobody lose an upload: the bytes themselves decide."""
        await fill(
            await driver.open_writer("/other", 0, algorithms=["sha256"], states="/s"), b"lie"
        )
        store.append("/u", 0).append(memoryview(b"abc"))
        writer = await driver.open_writer("/u", 3, algorithms=["sha256"], states="/s")
        closing = await fill(writer, b"def")
        assert closing.digests["sha256"] == sha256(b"liedef")[7:]
        store.events.clear()
        await driver.commit("/u", "/blob", size=6, digest=sha256(b"abcdef"))
        assert store.events == [("open", "/u"), ("publish", "/blob")]
        with pytest.raises(Mismatch):
            await driver.commit("/u", "/blob", size=6, digest=sha256(b"liedef"))

    @pytest_twisted.ensureDeferred
    async def test_commit_after_a_restart_goes_on_from_the_state(self, driver, store):
        """A driver that dies at the end of a hundred gigabytes does not hash them again."""
        await fill(await driver.open_writer("/u", 0, algorithms=["sha256"], states="/s"), b"abc")
        later = HostedDriver(store, run=run_inline)
        store.events.clear()
        digest = sha256(b"abc")
        await later.commit("/u", "/blob", size=3, digest=digest, states="/s")
        assert store.events == [("publish", "/blob")]
        store.put("/s/sha256/3", b"junk", if_absent=False, if_version=None)
        store.events.clear()
        await HostedDriver(store, run=run_inline).commit(
            "/u", "/blob", size=3, digest=digest, states="/s"
        )
        assert store.events == [("open", "/u"), ("publish", "/blob")]
        with pytest.raises(InvalidPath):
            await later.commit("/u", "/blob", size=3, digest=digest, states="s")

    @pytest_twisted.ensureDeferred
    async def test_state_that_lies_to_a_commit_is_found_out(self, driver, store):
        """Neither are right bytes refused, nor wrong ones published."""
        await fill(
            await driver.open_writer("/other", 0, algorithms=["sha256"], states="/s"), b"lie"
        )
        store.append("/u", 0).append(memoryview(b"abc"))
        store.events.clear()
        await driver.commit("/u", "/blob", size=3, digest=sha256(b"abc"), states="/s")
        assert store.events == [("open", "/u"), ("publish", "/blob")]

    @pytest_twisted.ensureDeferred
    async def test_digest_that_went_too_far_is_no_answer(self, driver, store):
        """A digest of more than what is staged verifies nothing; a repetition will."""
        await fill(await driver.open_writer("/u", 0, algorithms=["sha256"]), b"abc")
        driver._staged["/u"].digests.feed(3, b"more")
        with pytest.raises(Unavailable):
            await driver.commit("/u", "/blob", size=3, digest=sha256(b"abc"))
        await driver.commit("/u", "/blob", size=3, digest=sha256(b"abc"))

    @pytest_twisted.ensureDeferred
    async def test_memory_of_uploads_is_bounded(self, driver, store, monkeypatch):
        """What is forgotten costs a hashing, not a failure."""
        monkeypatch.setattr(hosted, "_REMEMBERED", 2)
        for name in "abc":
            await fill(await driver.open_writer(f"/{name}", 0, algorithms=["sha256"]), b"x")
        for name in "abc":
            await driver.commit(f"/{name}", "/blob", size=1, digest=sha256(b"x"))
        assert ("open", "/a") in store.events

    @pytest_twisted.ensureDeferred
    async def test_closing_ends_writers_and_then_the_store(self, driver, store):
        """What was confirmed is stored when a driver ends."""
        writers = [await driver.open_writer(f"/u{n}", 0) for n in range(3)]
        for writer in writers:
            await writer.write(b"abc")
        await driver.aclose()
        assert all(appender.is_closed for appender in store.appenders)
        assert store.events[-1] == ("close", "")

    @pytest_twisted.ensureDeferred
    async def test_appender_is_freed_when_the_digests_can_t_be_found(self, driver, store):
        """An open that fails half-way leaves nothing open."""

        def broken(path, after, limit):
            raise Internal("no listing")

        store.list = broken
        with pytest.raises(Internal):
            await driver.open_writer("/u", 0, algorithms=["sha256"], states="/s")
        assert store.appenders[0].is_closed

    def test_every_error_has_a_row_of_its_own(self):
        """The table is the whole of what may leave a driver."""
        assert {
            cls.code: cls
            for cls in StorageError.__subclasses__()
            if cls.__module__ == errors.__name__
        } == CODES
        for code, cls in CODES.items():
            assert str(cls(path="/p")).endswith("(/p)")
            assert cls("why").message == "why"
            assert cls.code == code
            assert cls().message


class CancelledCallTests:
    """Calls whose caller goes away; threads move only when told."""

    @pytest.fixture
    def driver(self, store, threads):
        return HostedDriver(store, run=threads)

    @staticmethod
    def cancelled(call):
        deferred = start(call)
        deferred.addErrback(lambda failure: failure.trap(CancelledError))
        deferred.cancel()
        assert deferred.called

    def test_commit_goes_on_to_its_end(self, driver, store, threads):
        """A commit whose caller goes away is done all the same, and then the path is free."""
        staging = start(stage(driver, "/u/data", b"abc"))
        threads.run_all()
        result(staging)
        self.cancelled(driver.commit("/u/data", "/blob", size=3, digest=sha256(b"abc")))
        deleting = start(driver.delete("/u"))
        threads.step()
        assert not deleting.called
        threads.run_all()
        assert result(deleting) is None
        assert store.get("/blob").data == b"abc"
        assert store.events[-2:] == [("publish", "/blob"), ("delete", "/u")]

    def test_read_that_nobody_wants_is_freed(self, driver, store, threads):
        """No descriptor is left behind by a caller that went away."""
        closed = []

        class Content:
            size = 3

            def read(self, limit):
                return b"abc"

            def close(self):
                closed.append(True)

        store.open = lambda path, at: Content()
        self.cancelled(driver.read("/a"))
        threads.run_all()
        assert closed == [True]

    def test_refusal_that_nobody_wants_is_silent(self, driver, store, threads, logged):
        """An expected refusal concerns only its caller; of a mistake in a store its author is told,
        once.
        """
        self.cancelled(driver.delete("/nothing"))
        threads.run_all()
        assert logged == []
        store.faults["delete"] = ZeroDivisionError()
        self.cancelled(driver.delete("/nothing"))
        threads.run_all()
        assert [event["log_failure"].type for event in logged] == [ZeroDivisionError]

    def test_mistake_of_ours_that_nobody_wants_is_logged(self, logged):
        """A failure is raised or logged, never lost."""
        held = Deferred()

        async def work():
            await held
            raise ZeroDivisionError

        waiting = shielded(work())
        waiting.addErrback(lambda failure: failure.trap(CancelledError))
        waiting.cancel()
        held.callback(None)
        assert [event["log_failure"].type for event in logged] == [ZeroDivisionError]

    def test_result_that_nobody_wants_is_dropped(self, logged):
        """Not every result has to be freed."""
        held = Deferred()

        async def work():
            return await held

        waiting = shielded(work())
        waiting.addErrback(lambda failure: failure.trap(CancelledError))
        waiting.cancel()
        held.callback("unwanted")
        assert logged == []

    @pytest.fixture
    def logged(self):
        events = []

        def observe(event):
            if event.get("log_namespace", "").startswith("txregistry"):
                events.append(event)

        globalLogPublisher.addObserver(observe)
        yield events
        globalLogPublisher.removeObserver(observe)


class TurnsTests:
    def test_turns_on_different_paths_do_not_wait(self):
        """Uploads do not stand in each other's way; a name that only begins alike is another."""
        turns = Turns()
        turns_taken = [start(turns.of(path).__aenter__()) for path in ("/u/1", "/u/2", "/u/1x")]
        assert all(turn.called for turn in turns_taken)

    def test_turns_on_related_paths_come_in_order(self):
        """The same path, one above and one below wait for each other, first come first served."""
        turns, order, gates = Turns(), [], {}

        async def work(name, *paths):
            async with turns.of(*paths):
                order.append(name)
                gates[name] = Deferred()
                await gates[name]

        start(work("first", "/u/1/data"))
        start(work("above", "/u/1"))
        start(work("below", "/u/1/data", "/b"))
        start(work("other", "/u/2"))
        start(work("waits for below", "/b"))
        assert order == ["first", "other"]
        gates["first"].callback(None)
        gates["above"].callback(None)
        gates["below"].callback(None)
        assert order == ["first", "other", "above", "below", "waits for below"]

    def test_turn_that_is_given_up_is_nobody_s(self):
        """Who is cancelled while waiting leaves the line."""
        turns = Turns()
        held = turns.of("/a")
        result(start(held.__aenter__()))
        waiting = start(turns.of("/a").__aenter__())
        waiting.addErrback(lambda failure: failure.trap(CancelledError))
        waiting.cancel()
        result(start(held.__aexit__(None, None, None)))
        assert turns.line == []
        assert start(turns.of("/a").__aenter__()).called


def test_bell_wakes_only_who_still_waits():
    """A waiter that was cancelled is passed over."""
    bell = Bell()
    first, second = bell.rung(), bell.rung()
    first.addErrback(lambda failure: failure.trap(CancelledError))
    first.cancel()
    bell.ring()
    assert second.called


def test_guard_passes_refusals_through():
    """A store's own refusals are the contract's."""

    def refuse():
        raise InvalidPath("no")

    assert isinstance(result(start(_awaited(guarded(run_inline)(refuse)))), InvalidPath)


async def _awaited(awaitable):
    return await awaitable


class HostedReadingTests:
    @pytest.fixture
    def driver(self, store, threads):
        store.put("/a", b"x" * 600_000, if_absent=False, if_version=None)
        return HostedDriver(store, run=threads)

    def opened(self, driver, threads):
        opening = start(driver.read("/a"))
        threads.run_all()
        return result(opening)

    def test_close_waits_for_the_thread_at_work(self, driver, threads):
        """What a thread is reading from is freed only when it is back."""
        reading = self.opened(driver, threads)
        piece = start(reading.__anext__())
        result(start(reading.aclose()))
        assert len(threads.waiting) == 1
        threads.run_all()
        assert len(result(piece)) > 0
        assert isinstance(result(start(reading.__anext__())), Closed)
        assert result(start(reading.aclose())) is None

    def test_one_piece_at_a_time(self, driver, threads):
        """Two at once would mix the order."""
        reading = self.opened(driver, threads)
        piece = start(reading.__anext__())
        assert isinstance(result(start(reading.__anext__())), Closed)
        threads.run_all()
        assert result(piece)

    def test_piece_that_nobody_took_ends_the_read(self, driver, threads):
        """A reader that goes on after a cancelled piece is told, and never gets bytes with a
        gap.
        """
        reading = self.opened(driver, threads)
        piece = start(reading.__anext__())
        piece.addErrback(lambda failure: failure.trap(CancelledError))
        piece.cancel()
        threads.run_all()
        assert isinstance(result(start(reading.__anext__())), Closed)

    def test_cancelled_piece_is_accounted_for(self, driver, threads):
        """A reader that goes away while a thread reads leaves nothing open."""
        reading = self.opened(driver, threads)
        piece = start(reading.__anext__())
        piece.addErrback(lambda failure: failure.trap(CancelledError))
        piece.cancel()
        result(start(reading.aclose()))
        threads.run_all()
        assert not threads.waiting


@pytest_twisted.ensureDeferred
async def test_memory_appender_takes_nothing_after_its_end():
    """An appender that was closed is closed; closing again is no error."""
    appender = MemoryStore().append("/a", 0)
    assert (appender.append(memoryview(b"abc")), appender.sync(), appender.close()) == (3, 3, 3)
    assert appender.close() == 3
    with pytest.raises(Closed):
        appender.append(memoryview(b"d"))


class GetSeveralTests:
    @pytest_twisted.ensureDeferred
    async def test_mistakes_and_excess_stand_in_their_place(self, store):
        """One bad content among several does not cost the others."""
        driver = HostedDriver(store, run=run_inline)
        store.put("/a", b"x", if_absent=False, if_version=None)
        get = store.get

        def some(path):
            if path == "/broken":
                raise KeyError("oops")
            return Content(b"x" * (CONTENT_LIMIT + 1), "1") if path == "/large" else get(path)

        store.get = some
        found = await driver.get_several(["/broken", "/large", "/a"])
        assert [type(one) for one in found] == [Internal, TooLarge, Content]

    def test_contents_that_are_far_are_fetched_side_by_side(self, store, threads):
        """Over a network several take no longer than one; nearby they cost one thread."""
        for path in ("/a", "/b"):
            store.put(path, path.encode(), if_absent=False, if_version=None)
        for is_far, calls in ((True, 3), (False, 1)):
            store.needs_network = is_far
            driver = HostedDriver(store, run=threads)
            found = start(driver.get_several(["/a", "/missing", "/b"]))
            assert len(threads.waiting) == calls
            threads.run_all()
            told = [getattr(one, "data", type(one)) for one in result(found)]
            assert told == [b"/a", Missing, b"/b"]


class DigestingTests:
    def test_catching_up_with_nothing_to_do_reads_nothing(self, store):
        """A digest that covers everything, or has seen more, asks for no bytes."""
        digests = RunningDigests(store, "/nowhere")
        digests.compute_also("sha256")
        assert digests.catch_up(0) == 0
        digests.compute_also("sha256")
        assert digests.at(0) == {"sha256": sha256(b"")[7:]}

    def test_state_that_can_t_be_read_is_passed_over(self, store):
        """A state that vanishes or is unreadable costs a hashing and no more."""
        store.put("/s/sha256/3", b"", if_absent=False, if_version=None)
        store.get = lambda path: (_ for _ in ()).throw(Corrupt("unreadable"))
        digests = RunningDigests(store, "/u")
        digests.compute(["sha256"], "/s", 3)
        assert (digests.lag(3), digests.is_restored) == (3, False)

    def test_digests_at_different_places_share_one_reading(self, store):
        """Two digests that trail by different lengths both arrive."""
        store.append("/u", 0).append(memoryview(b"0123456789"))
        digests = RunningDigests(store, "/u")
        digests.compute(["sha256"], None, 0)
        digests.feed(0, b"0123")
        digests.compute_also("sha512")
        assert digests.catch_up(10) == 0
        assert digests.at(10) == {
            "sha256": sha256(b"0123456789")[7:],
            "sha512": sha512(b"0123456789")[7:],
        }


class WalkingTests:
    def test_what_vanishes_during_a_walk_is_left_out(self, store):
        """A name that was listed and is gone by now is no error."""
        for path in ("/a/1", "/b/2", "/c/3"):
            store.put(path, b"", if_absent=False, if_version=None)
        stat = store.stat

        def vanishing(path):
            if path == "/b":
                raise Missing(path=path)
            return stat(path)

        store.stat = vanishing
        walk = walk_page(store, "/", "", skip_subtree=False, limit=10)
        assert [entry.path for entry in walk.entries] == ["/a", "/a/1", "/c", "/c/3"]

    def test_directories_of_many_pages_are_walked_through(self, store):
        """A directory larger than a page of the store comes whole."""
        for n in range(2500):
            store.put(f"/d/{n:04}", b"", if_absent=False, if_version=None)
        walk = walk_page(store, "/d", "/d/0100", skip_subtree=False, limit=5000)
        assert [entry.path for entry in walk.entries] == [f"/d/{n:04}" for n in range(101, 2500)]


class MemoryStoreTests:
    def test_a_directory_is_no_file(self):
        """Nothing is written or published in place of a directory."""
        store = MemoryStore()
        store.put("/d/file", b"x", if_absent=False, if_version=None)
        with pytest.raises(InvalidPath):
            store.put("/d", b"x", if_absent=False, if_version=None)
        with pytest.raises(InvalidPath):
            store.append("/d", 0)
        with pytest.raises(InvalidPath):
            store.publish("/d/file", "/d", 1)
        with pytest.raises(Mismatch):
            store.publish("/d/file", "/blob", 2)
