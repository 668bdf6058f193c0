# SPDX-License-Identifier: Apache-2.0
"""The meter of frames, apart from connections."""

from __future__ import annotations

import pytest

from txregistry.web.http2.frames import (
    BURST,
    BYTES_PER_FRAME,
    LARGEST,
    PREFACE_LENGTH,
    REFILL,
    Allowance,
    Flood,
    FrameMeter,
)

from .frames import CONTINUATION, DATA, END_HEADERS, HEADERS, PING, SETTINGS, frame

PREFACE = bytes(PREFACE_LENGTH)
ONE = frame(PING, 0, 0, bytes(8))
#: A ping costs a frame, and an eighth of one for its payload.
COST = 1.125


@pytest.fixture
def meter():
    meter = FrameMeter(1000, 0.0)
    meter.take(PREFACE, 0.0)
    return meter


def spend_all(meter, now=0.0):
    """Use up the allowance; returns how many pings that took."""
    for count in range(100_000):
        try:
            meter.take(ONE, now)
        except Flood:
            return count
    raise AssertionError("it never ends")


def test_allowance_comes_back_with_time_up_to_its_size():
    allowance = Allowance(10, 2, 0.0)
    assert allowance.spend(10, 0.0)
    assert not allowance.spend(1, 0.0)
    assert allowance.spend(1, 1.0)
    assert allowance.spend(10, 1000.0)
    assert not allowance.spend(1, 1000.0)


def test_frames_cost_and_time_brings_them_back(meter):
    assert spend_all(meter) == int(BURST / COST)
    meter.take(ONE, 1.0)
    assert spend_all(meter, 2.0) == pytest.approx(2 * REFILL / COST - 1, abs=2)


def test_work_earns_frames(meter):
    spend_all(meter)
    meter.earn(moved=100 * BYTES_PER_FRAME, answered=1)
    assert spend_all(meter) > 90


def test_transfer_of_any_size_never_runs_out(meter):
    """Neither what we are sent nor the windows that are opened for what we send."""
    for _ in range(10 * BURST):
        meter.take(frame(DATA, 0, 1, bytes(BYTES_PER_FRAME)), 0.0)
        meter.earn(moved=BYTES_PER_FRAME)


@pytest.mark.parametrize("step", [1, 2, 7, 9, 10, 1000])
def test_cuts_between_pieces_mean_nothing(step):
    """TCP has no messages."""
    sent = PREFACE + (frame(HEADERS, 0, 1, b"a" * 30) + frame(CONTINUATION, 4, 1, b"b" * 5)) * 3
    sent += ONE + frame(DATA, 0, 1, b"x" * 100) + frame(SETTINGS, 0, 0)
    meter = FrameMeter(40, 0.0)
    for start in range(0, len(sent), step):
        meter.take(sent[start : start + step], 0.0)
    assert meter.unfinished_since is None
    with pytest.raises(Flood, match="too large"):
        meter.take(frame(HEADERS, 0, 3, b"a" * 303), 0.0)


def test_too_large_a_frame_is_refused_by_its_head(meter):
    meter.take(frame(DATA, 0, 1, bytes(LARGEST)), 0.0)
    with pytest.raises(Flood, match="a frame is too large"):
        meter.take(frame(DATA, 0, 1, length=LARGEST + 1), 0.0)


def test_head_is_measured_over_all_its_frames(meter):
    meter.take(frame(HEADERS, 0, 1, bytes(1000)), 0.0)
    with pytest.raises(Flood, match="head is too large"):
        meter.take(frame(CONTINUATION, END_HEADERS, 1, bytes(300)), 0.0)


def test_what_stays_unfinished_is_timed_from_its_first_byte(meter):
    """Also if it goes on byte by byte; not if something else has come whole meanwhile."""
    sent = frame(HEADERS, 0, 1, bytes(20))
    meter.take(sent[:12], 5.0)
    meter.take(sent[12:13], 6.0)
    assert meter.unfinished_since == 5.0
    meter.take(sent[13:], 7.0)
    assert meter.unfinished_since == 5.0
    meter.take(frame(CONTINUATION, END_HEADERS, 1, b"") + ONE[:3], 8.0)
    assert meter.unfinished_since == 8.0
    meter.take(ONE[3:], 9.0)
    assert meter.unfinished_since is None


def test_time_in_which_nothing_is_read_is_excused(meter):
    """And only of what is unfinished."""
    meter.excuse(4.0)
    assert meter.unfinished_since is None
    meter.take(ONE[:3], 5.0)
    meter.excuse(60.0)
    assert meter.unfinished_since == 60.0


def test_body_is_not_timed_here(meter):
    """It has a rate of its own."""
    meter.take(frame(DATA, 0, 1, length=100), 5.0)
    assert meter.unfinished_since is None
