# SPDX-License-Identifier: Apache-2.0
"""The queue's writing end: who waits for what, and what is written together."""

import errno

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from txregistry.events.counts import QueueCounts
from txregistry.events.log import LINGER, RETRY_AFTER, ROOM, EventLog
from txregistry.oci.errors import Code, OciError
from txregistry.storage.blocking import Bell

from ..registry.world import done, started


class Writer:
    """Remembers what was appended; each append ends when the test says so."""

    def __init__(self):
        self.appended = []
        self.gates = []

    def append(self, lines, *, durable):
        self.appended.append((lines, durable))

    async def run(self, work):
        gate = Deferred()
        self.gates.append(gate)
        work()
        await gate

    def pass_one(self, failure=None):
        gate = self.gates.pop(0)
        if failure is None:
            gate.callback(None)
        else:
            gate.errback(failure)


@pytest.fixture
def writer():
    return Writer()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def counts():
    return QueueCounts()


@pytest.fixture
def grown():
    return Bell()


@pytest.fixture
def log(writer, clock, counts, grown):
    return EventLog(writer, clock, writer.run, grown=grown, counts=counts)


@pytest.fixture
def errors():
    found = []

    def observe(event):
        if event["log_level"].name == "error":
            found.append(event["log_format"])

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


FULL = OSError(errno.ENOSPC, "No space left on device")


class AppendTests:
    def test_caller_goes_on_when_it_is_durable(self, log, writer, counts):
        """The client is answered after that."""
        waiting = started(log.append(b"a\n"))
        assert writer.appended == [(b"a\n", True)]
        assert not waiting.called
        writer.pass_one()
        assert waiting.called
        assert counts.written == 1

    def test_what_comes_meanwhile_is_written_together(self, log, writer):
        """Many pushes at once cost few syncs."""
        first = started(log.append(b"a\n"))
        others = [started(log.append(line)) for line in (b"b\n", b"c\n", b"d\n")]
        writer.pass_one()
        assert first.called
        assert writer.appended[1:] == [(b"b\nc\nd\n", True)]
        assert not any(each.called for each in others)
        writer.pass_one()
        assert all(each.called for each in others)

    def test_reader_is_told(self, log, writer, grown):
        rung = grown.rung()
        started(log.append(b"a\n"))
        assert not rung.called
        writer.pass_one()
        assert rung.called

    def test_caller_that_leaves_stops_nothing(self, log, writer, counts):
        waiting = started(log.append(b"a\n"))
        other = started(log.append(b"b\n"))
        other.cancel()
        writer.pass_one()
        writer.pass_one()
        assert waiting.called
        assert counts.written == 2
        with pytest.raises(CancelledError):
            done(_result(other))


class FailureTests:
    def test_client_is_told_to_come_again(self, log, writer, counts, errors):
        waiting = started(log.append(b"a\n"))
        writer.pass_one(FULL)
        with pytest.raises(OciError) as caught:
            done(_result(waiting))
        assert (caught.value.code, caught.value.retry_after) == (Code.UNAVAILABLE, RETRY_AFTER)
        assert counts.refused == 1
        assert len(errors) == 1

    def test_log_says_so_once_until_it_works_again(self, log, writer, errors):
        for failure in (FULL, FULL, None, FULL):
            waiting = started(log.append(b"a\n"))
            writer.pass_one(failure)
            waiting.addErrback(lambda failure: failure.trap(OciError))
        assert len(errors) == 2

    def test_next_one_is_tried_all_the_same(self, log, writer, errors):
        refused = started(log.append(b"a\n"))
        later = started(log.append(b"b\n"))
        writer.pass_one(FULL)
        writer.pass_one()
        assert later.called
        with pytest.raises(OciError):
            done(_result(refused))

    def test_lost_pulls_are_counted(self, log, writer, clock, counts, errors):
        log.append_soon(b"a\n")
        clock.advance(LINGER)
        writer.pass_one(FULL)
        assert (counts.pulls_lost, counts.refused) == (1, 0)


class SoonTests:
    def test_pulls_gather_for_a_moment(self, log, writer, clock):
        assert log.append_soon(b"a\n")
        assert log.append_soon(b"b\n")
        assert writer.appended == []
        clock.advance(LINGER)
        assert writer.appended == [(b"a\nb\n", False)]

    def test_pulls_go_with_a_push_in_their_order(self, log, writer):
        log.append_soon(b"a\n")
        started(log.append(b"b\n"))
        assert writer.appended == [(b"a\nb\n", True)]

    def test_pulls_that_come_meanwhile_gather_again(self, log, writer, clock):
        started(log.append(b"a\n"))
        log.append_soon(b"b\n")
        writer.pass_one()
        assert len(writer.appended) == 1
        clock.advance(LINGER)
        assert writer.appended[1:] == [(b"b\n", False)]
        writer.pass_one()
        assert not clock.getDelayedCalls()

    def test_what_finds_no_room_is_lost_and_counted(self, log, writer, clock, counts):
        """A disk that hangs costs no memory without end."""
        started(log.append(b"a\n"))
        large = b"x" * (ROOM // 2 - 10) + b"\n"
        assert [log.append_soon(large) for _ in range(3)] == [True, True, False]
        assert counts.pulls_lost == 1
        writer.pass_one()
        clock.advance(LINGER)
        writer.pass_one()
        assert log.append_soon(large)


class SettledTests:
    def test_nothing_to_do(self, log):
        done(log.settled())

    def test_what_has_gathered_is_written(self, log, writer, clock):
        log.append_soon(b"a\n")
        settled = started(log.settled())
        assert writer.appended == [(b"a\n", False)]
        log.append_soon(b"b\n")
        assert not settled.called
        writer.pass_one()
        assert settled.called


async def _result(waiting):
    return await waiting
