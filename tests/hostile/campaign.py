# SPDX-License-Identifier: Apache-2.0
"""Tries groups of the table, and keeps what came of them.

``python -m tests.hostile.campaign`` is the long form.
"""

from __future__ import annotations

from .trial import Trial

#: Of this run.
TALLIES = []


def try_group(group, wards):
    """Try all rows of a group; returns the tally."""
    trial = Trial(wards.of(group.configuration), group.name)
    TALLIES.append(trial.tally)
    with trial:
        if group.is_slow:
            trial.try_together(group.rows)
        else:
            for row in group.rows:
                trial.try_row(row)
    return trial.tally
