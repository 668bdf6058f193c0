# SPDX-License-Identifier: Apache-2.0
"""A driver that lies to an upload: no size, offset or answer of its own is believed."""

from __future__ import annotations

import os

import pytest_twisted
from twisted.internet.task import Clock

from txregistry.ipc.attempts import POISON_DEATHS
from txregistry.ipc.deadlines import Deadlines
from txregistry.storage.errors import Unavailable

from ..census import turns
from .loopback import RawLoopback, over
from .uploading import refusal_of, start


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
