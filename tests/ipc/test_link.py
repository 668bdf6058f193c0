# SPDX-License-Identifier: Apache-2.0
"""Asking a driver once: what each way of failing means, and that none leaves anything behind."""

from __future__ import annotations

import os
import socket

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from txregistry.ipc import commands
from txregistry.ipc.descriptors import make_lane
from txregistry.ipc.link import DEADLINE, OVERDUE_LIMIT, PASSING_LIMIT, LinkLost, NoAnswer
from txregistry.storage.errors import Internal, InvalidPath, StorageError, Unsupported

from ..census import open_descriptors, turns, until
from .loopback import RawLoopback

PATH = {"path": "/a"}


class House:
    """A link to a driver that answers when the test says so.

    Attributes:
        requests: the boxes that came, but for the hello.
    """

    def __init__(self):
        self.clock = Clock()
        self.requests = []
        self.loopback = RawLoopback(lambda driver, box: self.requests.append(box), clock=self.clock)

    async def link(self):
        return await self.loopback.link()

    @property
    def driver(self):
        return self.loopback.responder

    async def asked(self, count=1):
        await until(lambda: len(self.requests) >= count, f"request {count}")
        return self.requests[count - 1]

    async def outcome(self, call):
        """The error that a call ends with."""
        with pytest.raises(StorageError) as caught:
            await call
        return caught.value


@pytest_twisted.async_yield_fixture
async def house():
    house = House()
    yield house
    await house.loopback.end()
    assert house.clock.getDelayedCalls() == []


def start(coroutine):
    return Deferred.fromCoroutine(coroutine)


def stream_call(link, **more):
    """OpenStream with a lane; our end is returned too."""
    ours, theirs = make_lane(1000)
    return ours, start(
        link.call(commands.OpenStream, lane=theirs, path="/a", start=0, stop=1, **more)
    )


class AnswerTests:
    @pytest_twisted.ensureDeferred
    async def test_answers_may_come_in_any_order(self, house):
        """A slow request holds up no other."""
        link = await house.link()
        calls = [
            start(link.call(commands.OpenStream, path="/a", start=0, lane=_lane()))
            for _ in range(3)
        ]
        await house.asked(3)
        for size in (2, 0, 1):
            house.driver.answer(house.requests[size], size=b"%d" % size)
        assert [(await call)["size"] for call in calls] == [0, 1, 2]
        for box in house.requests:
            os.close(house.driver.take(box))

    @pytest_twisted.ensureDeferred
    async def test_time_of_an_answer_is_told(self, house):
        """Of a refusal too, which is an answer; not of what nobody answered."""
        link = await house.link()
        told = []
        link._when_answered = lambda name, seconds: told.append((name, seconds))
        calls = [start(link.call(commands.Stat, **PATH)) for _ in range(2)]
        await house.asked(2)
        house.clock.advance(0.25)
        house.driver.refuse(house.requests[0], b"Missing", b"not there")
        await house.outcome(calls[0])
        house.clock.advance(DEADLINE)
        assert isinstance(await house.outcome(calls[1]), NoAnswer)
        assert told == [("Stat", 0.25)]

    @pytest_twisted.ensureDeferred
    async def test_unknown_command_is_unsupported(self, house):
        """A driver of an earlier time is told from one that is broken."""
        link = await house.link()
        call = start(link.call(commands.Stat, **PATH))
        house.driver.refuse(await house.asked(), b"UNHANDLED", b"what?")
        assert isinstance(await house.outcome(call), Unsupported)

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            {"is_directory": b"True", "size": b"-1", "modified": b"0", "version": b""},
            {"is_directory": b"maybe", "size": b"1", "modified": b"0", "version": b""},
            {"is_directory": b"True", "size": b"x", "modified": b"0", "version": b""},
            {"is_directory": b"True", "size": b"1", "modified": b"0", "version": b"\xff"},
            {"is_directory": b"True", "size": b"9" * 60_000, "modified": b"0", "version": b""},
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_answer_that_makes_no_sense_fails_its_request_only(self, house, answer):
        """The connection and what else is on it go on."""
        link = await house.link()
        call, other = (start(link.call(commands.Stat, **PATH)) for _ in range(2))
        await house.asked(2)
        house.driver.answer(house.requests[0], **answer)
        assert isinstance(await house.outcome(call), Internal)
        house.driver.answer(
            house.requests[1], is_directory=b"False", size=b"1", modified=b"-5", version=b"v"
        )
        assert await other == {"is_directory": False, "size": 1, "modified": -5, "version": "v"}

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            {"file": b"0"},
            {"file": b"1", "size": b"1", "device": b"1", "inode": b"1", "claim": b"1"},
            {"file": b"0", "size": b"x", "device": b"1", "inode": b"1", "claim": b"1"},
            {"file": b"0", "size": b"-1", "device": b"1", "inode": b"1", "claim": b"1"},
            {"file": b"0", "size": b"1", "device": b"1", "inode": b"1"},
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_file_that_makes_no_sense_ends_the_connection(self, house, answer):
        """From there on nobody knows which descriptor belongs to whom; none stays open."""
        link = await house.link()
        call = start(link.call(commands.OpenFile, **PATH))
        box = await house.asked()
        descriptor = os.open("/dev/null", os.O_RDONLY)
        house.loopback.far.sendFileDescriptor(descriptor)
        house.driver.answer(box, **answer)
        assert isinstance(await house.outcome(call), LinkLost)
        assert link.is_lost
        await until(lambda: link.is_ended)
        os.close(descriptor)

    @pytest_twisted.ensureDeferred
    async def test_argument_that_does_not_fit_is_refused(self, house):
        """What can't be sent costs nothing but its own call; with a lane, the connection."""
        link = await house.link()
        for path in ("/" + "x" * 70_000, "/\ud800"):
            call = start(link.call(commands.Stat, path=path))
            assert isinstance(await house.outcome(call), InvalidPath)
        assert not link.is_lost
        call = start(link.call(commands.OpenStream, lane=_lane(), path="/" + "x" * 70_000, start=0))
        assert isinstance(await house.outcome(call), InvalidPath)
        assert link.is_lost
        await turns()


def _lane():
    """The driver's end of a lane that the test does not use."""
    ours, theirs = make_lane(1000)
    ours.close()
    return theirs


class DeadlineTests:
    @pytest_twisted.ensureDeferred
    async def test_caller_is_told_when_the_deadline_passes(self, house):
        """A driver that does not answer costs a request its patience and no more."""
        link = await house.link()
        call = start(link.call(commands.Stat, timeout=5, **PATH))
        longer = start(link.call(commands.Stat, **PATH))
        house.clock.pump([1] * 4)
        assert not call.called
        house.clock.pump([1] * 2)
        assert isinstance(await house.outcome(call), NoAnswer)
        house.clock.pump([1] * int(DEADLINE))
        assert isinstance(await house.outcome(longer), NoAnswer)

    @pytest_twisted.ensureDeferred
    async def test_late_answer_goes_nowhere(self, house):
        """Answers that come when nobody waits any more disturb nobody."""
        link = await house.link()
        for refuse in (False, True):
            call = start(link.call(commands.Stat, timeout=1, **PATH))
            box = await house.asked(1 + refuse)
            house.clock.pump([1] * 3)
            assert isinstance(await house.outcome(call), NoAnswer)
            if refuse:
                house.driver.refuse(box, b"Missing")
            else:
                house.driver.answer(
                    box, is_directory=b"True", size=b"0", modified=b"0", version=b""
                )
        await turns()
        assert not link.is_lost

    @pytest_twisted.ensureDeferred
    async def test_driver_that_answers_nothing_is_given_up(self, house):
        """Questions without answers don't pile up for ever."""
        link = await house.link()
        calls = [start(link.call(commands.Stat, timeout=1, **PATH)) for _ in range(OVERDUE_LIMIT)]
        house.clock.pump([1] * 5)
        assert not link.is_lost
        calls.append(start(link.call(commands.Stat, timeout=1, **PATH)))
        house.clock.pump([1] * 5)
        assert link.is_lost
        for call in calls:
            assert isinstance(await house.outcome(call), NoAnswer)
        await turns()

    @pytest_twisted.ensureDeferred
    async def test_one_who_is_told_may_ask_again_at_once(self, house):
        """The deadlines go on being watched."""
        link = await house.link()

        async def twice():
            with pytest.raises(NoAnswer):
                await link.call(commands.Stat, timeout=1, **PATH)
            await link.call(commands.Stat, timeout=1, **PATH)

        asking = start(twice())
        house.clock.pump([1] * 6)
        assert isinstance(await house.outcome(asking), NoAnswer)
        assert len(house.clock.getDelayedCalls()) == 1

    @pytest_twisted.ensureDeferred
    async def test_no_clock_runs_while_nobody_waits(self, house):
        """An idle front end is idle."""
        link = await house.link()
        call = start(link.call(commands.Stat, **PATH))
        house.driver.answer(
            await house.asked(), is_directory=b"True", size=b"0", modified=b"0", version=b""
        )
        await call
        house.clock.advance(1)
        assert house.clock.getDelayedCalls() == []


class CancelTests:
    @pytest_twisted.ensureDeferred
    async def test_lane_stays_open_until_the_answer(self, house):
        """A client that goes away does not make the kernel send another file in the lane's
        place.
        """
        link = await house.link()
        ours, call = stream_call(link)
        call.cancel()
        with pytest.raises(CancelledError):
            await call
        box = await house.asked()
        os.close(house.driver.take(box))
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(1)
        house.driver.answer(box, size=b"1")
        await turns()
        assert ours.recv(1) == b""
        ours.close()

    @pytest_twisted.ensureDeferred
    async def test_what_arrives_for_nobody_is_discarded(self, house):
        """The one who asked said how to give it back."""
        link = await house.link()
        late = []
        call = start(link.call(commands.Stat, discard=late.append, **PATH))
        call.cancel()
        with pytest.raises(CancelledError):
            await call
        house.driver.answer(
            await house.asked(), is_directory=b"True", size=b"0", modified=b"0", version=b""
        )
        await until(lambda: late)
        assert late == [{"is_directory": True, "size": 0, "modified": 0, "version": ""}]

    @pytest_twisted.ensureDeferred
    async def test_lane_is_closed_when_the_connection_ends(self, house):
        """Whether or not somebody still waits."""
        link = await house.link()
        kept = [stream_call(link) for _ in range(2)]
        kept[0][1].cancel()
        with pytest.raises(CancelledError):
            await kept[0][1]
        await house.asked(2)
        house.loopback.drop()
        assert isinstance(await house.outcome(kept[1][1]), LinkLost)
        for ours, _ in kept:
            assert ours.recv(1) == b""
            ours.close()


class PassingTests:
    """Descriptors on the way are few, since all may arrive before the first of their boxes."""

    @pytest_twisted.ensureDeferred
    async def test_burst_of_lanes_waits_in_line(self, house):
        """However many ask in one turn, all are served, and the driver is never sent too many."""
        link = await house.link()
        count = 3 * PASSING_LIMIT
        kept = [stream_call(link) for _ in range(count)]
        await turns()
        assert len(house.requests) == PASSING_LIMIT
        answered = 0
        while answered < count:
            await house.asked(answered + 1)
            os.close(house.driver.take(house.requests[answered]))
            house.driver.answer(house.requests[answered], size=b"1")
            answered += 1
        for ours, call in kept:
            await call
            ours.close()

    @pytest_twisted.ensureDeferred
    async def test_files_wait_in_a_line_of_their_own(self, house):
        """Uploads don't hold up downloads."""
        link = await house.link()
        lanes = [stream_call(link) for _ in range(PASSING_LIMIT)]
        files = [start(link.call(commands.OpenFile, **PATH)) for _ in range(PASSING_LIMIT + 1)]
        await turns()
        assert len(house.requests) == 2 * PASSING_LIMIT
        house.driver.refuse(house.requests[-1], b"Missing")
        await turns()
        assert len(house.requests) == 2 * PASSING_LIMIT + 1
        house.loopback.drop()
        for call in files[:-1]:
            assert isinstance(await house.outcome(call), StorageError)
        assert isinstance(await house.outcome(files[-1]), LinkLost)
        for ours, call in lanes:
            await house.outcome(call)
            ours.close()

    @pytest_twisted.ensureDeferred
    async def test_one_who_leaves_the_line_takes_nothing(self, house):
        """Its lane is closed at once, its turn goes to the next one."""
        link = await house.link()
        kept = [stream_call(link) for _ in range(PASSING_LIMIT + 2)]
        ours, leaver = kept.pop(PASSING_LIMIT)
        leaver.cancel()
        with pytest.raises(CancelledError):
            await leaver
        assert ours.recv(1) == b""
        ours.close()
        await turns()
        house.driver.refuse(house.requests[0], b"Missing")
        await house.asked(PASSING_LIMIT + 1)
        house.loopback.drop()
        for ours, call in kept:
            await house.outcome(call)
            ours.close()

    @pytest_twisted.ensureDeferred
    async def test_those_in_line_are_told_of_the_end(self, house):
        """However long the line is."""
        link = await house.link()
        kept = [stream_call(link) for _ in range(300)]
        house.loopback.drop()
        for ours, call in kept:
            assert isinstance(await house.outcome(call), LinkLost)
            ours.close()

    @pytest_twisted.ensureDeferred
    async def test_deadline_passes_in_the_line_too(self, house):
        """Nobody waits longer because others do."""
        link = await house.link()
        kept = [stream_call(link, timeout=3) for _ in range(PASSING_LIMIT + 5)]
        house.clock.pump([1] * 5)
        for ours, call in kept:
            assert isinstance(await house.outcome(call), NoAnswer)
            ours.close()
        await turns()
        assert len(house.requests) <= PASSING_LIMIT + 5


class EndTests:
    @pytest_twisted.ensureDeferred
    async def test_ended_link_refuses_at_once(self, house):
        """A lane that was to go with the question is closed."""
        link = await house.link()
        house.loopback.drop()
        ours, call = stream_call(link)
        assert isinstance(await house.outcome(call), LinkLost)
        assert ours.recv(1) == b""
        ours.close()
        link.tell(commands.Claim, claim=1)

    @pytest_twisted.ensureDeferred
    async def test_aborted_link_is_no_link_any_more(self, house):
        """Whoever asks for one afterwards waits for the next; the end itself comes a turn later."""
        link = await house.link()
        call = start(link.call(commands.Stat, **PATH))
        link.abort()
        assert link.is_lost
        assert house.loopback.current is None
        assert isinstance(await house.outcome(start(link.call(commands.Stat, **PATH))), LinkLost)
        assert isinstance(await house.outcome(call), LinkLost)

    @pytest_twisted.ensureDeferred
    async def test_retired_one_is_idle_when_nobody_needs_it(self, house):
        """Who goes on elsewhere is told, at once if that is known already; who does not is let be."""
        link = await house.link()
        told = []
        link.watch(stays := lambda link: None)
        link.watch(moves := lambda link: None, when_retired=lambda link: told.append("moves"))
        asked = Deferred.fromCoroutine(link.call(commands.Stat, **PATH))
        link.retire()
        link.watch(late := lambda link: None, when_retired=lambda link: told.append("late"))
        assert told == ["moves", "late"]
        for watcher in (stays, moves, late):
            assert not link.is_idle
            link.unwatch(watcher)
        assert not link.is_idle
        house.driver.refuse(await house.asked(), b"Missing")
        await house.outcome(asked)
        assert link.is_idle

    @pytest_twisted.ensureDeferred
    async def test_watchers_are_told_once(self, house):
        """Whoever has a lane learns that nothing comes of it any more."""
        link = await house.link()
        told = []
        link.watch(told.append)
        link.watch(leaver := lambda link: told.append("never"))
        link.unwatch(leaver)
        link.unwatch(leaver)
        house.loopback.drop()
        assert told == [link]


class HostileTests:
    """A driver that does as it pleases costs its own connection, never the front end."""

    @pytest_twisted.ensureDeferred
    async def test_request_of_a_driver_ends_the_connection(self, house):
        """The registry asks, the driver answers."""
        link = await house.link()
        house.driver.say(_command=b"Stat", _ask=b"1", path=b"/a")
        await until(lambda: link.is_ended)

    @pytest_twisted.ensureDeferred
    async def test_second_answer_ends_the_connection(self, house):
        """What was answered is answered."""
        link = await house.link()
        call = start(link.call(commands.Stat, **PATH))
        box = await house.asked()
        for _ in range(2):
            house.driver.answer(box, is_directory=b"True", size=b"0", modified=b"0", version=b"")
        await call
        await until(lambda: link.is_ended)

    @pytest.mark.parametrize("data", [b"\0\7_answer\0\1", b"\0", b"\xff" * 100])
    @pytest_twisted.ensureDeferred
    async def test_half_a_box_and_an_end(self, house, data):
        """Whoever waits is told."""
        link = await house.link()
        call = start(link.call(commands.Stat, **PATH))
        await house.asked()
        house.loopback.far.write(data)
        house.loopback.far.loseConnection()
        assert isinstance(await house.outcome(call), LinkLost)

    @pytest_twisted.ensureDeferred
    async def test_flood_of_descriptors_ends_the_connection(self, house):
        """None of them stays open."""
        link = await house.link()
        before = open_descriptors()
        ours, theirs = socket.socketpair()
        for _ in range(300):
            house.loopback.far.sendFileDescriptor(theirs.fileno())
        house.loopback.far.write(b"\0")
        await until(lambda: link.is_ended)
        ours.close()
        theirs.close()
        assert not open_descriptors() - before


class GreetingTests:
    @pytest_twisted.ensureDeferred
    async def test_versions_must_meet(self, house):
        """A driver that answers a version nobody asked for is refused."""
        link = await house.link()
        house.driver.ampBoxReceived = lambda box: house.driver.answer(
            box, protocol=b"2", name=b"x", version=b"1", features=b""
        )
        assert "protocol 2" in str(await house.outcome(start(link.greet())))
