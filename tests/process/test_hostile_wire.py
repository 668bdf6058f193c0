# SPDX-License-Identifier: Apache-2.0
"""A hostile driver on a real socket: it costs its own requests, and nothing else.

The driver behind the socket lies in one way for a connection or two and is honest afterwards. Each
case asks for things meanwhile, and then expects right answers; the census of this folder sees every
descriptor that is left open.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.protocols import amp

from txregistry.ipc import link as link_module
from txregistry.ipc.responder import Responder
from txregistry.ipc.serving import Serving
from txregistry.process import keeper as keeper_module
from txregistry.process import trial as trial_module
from txregistry.process.accepting import Acceptor
from txregistry.process.opening import OpenDriver
from txregistry.process.spec import DriverSpec
from txregistry.process.supervision import Supervision
from txregistry.storage.blocking import run_inline
from txregistry.storage.errors import StorageError
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

from ..census import turns, until

#: Everything happens soon: the driver is hostile for a moment only.
LIMITS = Supervision(
    ping_interval=0.05,
    ping_misses=4,
    terminate_after=0.05,
    kill_after=0.05,
    start_timeout=0.5,
    backoff=0.01,
    backoff_limit=0.05,
    breaker_deaths=20,
    patience=10.0,
)


class Liar(amp.AMP):
    """Greets like a driver, then answers each request as its script says.

    Args:
        script: called with this, the request's command and its tag (None if it wants no answer).
        greets: whether it says hello as it should.
    """

    def __init__(self, script, *, greets=True):
        super().__init__()
        self._script = script
        self._greets = greets

    def ampBoxReceived(self, box):
        command, tag = box[b"_command"], box.get(b"_ask")
        self.close_lanes()
        if command == b"Hello" and self._greets:
            self.say(_answer=tag, protocol=b"1", name=b"x", version=b"1", features=b"")
        elif command == b"Ping" and self._greets:
            self.say(_answer=tag, operations=b"0", oldest_ms=b"0", bytes_moved=b"0")
        else:
            self._script(self, command, tag)

    def say(self, **values):
        box = amp.AmpBox()
        box.update({key.encode(): value for key, value in values.items()})
        self.raw(box.serialize())

    def raw(self, data):
        if self.transport is not None:
            self.transport.write(data)

    def send_file(self, descriptor):
        """Send a copy that is closed once it is gone."""
        self.transport.sendFileDescriptor(descriptor)
        reactor.callLater(0.2, os.close, descriptor)

    def close_lanes(self):
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    def connectionLost(self, reason):
        self.close_lanes()
        super().connectionLost(reason)


def file_of(content=b"content"):
    """A read-only descriptor of a regular file."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return os.open(file.name, os.O_RDONLY)


def opened(liar, tag, descriptor, **changes):
    """An answer to OpenFile that fits ``descriptor``, but for the changes."""
    status = os.fstat(descriptor)
    liar.send_file(descriptor)
    told = {
        "file": b"0",
        "size": b"%d" % status.st_size,
        "device": b"%d" % status.st_dev,
        "inode": b"%d" % status.st_ino,
        "claim": b"1",
    } | changes
    liar.say(_answer=tag, **told)


def on_open(answer):
    """Lies about files only; everything else is not there."""

    def script(liar, command, tag):
        if command == b"OpenFile":
            answer(liar, tag)
        elif tag is not None:
            liar.say(_error=tag, _error_code=b"Missing", _error_description=b"{}")

    return script


def flood(liar, command, tag):
    for number in range(2000):
        liar.say(_answer=b"%x" % (number + 5000), size=b"x" * 100)
    liar.transport.loseConnection()


def many_files(liar, tag):
    for _ in range(100):
        liar.send_file(file_of())
    liar.raw(b"\0\1")


BOX = amp.AmpBox({b"_answer": b"1", b"size": b"7"}).serialize()

#: name -> what the driver does with each request after its hello
LIES = {
    "wrong counter": on_open(lambda liar, tag: opened(liar, tag, file_of(), file=b"7")),
    "wrong inode": on_open(lambda liar, tag: opened(liar, tag, file_of(), inode=b"1")),
    "wrong device": on_open(lambda liar, tag: opened(liar, tag, file_of(), device=b"1")),
    "wrong size": on_open(lambda liar, tag: opened(liar, tag, file_of(), size=b"1000000")),
    "a device": on_open(lambda liar, tag: opened(liar, tag, os.open("/dev/zero", os.O_RDONLY))),
    "a directory": on_open(lambda liar, tag: opened(liar, tag, os.open("/", os.O_RDONLY))),
    "a writable file": on_open(lambda liar, tag: opened(liar, tag, os.memfd_create("writable"))),
    "extra descriptors": on_open(many_files),
    "no descriptor": on_open(
        lambda liar, tag: liar.say(
            _answer=tag, file=b"0", size=b"1", device=b"1", inode=b"1", claim=b"1"
        )
    ),
    "huge numbers": lambda liar, command, tag: liar.say(_answer=tag or b"", size=b"9" * 60_000),
    "a huge box": lambda liar, command, tag: liar.raw(
        b"".join(b"\0\4k%03d\xff\xff" % n + b"x" * 65535 for n in range(32))
    ),
    "a key of its own": lambda liar, command, tag: liar.raw(b"\xff\xff" + b"k" * 65535),
    "half a box": lambda liar, command, tag: (
        liar.raw(BOX[:9]),
        liar.transport.loseConnection(),
    ),
    "bytes": lambda liar, command, tag: liar.raw(os.urandom(4096)),
    "an answer to nobody": lambda liar, command, tag: liar.say(_answer=b"ffff", size=b"7"),
    "an error to nobody": lambda liar, command, tag: liar.say(
        _error=b"ffff", _error_code=b"Missing", _error_description=b"{}"
    ),
    "a request": lambda liar, command, tag: liar.say(_command=b"Stat", _ask=b"1", path=b"/"),
    "a box of nothing": lambda liar, command, tag: liar.say(x=b"y"),
    "an unknown error": lambda liar, command, tag: liar.say(
        _error=tag or b"", _error_code=b"Weird", _error_description=b"\xff"
    ),
    "nothing at all": lambda liar, command, tag: None,
    "the end": lambda liar, command, tag: liar.transport.abortConnection(),
    "a flood": flood,
}

#: name -> what the driver does in the place of its hello
GREETINGS = {
    "nothing": lambda liar, command, tag: None,
    "the end": lambda liar, command, tag: liar.transport.abortConnection(),
    "half a box": lambda liar, command, tag: liar.raw(BOX[:9]),
    "bytes": lambda liar, command, tag: liar.raw(os.urandom(4096)),
    "a protocol that is no number": lambda liar, command, tag: liar.say(
        _answer=tag, protocol=b"one", name=b"x", version=b"1", features=b""
    ),
    "an answer to nobody": lambda liar, command, tag: liar.say(_answer=b"ffff"),
    "an empty answer": lambda liar, command, tag: liar.say(_answer=tag),
}


class House:
    """A socket behind which a liar sits for ``lies`` connections, and then an honest driver."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "s")
        self.connections = 0
        self.script = None
        self.greets = True
        self.lies = 1
        self.store = MemoryStore()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen(100)
        self._protocols = []
        factory = Factory.forProtocol(self._answering)
        factory.noisy = False
        self._acceptor = Acceptor(reactor, listener, factory)
        self._acceptor.start()
        self._serving = Serving(
            HostedDriver(self.store, run=run_inline), "honest", "1", reactor, reactor
        )
        self.opened = None

    def _answering(self):
        self.connections += 1
        if self.connections <= self.lies:
            self._protocols.append(Liar(self.script, greets=self.greets))
        else:
            self._protocols.append(Responder(self._serving))
        return self._protocols[-1]

    def open(self, script, *, greets=True):
        self.script, self.greets = script, greets
        self.opened = OpenDriver(DriverSpec("x", socket=self.path), reactor, supervision=LIMITS)
        return self.opened.driver

    async def end(self):
        await self.opened.stop()
        self._acceptor.stop()
        for protocol in self._protocols:
            if protocol.transport is not None:
                protocol.transport.abortConnection()
        await turns()


@pytest_twisted.async_yield_fixture
async def house(monkeypatch):
    monkeypatch.setattr(keeper_module, "RETRY_LIMIT", 0.05)
    monkeypatch.setattr(trial_module, "PROBE_PAUSE", 0.05)
    monkeypatch.setattr(link_module, "OVERDUE_LIMIT", 3)
    with tempfile.TemporaryDirectory(prefix="hostile-") as directory:
        house = House(directory)
        yield house
        await house.end()


async def ask_for_things(driver):
    """Reads, looks and writes at once; what each comes to is not the matter here."""

    async def read():
        reading = await driver.read("/a")
        try:
            return b"".join([chunk async for chunk in reading])
        finally:
            await reading.aclose()

    async def write():
        writer = await driver.open_writer("/u", 0)
        await writer.write(b"x" * 1000)
        await writer.abandon()

    asked = [Deferred.fromCoroutine(one()) for one in (read, read, write)]
    asked += [Deferred.fromCoroutine(driver.get("/a")), Deferred.fromCoroutine(driver.stat("/a"))]
    return asked


class HostileDriverTests:
    async def _survives(self, house, driver):
        asked = await ask_for_things(driver)
        await until(lambda: house.connections >= 1)
        reactor.callLater(0.7, self._end_lie, house)
        for one in asked:
            with contextlib.suppress(StorageError):
                await one
        await until(lambda: house.opened.status().is_ready and house.opened.links.greetings)
        if isinstance(house._protocols[-1], Liar):
            self._end_lie(house)
        await until(lambda: isinstance(house._protocols[-1], Responder))
        await self._patiently(lambda: driver.put("/b", b"right"))
        assert (await self._patiently(lambda: driver.get("/b"))).data == b"right"

    def _end_lie(self, house):
        """A liar that would go on for ever is replaced, as an operator would."""
        for protocol in house._protocols:
            if isinstance(protocol, Liar) and protocol.transport is not None:
                protocol.transport.abortConnection()

    async def _patiently(self, ask):
        while True:
            try:
                return await ask()
            except StorageError:
                await turns()

    @pytest.mark.parametrize("lie", LIES)
    @pytest_twisted.ensureDeferred
    async def test_lie_costs_its_own_requests_only(self, house, lie):
        """The next connection serves; no descriptor is left and no failure unseen."""
        house.store.put("/a", b"content", if_absent=False, if_version=None)
        await self._survives(house, house.open(LIES[lie]))

    @pytest.mark.parametrize("lie", GREETINGS)
    @pytest_twisted.ensureDeferred
    async def test_lie_at_the_hello_costs_nothing(self, house, lie):
        """A connection without a right hello is never used."""
        house.store.put("/a", b"content", if_absent=False, if_version=None)
        await self._survives(house, house.open(GREETINGS[lie], greets=False))
