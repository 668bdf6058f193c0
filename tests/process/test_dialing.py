# SPDX-License-Identifier: Apache-2.0
"""How often a socket is dialed on which nobody listens: a rule without a clock of its own."""

from __future__ import annotations

from txregistry.process.dialing import DIAL_LIMIT, RETRY, Absence


def test_pauses_double_up_to_the_limit():
    absence, pauses = Absence(), []
    for now in range(50):
        absence.dialed(now)
        pauses.append(absence.pause())
    assert pauses[:3] == [2 * RETRY, 4 * RETRY, 8 * RETRY]
    assert pauses[-1] == DIAL_LIMIT


def test_absence_is_measured_from_its_first_attempt():
    """Somebody who listened in between ends it."""
    absence = Absence()
    assert [absence.dialed(now) for now in (5.0, 7.0)] == [0.0, 2.0]
    absence.over()
    assert absence.dialed(9.0) == 0.0
    assert absence.pause() == 2 * RETRY
