# SPDX-License-Identifier: Apache-2.0
"""Front ends are started, started again, asked and ended; with processes that only seem to be."""

import json
import signal
import struct

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from txregistry.config import load_text
from txregistry.fronts import Assignment, Fleet
from txregistry.fronts.fleet import GRACE, LAST_WORDS, LOOK_EVERY, LOOKS, SHORT_LIFE

CONFIGURATION = load_text("version: 0.1\nstorage: inmemory", {})


class Process:
    """One that was started.

    Attributes:
        signals: that it was sent.
        frames: that it was sent, as JSON.
    """

    def __init__(self, reactor, protocol, command, environment, descriptors):
        self.reactor = reactor
        self.protocol = protocol
        self.command = command
        self.environment = environment
        self.descriptors = descriptors
        self.signals = []
        self.pid = 100 + len(reactor.processes)
        self.is_over = False
        self.transport = StringTransport()

    def signalProcess(self, number):
        if self.is_over:
            raise ProcessExitedAlready
        self.signals.append(number)

    def says(self, word, **members):
        self.sends(["say", word, members])

    def sends(self, frame):
        data = json.dumps(frame).encode()
        self.protocol.channel.dataReceived(struct.pack("!I", len(data)) + data)

    @property
    def frames(self):
        data, frames = self.transport.value(), []
        while data:
            [size] = struct.unpack("!I", data[:4])
            frames.append(json.loads(data[4 : 4 + size]))
            data = data[4 + size :]
        return frames

    def ends(self):
        self.is_over = True
        reason = Failure(ProcessDone(0))
        self.protocol.processExited(reason)
        self.protocol.channel.connectionLost()
        self.protocol.processEnded(reason)


class Reactor(Clock):
    """A clock that starts processes."""

    def __init__(self):
        super().__init__()
        self.processes = []
        self.is_full = False

    def spawnProcess(self, protocol, executable, args, env, childFDs):
        if self.is_full:
            raise OSError("no process is left")
        process = Process(self, protocol, args, env, childFDs)
        self.processes.append(process)
        return process

    def adoptStreamConnection(self, descriptor, family, factory):
        channel = factory.buildProtocol(None)
        channel.makeConnection(self.processes[-1].transport)


class World:
    """A fleet of two, and what it told."""

    def __init__(self, outlet=None):
        self.reactor = Reactor()
        self.told = []
        self.fleet = Fleet(
            2,
            self.reactor,
            assign=lambda number: Assignment(
                number, CONFIGURATION, "d", "/d", (), None, {}, "instance"
            ),
            hears=lambda number, word, members: self.told.append((number, word, members)),
            when_up=lambda: self.told.append("up"),
            when_failed=lambda sentence: self.told.append(sentence),
            when_lost=lambda number: self.told.append(("lost", number)),
            outlet=outlet,
            command=("program",),
        )
        self.fleet.start()

    @property
    def processes(self):
        return self.reactor.processes

    def come_up(self):
        for process in self.processes:
            process.says("ready")
        self.told.clear()
        return self


@pytest.fixture
def world():
    return World()


def started(coroutine):
    return Deferred.fromCoroutine(coroutine)


class StartTests:
    def test_it_is_up_when_all_serve(self, world):
        first, second = world.processes
        assert [process.command for process in world.processes] == [
            ["program", "1"],
            ["program", "2"],
        ]
        first.says("ready")
        assert world.told == []
        second.says("ready")
        assert world.told == ["up"]
        assert [post.is_ready for post in world.fleet.posts] == [True, True]

    def test_reason_of_one_that_can_not_start_ends_the_start(self, world):
        first, second = world.processes
        first.says("failed", sentence="no certificate")
        second.says("failed", sentence="no certificate")
        first.ends()
        assert world.told == ["no certificate", ("lost", 1)]
        world.reactor.advance(60)
        assert len(world.processes) == 2

    def test_one_that_ends_again_and_again_before_it_serves_ends_the_start(self, world):
        for _ in range(5):
            world.processes[-1].ends()
            world.reactor.advance(2)
        assert world.told[:5] == [("lost", 2)] * 5
        assert "they end before they serve" in world.told[5]

    def test_environment_has_no_secret(self, world, monkeypatch):
        monkeypatch.setenv("REGISTRY_STORAGE_S3_SECRETKEY", "x")
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy/")
        environment = World().processes[0].environment
        assert "REGISTRY_STORAGE_S3_SECRETKEY" not in environment
        assert environment["HTTPS_PROXY"] == "http://proxy/"


class RestartTests:
    def test_one_that_served_for_a_while_is_started_again_at_once(self, world):
        world.come_up()
        world.reactor.advance(SHORT_LIFE)
        world.processes[0].ends()
        assert world.told == [("lost", 1)]
        assert world.fleet.posts[0].deaths == 1
        world.reactor.advance(0)
        assert world.processes[2].command == ["program", "1"]
        assert not world.fleet.posts[0].is_ready

    def test_one_that_did_not_rests_for_longer_each_time(self, world):
        world.come_up()
        for _ in range(20):
            world.processes[-1].ends()
            world.reactor.advance(60)
        world.processes[-1].ends()
        count = len(world.processes)
        world.reactor.advance(10)
        assert len(world.processes) == count
        world.reactor.advance(20)
        assert len(world.processes) == count + 1

    def test_reason_of_one_that_can_not_be_started_again_is_logged_only(self, world):
        world.come_up()
        world.processes[0].says("failed", sentence="no certificate")
        assert world.told == []

    def test_process_that_can_not_be_had_is_tried_again(self, world):
        world.come_up()
        world.reactor.is_full = True
        world.processes[0].ends()
        world.reactor.advance(1)
        world.reactor.is_full = False
        world.reactor.advance(60)
        assert world.processes[2].command == ["program", "1"]


class SayingTests:
    def test_word_reaches_all_or_all_but_one(self, world):
        world.fleet.say("health", a=1)
        world.fleet.say("session", but=2, b=2)
        first, second = world.processes
        assert first.frames == [["say", "health", {"a": 1}], ["say", "session", {"b": 2}]]
        assert second.frames == [["say", "health", {"a": 1}]]

    def test_what_they_say_is_passed_on_with_their_number(self, world):
        world.processes[1].says("queued", n=1)
        assert world.told == [(2, "queued", {"n": 1})]

    def test_who_does_not_answer_in_time_is_left_out(self, world):
        asked = started(world.fleet.ask("numbers", 2.0))
        world.processes[0].sends(["told", 0, {"n": 1}])
        world.reactor.advance(2)
        assert asked.result == {1: {"n": 1}}
        world.processes[0].ends()
        asked = started(world.fleet.ask("numbers", 2.0))
        world.processes[1].sends(["told", 1, {"n": 2}])
        assert asked.result == {2: {"n": 2}}

    def test_lines_are_taken_whole(self):
        lines = []
        world = World(lines.append)
        assert world.processes[0].descriptors[1] == "r"
        world.processes[0].protocol.childDataReceived(1, b"one\ntw")
        world.processes[0].protocol.childDataReceived(2, b"other\n")
        world.processes[0].protocol.childDataReceived(1, b"o\nthr")
        assert lines == [b"one", b"other", b"two"]
        world.processes[0].ends()
        assert lines[-1] == b"thr"

    def test_line_without_end_is_not_kept_for_ever(self):
        lines = []
        world = World(lines.append)
        world.processes[0].protocol.childDataReceived(1, b"x" * 300_000)
        assert [len(line) for line in lines] == [300_000]


class HangTests:
    def test_one_that_answers_nothing_shows_its_stacks_and_is_killed(self, world):
        world.come_up()
        first, second = world.processes
        for count in range(LOOKS):
            world.reactor.advance(LOOK_EVERY)
            asked = [frame[1] for frame in second.frames if frame[0] == "ask"]
            if count < LOOKS - 1:
                second.sends(["told", asked[-1], {}])
        assert first.signals == [signal.SIGQUIT]
        world.reactor.advance(LAST_WORDS)
        assert first.signals == [signal.SIGQUIT, signal.SIGKILL]
        assert second.signals == []

    def test_who_is_starting_is_not_asked_what_it_is_at(self, world):
        """It would end by a signal that it does not heed yet."""
        first, second = world.processes
        first.says("ready")
        world.fleet.signal(signal.SIGQUIT)
        assert (first.signals, second.signals) == ([signal.SIGQUIT], [])


class EndTests:
    def test_all_are_asked_and_waited_for(self, world):
        world.come_up()
        ended = started(world.fleet.drain(8.0))
        first, second = world.processes
        assert first.signals == second.signals == [signal.SIGTERM]
        first.ends()
        assert not ended.called
        second.ends()
        assert ended.called
        world.reactor.advance(60)
        assert len(world.processes) == 2

    def test_one_that_stays_is_killed(self, world):
        world.come_up()
        ended = started(world.fleet.drain(8.0))
        world.reactor.advance(8.0 + GRACE)
        assert world.processes[0].signals == [signal.SIGTERM, signal.SIGKILL]
        for process in world.processes:
            process.ends()
        assert ended.called

    def test_one_that_rests_is_not_started_any_more(self, world):
        world.come_up()
        world.processes[0].ends()
        ended = started(world.fleet.drain(8.0))
        world.processes[1].ends()
        assert ended.called
        world.reactor.advance(60)
        assert len(world.processes) == 2

    def test_signal_to_one_that_is_gone_is_nothing(self, world):
        world.come_up()
        world.processes[0].is_over = True
        world.fleet.signal(signal.SIGQUIT)
        assert world.processes[1].signals == [signal.SIGQUIT]
