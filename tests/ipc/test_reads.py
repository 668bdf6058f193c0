# SPDX-License-Identifier: Apache-2.0
"""A read by a stream lane, on the driver's side."""

from __future__ import annotations

import pytest_twisted

from txregistry.storage.errors import Unavailable
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

from .loopback import Loopback, over


class _Reading:
    """Gives what it has and can't be closed then."""

    size, file = 4, None
    is_read = False

    async def __aiter__(self):
        self.is_read = True
        yield b"abcd"

    async def aclose(self):
        if self.is_read:
            raise Unavailable("the backend is gone")


class _Driver(HostedDriver):
    async def read(self, path, start=0, stop=None):
        return _Reading()


@pytest_twisted.ensureDeferred
async def test_read_that_cannot_be_closed_has_ended_all_the_same():
    """Its bytes have left; nobody waits for the rest, so nobody is to be told of it either."""
    loopback = Loopback(lambda run: _Driver(MemoryStore(), run=run))
    reading = await over(loopback).read("/a")
    assert [chunk async for chunk in reading] == [b"abcd"]
    await reading.aclose()
    await loopback.end()
