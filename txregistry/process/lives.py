# SPDX-License-Identifier: Apache-2.0
"""What of a driver's lives counts against it: each one once, whoever tells of its end first.

Room: process. Pure. The end of a life is told of twice, by its process and by the connection to it,
in either order; and where somebody else runs the driver, by the connection alone. What counts is a
life without progress: one that ended before its hello, or in which something was asked and nothing
answered.

    WAITING --no hello (counts)-------------> UNGREETED   its death is the same life's
       |  \\--died before its hello (counts)--> DEAD        that no hello comes is the same life's
       |                                        |
     hello                                    hello
       v                                        v
    SERVING --died fruitless (counts)-------> SPENT       the end of its connection is the same life's
       |                                        |
       '--connection lost (counts if fruitless)-+--> WAITING

A connection waits in the backlog while runs of the driver die behind it: each of these deaths
counts. The hello that it gets at last may be that of a run whose death was noticed before, so that
from DEAD it leads to SPENT.
"""

from __future__ import annotations

import enum


class Stage(enum.Enum):
    """How far a life has come, and what of it has counted."""

    WAITING = enum.auto()
    UNGREETED = enum.auto()
    DEAD = enum.auto()
    SERVING = enum.auto()
    SPENT = enum.auto()


class Event(enum.Enum):
    """What is noticed of a driver.

    DIALED: a connection is asked for.
    GREETED: it said hello.
    UNGREETED: it was connected, and no hello came.
    DIED_UNGREETED: its process ended before any hello.
    DIED: its process ended later.
    DIED_FRUITLESS: likewise, and what was asked on its connection was never answered.
    LOST, LOST_FRUITLESS: the connection in use ended, likewise.
    REPLACED: another process takes its place.
    """

    DIALED = enum.auto()
    GREETED = enum.auto()
    UNGREETED = enum.auto()
    DIED_UNGREETED = enum.auto()
    DIED = enum.auto()
    DIED_FRUITLESS = enum.auto()
    LOST = enum.auto()
    LOST_FRUITLESS = enum.auto()
    REPLACED = enum.auto()


#: What an event leads to, and whether it counts. One that is not here changes and counts nothing.
_TABLE = {
    (Stage.WAITING, Event.GREETED): (Stage.SERVING, False),
    (Stage.WAITING, Event.UNGREETED): (Stage.UNGREETED, True),
    (Stage.WAITING, Event.DIED_UNGREETED): (Stage.DEAD, True),
    (Stage.UNGREETED, Event.GREETED): (Stage.SERVING, False),
    (Stage.UNGREETED, Event.UNGREETED): (Stage.UNGREETED, True),  # the same process, asked again
    (Stage.UNGREETED, Event.DIED_UNGREETED): (Stage.DEAD, False),
    (Stage.UNGREETED, Event.DIED): (Stage.WAITING, False),
    (Stage.DEAD, Event.DIALED): (Stage.WAITING, False),
    (Stage.DEAD, Event.GREETED): (Stage.SPENT, False),
    (Stage.DEAD, Event.DIED_UNGREETED): (Stage.DEAD, True),  # the next run
    (Stage.SERVING, Event.DIED_FRUITLESS): (Stage.SPENT, True),
    (Stage.SERVING, Event.LOST): (Stage.WAITING, False),
    (Stage.SERVING, Event.LOST_FRUITLESS): (Stage.WAITING, True),
    (Stage.SERVING, Event.REPLACED): (Stage.WAITING, False),
    (Stage.SPENT, Event.LOST): (Stage.WAITING, False),
    (Stage.SPENT, Event.LOST_FRUITLESS): (Stage.WAITING, False),
    (Stage.SPENT, Event.REPLACED): (Stage.WAITING, False),
}


class Lives:
    """The lives of one driver, one after the other.

    Attributes:
        stage: of the present one.
    """

    def __init__(self) -> None:
        self.stage = Stage.WAITING

    def counts(self, event: Event) -> bool:
        """Take note of an event; returns whether it is one more life without progress."""
        self.stage, is_one = _TABLE.get((self.stage, event), (self.stage, False))
        return is_one
