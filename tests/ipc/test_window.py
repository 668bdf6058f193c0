# SPDX-License-Identifier: Apache-2.0
"""What is kept of an upload, for any order of what may happen to it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from txregistry.ipc.budget import ReplayBudget
from txregistry.ipc.window import ON_THE_WAY, WINDOW, ReplayWindow

STEPS = st.lists(st.tuples(st.sampled_from("asdr"), st.integers(1, 40)), max_size=40)


def content(start, stop):
    return bytes(number % 251 for number in range(start, stop))


@given(STEPS, st.integers(0, 1000), st.integers(0, 200))
def test_what_is_unsent_is_what_is_missing(steps, start, room):
    """However bytes arrive, go out, are stored and are sent again: what comes next is exactly what
    the driver lacks, and the budget is charged for what is kept.
    """
    budget = ReplayBudget(room)
    window = ReplayWindow(budget, start)
    for step, count in steps:
        if step == "a":
            window.add(content(window.offset, window.offset + count))
        elif step == "s":
            window.went_out(min(count, window.offset - window.sent))
        elif step == "d":
            window.advance(min(window.stored + count, window.sent))
        elif window.holds(window.stored):
            window.send_again_from(window.stored)
        assert window.stored <= window.sent <= window.offset
        assert b"".join(window.unsent(100)) == content(window.sent, window.offset)
        assert budget.used <= room
        assert window.is_kept or budget.used == 0
    window.clear()
    assert budget.used == 0


def test_protected_window_holds_all_that_is_not_stored():
    """As long as there is memory for it, no death costs the client anything."""
    window = ReplayWindow(ReplayBudget(), 10)
    window.add(b"abc")
    window.add(b"def")
    window.went_out(6)
    assert window.advance(12) and not window.advance(11)
    assert [window.holds(offset) for offset in (9, 10, 16, 17)] == [False, True, True, False]
    assert not window.send_again_from(12)
    assert b"".join(window.unsent(1)) == b"c"
    assert window.send_again_from(14)
    assert b"".join(window.unsent(1)) == b"ef"


def test_driver_that_gathers_gets_more_room():
    """What it may hold, and what is on the way to it."""
    window = ReplayWindow(ReplayBudget(), 0)
    window.make_room(0)
    window.add(bytes(WINDOW))
    assert not window.is_full
    window.add(b"x")
    assert window.is_full
    window.make_room(WINDOW)
    window.add(bytes(ON_THE_WAY - 1))
    assert not window.is_full
    window.add(b"x")
    assert window.is_full
