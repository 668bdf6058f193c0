# SPDX-License-Identifier: Apache-2.0
"""One operation that kills every driver, over a connection: the others get their answers."""

from __future__ import annotations

import pytest
import pytest_twisted

from txregistry.ipc.attempts import POISON_DEATHS, GivenUp
from txregistry.storage.errors import Unavailable
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

from .loopback import Loopback, over


@pytest_twisted.async_yield_fixture
async def loopback():
    """A driver that dies of whoever wants to know of ``/poison``."""
    store = MemoryStore()
    for path in ("/a", "/b", "/poison"):
        store.put(path, path.encode(), if_absent=False, if_version=None)

    class Dying(HostedDriver):
        async def get(self, path):
            return (await self.get_several((path,)))[0]

        async def get_several(self, paths):
            if "/poison" in paths:
                loopback.kill()
                raise Unavailable("it is dead")
            return await super().get_several(paths)

        async def read(self, path, start=0, stop=None):
            loopback.kill()
            raise Unavailable("it is dead")

    loopback = Loopback(lambda run: Dying(store, run=run))
    yield loopback
    await loopback.end()


class PoisonTests:
    @pytest_twisted.ensureDeferred
    async def test_poison_in_a_batch_is_found_out(self, loopback):
        """What was asked for beside it is answered; it alone is given up."""
        driver = over(loopback)
        first, poison, last = await driver.get_several(("/a", "/poison", "/b"))
        assert (first.data, last.data) == (b"/a", b"/b")
        assert isinstance(poison, GivenUp)
        assert driver.attempts.given_up == 1
        assert (await driver.get("/a")).data == b"/a"

    @pytest_twisted.ensureDeferred
    async def test_read_that_kills_each_driver_is_given_up(self, loopback):
        """A download of it is refused, honestly."""
        driver = over(loopback)
        with pytest.raises(GivenUp):
            await driver.read("/a")
        assert loopback.runs == POISON_DEATHS
