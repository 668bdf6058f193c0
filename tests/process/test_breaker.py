# SPDX-License-Identifier: Apache-2.0
"""When requests may wait for a driver, and how long it rests: rules without a clock of their own."""

from __future__ import annotations

import pytest

from txregistry.process.breaker import Breaker
from txregistry.process.supervision import Supervision

POLICY = Supervision(backoff=1.0, backoff_limit=10.0, breaker_deaths=3, breaker_window=60.0)


@pytest.fixture
def breaker():
    return Breaker(POLICY, lambda least, most: most)


def test_it_opens_at_so_many_deaths_within_the_window(breaker):
    """Not before, and not for deaths that lie far apart."""
    for now in (0, 40, 80):
        breaker.failed(now)
    assert not breaker.is_open
    breaker.failed(90)
    assert breaker.is_open


def test_answer_between_deaths_starts_the_count_anew(breaker):
    for now in (0, 1):
        breaker.failed(now)
    breaker.answered()
    for now in (2, 3):
        breaker.failed(now)
    assert not breaker.is_open


def test_answer_alone_does_not_close_it(breaker):
    """Late answers to old questions are no probe."""
    breaker.open()
    breaker.answered()
    assert breaker.is_open
    breaker.close()
    assert not breaker.is_open


def test_pauses_double_up_to_the_limit(breaker):
    """None without a death, and none longer than the limit."""
    pauses = []
    for now in range(6):
        pauses.append(breaker.pause())
        breaker.failed(now)
    assert pauses == [0, 2, 4, 8, 10, 10]


def test_pause_is_drawn_between_half_and_all(breaker):
    """Many registries don't come back in step."""
    drawn = []
    breaker = Breaker(POLICY, lambda least, most: drawn.append((least, most)) or least)
    breaker.failed(0)
    assert breaker.pause() == 1.0
    assert drawn == [(1.0, 2.0)]


def test_long_quiet_forgets_the_row(breaker):
    """A driver that lived well for a while begins with a short pause again."""
    for now in (0, 1):
        breaker.failed(now)
    breaker.failed(1 + POLICY.breaker_window + 1)
    assert breaker.pause() == 2.0


def test_most_of_the_last_operations_unanswered_opens_it(breaker):
    """Some that are slow don't."""
    for _ in range(10):
        breaker.unanswered()
    assert not breaker.is_open
    for _ in range(10):
        breaker.answered()
    breaker.unanswered()  # the oldest one leaves as this one comes
    assert not breaker.is_open
    for _ in range(11):
        breaker.unanswered()
    assert breaker.is_open
