# SPDX-License-Identifier: Apache-2.0
"""A registry and its driver process: started, attached to, killed, hung and found again."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import tempfile

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from txregistry.process import opening
from txregistry.process.opening import OpenDriver
from txregistry.process.relief import Nobody
from txregistry.process.spec import DriverSpec, StartError, find_driver
from txregistry.process.supervision import Supervision
from txregistry.storage.errors import Missing, Unavailable

from ..census import turns, until
from .programs import MEMORY, descriptors, driver, is_alive, python

#: Speaks a protocol of the future, whatever it is asked.
OTHER_VERSION = """
import socket
connection = socket.socket(fileno=3).accept()[0]
request = connection.recv(65536)
tag = request.partition(b"_ask\\0")[2]
tag = tag[1:1 + tag[0]]
pairs = {b"_answer": tag, b"protocol": b"2", b"name": b"x", b"version": b"1", b"features": b""}
box = b"".join(len(p).to_bytes(2, "big") + p for pair in pairs.items() for p in pair) + bytes(2)
connection.sendall(box)
connection.recv(1)
"""

REFUSING = """
from txregistry.driver import BadOptions, main
def create(options):
    raise BadOptions(f"bucket is missing: {sorted(options)}")
main(create)
"""

BROKEN = """
from txregistry.driver import main
def create(options):
    raise ZeroDivisionError("by zero")
main(create)
"""

#: Its backend comes up when a file does, and has no conditional puts then.
LATE = """
import os
from txregistry.driver import MemoryStore, Unavailable, main
from txregistry.process import hosting
hosting.MAKE_INTERVAL = 0.05
def create(options):
    if not os.path.exists(options["file"]):
        raise Unavailable("the backend is away")
    store = MemoryStore()
    store.has_local_conditions = True
    return store
main(create)
"""


class House:
    """Opened drivers, ended with the test."""

    def __init__(self, directory):
        self.directory = directory
        self.opened = []
        self.processes = []

    def open(self, spec, supervision=None):
        opened = OpenDriver(spec, reactor, supervision=supervision)
        self.opened.append(opened)
        return opened

    def run(self, *command, **options):
        return self.open(DriverSpec("tested", command=command, options=options))

    def attach(self, path):
        return self.open(DriverSpec("tested", socket=os.fspath(path)))

    def filesystem(self, supervision=None):
        options = {"rootdirectory": os.fspath(self.directory / "root")}
        return self.open(find_driver("filesystem", options), supervision)

    def by_hand(self, path):
        """A driver that somebody else runs."""
        process = subprocess.Popen(
            [*driver(MEMORY), "--socket", os.fspath(path)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    async def end(self):
        for process in self.processes:
            process.kill()
            process.wait()
        for opened in self.opened:
            await opened.stop()


@pytest_twisted.async_yield_fixture
async def house(tmp_path, monkeypatch):
    with tempfile.TemporaryDirectory(prefix="opening-") as directory:
        monkeypatch.setattr(tempfile, "tempdir", directory)
        house = House(tmp_path)
        yield house
        await house.end()
        await turns()
        assert os.listdir(directory) == []


async def sentence(opened):
    with pytest.raises(StartError) as caught:
        await opened.hello()
    return str(caught.value)


class StartTests:
    """What the operator is told when a driver does not start: one sentence."""

    @pytest_twisted.ensureDeferred
    async def test_missing_program(self, house):
        """The program is named before anything is served."""
        with pytest.raises(StartError, match="'/no/such/driver' does not exist"):
            house.run("/no/such/driver")

    @pytest_twisted.ensureDeferred
    async def test_program_that_its_user_may_not_run(self, house):
        """The shell's words alone would not tell whose right is wanted."""
        assert os.geteuid() == 0, "needs root: a process of another user is started"
        (house.directory / "secret").mkdir(mode=0o700)
        program = house.directory / "secret" / "driver"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        opened = house.open(
            DriverSpec("tested", command=(os.fspath(program),), user=65534, group=65534)
        )
        assert "it ran as the user 65534 of storage.user" in await sentence(opened)

    @pytest_twisted.ensureDeferred
    async def test_program_that_ends_at_once(self, house):
        """Its own last words are in the sentence."""
        opened = house.run(*python("raise SystemExit('no such bucket')"))
        assert await sentence(opened) == (
            "storage driver 'tested' ended before it was ready: no such bucket"
        )

    @pytest_twisted.ensureDeferred
    async def test_program_that_says_nothing_is_not_waited_for(self, house):
        """A storage that hangs holds up its requests, not the start; the program is tried again."""
        opened = house.open(
            DriverSpec("tested", command=python("import sys; sys.stdin.read()")),
            Supervision(start_timeout=0.2, patience=0.1),
        )
        assert await opened.hello() == {}
        with pytest.raises(Unavailable):
            await opened.driver.stat("/")
        await until(lambda: opened.child.deaths > 1)

    @pytest_twisted.ensureDeferred
    async def test_program_that_is_killed_may_come_up_later(self, house, tmp_path):
        """A host without memory for it at the moment is no reason not to start."""
        text = (
            f"import os\nif not os.path.exists({os.fspath(tmp_path / 'up')!r}):\n"
            f"    os.kill(os.getpid(), 9)\n{MEMORY}"
        )
        opened = house.open(DriverSpec("tested", command=driver(text)), Supervision(backoff=0.1))
        assert await opened.hello() == {}
        (tmp_path / "up").touch()
        assert (await _patiently(lambda: opened.driver.stat("/"))).is_directory

    @pytest_twisted.ensureDeferred
    async def test_refused_options(self, house):
        """The driver's sentence is the operator's."""
        opened = house.run(*driver(REFUSING), region="x")
        assert await sentence(opened) == "storage driver 'tested': bucket is missing: ['region']"

    @pytest_twisted.ensureDeferred
    async def test_store_that_breaks(self, house):
        """A fault of the driver's author is named as what it is."""
        opened = house.run(*driver(BROKEN))
        assert await sentence(opened) == "storage driver 'tested': ZeroDivisionError: by zero"

    @pytest_twisted.ensureDeferred
    async def test_other_version(self, house):
        """Both versions are named."""
        opened = house.run(*python(OTHER_VERSION))
        assert await sentence(opened) == (
            "storage driver 'tested': the driver speaks protocol 2, this registry 1 to 1"
        )

    @pytest_twisted.ensureDeferred
    async def test_backend_that_is_away_is_waited_for(self, house, tmp_path):
        """The registry starts, says so to clients, and heals by itself."""
        opened = house.run(*driver(LATE), file=os.fspath(tmp_path / "up"))
        assert (await opened.hello())["protocol"] == 1
        with pytest.raises(Unavailable, match="the backend is away"):
            await opened.driver.stat("/")
        (tmp_path / "up").touch()
        assert (await _patiently(lambda: opened.driver.stat("/"))).is_directory
        assert await opened.decides_conditions() is False

    @pytest_twisted.ensureDeferred
    async def test_conditions_hold_between_hosts_unless_a_driver_says_otherwise(self, house):
        opened = house.filesystem()
        await opened.hello()
        assert await opened.decides_conditions() is True


class LifeTests:
    """What requests notice of a driver's life: nothing."""

    @pytest_twisted.ensureDeferred
    async def test_request_in_flight_outlives_kill_9(self, house):
        """Small requests and uploads go on in the next run of the driver."""
        opened = house.filesystem()
        await opened.hello()
        data = os.urandom(3 * 1024 * 1024)
        writer = await opened.driver.open_writer("/u/data", 0, algorithms=("sha256",))
        for start in range(0, len(data), 100_000):
            await writer.write(data[start : start + 100_000])
            if start == 1_000_000:
                pid = opened.child.pid
                opened.child.kill()
                asked = Deferred.fromCoroutine(opened.driver.stat("/"))
        closing = await writer.close()
        assert (await asked).is_directory
        assert closing.size == len(data)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        await opened.driver.commit("/u/data", "/blob", size=len(data), digest=digest)
        assert opened.child.pid not in (None, pid)
        assert opened.child.deaths == 1

    @pytest_twisted.ensureDeferred
    async def test_commands_are_timed_over_all_its_lives(self, house):
        opened = house.filesystem()
        told = []
        opened.time_commands(lambda name, seconds: told.append(name))
        await opened.hello()
        await opened.driver.stat("/")
        opened.child.kill()
        await opened.driver.stat("/")
        assert [name for name in told if name != "Ping"] == ["Hello", "Stat"] * 2

    @pytest_twisted.ensureDeferred
    async def test_open_file_outlives_its_driver(self, house):
        """A download goes on from the descriptor that the front end holds."""
        opened = house.filesystem()
        await opened.hello()
        await opened.driver.put("/a", b"x" * 300_000)
        reading = await opened.driver.read("/a")
        opened.child.kill()
        await until(lambda: opened.child.deaths)
        assert b"".join([chunk async for chunk in reading]) == b"x" * 300_000
        await reading.aclose()

    @pytest_twisted.ensureDeferred
    async def test_driver_that_hangs_is_killed_and_replaced(self, house):
        """A driver that answers no ping is not waited for: an upload goes on in the next one."""
        opened = house.filesystem(
            Supervision(ping_interval=0.1, terminate_after=0.1, kill_after=0.1)
        )
        await opened.hello()
        writer = await opened.driver.open_writer("/u/data", 0)
        await writer.write(b"one ")
        pid = opened.child.pid
        os.kill(pid, signal.SIGSTOP)
        await writer.write(b"and two")
        assert (await writer.close()).size == 11
        assert (await opened.driver.get("/u/data")).data == b"one and two"
        assert not is_alive(pid)
        assert opened.child.deaths >= 1  # a slow machine may be taken for another hang

    @pytest_twisted.ensureDeferred
    async def test_driver_that_was_asked_to_end_is_replaced(self, house):
        """SIGTERM of somebody else's to the driver is a restart like any other: its socket
        stays.
        """
        opened = house.filesystem()
        await opened.hello()
        pid = opened.child.pid
        os.kill(pid, signal.SIGTERM)
        await until(lambda: opened.child.deaths)
        assert (await opened.driver.stat("/")).is_directory
        assert not is_alive(pid)

    @pytest_twisted.ensureDeferred
    async def test_driver_holds_what_it_was_given_and_no_more(self, house):
        """No descriptor of the front end leaks into it."""
        with open("/dev/null", "rb") as file:
            os.set_inheritable(file.fileno(), True)
            opened = house.filesystem()
            await opened.hello()
            assert "/dev/null" not in descriptors(opened.child.pid).values()

    @pytest_twisted.ensureDeferred
    async def test_stop_ends_the_process(self, house):
        """And whoever asks is refused."""
        opened = house.filesystem()
        await opened.hello()
        pid = opened.child.pid
        await opened.stop()
        assert not is_alive(pid)
        with pytest.raises(Unavailable):
            await opened.driver.stat("/")


class AttachTests:
    """A driver that somebody else runs comes and goes."""

    @pytest_twisted.ensureDeferred
    async def test_one_goes_over_to_whoever_takes_the_drivers_place(self, house):
        """What several processes do when the one that keeps the driver has replaced it."""
        main = house.run(*driver(MEMORY))
        await main.hello()
        other = house.open(DriverSpec("tested", socket=main.socket))
        other.share(other)  # nothing of it is for one that has not started the driver
        await other.hello()
        first = await other.links.link()
        await other.change_over(30.0)
        assert first.is_lost
        await other.driver.put("/a", b"a")
        assert other.answered == 1
        assert main.status().deaths == 0

    @pytest_twisted.ensureDeferred
    async def test_removed_socket_is_mended_while_others_need_it(self, house):
        """The one that keeps the driver has its connection, and looks for those that have none."""
        main = house.run(*driver(MEMORY))
        main.share(Nobody())
        await main.hello()
        os.unlink(main.socket)
        await until(lambda: os.path.exists(main.socket))
        other = house.open(DriverSpec("tested", socket=main.socket))
        assert (await _patiently(lambda: other.driver.stat("/"))).is_directory

    @pytest_twisted.ensureDeferred
    async def test_nobody_to_go_over_to_is_no_failure(self, house, tmp_path):
        opened = house.open(DriverSpec("tested", socket=os.fspath(tmp_path / "s")))
        await opened.change_over(1.0)
        assert opened.answered == 0

    @pytest_twisted.ensureDeferred
    async def test_driver_may_appear_later(self, house, tmp_path, monkeypatch):
        """The registry starts without it and finds it when it is there."""
        monkeypatch.setattr(opening, "ATTACH_TIMEOUT", 0.1)
        opened = house.attach(tmp_path / "s")
        assert await opened.hello() == {}
        asked = Deferred.fromCoroutine(_patiently(lambda: opened.driver.stat("/")))
        house.by_hand(tmp_path / "s")
        assert (await asked).is_directory

    @pytest_twisted.ensureDeferred
    async def test_driver_may_be_restarted(self, house, tmp_path):
        """Requests go on with its next run."""
        process = house.by_hand(tmp_path / "s")
        await until(lambda: (tmp_path / "s").exists())
        opened = house.attach(tmp_path / "s")
        await _patiently(lambda: opened.driver.put("/a", b"x"))
        process.kill()
        process.wait()
        house.by_hand(tmp_path / "s")
        with pytest.raises(Missing):  # it kept everything in memory
            await _patiently(lambda: opened.driver.get("/a"))
        assert opened.links.greetings == 2

    @pytest_twisted.ensureDeferred
    async def test_log_says_when_it_comes_and_goes(self, house, tmp_path, logged):
        """Nothing else tells an operator of a driver that somebody else runs."""
        opened = house.attach(tmp_path / "s")
        for expected in (" is ready;", " is ready again;"):
            process = house.by_hand(tmp_path / "s")
            await until(lambda expected=expected: any(expected in words for words in logged))
            gone = "the connection to the driver has ended, and is made again"
            assert gone not in logged
            process.kill()
            process.wait()
            await until(lambda gone=gone: gone in logged)
            logged.clear()
        assert opened.links.greetings == 2

    @pytest_twisted.ensureDeferred
    async def test_driver_that_hangs_loses_its_connection_only(self, house, tmp_path):
        """It is not ours to end: when it goes on, requests do."""
        process = house.by_hand(tmp_path / "s")
        await until(lambda: (tmp_path / "s").exists())
        limits = Supervision(ping_interval=0.1, terminate_after=0.1, kill_after=0.1)
        opened = house.open(DriverSpec("tested", socket=os.fspath(tmp_path / "s")), limits)
        await _patiently(lambda: opened.driver.stat("/"))
        process.send_signal(signal.SIGSTOP)
        await until(lambda: not opened.status().is_ready)
        asked = Deferred.fromCoroutine(opened.driver.stat("/"))
        await until(lambda: opened.links._tenure is None)
        process.send_signal(signal.SIGCONT)
        assert (await asked).is_directory
        assert process.poll() is None


async def _patiently(ask):
    """The answer, however long the driver takes to come up on a slow machine."""
    while True:
        try:
            return await ask()
        except Unavailable:
            await turns()
