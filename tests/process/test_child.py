# SPDX-License-Identifier: Apache-2.0
"""The program that main runs as a driver: what it gets, and what becomes of it when it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import time

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from txregistry.process import inheritance
from txregistry.process.child import HANGING_LIMIT, ChildDriver
from txregistry.process.endings import how_it_ended
from txregistry.process.run import LAST_WORDS_TIMEOUT, REAP_TIMEOUT
from txregistry.process.spec import ISOLATION, DriverSpec, StartError, find_driver
from txregistry.process.supervision import Supervision

from ..census import until
from .programs import IDLE, command_line, environment, ignored_signals, is_alive, python

END_TIMEOUT = Supervision().end_timeout

#: Tells on its standard output what it was given, then waits.
TELLING = """
import json, os, socket, sys
told = {
    "pid": os.getpid(),
    "listen_pid": os.environ["LISTEN_PID"],
    "listen_fds": os.environ["LISTEN_FDS"],
    "names": os.environ["LISTEN_FDNAMES"],
    "options": json.loads(open(int(os.environ["TXREGISTRY_OPTIONS_FD"])).read()),
    "socket": socket.socket(fileno=3).getsockname(),
    "directory": os.getcwd(),
}
print(json.dumps(told), flush=True)
sys.stdin.buffer.read()
"""


class House:
    """Drivers of a test; what still runs at its end is killed."""

    def __init__(self):
        self.clock = Clock()
        self.drivers = []
        self.deaths = []

    def driver(self, *command, options=None, using=reactor, **more):
        driver = ChildDriver(
            DriverSpec("tested", command=command, options=options or {}),
            using,
            self.clock,
            when_died=lambda *, has_greeted: self.deaths.append((driver.deaths, has_greeted)),
            **more,
        )
        self.drivers.append(driver)
        return driver

    def run(self, *command, **more):
        driver = self.driver(*command, **more)
        driver.bind()
        driver.start()
        return driver

    async def up(self, driver, words="up"):
        await until(lambda: driver.last_words == words, words)

    async def end(self):
        for driver in self.drivers:
            stopping = Deferred.fromCoroutine(driver.stop())
            driver.kill()
            await stopping


@pytest_twisted.async_yield_fixture
async def house():
    house = House()
    yield house
    await house.end()


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Where sockets are made: a directory of the test's own, with a short path."""
    with tempfile.TemporaryDirectory(prefix="child-") as directory:
        monkeypatch.setattr(tempfile, "tempdir", directory)
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
        yield directory


class GivingTests:
    """What a driver is given."""

    @pytest_twisted.ensureDeferred
    async def test_options_travel_by_descriptor_only(self, house):
        """A secret in the options is on no command line and in no environment."""
        driver = house.run(*python(TELLING), options={"secret": "hunter2", "n": [1]})
        await until(lambda: driver.last_words)
        told = json.loads(driver.last_words)
        assert told["options"] == {"secret": "hunter2", "n": [1]}
        assert not [part for part in command_line(driver.pid) if b"hunter2" in part]
        assert not [value for value in environment(driver.pid).values() if b"hunter2" in value]

    @pytest_twisted.ensureDeferred
    async def test_socket_is_handed_over_as_systemd_does(self, house):
        """Any driver that knows sd_listen_fds finds its socket, and LISTEN_PID is its own id."""
        driver = house.run(*python(TELLING))
        await until(lambda: driver.last_words)
        told = json.loads(driver.last_words)
        assert told["pid"] == int(told["listen_pid"]) == driver.pid
        assert (told["listen_fds"], told["names"]) == ("1", "driver")
        assert (told["socket"], told["directory"]) == (driver.path, "/")

    @pytest_twisted.ensureDeferred
    async def test_environment_is_small(self, house, monkeypatch):
        """Credentials and settings of the front end stay with it."""
        for name in ("AWS_SECRET_ACCESS_KEY", "http_proxy", "PYTHONPATH", "LD_PRELOAD_X"):
            monkeypatch.setenv(name, "/nowhere")
        driver = house.run(*python(IDLE))
        await house.up(driver)
        allowed = {*inheritance.INHERITED, "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"}
        # The shell that the driver is started by may note where it was.
        allowed |= {"TXREGISTRY_OPTIONS_FD", ISOLATION, "PWD", "OLDPWD", "SHLVL", "_"}
        assert {name.decode() for name in environment(driver.pid)} <= allowed

    def test_environment_has_what_a_vendor_reads(self, monkeypatch):
        """The S3 driver finds its role by AWS_* as every other tool does; the others do not."""
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r")
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
        monkeypatch.setenv("AWSOME", "no")
        wanted = {"AWS_ROLE_ARN", "HTTPS_PROXY"}
        for name, expected in (("s3", wanted), ("s3aws", wanted), ("filesystem", set())):
            found = inheritance.inherited(find_driver(name, {}).environment)
            assert found.keys() & {*wanted, "AWSOME"} == expected

    @pytest_twisted.ensureDeferred
    async def test_interrupt_of_the_terminal_does_not_reach_it(self, house):
        """Control-C lets the front end finish its requests before the driver ends."""
        driver = house.run(*python(IDLE))
        await house.up(driver)
        assert signal.SIGINT in ignored_signals(driver.pid)
        os.kill(driver.pid, signal.SIGINT)
        assert is_alive(driver.pid)

    @pytest_twisted.ensureDeferred
    async def test_program_may_be_named_from_where_the_registry_was_started(
        self, house, tmp_path, monkeypatch
    ):
        """A relative path means what it meant when it was written."""
        program = tmp_path / "driver"
        program.write_text("#!/bin/sh\necho up\nread line\n")
        program.chmod(0o755)
        monkeypatch.chdir(tmp_path)
        driver = house.run("./driver")
        await house.up(driver)

    @pytest_twisted.ensureDeferred
    async def test_lines_go_to_the_log_whole(self, house):
        """Both outputs are taken line by line; what is not text and what is too long is cut
        down.
        """
        text = (
            "import os, sys; os.write(1, b'one'); os.write(2, b'other'); os.write(1, b' line\\n');"
            "os.write(2, b' line\\n'); os.write(1, b'x' * 5000); os.write(2, b'\\xff\\n\\nend');"
            "os.read(0, 1)"
        )
        driver = house.run(*python(text))
        await until(lambda: len(driver._run._words.last) == 4)  # two pipes: in whatever order
        assert sorted(driver._run._words.last) == ["\\xff", "one line", "other line", "x" * 4000]


class RefusalTests:
    """What is told before anything runs."""

    @pytest_twisted.ensureDeferred
    async def test_missing_program_is_one_sentence(self, house, place):
        """The operator learns which program is not there and which key names it."""
        driver = house.driver("/no/such/program", "--flag")
        with pytest.raises(
            StartError, match=r"'/no/such/program' does not exist.*storage.external.command"
        ):
            driver.bind()
        assert os.listdir(place) == []

    @pytest_twisted.ensureDeferred
    async def test_options_must_be_json(self, house, place):
        """Options that can't be passed are refused before there is a socket or a process."""
        driver = house.driver(*python(IDLE), options={"when": object()})
        with pytest.raises(StartError, match="'tested' can't be written as JSON"):
            driver.bind()
        assert os.listdir(place) == []

    @pytest_twisted.ensureDeferred
    async def test_place_with_too_long_a_path_is_one_sentence(self, house, tmp_path, monkeypatch):
        """A socket's path has 107 bytes at most; the sentence names the way out."""
        place = tmp_path / ("x" * 100)
        place.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", os.fspath(place))
        with pytest.raises(StartError, match="XDG_RUNTIME_DIR or TMPDIR"):
            house.driver(*python(IDLE)).bind()
        assert os.listdir(place) == []

    @pytest_twisted.ensureDeferred
    async def test_missing_place_is_one_sentence(self, house, monkeypatch):
        """A temporary directory that is not there is named, too."""
        monkeypatch.setattr(tempfile, "tempdir", "/no/such/place")
        with pytest.raises(StartError, match="/no/such/place"):
            house.driver(*python(IDLE)).bind()


class PlaceTests:
    """Where the socket is."""

    @pytest_twisted.ensureDeferred
    async def test_socket_is_private(self, house, place):
        """Nobody else on the host can connect; the runtime directory is preferred."""
        driver = house.driver(*python(IDLE))
        driver.bind()
        assert os.path.dirname(os.path.dirname(driver.path)) == place
        assert os.stat(os.path.dirname(driver.path)).st_mode & 0o777 == 0o700

    @pytest_twisted.ensureDeferred
    async def test_runtime_directory_is_preferred(self, house, place, monkeypatch):
        """Where the service's manager gives a directory, the socket is there."""
        with tempfile.TemporaryDirectory(prefix="run-", dir="/tmp") as directory:
            monkeypatch.setenv("RUNTIME_DIRECTORY", f"{directory}:/else")
            driver = house.driver(*python(IDLE))
            driver.bind()
            assert driver.path.startswith(directory + "/")

    @pytest_twisted.ensureDeferred
    async def test_what_a_killed_registry_left_is_removed(self, house, place):
        """Directories of dead sockets don't pile up; living ones and those of others stay."""
        now = time.time()
        names = (
            "txregistry-dead",
            "txregistry-living",
            "txregistry-young",
            "txregistry-empty",
            "other",
        )
        sockets = {name: socket.socket(socket.AF_UNIX) for name in names}
        for name, listener in sockets.items():
            os.mkdir(os.path.join(place, name))
            if name != "txregistry-empty":
                listener.bind(os.path.join(place, name, "driver.sock"))
            if name == "txregistry-living":
                listener.listen()
            if name != "txregistry-young":
                os.utime(os.path.join(place, name), (now - 3600, now - 3600))
        house.driver(*python(IDLE)).bind()
        for listener in sockets.values():
            listener.close()
        left = set(os.listdir(place))
        assert set(names) - left == {"txregistry-dead"}

    @pytest_twisted.ensureDeferred
    async def test_stop_removes_it(self, house, place):
        """A registry that was ended leaves nothing behind, whether its driver ran or not."""
        driver = house.driver(*python(IDLE))
        driver.bind()
        await driver.stop()
        assert os.listdir(place) == []
        await driver.stop()


class RemovedSocketTests:
    """Somebody cleans up where the socket is."""

    @pytest_twisted.ensureDeferred
    @pytest.mark.parametrize("what", ["socket", "directory"])
    async def test_next_run_gets_a_new_one_at_the_same_path(self, house, what):
        """Whoever connects finds the driver after its next start, without a restart of the
        registry.
        """
        driver = house.run(*python(IDLE))
        await house.up(driver)
        driver.check_path()
        self.remove(driver.path, what)
        pid = driver.pid
        with pytest.raises(FileNotFoundError, match=r"driver.sock was removed"):
            driver.check_path()  # which ends the driver that nobody can reach
        await until(lambda: house.deaths)
        assert not is_alive(pid)
        with pytest.raises(FileNotFoundError):
            driver.check_path()
        house.clock.advance(0)
        await house.up(driver)
        driver.check_path()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(driver.path)
        assert os.stat(os.path.dirname(driver.path)).st_mode & 0o777 == 0o700

    @pytest_twisted.ensureDeferred
    @pytest.mark.parametrize("what", ["socket", "directory"])
    async def test_successor_brings_it_back_too(self, house, what):
        """A replacement in time works all the same."""
        driver = house.run(*python(IDLE))
        await house.up(driver)
        self.remove(driver.path, what)
        before = driver.promote(driver.launch_successor())
        await driver.dismiss(before)
        driver.check_path()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(driver.path)

    @pytest_twisted.ensureDeferred
    async def test_directory_of_somebody_else_is_not_used(self, house, place):
        """In a place that is everybody's, whoever makes it first could play the driver."""
        driver = house.run(*python(IDLE), pause=lambda: 1.0)
        await house.up(driver)
        directory = os.path.dirname(driver.path)
        os.rename(directory, directory + ".old")
        os.mkdir(directory)
        with socket.socket(socket.AF_UNIX) as foreign:
            foreign.bind(driver.path)
            with pytest.raises(FileNotFoundError):
                driver.check_path()
            await until(lambda: house.deaths)
            house.clock.advance(1)
            assert house.deaths[1:] == [(2, False)]
            await driver.stop()
        assert os.path.exists(directory)

    @pytest_twisted.ensureDeferred
    async def test_after_the_stop_there_is_none(self, house):
        """Nor is there anything to mend."""
        driver = house.run(*python(IDLE))
        await driver.stop()
        with pytest.raises(FileNotFoundError, match="stopped"):
            driver.check_path()

    def remove(self, path, what):
        os.unlink(path)
        if what == "directory":
            os.rmdir(os.path.dirname(path))


class RestartTests:
    """What becomes of a driver that ends."""

    @pytest_twisted.ensureDeferred
    async def test_death_is_told_and_then_the_pause_is_asked_for(self, house):
        """A program that can't run does not keep the host busy: whoever counts its deaths says how
        long it rests.
        """
        driver = house.run(
            *python("raise SystemExit('no such bucket')"), pause=lambda: 10.0 * len(house.deaths)
        )
        for count in (1, 2):
            await until(lambda count=count: len(house.deaths) == count)
            (call,) = house.clock.getDelayedCalls()
            assert call.getTime() - house.clock.seconds() == 10.0 * count
            assert driver.last_words == "no such bucket"
            house.clock.advance(10.0 * count)
        assert house.deaths == [(1, False), (2, False)]

    @pytest_twisted.ensureDeferred
    async def test_death_after_a_hello_is_told_as_such(self, house):
        """kill -9 of a driver that was at work is another matter than one that never came up."""
        greetings = []
        driver = house.run(*python(IDLE), greetings=lambda: len(greetings))
        for count in (1, 2):
            await house.up(driver)
            pid = driver.pid
            greetings.append("hello")
            driver.kill()
            await until(lambda count=count: len(house.deaths) == count)
            assert driver.pid is None
            house.clock.advance(0)
            assert driver.pid not in (None, pid)
        assert house.deaths == [(1, True), (2, True)]

    @pytest_twisted.ensureDeferred
    async def test_polite_end_is_followed_by_a_start_too(self, house):
        """A driver that was asked to end because it hangs may clean up, and comes back."""
        driver = house.run(*python(IDLE))
        await house.up(driver)
        driver.terminate()
        await until(lambda: house.deaths)
        house.clock.advance(0)
        assert driver.pid is not None

    @pytest_twisted.ensureDeferred
    async def test_pipes_that_others_hold_do_not_delay_it(self, house):
        """What the program started may live on with its output: the driver comes back all the
        same.
        """
        # What it leaves behind reads descriptor 0 until that ends.
        text = "import subprocess, sys; subprocess.Popen(['cat']); print('up', flush=True); sys.exit(3)"
        driver = house.run(*python(text))
        await house.up(driver)
        await until(lambda: house.clock.getDelayedCalls())
        assert house.deaths == []
        house.clock.advance(LAST_WORDS_TIMEOUT)
        await until(lambda: house.deaths)

    @pytest_twisted.ensureDeferred
    async def test_start_that_fails_is_tried_again(self, house):
        """A host without a free process for a moment does not lose its driver for good."""

        class Full:
            tries = 0

            def spawnProcess(self, *arguments, **more):
                self.tries += 1
                if self.tries == 1:
                    raise BlockingIOError(11, "Resource temporarily unavailable")
                return reactor.spawnProcess(*arguments, **more)

        driver = house.run(*python(IDLE), using=Full())
        assert house.deaths == [(1, False)]
        assert driver.last_words == ""
        house.clock.advance(0)
        await house.up(driver)

    def test_end_of_one_that_was_not_started_is_none(self, house):
        """Whoever keeps it may be told of a hang before there is a process."""
        driver = house.driver(*python(""))
        driver.terminate()
        driver.kill()
        assert (driver.pid, house.deaths, house.clock.getDelayedCalls()) == (None, [], [])

    @pytest_twisted.ensureDeferred
    async def test_kill_of_one_that_is_gone_is_no_error(self, house):
        """A kill that comes too late does nothing."""
        driver = house.run(*python(""))
        run = driver._run
        driver.kill()
        await until(lambda: run.pid is None)
        driver.kill()  # reaped, and its output not yet at its end
        run.kill()
        await until(lambda: house.deaths)
        driver.kill()
        run.kill()


class EndingTests:
    """How a process is asked to end, and how that is told."""

    @pytest_twisted.ensureDeferred
    async def test_stop_right_after_the_start_is_quick(self, house):
        """A registry that is told to end while its driver is being started does not wait for a kill:
        here nobody's time passes.
        """
        for _ in range(5):
            driver = house.run(*python(IDLE))
            pid = driver.pid
            await driver.stop()
            assert not is_alive(pid)

    def test_nothing_is_asked_before_the_exec(self, house):
        """Until then the process is a copy of ours, which would take the request and forget it."""
        kernel = Kernel(is_slow=True)
        driver = house.run(*python(IDLE), using=kernel)
        driver.terminate()
        assert kernel.signals == []
        kernel.run_shell(1)
        assert kernel.signals == [(1, "TERM")]
        driver.terminate()
        kernel.started[0].childDataReceived(1, b"up\n")
        assert kernel.signals == [(1, "TERM")] * 2
        kernel.let_go(1)

    @pytest.mark.parametrize(
        ("end", "words"),
        [
            (ProcessDone(0), "exited with status 0"),
            (ProcessTerminated(3, None, 768), "exited with status 3"),
            (ProcessTerminated(None, 9, 9), "killed by signal 9 (SIGKILL)"),
            (ProcessTerminated(None, 11, 139), "killed by signal 11 (SIGSEGV)"),
            (ProcessTerminated(None, 40, 40), "killed by signal 40 (no name)"),
        ],
    )
    def test_end_is_told_in_few_words(self, end, words):
        """What an operator reads at night is what happened, with the signal's name."""
        assert how_it_ended(end) == words


class Kernel:
    """Starts processes that even a kill does not end, until the test lets them go.

    Args:
        is_slow: they are not past their exec before the test says so.
    """

    def __init__(self, *, is_slow=False):
        self.is_slow = is_slow
        self.started = []
        self.signals = []

    def spawnProcess(self, protocol, *arguments, **more):
        kernel, number = self, len(self.started) + 1

        class Transport:
            pid = number

            def signalProcess(self, name):
                kernel.signals.append((number, name))

        self.started.append(protocol)
        if not self.is_slow:
            self.run_shell(number)
        return Transport()

    def run_shell(self, number):
        """Process ``number`` is past its exec, and says so."""
        self.started[number - 1].childDataReceived(1, b"\n")

    def let_go(self, number):
        self.started[number - 1].processEnded(Failure(ProcessDone(0)))


class HangingTests:
    """A process that hangs in the kernel: on a dead disk, say."""

    @pytest_twisted.ensureDeferred
    async def test_another_one_takes_its_place(self, house):
        """The registry does not wait for it."""
        kernel = Kernel()
        driver = house.run(*python(IDLE), using=kernel)
        driver.kill()
        driver.kill()
        assert kernel.signals == [(1, "KILL")] * 2
        house.clock.advance(REAP_TIMEOUT)
        house.clock.advance(0)
        assert (driver.deaths, driver.pid) == (1, 2)
        kernel.let_go(1)
        assert (driver.deaths, driver.pid) == (1, 2)
        kernel.let_go(2)

    @pytest_twisted.ensureDeferred
    async def test_there_are_never_too_many(self, house):
        """At the limit nothing more is started until one of them is gone."""
        kernel = Kernel()
        driver = house.run(*python(IDLE), using=kernel)
        for _ in range(HANGING_LIMIT):
            driver.kill()
            house.clock.advance(REAP_TIMEOUT)
            house.clock.advance(0)
        assert len(kernel.started) == HANGING_LIMIT
        assert driver.pid is None
        house.clock.advance(3600)
        assert len(kernel.started) == HANGING_LIMIT
        kernel.let_go(1)
        house.clock.advance(0)
        assert len(kernel.started) == HANGING_LIMIT + 1
        kernel.let_go(2)
        kernel.let_go(3)

    @pytest_twisted.ensureDeferred
    async def test_one_that_goes_in_time_is_no_matter(self, house):
        """A killed process that ends is a death like any other."""
        kernel = Kernel()
        driver = house.run(*python(IDLE), using=kernel)
        driver.kill()
        kernel.let_go(1)
        house.clock.advance(0)
        assert (driver.deaths, driver.pid) == (1, 2)
        house.clock.advance(REAP_TIMEOUT)
        assert driver.pid == 2
        kernel.let_go(2)

    @pytest_twisted.ensureDeferred
    async def test_end_of_the_registry_does_not_wait_for_it(self, house):
        """Nor does one that was killed a moment ago start another one."""
        kernel = Kernel()
        driver = house.run(*python(IDLE), using=kernel)
        driver.kill()
        stopping = Deferred.fromCoroutine(driver.stop())
        house.clock.advance(END_TIMEOUT)
        assert kernel.signals == [(1, "KILL"), (1, "TERM"), (1, "KILL")]
        assert not stopping.called
        house.clock.advance(REAP_TIMEOUT)
        await stopping
        assert len(kernel.started) == 1
        kernel.let_go(1)


class SuccessorTests:
    """Another run takes the place of the present one while that lives."""

    @pytest_twisted.ensureDeferred
    async def test_it_takes_over_the_name_of_the_socket(self, house):
        """Whoever connects afterwards reaches the successor; the old one goes when it is told."""
        driver = house.run(*python(IDLE))
        await house.up(driver)
        old = driver.pid
        successor = driver.launch_successor()
        assert driver.pid == old
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(driver.next_path)
        before = driver.promote(successor)
        assert (driver.pid, before.pid) == (successor.pid, old)
        assert not os.path.exists(driver.next_path)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(driver.path)
        await driver.dismiss(before)
        assert not is_alive(old)
        assert (house.deaths, driver.deaths) == ([], 0)
        assert is_alive(driver.pid)

    @pytest_twisted.ensureDeferred
    async def test_its_death_is_a_death_afterwards(self, house):
        """It is started again on the same socket."""
        driver = house.run(*python(IDLE))
        await house.up(driver)
        before = driver.promote(driver.launch_successor())
        await driver.dismiss(before)
        await house.up(driver)
        driver.kill()
        await until(lambda: house.deaths)
        assert house.deaths == [(1, True)]
        house.clock.advance(0)
        await house.up(driver)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(driver.path)

    @pytest_twisted.ensureDeferred
    async def test_one_that_is_dismissed_leaves_the_present_one_alone(self, house):
        """Nor does its socket stay."""
        driver = house.run(*python(IDLE))
        await house.up(driver)
        for _ in range(2):
            dismissing = Deferred.fromCoroutine(
                driver.dismiss(driver.launch_successor(), is_at_once=True)
            )
            house.clock.advance(0)
            await dismissing
            assert not os.path.exists(driver.next_path)
        assert (house.deaths, is_alive(driver.pid)) == ([], True)

    @pytest_twisted.ensureDeferred
    async def test_one_that_died_meanwhile_is_started_again(self, house):
        """Between its hello and its promotion, say."""
        kernel = Kernel()
        driver = house.run(*python(IDLE), using=kernel)
        successor = driver.launch_successor()
        kernel.let_go(2)
        driver.promote(successor)
        assert house.deaths == [(1, True)]
        house.clock.advance(0)
        assert driver.pid == 3
        kernel.let_go(1)
        kernel.let_go(3)

    @pytest_twisted.ensureDeferred
    async def test_one_whose_socket_was_removed_changes_nothing(self, house):
        """The present one keeps its socket and is started again as ever."""
        kernel = Kernel()
        driver = house.run(*python(IDLE), using=kernel)
        successor = driver.launch_successor()
        os.unlink(driver.next_path)
        with pytest.raises(FileNotFoundError):
            driver.promote(successor)
        assert driver.pid == 1
        kernel.let_go(2)
        await driver.dismiss(successor)
        kernel.let_go(1)
        house.clock.advance(0)
        assert driver.pid == 3
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(driver.path)
        kernel.let_go(3)

    @pytest_twisted.ensureDeferred
    async def test_place_of_one_that_has_died_is_taken_too(self, house):
        """The start that was waited for does not come as well."""
        kernel = Kernel()
        driver = house.run(*python(IDLE), using=kernel, pause=lambda: 5.0)
        successor = driver.launch_successor()
        kernel.let_go(1)
        assert driver.promote(successor) is None
        house.clock.advance(5)
        assert (driver.pid, len(kernel.started)) == (2, 2)
        kernel.let_go(2)

    @pytest_twisted.ensureDeferred
    async def test_old_one_that_does_not_go_counts_as_hanging(self, house):
        """No successor is launched beside it, and its end is noticed."""
        kernel = Kernel()
        driver = house.run(*python(IDLE), using=kernel)
        before = driver.promote(driver.launch_successor())
        dismissing = Deferred.fromCoroutine(driver.dismiss(before))
        house.clock.advance(END_TIMEOUT)
        assert kernel.signals == [(1, "TERM"), (1, "KILL")]
        house.clock.advance(REAP_TIMEOUT)
        await dismissing
        with pytest.raises(OSError, match="a process of it hangs"):
            driver.launch_successor()
        kernel.let_go(1)
        driver.launch_successor()
        kernel.let_go(2)
        kernel.let_go(3)

    @pytest_twisted.ensureDeferred
    async def test_launch_that_fails_leaves_nothing(self, house):
        """No socket, no descriptor."""
        driver = house.run(*python(IDLE))
        await house.up(driver)

        def fail(*arguments, **more):
            raise BlockingIOError(11, "Resource temporarily unavailable")

        driver._reactor = type("Full", (), {"spawnProcess": fail})()
        with pytest.raises(BlockingIOError):
            driver.launch_successor()
        assert not os.path.exists(driver.next_path)

    @pytest_twisted.ensureDeferred
    async def test_stop_ends_all(self, house):
        """A registry that ends in the middle leaves no process."""
        driver = house.run(*python(IDLE))
        await house.up(driver)
        successor = driver.launch_successor()
        await until(lambda: successor.last_words)
        pids = [driver.pid, successor.pid]
        await driver.stop()
        assert [is_alive(pid) for pid in pids] == [False, False]
        with pytest.raises(OSError, match="started or stopped"):
            driver.launch_successor()


class StopTests:
    """How a driver is ended."""

    @pytest_twisted.ensureDeferred
    async def test_driver_is_asked_first(self, house):
        """It may store what it has before it goes."""
        text = (
            "import os, signal, sys;"
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(os.write(1, b'bye\\n') - 4));"
            "os.write(1, b'up\\n'); sys.stdin.buffer.read()"
        )
        driver = house.run(*python(text))
        await house.up(driver)
        pid = driver.pid
        await driver.stop()
        assert not is_alive(pid)
        assert driver.last_words == "bye"
        assert house.deaths == []
        assert house.clock.getDelayedCalls() == []

    @pytest_twisted.ensureDeferred
    async def test_driver_that_does_not_listen_is_killed(self, house):
        """A driver that hangs delays the end only for so long."""
        text = (
            "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True);"
            "sys.stdin.buffer.read()"
        )
        driver = house.run(*python(text))
        await house.up(driver)
        pid = driver.pid
        stopping = Deferred.fromCoroutine(driver.stop())
        house.clock.advance(END_TIMEOUT - 1)
        assert is_alive(pid)
        house.clock.advance(1)
        await stopping
        assert not is_alive(pid)

    @pytest_twisted.ensureDeferred
    async def test_pause_before_a_restart_is_ended(self, house):
        """Nothing is started after the stop."""
        driver = house.run(*python("raise SystemExit(1)"))
        await until(lambda: house.deaths)
        await driver.stop()
        assert house.clock.getDelayedCalls() == []
        assert driver.pid is None
