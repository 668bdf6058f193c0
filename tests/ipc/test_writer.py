# SPDX-License-Identifier: Apache-2.0
"""An upload goes on through the death of the driver it is written to, or says why it can't."""

from __future__ import annotations

import hashlib
import os

import pytest
import pytest_twisted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from txregistry.ipc.attempts import POISON_DEATHS, GivenUp
from txregistry.ipc.budget import ReplayBudget
from txregistry.ipc.deadlines import Deadlines
from txregistry.ipc.responder import WRITER_WINDOW
from txregistry.ipc.writer import WINDOW
from txregistry.storage.errors import (
    Closed,
    Fenced,
    Internal,
    InvalidPath,
    NoSpace,
    StorageError,
    Throttled,
    Unavailable,
    WrongOffset,
)
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

from ..census import turns, until
from .loopback import Loopback, RawLoopback, hosting, over

MIB = 1024 * 1024

#: More than may wait for a confirmation.
FULL = 2 * WRITER_WINDOW + MIB


class Store(MemoryStore):
    """Storage that outlives its driver.

    Attributes:
        full_at: bytes after which appending is refused with ``reason``.
        held: while set, bytes are taken and not stored, as the part of an object store.
        appends: called with the size before each append.
    """

    def __init__(self):
        super().__init__()
        self.full_at = None
        self.reason = NoSpace("the disk is full")
        self.is_holding = False
        self.when_appending = lambda size: None

    def append(self, path, offset):
        return _Appender(self, super().append(path, offset), offset)


class _Appender:
    def __init__(self, store, appender, offset):
        self._store = store
        self._appender = appender
        self._stored = offset
        self._held = []

    def append(self, data):
        self._store.when_appending(self._stored)
        if self._store.full_at is not None and self._stored + len(data) > self._store.full_at:
            raise self._store.reason
        if self._store.is_holding:
            self._held.append(bytes(data))
            return self._stored
        self._flush()
        self._stored = self._appender.append(data)
        return self._stored

    def _flush(self):
        for data in self._held:
            self._stored = self._appender.append(memoryview(data))
        self._held.clear()

    def sync(self):
        self._flush()
        return self._appender.sync()

    def close(self):
        self._flush()
        return self._appender.close()


class House:
    """A driver over a store, and the store."""

    def __init__(self, budget=None, clock=None):
        self.store = Store()
        self.budget = budget or ReplayBudget()
        more = {} if clock is None else {"clock": clock}
        self.loopback = Loopback(hosting(self.store), **more)
        self.driver = over(self.loopback, budget=self.budget)

    async def open(self, path="/u/data", offset=0, **more):
        return await self.driver.open_writer(path, offset, **more)

    def stored(self, path="/u/data"):
        return self.store.get(path).data

    def die(self, *_):
        """The driver is killed in the middle of a call."""
        self.loopback.kill()
        raise Unavailable("killed")

    async def end(self):
        await self.loopback.end()
        assert self.budget.used == 0


@pytest_twisted.async_yield_fixture
async def house():
    house = House()
    yield house
    await house.end()


async def refusal_of(awaitable):
    with pytest.raises(StorageError) as caught:
        await awaitable
    return caught.value


def start(coroutine):
    return Deferred.fromCoroutine(coroutine)


class WritingTests:
    @pytest_twisted.ensureDeferred
    async def test_confirmations_are_told(self, house):
        """Whoever writes learns what is stored, which never goes back."""
        writer = await house.open()
        told = []
        writer.progress = told.append
        for _ in range(20):
            await writer.write(b"x" * 100_000)
        closing = await writer.close()
        assert closing.size == writer.stored == told[-1] == 2_000_000
        assert told == sorted(set(told))

    @pytest_twisted.ensureDeferred
    async def test_window_is_what_may_wait(self, house):
        """A driver that stores nothing stops the client's reading, not before and not much later."""
        house.store.is_holding = True
        writer = await house.open()
        writing = None
        for _ in range(30):
            writing = start(writer.write(b"x" * MIB))
            await turns(30)
            if not writing.called:
                break
        assert WINDOW < writer.offset <= FULL
        assert house.budget.used == writer.offset
        house.store.is_holding = False
        await writer.abandon()
        assert isinstance(await refusal_of(writing), Closed)

    @pytest_twisted.ensureDeferred
    async def test_states_and_digests_are_the_drivers(self, house):
        """What is asked for comes back, and the states are where they were wanted."""
        writer = await house.open(algorithms=("sha256", "sha512"), states="/u/hashstates")
        await writer.write(b"data")
        closing = await writer.close()
        assert closing.digests == {
            name: hashlib.new(name, b"data").hexdigest() for name in ("sha256", "sha512")
        }
        assert {child.name for child in (await house.driver.list("/u/hashstates")).children} == {
            "sha256",
            "sha512",
        }

    @pytest_twisted.ensureDeferred
    async def test_wrong_offset_is_the_callers_affair(self, house):
        """At the first opening the true size is told, not adopted."""
        await house.driver.put("/u/data", b"12345")
        refusal = await refusal_of(house.open(offset=3))
        assert isinstance(refusal, WrongOffset)
        assert refusal.actual == 5

    @pytest_twisted.ensureDeferred
    async def test_states_must_be_a_path(self, house):
        """What is no path is refused here, and nothing was claimed."""
        assert isinstance(await refusal_of(house.open(states="nowhere")), InvalidPath)

    @pytest_twisted.ensureDeferred
    async def test_after_the_end_nothing_is_taken(self, house):
        """Every call says that it was closed; abandon may be repeated."""
        writer = await house.open()
        await writer.close()
        for call in (writer.write(b"x"), writer.close()):
            assert isinstance(await refusal_of(call), Closed)
        await writer.abandon()
        await writer.abandon()

    @pytest_twisted.ensureDeferred
    async def test_newer_writer_fences(self, house):
        """The older one learns it at its next word."""
        older = await house.open()
        await older.write(b"x" * 10)
        await until(lambda: older.stored == 10)
        newer = await house.open(offset=10)
        assert isinstance(await refusal_of(older.write(b"y")), Fenced)
        await newer.write(b"z")
        await newer.close()
        assert b"y" not in house.stored()


class ReplacedTests:
    """A driver whose place a fresh one takes while it lives."""

    @pytest_twisted.ensureDeferred
    async def test_upload_goes_on_with_the_successor(self, house):
        """The old one stores what it was sent and closes the upload; nothing is sent again."""
        writer = await house.open(algorithms=("sha256",), states="/u/hashstates")
        await writer.write(b"a" * MIB)
        before = house.loopback.replace()
        await writer.write(b"b" * MIB)
        closing = await writer.close()
        assert closing.digests["sha256"] == hashlib.sha256(b"a" * MIB + b"b" * MIB).hexdigest()
        assert (house.loopback.connections, house.loopback.runs) == (2, 2)
        assert before.is_idle
        assert not before.is_lost

    @pytest_twisted.ensureDeferred
    async def test_upload_whose_client_sends_nothing_moves_as_well(self, house):
        """The old driver need not wait for a client."""
        writer = await house.open()
        await writer.write(b"a")
        before = house.loopback.replace()
        await until(lambda: before.is_idle and house.loopback.connections == 2)
        assert house.stored() == b"a"
        await writer.write(b"b")
        await writer.close()
        assert house.stored() == b"ab"

    @pytest_twisted.ensureDeferred
    async def test_upload_without_replay_loses_nothing(self):
        """It would not survive a death; a replacement it does."""
        house = House(ReplayBudget(0))
        writer = await house.open()
        for piece in (b"a", b"b", b"c", b"d"):
            await writer.write(piece * MIB)
            house.loopback.replace()
        assert (await writer.close()).size == 4 * MIB
        assert house.stored() == b"".join(piece * MIB for piece in (b"a", b"b", b"c", b"d"))
        assert house.budget.unprotected == 1
        await house.end()

    @pytest_twisted.ensureDeferred
    async def test_any_number_of_replacements_is_no_poison(self, house):
        """An upload whose client pauses for a day is not given up for it."""
        writer = await house.open()
        for _ in range(2 * POISON_DEATHS):
            connections = house.loopback.connections
            house.loopback.replace()
            await until(lambda before=connections: house.loopback.connections == before + 1)
            await turns(20)
        await writer.write(b"x")
        assert (await writer.close()).size == 1

    @pytest_twisted.ensureDeferred
    async def test_write_that_waits_for_room_goes_on(self, house):
        """A full window is confirmed by the closing, or goes to the successor."""
        house.store.is_holding = True
        writer = await house.open()
        writing = start(writer.write(b"x" * FULL))
        await turns(50)
        assert not writing.called
        house.store.is_holding = False
        house.loopback.replace()
        await writing
        assert (await writer.close()).size == FULL
        assert house.stored() == b"x" * FULL

    @pytest_twisted.ensureDeferred
    async def test_death_of_the_old_one_is_a_death_like_any_other(self, house):
        """What it has not stored is sent again."""
        house.store.is_holding = True
        writer = await house.open()
        await writer.write(b"a" * MIB)
        house.loopback.replace()
        house.store.is_holding = False
        house.loopback.kill_replaced()
        await writer.write(b"b" * MIB)
        assert (await writer.close()).size == 2 * MIB
        assert house.stored() == b"a" * MIB + b"b" * MIB

    @pytest_twisted.ensureDeferred
    async def test_close_waits_for_the_change(self, house):
        """Nothing is closed twice."""
        writer = await house.open()
        await writer.write(b"a")
        house.loopback.replace()
        assert (await writer.close()).size == 1
        assert house.loopback.connections == 2

    @pytest_twisted.ensureDeferred
    async def test_close_under_way_is_answered_by_the_old_one(self, house):
        """It is not begun again elsewhere."""
        writer = await house.open()
        await writer.write(b"a")
        closing = start(writer.close())
        house.loopback.replace()
        assert (await closing).size == 1
        assert house.loopback.connections == 1

    @pytest_twisted.ensureDeferred
    async def test_abandoned_during_the_change_it_comes_back_nowhere(self, house):
        """Its path is free."""
        writer = await house.open()
        await writer.write(b"a")
        before = house.loopback.replace()
        await writer.abandon()
        await until(lambda: before.is_idle)
        await turns(20)
        assert isinstance(await refusal_of(writer.write(b"b")), Closed)
        assert house.loopback.connections == 1

    @pytest_twisted.ensureDeferred
    async def test_what_the_closing_fails_of_is_told_to_the_next_write(self, house):
        """A full disk is a full disk."""
        writer = await house.open()
        house.store.full_at = 0
        await writer.write(b"a")
        house.loopback.replace()
        await turns(50)
        assert isinstance(await refusal_of(writer.write(b"b")), NoSpace)

    @pytest_twisted.ensureDeferred
    async def test_writer_that_was_being_opened_moves_at_once(self, house):
        """An opening that was on its way when the place was taken is no reason to wait for it."""
        await house.loopback.link()
        opening = start(house.open())
        before = house.loopback.replace()
        writer = await opening
        await until(lambda: before.is_idle and house.loopback.connections == 2)
        await writer.write(b"a")
        assert (await writer.close()).size == 1

    @pytest_twisted.ensureDeferred
    async def test_newer_writer_waits_until_the_older_one_has_moved(self, house):
        """Two drivers never write to one path: whoever resumes an upload finds it free."""
        older = await house.open()
        await older.write(b"a")
        before = house.loopback.replace()
        was_idle = []
        refuse_open = house.store.append
        house.store.append = lambda *arguments: (
            was_idle.append(before.is_idle),
            refuse_open(*arguments),
        )[1]
        newer = await house.open(offset=1)
        assert was_idle == [True, True]
        assert isinstance(await refusal_of(older.write(b"b")), Fenced)
        await newer.write(b"c")
        await newer.close()
        assert house.stored() == b"ac"


class ReplayTests:
    @pytest.mark.parametrize("end", ["kill", "drop"])
    @pytest_twisted.ensureDeferred
    async def test_death_between_writes_is_not_seen(self, house, end):
        """The client that pushes sees nothing of it; no byte is lost, none is doubled."""
        data = bytes(range(256)) * 4096
        writer = await house.open(algorithms=("sha256",))
        for position in range(0, len(data), 65536):
            await writer.write(data[position : position + 65536])
            if position % 262144 == 0:
                getattr(house.loopback, end)()
        closing = await writer.close()
        assert closing.size == len(data)
        assert house.stored() == data
        assert house.loopback.connections > 1

    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        st.lists(
            st.one_of(
                st.integers(1, 400_000),
                st.sampled_from(["kill", "drop", "replace", "turn", "turns", "hold", "store"]),
            ),
            min_size=1,
            max_size=40,
        ),
        st.integers(0, 5 * MIB),
    )
    @pytest_twisted.ensureDeferred
    async def test_any_deaths_at_any_time(self, script, limit):
        """However often the driver ends and wherever: the content is right, or the upload says that
        it can't be, and then what is stored is a part of it.
        """
        house = House(ReplayBudget(limit))
        content = hashlib.sha256(repr(script).encode()).digest() * 200_000
        writer = await house.open(algorithms=("sha256",))
        progress = [0]
        writer.progress = progress.append
        position = 0
        is_done = False
        try:
            for step in script:
                if step == "turn":
                    await turns(1)
                elif step == "turns":
                    await turns(20)
                elif step in ("hold", "store"):
                    house.store.is_holding = step == "hold"
                elif isinstance(step, str):
                    getattr(house.loopback, step)()
                else:
                    taken = start(writer.write(content[position : position + step]))
                    position += step
                    await turns(20)
                    if not taken.called:
                        house.store.is_holding = False
                        house.loopback.kill()
                    await taken
            house.store.is_holding = False
            closing = await writer.close()
            assert closing.size == position
            assert closing.digests["sha256"] == hashlib.sha256(content[:position]).hexdigest()
            is_done = True
        except Unavailable:
            # Too many deaths without a byte between them, or bytes that were not kept for want of budget.
            assert (
                house.budget.unprotected
                or script.count("kill") + script.count("drop") > POISON_DEATHS - 2
            )
        await house.loopback.end()
        stored = house.stored()
        assert stored == content[: len(stored)]
        assert len(stored) >= progress[-1] or house.budget.unprotected
        assert progress == sorted(set(progress))
        assert not is_done or len(stored) == position
        await house.end()

    @pytest_twisted.ensureDeferred
    async def test_death_while_the_window_is_full(self, house):
        """A write that waits for a confirmation goes on with the next run."""
        house.store.is_holding = True
        writer = await house.open()
        writing = start(writer.write(b"x" * FULL))
        await turns(50)
        assert not writing.called
        house.store.is_holding = False
        house.loopback.kill()
        await writing
        assert (await writer.close()).size == writer.offset
        assert house.stored() == b"x" * writer.offset

    @pytest_twisted.ensureDeferred
    async def test_death_during_close(self, house):
        """A close that has no answer yet is answered by the next run."""
        writer = await house.open(algorithms=("sha256",))
        await writer.write(b"x" * 1000)
        closing = start(writer.close())
        house.loopback.kill()
        assert (await closing).digests["sha256"] == hashlib.sha256(b"x" * 1000).hexdigest()

    @pytest_twisted.ensureDeferred
    async def test_death_before_the_first_answer(self, house):
        """An opening without an answer is repeated."""
        opening = start(house.open())
        await turns(1)
        house.loopback.kill()
        writer = await opening
        await writer.write(b"x")
        assert (await writer.close()).size == 1

    @pytest_twisted.ensureDeferred
    async def test_connection_that_ends_while_the_driver_hangs(self, house):
        """The driver keeps its end of the lane open, which says nothing: the writer goes on elsewhere."""
        hung = []

        class Hanging(HostedDriver):
            async def open_writer(self, *arguments, **more):
                writer = await super().open_writer(*arguments, **more)
                if not hung:
                    hung.append(Deferred())
                    writer.write = lambda data: hung[0]
                return writer

        house.loopback._make_driver = lambda run: Hanging(house.store, run=run)
        writer = await house.open()
        writing = start(writer.write(b"x" * FULL))
        await turns(20)
        assert not writing.called
        house.loopback.current.abort()
        await writing
        assert (await writer.close()).size == writer.offset
        assert house.stored() == b"x" * FULL
        hung[0].errback(Unavailable("at last"))

    @pytest_twisted.ensureDeferred
    async def test_deaths_without_a_byte_end_it(self, house):
        """An upload that kills each driver is given up; its client is told to try later."""
        house.store.when_appending = house.die
        writer = await house.open()
        await writer.write(b"x")
        refusal = await refusal_of(writer.close())
        assert isinstance(refusal, GivenUp)
        assert refusal.retry_after > 1
        assert house.loopback.runs == POISON_DEATHS

    @pytest_twisted.ensureDeferred
    async def test_deaths_before_the_first_answer_end_it_too(self, house):
        """An opening that kills each driver is given up."""

        class Dying(HostedDriver):
            async def open_writer(self, *arguments, **more):
                house.die()

        house.loopback._make_driver = lambda run: Dying(house.store, run=run)
        assert "ended 5 times" in str(await refusal_of(house.open()))

    @pytest_twisted.ensureDeferred
    async def test_driver_that_stays_away_ends_it(self, house):
        """After the links' patience the client is told; the writer has ended."""
        writer = await house.open()
        house.loopback.kill()
        house.loopback.is_down = True
        for _ in range(2):
            assert isinstance(await refusal_of(writer.write(b"x")), Unavailable)
        assert isinstance(await refusal_of(writer.close()), Unavailable)
        assert house.budget.used == 0

    @pytest_twisted.ensureDeferred
    async def test_storage_that_shrank_ends_it(self, house):
        """What was deleted meanwhile is not written again from the middle."""
        writer = await house.open()
        await writer.write(b"x" * 1000)
        await until(lambda: writer.stored == 1000)
        house.loopback.kill()
        house.store.delete("/u/data", if_version=None)
        refusal = await refusal_of(writer.write(b"y"))
        assert "holds 0 bytes" in refusal.message

    @pytest_twisted.ensureDeferred
    async def test_path_that_another_took_is_not_taken_back(self, house):
        """After the driver's death too, the newer request has the upload."""
        older = await house.open()
        house.loopback.kill()
        newer = await house.open()
        assert isinstance(await refusal_of(older.write(b"y")), Fenced)
        await newer.write(b"z")
        await newer.close()
        assert house.stored() == b"z"


class ReasonTests:
    """The lane ended because the driver could not go on."""

    @pytest.mark.parametrize(
        "reason", [NoSpace("full"), Throttled("slowly", retry_after=7.0), Internal("broken")]
    )
    @pytest_twisted.ensureDeferred
    async def test_reason_ends_the_request(self, house, reason):
        """What sending again does not mend is told, to every later call, and nothing is held."""
        house.store.full_at, house.store.reason = 500_000, reason
        writer = await house.open()
        with pytest.raises(type(reason)) as caught:
            while True:
                await writer.write(b"x" * 100_000)
        assert caught.value.message == reason.message
        for call in (writer.write(b"x"), writer.close()):
            assert isinstance(await refusal_of(call), type(reason))
        assert house.loopback.connections == 1
        stored = house.stored()
        assert stored == b"x" * len(stored)
        assert writer.stored <= len(stored) <= 500_000

    @pytest_twisted.ensureDeferred
    async def test_reason_is_told_at_the_close_too(self, house):
        """A disk that is full at the last byte does not end in success."""
        house.store.full_at = 10
        writer = await house.open()
        await writer.write(b"x" * 11)
        assert isinstance(await refusal_of(writer.close()), NoSpace)

    @pytest_twisted.ensureDeferred
    async def test_backend_that_was_away_for_a_moment_is_replayed(self, house):
        """``Unavailable`` is worth another try."""
        house.store.reason, house.store.full_at = Unavailable("for a moment"), 300_000
        house.store.when_appending = _Healing(house.store)
        writer = await house.open()
        for _ in range(10):
            await writer.write(b"x" * 100_000)
        assert (await writer.close()).size == 1_000_000
        assert house.stored() == b"x" * 1_000_000
        assert house.store.full_at is None

    @pytest_twisted.ensureDeferred
    async def test_close_that_was_refused_for_a_moment_is_repeated(self, house):
        """A close that the backend was not there for succeeds when it is."""
        failing = [Unavailable("for a moment")] * 2

        class Failing(HostedDriver):
            async def open_writer(self, *arguments, **more):
                writer = await super().open_writer(*arguments, **more)
                close = writer.close

                async def closing():
                    found = await close()
                    if failing:
                        raise failing.pop()
                    return found

                writer.close = closing
                return writer

        house.loopback._make_driver = lambda run: Failing(house.store, run=run)
        writer = await house.open()
        await writer.write(b"x")
        assert (await writer.close()).size == 1
        assert not failing


class _Healing:
    """The backend comes back after a few tries."""

    def __init__(self, store):
        self._store = store
        self.count = 0

    def __call__(self, size):
        self.count += 1
        if self.count > 5:
            self._store.full_at = None


class BudgetTests:
    @pytest_twisted.ensureDeferred
    async def test_upload_without_budget_goes_on_and_is_counted(self):
        """Memory is bounded; what does not fit is not kept for a replay."""
        house = House(ReplayBudget(MIB))
        house.store.is_holding = True
        writer = await house.open()
        await writer.write(b"x" * (MIB - 10))
        assert (house.budget.used, house.budget.unprotected) == (MIB - 10, 0)
        await writer.write(b"x" * 100_000)
        assert (house.budget.used, house.budget.unprotected) == (0, 1)
        for _ in range(20):
            await writer.write(b"x" * MIB)
            assert sum(map(len, writer._chunks)) <= MIB
        assert house.budget.unprotected == 1
        house.store.is_holding = False
        assert (await writer.close()).size == writer.offset
        await house.end()

    @pytest_twisted.ensureDeferred
    async def test_death_costs_an_upload_without_budget_its_request(self):
        """Its client is told to come back, and finds the true offset."""
        house = House(ReplayBudget(0))
        house.store.is_holding = True
        writer = await house.open()
        await writer.write(b"x" * 100_000)
        await turns(20)
        house.loopback.kill()
        house.store.is_holding = False
        refusal = await refusal_of(writer.write(b"x"))
        assert type(refusal) is Unavailable
        assert (await house.driver.stat("/u/data")).size == 0
        await house.end()

    @pytest_twisted.ensureDeferred
    async def test_budget_comes_back(self, house):
        """Whatever becomes of an upload, its memory is free for others."""
        house.store.is_holding = True
        for end in ("close", "abandon", "fail", "cancel"):
            path = f"/u/{end}"
            writer = await house.open(path)
            await writer.write(b"x" * 100_000)
            assert house.budget.used == 100_000
            if end == "fail":
                house.loopback.kill()
                house.loopback.is_down = True
                await refusal_of(writer.close())
                house.loopback.is_down = False
            elif end == "cancel":
                closing = start(writer.close())
                closing.cancel()
                with pytest.raises(CancelledError):
                    await closing
            else:
                await getattr(writer, end)()
            assert house.budget.used == 0, end


class CancelTests:
    @pytest_twisted.ensureDeferred
    async def test_cancelled_opening_leaves_no_writer(self, house):
        """A client that went away leaves the path to the next one, and the driver nothing."""
        opening = start(house.open())
        await turns(1)
        opening.cancel()
        with pytest.raises(CancelledError):
            await opening
        await until(
            lambda: house.loopback.responder is None or not house.loopback.responder._inflows
        )
        await turns()
        writer = await house.open()
        assert len(house.loopback.responder._inflows) == 1
        await writer.write(b"x")
        await writer.close()
        assert not house.loopback.responder._inflows

    @pytest_twisted.ensureDeferred
    async def test_cancelled_write_took_its_bytes(self, house):
        """What was handed over is stored by the close; nothing is sent twice."""
        house.store.is_holding = True
        writer = await house.open()
        writing = start(writer.write(b"x" * FULL))
        await turns(10)
        writing.cancel()
        with pytest.raises(CancelledError):
            await writing
        house.store.is_holding = False
        assert (await writer.close()).size == FULL

    @pytest_twisted.ensureDeferred
    async def test_cancelled_recovery_is_taken_up_by_the_next_call(self, house):
        """A write that was cancelled while the driver restarted does not end the upload."""
        writer = await house.open()
        await writer.write(b"one")
        house.loopback.kill()
        waiting = Deferred()
        link, house.loopback.link = house.loopback.link, lambda: waiting
        writing = start(writer.write(b" two"))
        writing.cancel()
        with pytest.raises(CancelledError):
            await writing
        house.loopback.link = link
        assert (await writer.close()).size == 7
        assert house.stored() == b"one two"

    @pytest_twisted.ensureDeferred
    async def test_cancelled_close_is_carried_out(self, house):
        """The driver stores what arrived though nobody waits."""
        writer = await house.open()
        await writer.write(b"x" * 1000)
        closing = start(writer.close())
        closing.cancel()
        with pytest.raises(CancelledError):
            await closing
        await until(lambda: not house.loopback.responder._inflows)
        assert house.stored() == b"x" * 1000


class AbandonTests:
    @pytest.mark.parametrize("moment", ["write", "recovery", "opening", "close"])
    @pytest_twisted.ensureDeferred
    async def test_abandon_ends_whatever_is_under_way(self, house, moment):
        """Whoever waits is refused, and the driver holds nothing afterwards."""
        house.store.is_holding = True
        writer = await house.open()
        if moment == "close":
            waiting = start(writer.close())
        elif moment == "write":
            waiting = start(writer.write(b"x" * FULL))
        else:
            house.loopback.kill()
            link, house.loopback.link = house.loopback.link, _Gate(house.loopback.link)
            waiting = start(writer.write(b"x"))
            if moment == "opening":
                await house.loopback.link.open()
        await writer.abandon()
        if moment == "recovery":
            await house.loopback.link.open()
        if moment in ("recovery", "opening"):
            house.loopback.link = link
        if moment != "close":
            assert isinstance(await refusal_of(waiting), Closed)
        else:
            waiting.addErrback(lambda failure: failure.trap(StorageError))
            await waiting
        await turns(20)
        assert not house.loopback.responder._inflows

    @pytest_twisted.ensureDeferred
    async def test_superseded_writer_leaves_nothing_at_the_driver(self, house):
        """The lane of a request that another took over from is closed on both sides."""
        older = await house.open()
        newer = await house.open()
        await turns(10)
        assert len(house.loopback.responder._inflows) == 1
        await older.abandon()
        await newer.abandon()
        assert not house.loopback.responder._inflows


class _Gate:
    """A link that comes when the test lets it."""

    def __init__(self, link):
        self._link = link
        self._opened = Deferred()

    async def __call__(self):
        await self._opened
        return await self._link()

    async def open(self):
        self._opened.callback(None)
        await turns(1)


class HostileTests:
    """Drivers that do not keep the protocol's promises."""

    def make(self, script, clock=None):
        return RawLoopback(script, **({} if clock is None else {"clock": clock}))

    @pytest_twisted.ensureDeferred
    async def test_sizes_without_end(self):
        """A driver that names one size after the other is given up."""
        sizes = iter(range(1, 10**6))
        lanes = []

        def script(driver, box):
            if box[b"_command"] == b"OpenWriter":
                lanes.append(driver.take(box))
                if len(lanes) == 1:
                    driver.answer(box, writer=b"1", window=b"0")
                else:
                    driver.refuse(box, b"WrongOffset", b'{"actual": %d}' % (next(sizes) % 100))
                    _close(lanes.pop())

        loopback = self.make(script)
        writer = await over(loopback).open_writer("/u", 0)
        await writer.write(b"x" * 100)
        _close(lanes[0])
        loopback.drop()
        refusal = await refusal_of(writer.close())
        assert isinstance(refusal, Unavailable)
        await loopback.end()

    @pytest_twisted.ensureDeferred
    async def test_confirmations_of_what_was_never_sent(self):
        """They are not believed; old ones neither."""
        lanes = []

        def script(driver, box):
            if box[b"_command"] == b"OpenWriter":
                lanes.append(driver.take(box))
                driver.answer(box, writer=b"1", window=b"0")
            elif box[b"_command"] == b"AbandonWriter":
                driver.answer(box)

        loopback = self.make(script)
        writer = await over(loopback).open_writer("/u", 0)
        await writer.write(b"x" * 100)
        for offset in (1000, 50, 20):
            _send(lanes[0], offset)
            await turns(20)
        assert writer.stored == 50
        await writer.abandon()
        _close(lanes[0])
        await loopback.end()

    @pytest_twisted.ensureDeferred
    async def test_close_with_another_size_is_no_success(self):
        """Bytes that the driver does not have are sent again, in vain here, and the client is told."""

        def script(driver, box):
            if box[b"_command"] == b"OpenWriter":
                _close(driver.take(box))
                driver.answer(box, writer=b"1", window=b"0")
            else:
                driver.answer(box, size=b"7", digests=b"")

        loopback = self.make(script)
        writer = await over(loopback).open_writer("/u", 0)
        await writer.write(b"x" * 100)
        assert isinstance(await refusal_of(writer.close()), Unavailable)
        await loopback.end()

    @pytest_twisted.ensureDeferred
    async def test_close_without_an_answer_is_given_up(self):
        """Nobody waits for ever."""
        clock, lanes = Clock(), []

        def script(driver, box):
            if box[b"_command"] == b"OpenWriter":
                lanes.append(driver.take(box))
                driver.answer(box, writer=b"1", window=b"0")

        loopback = self.make(script, clock)
        writer = await over(loopback).open_writer("/u", 0)
        closing = start(writer.close())
        for _ in range(POISON_DEATHS + 2):
            clock.pump([1] * int(Deadlines().close + Deadlines().operation))
            await turns(10)
        assert isinstance(await refusal_of(closing), Unavailable)
        for lane in lanes:
            _close(lane)
        await loopback.end()


def _close(descriptor):
    os.close(descriptor)


def _send(descriptor, offset):
    os.write(descriptor, offset.to_bytes(8, "big"))
