# SPDX-License-Identifier: Apache-2.0
"""A download goes on through the death of the driver it comes from, or breaks visibly; never is it
short, or another's.
"""

from __future__ import annotations

import os

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from txregistry.ipc.lanes import CHUNK
from txregistry.ipc.reading import FileReading
from txregistry.storage.errors import Corrupt, Internal, Missing, Unavailable
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

from ..census import turns, until
from .loopback import Loopback, RawLoopback, hosting, inline, over

#: More than a lane holds, in several chunks.
LARGE = os.urandom(16 * CHUNK)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)
    return path


def reading_of(path, run=inline):
    return FileReading(os.open(path, os.O_RDONLY), 1000, 0, 1000, run)


async def collect(reading):
    return b"".join([chunk async for chunk in reading])


class FileTests:
    """The driver handed over a descriptor and has no part in it any more."""

    @pytest_twisted.ensureDeferred
    async def test_file_that_was_cut_is_no_short_success(self, path):
        """Whoever counts on the size that was announced is told."""
        reading = reading_of(path)
        os.truncate(path, 400)
        with pytest.raises(Corrupt, match="ends at 400 of 1000"):
            await collect(reading)
        await reading.aclose()

    @pytest_twisted.ensureDeferred
    async def test_disk_that_fails_is_corrupt(self, path):
        """A sector that can't be read is told with its offset and the system's words."""
        reading = reading_of(path)
        os.dup2(descriptor := os.open(path.parent, os.O_RDONLY), reading.file)  # EISDIR
        os.close(descriptor)
        with pytest.raises(Corrupt, match="can't be read at 0: Is a directory"):
            await collect(reading)
        await reading.aclose()

    @pytest_twisted.ensureDeferred
    async def test_read_that_is_closed_meanwhile_gives_nothing(self, path):
        """The number may be another file's by then: what was read with it belongs to nobody."""
        gate = Deferred()

        async def run(work):
            await gate
            return work()

        reading = reading_of(path, run)
        waiting = Deferred.fromCoroutine(collect(reading))
        number = reading.file
        await reading.aclose()
        other = os.open(path.parent / "other", os.O_RDWR | os.O_CREAT)
        os.write(other, b"not yours" * 1000)
        assert other == number
        gate.callback(None)
        with pytest.raises(Unavailable, match="was closed"):
            await waiting
        os.close(other)

    @pytest_twisted.ensureDeferred
    async def test_number_that_is_nobodys_by_then_is_no_failure_of_the_disk(self, path):
        """Closed is what it says, not corrupt: nobody looks for a bad sector."""
        gate = Deferred()

        async def run(work):
            await gate
            return work()

        reading = reading_of(path, run)
        waiting = Deferred.fromCoroutine(collect(reading))
        await reading.aclose()
        gate.callback(None)
        with pytest.raises(Unavailable, match="was closed"):
            await waiting
        await reading.aclose()

    @pytest_twisted.ensureDeferred
    async def test_closed_read_has_nothing_to_give(self, path):
        reading = reading_of(path)
        await reading.aclose()
        with pytest.raises(Unavailable, match="was closed"):
            await collect(reading)


class House:
    """A driver that streams, over a store that outlives it."""

    def __init__(self, data=LARGE):
        self.store = MemoryStore()
        self.put(data)
        self.loopback = Loopback(hosting(self.store))
        self.driver = over(self.loopback)

    def put(self, data):
        self.store.put("/a", data, if_absent=False, if_version=None)


@pytest_twisted.async_yield_fixture
async def house():
    house = House()
    yield house
    await house.loopback.end()


async def one_chunk(reading):
    iterator = reading.__aiter__()
    return iterator, await iterator.__anext__()


class StreamTests:
    """The driver sends; each lane may end early."""

    @pytest_twisted.ensureDeferred
    async def test_death_of_the_driver_is_not_seen(self, house):
        """The next driver goes on at the byte that was reached."""
        reading = await house.driver.read("/a", 5, len(LARGE) - 5)
        data = b""
        async for chunk in reading:
            data += chunk
            if house.loopback.runs < 4:
                house.loopback.kill()
        assert data == LARGE[5:-5]
        assert house.loopback.runs == 4
        await reading.aclose()

    @pytest_twisted.ensureDeferred
    async def test_loss_of_the_connection_is_not_seen(self, house):
        """A driver that hangs keeps its end of the lane; the lane ends with its connection."""
        reading = await house.driver.read("/a")
        iterator, data = await one_chunk(reading)
        house.loopback.drop()
        async for chunk in iterator:
            data += chunk
        assert data == LARGE
        assert house.loopback.connections == 2
        await reading.aclose()

    @pytest.mark.parametrize("size", [10, len(LARGE) + 1])
    @pytest_twisted.ensureDeferred
    async def test_content_of_another_size_is_not_gone_on_with(self, house, size):
        """Two halves of two contents are no content."""
        reading = await house.driver.read("/a")
        iterator, _ = await one_chunk(reading)
        house.loopback.kill()
        house.put(b"y" * size)
        with pytest.raises(Unavailable, match="was replaced while it was read"):
            async for _ in iterator:
                pass
        await reading.aclose()

    @pytest_twisted.ensureDeferred
    async def test_content_that_is_gone_by_then_is_missing(self, house):
        reading = await house.driver.read("/a")
        iterator, _ = await one_chunk(reading)
        house.loopback.kill()
        house.store.delete("/a", if_version=None)
        with pytest.raises(Missing):
            async for _ in iterator:
                pass
        await reading.aclose()

    @pytest_twisted.ensureDeferred
    async def test_client_that_leaves_while_the_driver_is_away_leaves_no_lane(self, house):
        """The lane that comes back is for nobody."""
        reading = await house.driver.read("/a")
        iterator, _ = await one_chunk(reading)
        house.loopback.kill()

        async def rest():
            async for _ in iterator:
                pass

        waiting = Deferred.fromCoroutine(rest())
        await until(lambda: house.loopback.runs == 2)
        await reading.aclose()
        with pytest.raises(Unavailable, match="ended at"):
            await waiting

    @pytest_twisted.ensureDeferred
    async def test_driver_that_gives_no_byte_is_not_asked_for_ever(self, house):
        """Lanes that end one after the other without a byte are an end."""

        class Empty:
            size, file = 4, None

            async def __aiter__(self):
                for _ in ():
                    yield b""

            async def aclose(self):
                pass

        class Fruitless(HostedDriver):
            lanes = 0

            async def read(self, path, start=0, stop=None):
                Fruitless.lanes += 1
                return Empty()

        loopback = Loopback(lambda run: Fruitless(MemoryStore(), run=run))
        reading = await over(loopback).read("/a")
        asked = Fruitless.lanes
        with pytest.raises(Unavailable, match="ended at 0 of 4 bytes"):
            await collect(reading)
        assert 1 < Fruitless.lanes - asked < 10
        await reading.aclose()
        await loopback.end()

    @pytest_twisted.ensureDeferred
    async def test_driver_that_reads_beyond_the_end_makes_no_sense(self):
        """It announces fewer bytes than were asked to be skipped: it is refused, with its lane."""

        def script(driver, box):
            if box[b"_command"] == b"OpenFile":
                driver.refuse(box, b"Unsupported")
            else:
                os.close(driver.take(box))
                driver.answer(box, size=b"4")

        loopback = RawLoopback(script)
        with pytest.raises(Internal, match="reads from 5 in 4 bytes"):
            await over(loopback).read("/a", 5)
        await turns()
        await loopback.end()
