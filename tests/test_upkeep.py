# SPDX-License-Identifier: Apache-2.0
"""Work that repeats: on the clock, one run after the other, until it is stopped."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher

from txregistry.upkeep import Repeated


class Work:
    """Work whose runs the test ends."""

    def __init__(self):
        self.events = []
        self.run = None

    def __call__(self):
        self.events.append("start")
        self.run = Deferred(lambda _: self.events.append("cancelled"))
        return self.run


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def failures():
    events = []
    globalLogPublisher.addObserver(events.append)
    yield lambda: [event for event in events if event["log_level"] is LogLevel.critical]
    globalLogPublisher.removeObserver(events.append)


def repeated(clock, work):
    return Repeated("the work", work, clock, interval=10.0, first_after=3.0)


class RepeatedTests:
    def test_first_run_comes_after_its_delay(self, clock):
        work = Work()
        repeated(clock, work)
        clock.advance(2.9)
        assert work.events == []
        clock.advance(0.2)
        assert work.events == ["start"]

    def test_next_run_comes_an_interval_after_the_end_of_the_last(self, clock):
        """A run that takes longer than the interval is not overtaken."""
        work = Work()
        repeated(clock, work)
        clock.advance(3)
        clock.advance(100)
        assert work.events == ["start"]
        work.run.callback(None)
        clock.advance(9.9)
        assert work.events == ["start"]
        clock.advance(0.2)
        assert work.events == ["start", "start"]

    def test_failed_run_is_logged_and_the_next_one_comes(self, clock, failures):
        work = Work()
        repeated(clock, work)
        clock.advance(3)
        work.run.errback(OSError("broken"))
        assert [event["log_failure"].getErrorMessage() for event in failures()] == ["broken"]
        clock.advance(10)
        assert work.events == ["start", "start"]

    def test_stop_before_the_first_run_leaves_nothing(self, clock):
        work = Work()
        task = repeated(clock, work)
        task.stop()
        task.stop()
        clock.advance(100)
        assert work.events == []
        assert clock.getDelayedCalls() == []

    def test_stop_during_a_run_cancels_it(self, clock, failures):
        """It is ended, and that is no failure."""
        work = Work()
        task = repeated(clock, work)
        clock.advance(3)
        task.stop()
        task.stop()
        assert work.events == ["start", "cancelled"]
        assert clock.getDelayedCalls() == []
        assert failures() == []
