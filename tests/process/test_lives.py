# SPDX-License-Identifier: Apache-2.0
"""Which ends of a driver count against it: a list of events, and after each whether it counted."""

from __future__ import annotations

import pytest

from txregistry.process.lives import Event, Lives, Stage

DIALED, GREETED, UNGREETED = Event.DIALED, Event.GREETED, Event.UNGREETED
DIED_UNGREETED, DIED, DIED_FRUITLESS = Event.DIED_UNGREETED, Event.DIED, Event.DIED_FRUITLESS
LOST, LOST_FRUITLESS, REPLACED = Event.LOST, Event.LOST_FRUITLESS, Event.REPLACED


@pytest.mark.parametrize(
    ("events", "counted"),
    [
        pytest.param([DIALED, GREETED, LOST, DIED], 0, id="killed at its work or idle"),
        pytest.param([DIALED, GREETED, DIED, LOST], 0, id="likewise, the death noticed first"),
        pytest.param([DIALED, UNGREETED, DIED_UNGREETED], 1, id="no hello, then its death"),
        pytest.param([DIALED, DIED_UNGREETED, UNGREETED], 1, id="its death, then no hello"),
        pytest.param([DIALED, GREETED, LOST_FRUITLESS, DIED], 1, id="answered nothing"),
        pytest.param(
            [DIALED, GREETED, DIED_FRUITLESS, LOST_FRUITLESS],
            1,
            id="answered nothing, the death noticed first",
        ),
        pytest.param([DIALED] + 3 * [DIED_UNGREETED], 3, id="deaths behind one connection"),
        pytest.param(
            [DIALED, DIED_UNGREETED, GREETED, LOST_FRUITLESS],
            1,
            id="death noticed before the hello",
        ),
        pytest.param([DIALED, UNGREETED, DIALED, UNGREETED], 2, id="nobody tells of the process"),
        pytest.param(
            [DIALED, UNGREETED, DIALED, UNGREETED, DIED_UNGREETED], 2, id="somebody does at last"
        ),
        pytest.param(
            [DIALED, UNGREETED, DIED_UNGREETED, UNGREETED],
            1,
            id="a hello that is given up after the death",
        ),
        pytest.param(
            [DIALED, DIED_UNGREETED, DIED_UNGREETED, UNGREETED],
            2,
            id="deaths behind one connection, and then its end",
        ),
        pytest.param(
            [DIALED, DIED_UNGREETED, DIALED, DIED_UNGREETED], 2, id="deaths behind two connections"
        ),
        pytest.param(
            [DIALED, UNGREETED, DIED_UNGREETED, DIALED, UNGREETED], 2, id="the next life counts too"
        ),
        pytest.param(
            [DIALED, GREETED, LOST, DIALED, UNGREETED, DIED],
            1,
            id="one that had said hello refuses the next connection",
        ),
        pytest.param(
            [DIALED, GREETED, LOST, DIALED, UNGREETED, DIED, DIED_UNGREETED],
            2,
            id="and the run after it dies",
        ),
        pytest.param(
            [DIALED, UNGREETED, DIALED, GREETED, LOST_FRUITLESS],
            2,
            id="hello at the second connection, and nothing else",
        ),
        pytest.param(
            [DIALED, DIED_UNGREETED, GREETED, LOST, DIALED, GREETED, DIED_FRUITLESS, LOST],
            2,
            id="the life after one whose death was noticed early",
        ),
        pytest.param(
            [DIALED, GREETED, LOST_FRUITLESS, DIALED, GREETED, LOST_FRUITLESS],
            2,
            id="one fruitless life after the other",
        ),
        pytest.param(
            [DIALED, GREETED, REPLACED, GREETED, LOST_FRUITLESS],
            1,
            id="a successor that is fruitless",
        ),
        pytest.param(
            [DIALED, DIED_UNGREETED, UNGREETED, DIALED, UNGREETED],
            2,
            id="two lives without a hello",
        ),
        pytest.param(
            [DIALED, GREETED, LOST_FRUITLESS, DIED_UNGREETED],
            2,
            id="the next run dies in the pause",
        ),
        pytest.param(
            [DIALED, GREETED, DIED_FRUITLESS, REPLACED, GREETED, LOST_FRUITLESS],
            2,
            id="the successor has a life of its own",
        ),
        pytest.param(
            [DIALED, DIED_UNGREETED, GREETED, REPLACED, GREETED, LOST_FRUITLESS],
            2,
            id="likewise, after a death noticed before the hello",
        ),
    ],
)
def test_each_life_counts_once(events, counted):
    """Whichever of its process and its connection is noticed first."""
    lives = Lives()
    assert [lives.counts(event) for event in events].count(True) == counted
    # Whatever was before, the next one is judged for itself.
    assert [lives.counts(event) for event in (DIALED, GREETED, LOST_FRUITLESS)][-1]
    assert [lives.counts(event) for event in (DIALED, GREETED, LOST)].count(True) == 0


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("event", Event)
def test_no_event_is_a_surprise(stage, event):
    """Whatever is told at whatever time, an answer or a death after a hello never counts."""
    lives = Lives()
    lives.stage = stage
    is_one = lives.counts(event)
    assert not (is_one and event in {DIALED, GREETED, DIED, LOST, REPLACED})
