# SPDX-License-Identifier: Apache-2.0
"""Where clients are sent is the store's affair, or that of a middleware in front of it."""

from __future__ import annotations

import pytest
import pytest_twisted

from txregistry.storage.blocking import run_inline
from txregistry.storage.errors import InvalidPath
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore
from txregistry.storage.redirecting import Asked


class Chain:
    """Sends every client to a place of its own."""

    def __init__(self):
        self.asked = []

    def url(self, asked):
        self.asked.append(asked)
        return f"https://cdn.example{asked.path}"

    def key(self, path):
        return path


@pytest_twisted.ensureDeferred
async def test_middleware_is_asked_with_the_clients_address():
    """It may send those of one network elsewhere."""
    chain = Chain()
    driver = HostedDriver(MemoryStore(), run=run_inline, redirects=chain)
    url = await driver.redirect_url("/a", "HEAD", 60, client="192.0.2.1")
    assert url == "https://cdn.example/a"
    assert chain.asked == [Asked("/a", "HEAD", 60, "192.0.2.1")]
    with pytest.raises(InvalidPath):
        await driver.redirect_url("a", "GET", 60)
    assert len(chain.asked) == 1


@pytest_twisted.ensureDeferred
async def test_store_without_urls_sends_nobody_away():
    """The registry serves it itself then."""
    driver = HostedDriver(MemoryStore(), run=run_inline)
    assert await driver.redirect_url("/a", "GET", 60) is None
