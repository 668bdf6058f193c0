# SPDX-License-Identifier: Apache-2.0
"""An upload goes on through the death of the driver it is written to, or says why it can't."""

from __future__ import annotations

import hashlib

import pytest
import pytest_twisted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from txregistry.ipc.attempts import POISON_DEATHS, GivenUp
from txregistry.ipc.budget import ReplayBudget
from txregistry.storage.errors import Fenced, Internal, NoSpace, Throttled, Unavailable
from txregistry.storage.hosted import HostedDriver

from ..census import turns, until
from .uploading import FULL, MIB, House, refusal_of, start


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
        max_examples=60,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
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
            assert sum(map(len, writer._window._chunks)) <= MIB
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
