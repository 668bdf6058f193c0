# SPDX-License-Identifier: Apache-2.0
"""Whether the storage takes writes is told with every ping."""

from __future__ import annotations

import pytest
import pytest_twisted

from txregistry.ipc import commands
from txregistry.storage.errors import NoSpace, Unavailable
from txregistry.storage.memory import MemoryStore

from .loopback import Loopback, hosting, over


@pytest_twisted.ensureDeferred
async def test_ping_tells_the_state():
    """As soon as a write has found no room."""
    store = MemoryStore()
    loopback = Loopback(hosting(store))
    driver = over(loopback)
    link = await loopback.link()
    assert (await link.call(commands.Ping))["state"] == "ok"

    def full(path, data, *, if_absent, if_version):
        raise NoSpace("full")

    store.put = full
    with pytest.raises(NoSpace):
        await driver.put("/a", b"x")
    assert (await link.call(commands.Ping))["state"] == "no-space"
    await loopback.end()


@pytest_twisted.ensureDeferred
async def test_ping_of_a_driver_without_a_store_says_so():
    """Its backend can't be reached yet; the registry is not ready as long as that is so."""
    loopback = Loopback(lambda run: Unavailable("not yet"))
    link = await loopback.link()
    assert (await link.call(commands.Ping))["state"] == "unreachable"
    await loopback.end()
