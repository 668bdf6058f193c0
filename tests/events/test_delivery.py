# SPDX-License-Identifier: Apache-2.0
"""From the queue to a receiver: everything once, in order, and again until it is taken."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from txregistry.events.counts import EndpointCounts
from txregistry.events.delivery import LOOK_AGAIN, TROUBLE, Delivery
from txregistry.events.retry import Reply
from txregistry.events.segments import BEGINNING, Position, SegmentReader, SegmentWriter, path_of
from txregistry.storage.blocking import Bell, run_inline

from .samples import DELETE, NOW, PULL, PUSH, endpoint, line

TAKEN = Reply(200)
DOWN = Reply(None, "no connection")
REFUSED = Reply(400, "it answered 400")


class Receiver:
    """A sender whose answers the test gives: at once from ``replies``, or when it says so."""

    def __init__(self):
        self.sent = []
        self.replies = []
        self.waiting = None
        self.is_closed = False

    async def send(self, events):
        self.sent.append([event["id"] for event in events])
        if self.replies:
            return self.replies.pop(0)
        self.waiting = Deferred()
        return await self.waiting

    def answer(self, reply=TAKEN):
        waiting, self.waiting = self.waiting, None
        waiting.callback(reply)

    async def close(self):
        self.is_closed = True


class House:
    """A queue, a receiver and a delivery between them; time stands still."""

    def __init__(self, directory):
        self.directory = str(directory)
        self.clock = Clock()
        self.clock.advance(NOW)
        self.grown = Bell()
        self.writer = SegmentWriter(self.directory, is_synced=False)
        self.receiver = Receiver()
        self.moves = []
        self.delivery = None
        self.fault = None

    def start(self, position=BEGINNING, old_end=BEGINNING, **words):
        one = endpoint(**{"threshold": 3, "backoff": 2.0} | words)
        self.delivery = Delivery(
            one,
            SegmentReader(self.directory),
            self.receiver,
            position=position,
            old_end=old_end,
            clock=self.clock,
            run=self.run,
            grown=self.grown,
            moved=lambda: self.moves.append(self.delivery.position),
            counts=EndpointCounts(one.name, one.where),
            uniform=lambda low, high: high,
        )
        self.delivery.start()
        return self

    async def run(self, work):
        if self.fault is not None:
            raise self.fault
        return await run_inline(work)

    def queue(self, *numbers, event=PUSH, stamp=NOW):
        for number in numbers:
            self.writer.append(line(number, stamp, event), durable=False)
        self.grown.ring()

    @property
    def counts(self):
        return self.delivery.counts

    @property
    def end(self):
        return SegmentReader(self.directory).end()


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path)
    yield house
    if house.delivery is not None:
        stopped = Deferred.fromCoroutine(house.delivery.stop())
        assert stopped.called
        assert house.receiver.is_closed
    assert not house.clock.getDelayedCalls()
    house.writer.close()


@pytest.fixture
def logged():
    found = []
    globalLogPublisher.addObserver(found.append)
    yield found
    globalLogPublisher.removeObserver(found.append)


class GoodTests:
    def test_what_waits_is_sent_one_by_one_and_in_order(self, house):
        house.queue(1, 2, 3)
        house.start()
        for sent in (["1"], ["2"], ["3"]):
            assert house.receiver.sent[-1] == sent
            house.receiver.answer()
        assert house.receiver.waiting is None
        assert (house.counts.delivered, house.delivery.position) == (3, house.end)
        assert house.counts.statuses == {"200": 3}

    def test_what_comes_later_is_sent_at_once(self, house):
        house.start()
        house.queue(1)
        assert house.receiver.sent == [["1"]]

    def test_what_other_processes_queue_is_found(self, house):
        """Nobody tells of it."""
        house.start()
        house.writer.append(line(1), durable=False)
        house.clock.advance(LOOK_AGAIN)
        assert house.receiver.sent == [["1"]]

    def test_batches(self, house):
        house.queue(1, 2, 3, 4, 5)
        house.start(batch=3)
        house.receiver.answer()
        assert house.receiver.sent == [["1", "2", "3"], ["4", "5"]]

    def test_what_it_does_not_want_is_passed_over(self, house):
        house.queue(1, event=PULL)
        house.queue(2)
        house.queue(3, event=PULL)
        house.start(ignored_actions=frozenset({"pull"}))
        house.receiver.answer()
        assert house.receiver.sent == [["2"]]
        assert house.delivery.position == house.end

    def test_cursor_is_behind_what_is_not_yet_taken(self, house):
        """After a crash the rest is sent again, and nothing is left out."""
        house.queue(1, 2)
        house.start()
        assert house.delivery.position in (BEGINNING, Position(1))
        house.receiver.answer()
        length = len(line(1))
        assert house.delivery.position == house.moves[-1] == Position(1, length)

    def test_goes_on_where_it_was(self, house):
        house.queue(1, 2)
        house.start(Position(1, len(line(1))))
        assert house.receiver.sent == [["2"]]

    def test_segments_follow_each_other(self, house):
        for number in (1, 2):
            house.queue(number)
            house.writer.close()
            house.writer = SegmentWriter(house.directory, is_synced=False)
        house.start()
        house.receiver.answer()
        house.receiver.answer()
        assert house.receiver.sent == [["1"], ["2"]]
        assert house.delivery.position == Position(3)


class BadTests:
    def test_same_event_is_sent_until_it_is_taken(self, house):
        house.queue(1, 2)
        house.start()
        for _ in range(5):
            house.receiver.answer(DOWN)
            house.clock.advance(60)
        house.receiver.answer()
        assert house.receiver.sent == [["1"]] * 6 + [["2"]]
        assert (house.counts.failures, house.counts.failures_in_row) == (5, 0)
        assert house.counts.statuses == {"none": 5, "200": 1}

    def test_waits_grow(self, house):
        house.queue(1)
        house.start()
        for wait in (2.0, 2.0, 2.0, 4.0, 8.0):
            sent = len(house.receiver.sent)
            house.receiver.answer(DOWN)
            house.clock.advance(wait - 0.001)
            assert len(house.receiver.sent) == sent
            house.clock.advance(0.001)
            assert len(house.receiver.sent) == sent + 1

    def test_log_says_once_that_it_fails_and_that_it_works_again(self, house, logged):
        house.queue(1)
        house.start(url="http://u:hunter2@receiver.test/in?token=hunter3")
        for _ in range(6):
            house.receiver.answer(DOWN)
            house.clock.advance(60)
        house.receiver.answer()
        said = [event["log_format"] for event in logged]
        assert len(said) == 2
        assert "do not reach" in said[0]
        assert "reach {name} again" in said[1]
        assert "hunter" not in str([{**event, "log_logger": None} for event in logged])

    def test_refused_event_is_given_up_and_told(self, house, logged):
        """It would hold up all others."""
        house.queue(1, 2)
        house.start()
        for _ in range(3):
            house.receiver.answer(REFUSED)
            house.clock.advance(2)
        assert house.receiver.sent == [["1"]] * 3 + [["2"]]
        assert house.counts.dropped_refused == 1
        assert any(event.get("event_id") == "1" for event in logged)

    def test_tries_that_did_not_reach_it_are_no_refusals(self, house):
        house.queue(1)
        house.start()
        for _ in range(10):
            house.receiver.answer(DOWN)
            house.clock.advance(60)
        house.receiver.answer(REFUSED)
        house.clock.advance(60)
        assert house.counts.dropped_refused == 0
        assert house.receiver.sent[-1] == ["1"]

    def test_refused_batch_is_sent_one_by_one(self, house):
        """One event that is not wanted costs the others nothing."""
        house.queue(1, 2, 3, 4)
        house.start(batch=3, threshold=1)
        house.receiver.answer(REFUSED)
        for reply in (TAKEN, REFUSED, TAKEN):
            house.receiver.answer(reply)
        assert house.receiver.sent == [["1", "2", "3"], ["1"], ["2"], ["3"], ["4"]]
        assert (house.counts.delivered, house.counts.dropped_refused) == (2, 1)

    def test_torn_line_is_passed_over_and_counted(self, house):
        with open(path_of(house.directory, 1), "ab") as file:
            file.write(line(1)[:-10] + b"\n" + line(2))
        house.start()
        assert house.receiver.sent == [["2"]]
        assert house.counts.damaged == 1

    def test_fault_of_ours_is_logged_and_it_goes_on(self, house, logged):
        house.queue(1)
        house.fault = ZeroDivisionError()
        house.start()
        assert [event.get("log_failure") is not None for event in logged] == [True]
        house.fault = None
        house.clock.advance(TROUBLE)
        assert house.receiver.sent == [["1"]]

    def test_disk_that_can_not_be_read_is_tried_again(self, house, logged):
        house.queue(1)
        house.fault = OSError(5, "Input/output error")
        house.start()
        assert ["can't be read" in event["log_format"] for event in logged] == [True]
        house.fault = None
        house.clock.advance(TROUBLE)
        assert house.receiver.sent == [["1"]]


class BoundTests:
    def test_too_old_events_are_dropped(self, house):
        house.queue(1, stamp=NOW - 100)
        house.queue(2, stamp=NOW - 10)
        house.start(queue_age=50.0)
        assert house.receiver.sent == [["2"]]
        assert house.counts.dropped_for_age == 1

    def test_event_grows_old_while_its_receiver_is_down(self, house):
        house.queue(1)
        house.start(queue_age=5.0)
        for _ in range(3):
            house.receiver.answer(DOWN)
            house.clock.advance(2)
        assert house.receiver.waiting is None
        assert house.counts.dropped_for_age == 1
        assert house.delivery.position == house.end

    def test_oldest_are_dropped_when_more_waits_than_may(self, house):
        size = len(line(1))
        house.queue(1, 2, 3, 4)
        house.start(queue_size=2 * size)
        assert house.receiver.sent == [["3"]]
        assert house.counts.dropped_for_size == 2

    def test_queue_grows_too_long_while_its_receiver_is_down(self, house):
        size = len(line(1))
        house.queue(1)
        house.start(queue_size=2 * size)
        house.queue(2, 3)
        house.receiver.answer(DOWN)
        house.clock.advance(2)
        assert house.receiver.sent == [["1"], ["2"]]
        assert (house.counts.dropped_for_size, house.counts.waiting_bytes) == (1, 2 * size)

    def test_what_waits_is_counted(self, house):
        house.queue(1, stamp=NOW - 7)
        house.start()
        assert house.counts.waiting_since == pytest.approx(NOW - 7, abs=0.002)
        assert house.counts.waiting_bytes == len(line(1, NOW - 7))
        house.receiver.answer()
        assert house.counts.waiting_since is None


class WaitingTests:
    """How many events wait, of which the disk knows only bytes."""

    def test_what_an_earlier_process_left_is_counted(self, house):
        house.queue(1, 2, 3)
        old_end = house.end
        house.queue(4)  # whoever queues after the start counts by himself
        house.start(old_end=old_end)
        assert house.counts.waiting == 3
        house.receiver.answer()
        assert house.counts.waiting == 2

    def test_only_what_it_wants_is_counted(self, house):
        house.queue(1)
        house.queue(2, 3, event=PULL)
        house.queue(4)
        house.start(old_end=house.end, ignored_actions=frozenset({"pull"}))
        assert house.counts.waiting == 2

    def test_counting_goes_over_segments_and_from_the_cursor_on(self, house):
        for number in (1, 2, 3):
            house.queue(number)
            house.writer.close()
            house.writer = SegmentWriter(house.directory, is_synced=False)
        house.start(Position(1, len(line(1))), old_end=house.end)
        assert house.counts.waiting == 2

    def test_queue_that_was_emptied_by_hand_is_counted_once(self, house):
        house.queue(1)
        house.start(Position(1), old_end=Position(9, 7))
        assert house.counts.waiting == 1

    def test_torn_line_is_not_waited_for_for_ever(self, house):
        with open(path_of(house.directory, 1), "ab") as file:
            file.write(line(1)[:-10] + b"\n")
        house.start(old_end=house.end)
        assert house.counts.waiting == 0

    def test_what_is_dropped_does_not_wait(self, house):
        house.queue(1, stamp=NOW - 100)
        house.queue(2)
        house.start(old_end=house.end, queue_age=50.0)
        assert house.counts.waiting == 1


class StopTests:
    @pytest.mark.parametrize("moment", ["idle", "sending", "resting"])
    def test_it_can_be_stopped_at_any_time(self, house, moment):
        """The fixture looks whether anything goes on."""
        if moment != "idle":
            house.queue(1, event=DELETE)
        house.start()
        if moment == "resting":
            house.receiver.answer(DOWN)
