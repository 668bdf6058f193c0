# SPDX-License-Identifier: Apache-2.0
"""When a check runs, and when what it finds counts."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from txregistry.health import Board, Check, Problem, Unhealthy


class Probed:
    """What a probe looks at."""

    def __init__(self):
        self.answers = []
        self.looks = 0
        self.cancelled = 0

    async def probe(self):
        self.looks += 1
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Deferred):
            await answer


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def probed():
    return Probed()


def make(probed, clock, **words):
    return Check("name", "file", probed.probe, clock, interval=10.0, **words)


class CheckTests:
    def test_runs_at_once_and_after_each_interval(self, probed, clock):
        """A fresh process does not pass for healthy before it has looked."""
        check = make(probed, clock)
        check.start()
        clock.advance(0)
        assert probed.looks == 1
        clock.advance(9.9)
        assert probed.looks == 1
        clock.advance(0.1)
        assert probed.looks == 2
        check.stop()
        clock.advance(100)
        assert probed.looks == 2

    @pytest.mark.parametrize("threshold", [0, 1])
    def test_first_failure_counts_without_a_threshold(self, probed, clock, threshold):
        probed.answers = [Unhealthy("broken")]
        check = make(probed, clock, threshold=threshold)
        check.start()
        clock.advance(0)
        assert check.problem == "broken"
        clock.advance(10)
        assert check.problem == ""

    def test_failures_count_when_there_were_enough_in_a_row(self, probed, clock):
        """A blip takes nobody out of service."""
        bad = Unhealthy("broken")
        probed.answers = [bad, bad, None, bad, bad, bad]
        check = make(probed, clock, threshold=3)
        check.start()
        seen = []
        for wait in (0, 10, 10, 10, 10, 10, 10):
            clock.advance(wait)
            seen.append(check.problem)
        assert seen == ["", "", "", "", "", "broken", ""]

    def test_probe_that_does_not_answer_fails(self, probed, clock):
        probed.answers = [Deferred()]
        check = make(probed, clock, timeout=3.0)
        check.start()
        clock.advance(0)
        clock.advance(2.9)
        assert check.problem == ""
        clock.advance(0.1)
        assert check.problem == "there was no answer within 3 s"
        clock.advance(10)
        assert (probed.looks, check.problem) == (2, "")

    def test_stopped_while_it_looks_it_says_nothing(self, probed, clock):
        probed.answers = [Deferred()]
        check = make(probed, clock)
        check.start()
        clock.advance(0)
        check.stop()
        clock.advance(100)
        assert (probed.looks, check.problem) == (1, "")
        assert clock.getDelayedCalls() == []

    def test_broken_probe_is_a_failure(self, probed, clock, logged):
        """What can't look must not pass for content; its words may be secret."""
        probed.answers = [ZeroDivisionError("hunter2")]
        check = make(probed, clock)
        check.start()
        clock.advance(0)
        assert check.problem == "the check itself failed: ZeroDivisionError"
        clock.advance(10)
        assert (probed.looks, check.problem) == (2, "")
        assert logged

    def test_change_is_logged_once(self, probed, clock, logged):
        bad = Unhealthy("broken")
        probed.answers = [bad, bad, bad]
        check = make(probed, clock)
        check.start()
        for wait in (0, 10, 10, 10, 10):
            clock.advance(wait)
        formats = [event["log_format"] for event in logged]
        assert formats == [
            "health check {name} fails: {problem}",
            "health check {name} passes again",
        ]


class BoardTests:
    def test_what_is_well_is_not_shown(self, probed, clock):
        board = Board()
        board.add_condition("registry", "registry", str)
        board.add_check(make(probed, clock))
        assert board.problems() == {}
        assert board.names() == {"registry": "registry", "name": "file"}

    def test_conditions_are_asked_each_time(self):
        texts = ["starting"]
        board = Board()
        board.add_condition("registry", "registry", lambda: texts[0])
        assert board.problems() == {"registry": Problem("registry", "registry", "starting")}
        texts[0] = ""
        assert board.problems() == {}
        assert not board.has_failing_check()

    def test_condition_and_check_of_one_name_are_one_row(self, probed, clock):
        """Why the driver is not there says more than that it could not be asked."""
        probed.answers = [Unhealthy("Unavailable")] * 2
        texts = ["the driver restarts"]
        board = Board()
        board.add_condition("name", "storage", lambda: texts[0])
        board.add_check(make(probed, clock))
        board.start()
        clock.advance(0)
        assert board.problems()["name"].text == "the driver restarts"
        texts[0] = ""
        assert board.problems()["name"].text == "Unavailable"
        assert board.has_failing_check()
        board.stop()
        assert clock.getDelayedCalls() == []
