# SPDX-License-Identifier: Apache-2.0
"""A site on a port of this host, over a registry whose store is in memory; time stands still."""

from __future__ import annotations

import gc
import os

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from txregistry.oci.manifests import parse_manifest
from txregistry.registry import open_registry
from txregistry.storage.blocking import run_inline
from txregistry.storage.contract import FileContent
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore
from txregistry.web import WebSettings, make_site

from .raw import RawClient, connect, request


@pytest.fixture(autouse=True)
def failures():
    """Failures that were logged; a test that expects some takes them out of this list."""
    found = []

    def observe(event):
        if event.get("log_failure") is not None:
            found.append(event)

    globalLogPublisher.addObserver(observe)
    yield found
    gc.collect(0)  # a Deferred that nobody waits for logs its failure when it goes
    globalLogPublisher.removeObserver(observe)
    assert not found


class FileStore(MemoryStore):
    """A store in memory whose content is read from files, as that of a file system is."""

    def open(self, path, start):
        stream = super().open(path, 0)  # who has a file chooses where to read in it
        descriptor = os.memfd_create("content", os.MFD_CLOEXEC)
        while piece := stream.read(1 << 20):
            os.write(descriptor, piece)
        stream.close()
        return FileContent(descriptor, stream.size)


async def parse_here(data, content_type):
    return parse_manifest(data, content_type)


class House:
    """A site that listens, and its clients.

    Attributes:
        clock: of all deadlines; only ``pass_time`` moves it.
        records: what the access log was told.
        events: what tests' doubles append to.
    """

    def __init__(self, store):
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.store = store
        self.driver = HostedDriver(store, run=run_inline)
        self.registry = open_registry(
            self.driver, secret=b"a secret", now=self.clock.seconds, parse=parse_here
        )
        self.records = []
        self.clients = []
        self.ports = []
        self.sites = []
        self.port = 0
        self.site = None

    def serve(self, registry=None, run=run_inline, **settings):
        """Listen with these settings; replaces what listened before."""
        settings.setdefault("delete_enabled", True)
        self.site = make_site(
            registry or self.registry,
            WebSettings(access_log=self.records.append, **settings),
            self.clock,
            run=run,
        )
        self.sites.append(self.site)
        port = reactor.listenTCP(0, self.site, interface="127.0.0.1")
        self.ports.append(port)
        self.port = port.getHost().port
        return self

    async def client(self, *, is_deaf=False):
        """A new connection; a deaf client reads nothing, not even the end."""
        client = await connect(self.port, RawClient(is_deaf=is_deaf))
        self.clients.append(client)
        return client

    async def ask(self, *arguments, **words):
        """One request on a connection of its own."""
        client = await self.client()
        client.send(request(*arguments, **words))
        reply = await client.reply(to_head=arguments[0] == "HEAD")
        await client.close()
        return reply

    def pass_time(self, seconds):
        """Let time pass, second by second."""
        self.clock.pump([1.0] * int(seconds))

    async def turn(self):
        """One turn of the reactor."""
        turn = Deferred()
        reactor.callLater(0, turn.callback, None)
        await turn

    async def until(self, condition):
        """Let the reactor turn until something holds that no event tells of; the clock stands
        still.
        """
        while not condition():
            await self.turn()

    async def accepted(self, count):
        """Wait until the site has so many connections."""
        await self.until(lambda: len(self.stages()) == count)

    def stages(self):
        """Where the site's connections stand."""
        return [channel.pace.stage.name for channel in self.site.channels]

    def received(self):
        """Bytes of the body of the request in progress on the only connection."""
        [channel] = self.site.channels
        return channel.requests[-1].body.received if channel.requests else -1

    def is_stuck(self):
        """Whether the only connection can't get rid of its answer."""
        [channel] = self.site.channels
        return channel.pace.stage.name == "ANSWER" and self.is_full()

    def is_full(self):
        """Whether what the kernel holds for the only connection has not changed for many turns."""
        [channel] = self.site.channels
        held = channel.wire.unacknowledged()
        if not held:
            return False
        state = (channel, held, [each.sentLength for each in channel.requests])
        is_same, self._state, self._turns = state == self._state, state, self._turns + 1
        self._turns = self._turns if is_same else 0
        return self._turns > 200

    _state = None
    _turns = 0

    async def close(self):
        for client in self.clients:
            await client.close()
        for port in self.ports:
            await maybeDeferred(port.stopListening)
        for site in self.sites:
            # Connections end in the reactor's next turn, and tell their site so.
            drained = Deferred.fromCoroutine(site.drain(0))
            self.clock.advance(0)
            await drained


@pytest_twisted.async_yield_fixture
async def house():
    """A site with a store in memory."""
    house = House(MemoryStore())
    house.serve()
    yield house
    await house.close()


@pytest_twisted.async_yield_fixture
async def file_house():
    """A site whose content is files."""
    house = House(FileStore())
    house.serve()
    yield house
    await house.close()
