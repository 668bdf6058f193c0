# SPDX-License-Identifier: Apache-2.0
"""An upload that is written, cancelled and abandoned while its driver lives."""

from __future__ import annotations

import hashlib

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred

from txregistry.ipc.window import WINDOW
from txregistry.storage.errors import Closed, Fenced, InvalidPath, StorageError, WrongOffset

from ..census import turns, until
from .uploading import FULL, MIB, refusal_of, start


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
