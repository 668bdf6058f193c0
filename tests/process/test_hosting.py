# SPDX-License-Identifier: Apache-2.0
"""The driver's own process: how it is started by hand, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from txregistry.process.opening import OpenDriver
from txregistry.process.spec import DriverSpec, StartError

from ..census import PATIENCE, turns, until
from .programs import MEMORY, driver, is_alive, python

#: A registry, as far as a driver can tell: starts one, says its process id and waits.
PARENT = """
import sys
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from txregistry.process.opening import OpenDriver
from txregistry.process.spec import find_driver
async def run():
    opened = OpenDriver(find_driver("filesystem", {"rootdirectory": sys.argv[1]}), reactor)
    await opened.hello()
    writer = await opened.driver.open_writer("/u/data", 0)
    await writer.write(b"what arrived")
    sys.stdout.write(f"{opened.child.pid} {opened.child.path}\\n")
    sys.stdout.flush()
ensureDeferred(run()).addErrback(lambda failure: (failure.printTraceback(), reactor.stop()))
reactor.run()
"""

#: Starts a program with a socket as its third descriptor.
AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""

OPTIONS = """
from txregistry.driver import BadOptions, MemoryStore, main
def create(options):
    raise BadOptions(str(sorted(options.items())))
main(create, "outside")
"""


class House:
    """Drivers that are run by hand, and connections to them."""

    def __init__(self, directory):
        self.path = directory / "s"
        self.processes = []
        self.opened = []

    def run(self, text, *arguments, **more):
        process = subprocess.Popen(
            [*driver(text), *map(os.fspath, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )
        self.processes.append(process)
        return process

    async def listening(self, text=MEMORY, *arguments):
        process = self.run(text, "--socket", self.path, *arguments)
        await until(lambda: self.path.exists() or process.poll() is not None, "the socket")
        return process

    def attach(self):
        opened = OpenDriver(DriverSpec("tested", socket=os.fspath(self.path)), reactor)
        self.opened.append(opened)
        return opened

    async def end(self):
        for opened in self.opened:
            await opened.stop()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.communicate(timeout=PATIENCE)


@pytest_twisted.async_yield_fixture
async def house():
    with tempfile.TemporaryDirectory(prefix="hosting-") as directory:
        house = House(Path(directory))
        yield house
        await house.end()


class ByHandTests:
    @pytest_twisted.ensureDeferred
    async def test_socket_is_for_its_user_and_group(self, house):
        """Nobody else on the host can connect."""
        await house.listening()
        assert house.path.stat().st_mode & 0o777 == 0o660

    @pytest_twisted.ensureDeferred
    async def test_socket_of_one_that_is_gone_is_replaced(self, house):
        """After a crash the driver is simply started again."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fspath(house.path))
            listener.listen()
        await house.listening()
        opened = house.attach()
        await until(lambda: opened.links.greetings)

    @pytest_twisted.ensureDeferred
    async def test_socket_in_use_is_left_alone(self, house):
        """Two drivers never fight for one path."""
        await house.listening()
        other = house.run(MEMORY, "--socket", house.path)
        _, words = other.communicate(timeout=PATIENCE)
        assert other.returncode == 1
        assert "another driver listens on" in words
        assert house.path.exists()

    @pytest.mark.parametrize("text", ["not a socket", None])
    @pytest_twisted.ensureDeferred
    async def test_what_is_no_socket_is_left_alone(self, house, text):
        """A file that happens to be there is not removed; a directory that is not there is
        named.
        """
        if text is None:
            house.path = house.path / "below"
        else:
            house.path.write_text(text)
        process = house.run(MEMORY, "--socket", house.path)
        _, words = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert words.count("\n") == 1
        if text is not None:
            assert f"{house.path} is there and is no socket" in words
            assert house.path.read_text() == text

    @pytest_twisted.ensureDeferred
    async def test_socket_of_another_kind_is_left_alone(self, house):
        """A daemon that logs there, for one, is no driver that is gone."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.bind(os.fspath(house.path))
            process = house.run(MEMORY, "--socket", house.path)
            _, words = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert f"{house.path} is there and can't be replaced: Protocol wrong type" in words
        assert house.path.exists()

    @pytest_twisted.ensureDeferred
    async def test_without_a_socket_it_says_how_to_give_one(self, house):
        """Started without arguments it is one sentence."""
        process = house.run(MEMORY)
        _, words = process.communicate(timeout=PATIENCE)
        assert (process.returncode, words) == (
            1,
            "-c: no socket to listen on: give one with --socket PATH\n",
        )

    @pytest_twisted.ensureDeferred
    async def test_inherited_socket_is_used_as_systemd_gives_it(self, house):
        """A unit with a socket needs no arguments; that socket is left when the driver ends."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fspath(house.path))
            listener.listen()
            process = subprocess.Popen(
                [*python(AS_SYSTEMD), str(listener.fileno()), *driver(MEMORY)],
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            house.processes.append(process)
            opened = house.attach()
            await until(lambda: opened.links.greetings or process.poll() is not None)
            process.terminate()
            process.wait(PATIENCE)
            assert (process.returncode, house.path.exists()) == (0, True)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('{"a": 1}', None),
            ("", None),
            ("[]", "outside: the options are not a JSON object\n"),
            ("{", "outside: Expecting property name"),
            (None, "outside: [Errno 2] No such file"),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_options_come_from_a_file(self, house, tmp_path, text, words):
        """The driver gets them, or one sentence says why not."""
        path = tmp_path / "options.json"
        if text is not None:
            path.write_text(text)
        process = await house.listening(OPTIONS, "--options", path)
        if words is not None:
            assert process.communicate(timeout=PATIENCE)[1].startswith(words)
            assert process.returncode == 1
            return
        opened = house.attach()
        with pytest.raises(Exception, match="storage driver 'tested'") as caught:
            while True:
                await opened.hello()
        assert str(caught.value).endswith(str(sorted(json.loads(text or "{}").items())))


class MiddlewareTests:
    """Middlewares run in the driver's process, in front of its store."""

    @pytest_twisted.ensureDeferred
    async def test_client_is_sent_where_the_middleware_says(self, house, tmp_path):
        """Also if the store has no URLs of its own."""
        path = tmp_path / "options.json"
        chain = [{"name": "redirect", "options": {"baseurl": "https://cdn.example/x"}}]
        path.write_text(json.dumps({"middleware": chain}))
        await house.listening(MEMORY, "--options", path)
        opened = house.attach()
        await opened.hello()
        url = await opened.driver.redirect_url("/a/data", "GET", 60, client="192.0.2.1")
        assert url == "https://cdn.example/x/a/data"

    @pytest_twisted.ensureDeferred
    async def test_refusal_is_one_sentence(self, house, tmp_path):
        """Like that of the store's own options."""
        path = tmp_path / "options.json"
        path.write_text(json.dumps({"middleware": [{"name": "rewrit"}]}))
        await house.listening(MEMORY, "--options", path)
        opened = house.attach()
        with pytest.raises(Exception, match=r"middleware rewrit: .*did you mean rewrite"):
            while True:
                await opened.hello()


class RequiredTests:
    @pytest_twisted.ensureDeferred
    async def test_driver_that_can_not_confine_itself_is_refused(self, house):
        """Where isolation is required: its hello says what is missing, and what may be done."""
        text = (
            "from txregistry.process import hosting\n"
            "hosting.confine = lambda *_, **more: ('no-new-privs',)\n"
        )
        environment = {**os.environ, "TXREGISTRY_ISOLATION": "required"}
        process = house.run(text + MEMORY, "--socket", house.path, env=environment)
        await until(lambda: house.path.exists() or process.poll() is not None, "the socket")
        opened = house.attach()
        with pytest.raises(StartError, match="is required, and files and limits and network can't"):
            while True:
                await opened.hello()


class EndTests:
    @pytest_twisted.ensureDeferred
    async def test_driver_ends_with_its_standard_input(self, house):
        """A registry in another namespace, of which the kernel does not tell, ends this way; what
        somebody writes there does not matter.
        """
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fspath(house.path))
            listener.listen()
            options, given = os.pipe()
            os.close(given)
            process = subprocess.Popen(
                [*python(AS_SYSTEMD), str(listener.fileno()), *driver(MEMORY)],
                pass_fds=[listener.fileno(), options],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "TXREGISTRY_OPTIONS_FD": str(options)},
            )
            house.processes.append(process)
            os.close(options)
            opened = house.attach()
            process.stdin.write(b"noise")
            process.stdin.flush()
            await until(lambda: opened.links.greetings or process.poll() is not None)
            assert process.poll() is None
            process.stdin = process.stdin.close()
            await until(lambda: process.poll() is not None, "the driver's end")
            assert process.returncode == 0

    @pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGTERM] * 3, [signal.SIGINT]])
    @pytest_twisted.ensureDeferred
    async def test_what_arrived_is_stored_first(self, house, tmp_path, signals):
        """A driver that is told to end, once or more often, goes quietly and takes its own socket
        along.
        """
        text = (
            "from txregistry.driver import main\n"
            "from txregistry_drivers.filesystem import create\n"
            "main(create)"
        )
        options = tmp_path / "options.json"
        options.write_text(json.dumps({"rootdirectory": os.fspath(tmp_path / "root")}))
        process = await house.listening(text, "--options", options)
        opened = house.attach()
        await until(lambda: opened.links.greetings)
        writer = await opened.driver.open_writer("/u/data", 0)
        await writer.write(b"what arrived")
        for number in signals:
            process.send_signal(number)
        _, words = process.communicate(timeout=PATIENCE)
        assert (process.returncode, words) == (0, "")
        assert (tmp_path / "root" / "u" / "data").read_bytes() == b"what arrived"
        assert not house.path.exists()
        await writer.abandon()

    @pytest_twisted.ensureDeferred
    async def test_driver_ends_with_a_registry_that_is_killed(self, house, tmp_path):
        """kill -9 of the registry leaves no process behind, and what it had sent is stored."""
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, os.fspath(tmp_path / "root")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, "TMPDIR": os.fspath(house.path.parent)},
        )
        house.processes.append(parent)
        reader = Deferred()
        reactor.callInThread(
            lambda: reactor.callFromThread(reader.callback, parent.stdout.readline())
        )
        pid, path = (await reader).split()
        parent.kill()
        parent.wait()
        await until(lambda: not is_alive(int(pid)), "the driver's end")
        assert (tmp_path / "root" / "u" / "data").read_bytes() == b"what arrived"
        # The path stays, for the other processes of the registry; the next one removes it in time.
        assert os.path.exists(path)
        await turns()
