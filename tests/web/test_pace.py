# SPDX-License-Identifier: Apache-2.0
"""Deadlines of a connection, without a connection."""

import pytest

from txregistry.web.pace import Pace, Stage, Verdict
from txregistry.web.settings import Limits

LIMITS = Limits()


@pytest.fixture
def pace():
    return Pace(LIMITS, 1000.0)


@pytest.mark.parametrize(
    "enter, seconds, verdict",
    [
        (lambda pace: None, 10, Verdict.CLOSE),
        (lambda pace: pace.head_began(1000.0), 15, Verdict.TIMEOUT),
        (lambda pace: pace.idle_began(1000.0), 60, Verdict.CLOSE),
        (lambda pace: pace.discard_began(1000.0), 10, Verdict.ABORT),
    ],
    ids=["first byte", "head", "idle", "discard"],
)
def test_deadline_holds_until_its_second(pace, enter, seconds, verdict):
    """Each stage ends when the table says, not before."""
    enter(pace)
    assert pace.judge_deadline(1000.0 + seconds - 0.1) is Verdict.GO_ON
    assert pace.judge_deadline(1000.0 + seconds) is verdict


def test_closing_twice_keeps_the_first_deadline(pace):
    """A client can't stretch its end by making us close again."""
    pace.closing_began(1000.0)
    assert pace.judge_progress(1000.0, 5) is Verdict.GO_ON
    pace.closing_began(1050.0)
    assert pace.judge_progress(1059.0, 5) is Verdict.GO_ON
    assert pace.judge_progress(1060.0, 5) is Verdict.ABORT


class BodyRateTests:
    """A body must bring 1 KiB/s on average, after a grace, while we wait for it."""

    @pytest.fixture(autouse=True)
    def begin(self, pace):
        pace.body_began()
        assert pace.stage is Stage.BODY

    def test_grace_asks_nothing(self, pace):
        """A link that takes its time to start is not cut."""
        assert pace.judge_body(0, 29.0) is Verdict.GO_ON

    def test_drip_is_cut_a_window_after_the_grace(self, pace):
        """One byte a second ends the connection."""
        verdicts = {second: pace.judge_body(second, float(second)) for second in range(0, 62)}
        assert verdicts[59] is Verdict.GO_ON
        assert verdicts[60] is Verdict.TIMEOUT

    def test_just_enough_is_kept_for_ever(self, pace):
        """1 KiB/s is as good as anything."""
        assert all(
            pace.judge_body(second * 1024, float(second)) is Verdict.GO_ON
            for second in range(0, 1000)
        )

    @pytest.mark.parametrize("record", [1460, 16 * 1024])
    def test_what_comes_in_large_pieces_is_not_slow(self, pace, record):
        """Packets and TLS records are seen when they are whole; the link is as fast all the same."""
        assert all(
            pace.judge_body(second * 1024 // record * record, float(second)) is Verdict.GO_ON
            for second in range(0, 100_000)
        )

    def test_little_less_than_enough_is_cut_in_the_end(self, pace):
        """What is missing adds up."""
        verdicts = [pace.judge_body(second * 900, float(second)) for second in range(0, 400)]
        assert Verdict.TIMEOUT in verdicts

    def test_what_came_early_does_not_help_later(self, pace):
        """A fast start followed by nothing is cut within two windows."""
        verdicts = [pace.judge_body(10**9, float(second)) for second in range(0, 100)]
        assert Verdict.TIMEOUT in verdicts

    def test_time_in_which_nobody_waits_does_not_count(self, pace):
        """A slow disk is not the client's fault: its clock stands still meanwhile."""
        assert all(pace.judge_body(1, 5.0) is Verdict.GO_ON for _ in range(1000))

    def test_rate_zero_asks_nothing(self):
        """The rule can be turned off."""
        pace = Pace(Limits(body_rate=0), 0.0)
        pace.body_began()
        assert all(pace.judge_body(0, float(second)) is Verdict.GO_ON for second in range(0, 200))


class StallTests:
    """A client that takes nothing of its answer is dropped."""

    @pytest.fixture(autouse=True)
    def begin(self, pace):
        pace.answer_began()

    def test_nothing_to_take_is_no_stall(self, pace):
        """While the answer is being made the client can't do anything."""
        assert all(
            pace.judge_progress(1000.0 + second, None) is Verdict.GO_ON
            for second in range(0, 1000, 10)
        )

    def test_no_progress_ends_it(self, pace):
        """A minute in which nothing moved is enough."""
        assert pace.judge_progress(1000.0, (5, 5)) is Verdict.GO_ON
        assert pace.judge_progress(1059.0, (5, 5)) is Verdict.GO_ON
        assert pace.judge_progress(1060.0, (5, 5)) is Verdict.ABORT

    def test_any_progress_starts_it_again(self, pace):
        """A slow reader reads."""
        for second in range(0, 1000, 50):
            assert pace.judge_progress(1000.0 + second, (second, 1)) is Verdict.GO_ON
