# SPDX-License-Identifier: Apache-2.0
"""An upload moves on when its driver is replaced by a successor."""

from __future__ import annotations

import hashlib

import pytest_twisted

from txregistry.ipc.attempts import POISON_DEATHS
from txregistry.ipc.budget import ReplayBudget
from txregistry.storage.errors import Closed, Fenced, NoSpace

from ..census import turns, until
from .uploading import FULL, MIB, House, refusal_of, start


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
