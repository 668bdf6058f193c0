# SPDX-License-Identifier: Apache-2.0
"""Bodies: order, backpressure, early ends, limits."""

import pytest
from twisted.internet.defer import CancelledError, Deferred

from txregistry.oci.errors import Code, OciError
from txregistry.registry.body import BodyCut
from txregistry.web.ingest import HIGH_WATER, NO_BODY, Body
from txregistry.web.room import Room


class Line:
    """The connection's side of a body, as a list of events."""

    def __init__(self):
        self.events = []
        self.now = 0.0
        self.returned = 0

    def body_wanted(self):
        self.events.append("wanted")

    def pause(self):
        self.events.append("pause")

    def resume(self):
        self.events.append("resume")

    def taken(self, size):
        self.returned += size

    def seconds(self):
        return self.now


@pytest.fixture
def line():
    return Line()


@pytest.fixture
def queues():
    return Room(10 * HIGH_WATER)


@pytest.fixture
def wholes():
    return Room(1000)


@pytest.fixture
def body(line, queues, wholes):
    return Body(line, None, queues=queues, wholes=wholes)


def pull(body):
    """Ask for the next chunk; the Deferred fires with it."""
    return Deferred.fromCoroutine(body.__anext__())


def failure_of(pulled, kind):
    """The exception that a pull ended with."""
    caught = []
    pulled.addErrback(caught.append)
    assert caught[0].check(kind)
    return caught[0].value


def test_nothing_is_wanted_before_the_first_pull(line, body):
    """The client is told to go on only when somebody reads."""
    body.push(b"early")
    assert line.events == []
    assert pull(body).result == b"early"
    pull(body)
    assert line.events == ["wanted"]


def test_pull_takes_all_that_waits(body):
    """Few large chunks rather than many small ones."""
    body.push(b"a")
    body.push(b"b")
    assert pull(body).result == b"ab"


def test_pull_waits_for_bytes(body):
    """A pull of an empty queue fires when bytes come."""
    pulled = pull(body)
    assert not pulled.called
    body.push(b"late")
    assert pulled.result == b"late"


def test_finished_body_stops(body):
    """The end is the end of the iteration."""
    body.push(b"x")
    body.finish()
    assert pull(body).result == b"x"
    failure_of(pull(body), StopAsyncIteration)


def test_finish_wakes_a_waiting_pull(body):
    """A body that ends while somebody waits ends for them."""
    pulled = pull(body)
    body.finish()
    failure_of(pulled, StopAsyncIteration)


def test_cut_body_gives_what_came_first(body):
    """An upload keeps every byte that reached us."""
    body.push(b"kept")
    body.fail("gone")
    body.fail("gone again")
    assert pull(body).result == b"kept"
    assert str(failure_of(pull(body), BodyCut)) == "gone"


def test_cut_wakes_a_waiting_pull(body):
    """A client that leaves is noticed at once."""
    pulled = pull(body)
    body.fail("gone")
    failure_of(pulled, BodyCut)


def test_failing_a_complete_body_changes_nothing(body):
    """A client may leave after it has sent everything."""
    body.push(b"x")
    body.finish()
    body.fail("gone")
    assert pull(body).result == b"x"
    failure_of(pull(body), StopAsyncIteration)


def test_full_queue_stops_reading_and_a_pull_starts_it_again(line, body):
    """What waits is bounded."""
    body.push(b"x" * (HIGH_WATER - 1))
    assert line.events == []
    body.push(b"y")
    assert line.events == ["pause"]
    pulled = pull(body)
    assert len(pulled.result) == HIGH_WATER
    assert line.events == ["pause", "wanted", "resume"]


def test_nothing_is_read_ahead_while_others_fill_the_queues(line, body, queues):
    """All bodies together are bounded, too."""
    queues.used = queues.size
    body.push(b"x")
    assert line.events == ["pause"]
    assert pull(body).result == b"x"
    assert line.events == ["pause", "wanted"]
    pulled = pull(body)  # the first is stored; now somebody waits for more
    assert line.events == ["pause", "wanted", "resume"]
    assert queues.used == queues.size
    body.push(b"y")
    assert (pulled.result, line.events[3:]) == (b"y", ["pause"])


def test_what_is_being_stored_counts(line, body, queues):
    """A slow storage keeps bytes in memory as surely as a queue does."""
    pulled = pull(body)
    body.push(b"x" * 100)
    assert (len(pulled.result), queues.used) == (100, 100)
    pulled = pull(body)
    assert queues.used == 0
    body.push(b"y" * queues.size)
    assert len(pulled.result) == queues.used == queues.size
    body.finish()
    failure_of(pull(body), StopAsyncIteration)
    assert queues.used == 0


@pytest.mark.parametrize("end", ["taken", "discarded", "cut and discarded"])
def test_what_waited_is_no_longer_counted(body, queues, end):
    """Nothing leaks, however a body ends."""
    body.push(b"x" * 100)
    assert queues.used == 100
    if end == "taken":
        pull(body)
    if end == "cut and discarded":
        body.fail("gone")
    body.discard()
    body.discard()
    assert queues.used == 0


def test_discarded_body_is_read_and_dropped(line, body):
    """After an early answer the rest costs no memory."""
    body.push(b"x" * HIGH_WATER)
    body.discard()
    body.push(b"y" * HIGH_WATER)
    assert line.events == ["pause", "resume"]
    assert body.received == 2 * HIGH_WATER


def test_only_time_spent_waiting_counts(line, body):
    """The client's clock runs while somebody waits for it."""
    body.push(b"x")
    line.now = 5.0
    pull(body)
    assert body.seconds_waited() == 0.0
    pull(body)
    line.now = 8.0
    assert body.seconds_waited() == 3.0
    body.push(b"y")
    line.now = 100.0
    assert body.seconds_waited() == 3.0


def test_cancelled_pull_loses_nothing(line, body):
    """Who only wants what waits may give up and come back."""
    pulled = pull(body)
    line.now = 2.0
    pulled.cancel()
    failure_of(pulled, CancelledError)
    body.push(b"x" * HIGH_WATER)
    assert line.events == ["wanted", "pause"]
    assert body.seconds_waited() == 2.0
    assert len(pull(body).result) == HIGH_WATER


class ReadWholeTests:
    """Manifests are read whole, up to a limit."""

    def test_body_of_the_limit_is_taken(self, body):
        """4 MiB exactly is fine."""
        reading = Deferred.fromCoroutine(body.read_whole(4))
        body.push(b"ab")
        body.push(b"cd")
        body.finish()
        assert reading.result == b"abcd"

    def test_declared_excess_is_refused_unread(self, line):
        """Nobody has to send what won't be taken."""
        refused = failure_of(
            Deferred.fromCoroutine(Body(line, 5, queues=Room(1), wholes=Room(1)).read_whole(4)),
            OciError,
        )
        assert refused.too_large and refused.code is Code.MANIFEST_INVALID
        assert line.events == []

    def test_what_is_read_counts_until_it_is_discarded(self, body, wholes):
        """However long it is being parsed."""
        reading = Deferred.fromCoroutine(body.read_whole(500))
        body.push(b"x" * 400)
        body.finish()
        assert reading.called and wholes.used == 400
        body.discard()
        assert wholes.used == 0

    def test_too_much_in_memory_is_refused(self, body, wholes):
        """A crowd of large manifests is asked to come back."""
        wholes.used = wholes.size
        reading = Deferred.fromCoroutine(body.read_whole(500))
        body.push(b"x")
        assert failure_of(reading, OciError).code is Code.UNAVAILABLE
        body.discard()
        assert wholes.used == wholes.size

    def test_undeclared_excess_is_refused_at_the_limit(self, body):
        """One byte too many ends it, the rest is not awaited."""
        reading = Deferred.fromCoroutine(body.read_whole(4))
        body.push(b"abcd")
        assert not reading.called
        body.push(b"e")
        assert failure_of(reading, OciError).too_large


def test_request_without_body_has_an_empty_one():
    """A body that is not there reads as nothing."""
    assert NO_BODY.length == 0 and NO_BODY.is_complete
    failure_of(pull(NO_BODY), StopAsyncIteration)
    assert Deferred.fromCoroutine(NO_BODY.read_whole(1)).result == b""
