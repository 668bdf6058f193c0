# SPDX-License-Identifier: Apache-2.0
"""A worn driver is replaced: each step, and whatever may come in between."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from txregistry.ipc.commands import LOCAL_CONDITIONS, VOLATILE
from txregistry.process.relief import DRAIN_LIMIT, Relief
from txregistry.process.supervision import Supervision
from txregistry.storage.errors import Unavailable

from .keeping import taken

LIMITS = Supervision(recycle_resident=1000, recycle_operations=0, recycle_interval=10.0)


class FakeLink:
    """A connection to a driver, as the relief sees one.

    Attributes:
        next_hello: what it will say of itself; a StorageError for nothing at all.
    """

    def __init__(self, *features):
        self.hello = self.next_hello = {"features": features}
        self.answered = 7
        self.is_lost = False
        self.is_idle = True

    async def greet(self):
        if isinstance(self.next_hello, Unavailable):
            raise self.next_hello
        self.hello = self.next_hello

    def abort(self):
        self.is_lost = True


class House(Clock):
    """A driver that is too large, its process, and who replaces it.

    Attributes:
        events: what was done, in order.
        refusal: why no successor can be launched, or why it does not come up.
        has_no_socket: somebody has removed the successor's.
        run: the present process; None once that has ended.
    """

    next_path = "/the/next"
    pid = 4711

    def __init__(self):
        super().__init__()
        self.events = []
        self.refusal = None
        self.has_no_socket = False
        self.run = "old"
        self.hello = Deferred()
        self.link = FakeLink()
        self.relief = Relief(self, self, self, LIMITS)

    def worn(self, resident=1001):
        self.relief.look(self.link, {"resident": resident})

    # the keeper's part

    async def change_over(self, path):
        self.events.append(f"change to {path}")
        await self.hello
        return self.link

    # the child's part

    def launch_successor(self):
        if isinstance(self.refusal, OSError):
            raise self.refusal
        self.events.append("launch")
        return "successor"

    def promote(self, successor):
        if self.has_no_socket:
            raise FileNotFoundError(2, "no such file")
        self.events.append(f"promote {successor}")
        return self.run

    async def dismiss(self, run, *, is_at_once=False):
        assert self.link.is_lost is not is_at_once or run == "successor"
        self.events.append(f"{'kill' if is_at_once else 'dismiss'} {run}")

    def terminate(self):
        self.events.append("terminate")


@pytest.fixture
def house():
    return House()


def test_successor_comes_before_the_old_one_goes(house, logged):
    """There is no moment without a driver, and both are said to the operator with the reason."""
    house.worn()
    assert house.events == ["launch", "change to /the/next"]
    house.hello.callback(None)
    assert house.events[2:] == ["promote successor", "dismiss old"]
    assert house.link.is_lost
    assert house.relief.counts == {"resident": 1, "operations": 0}
    assert any("(resident: 1001 bytes resident, 7 operations answered)" in line for line in logged)
    assert any("it is now process 4711" in line for line in logged)


def test_driver_within_its_bounds_is_let_be(house):
    house.worn(1000)
    house.worn(None)
    assert house.events == []


def test_work_under_way_is_waited_for(house):
    """A commit on the old driver is not broken off."""
    house.link.is_idle = False
    house.worn()
    house.hello.callback(None)
    house.pump([1.0] * 20)
    assert house.events[-1] == "promote successor"
    house.link.is_idle = True
    house.advance(1)
    assert house.events[-1] == "dismiss old"
    assert not house.getDelayedCalls()


class Others:
    """Processes that share the driver, and are at work on it."""

    answered = 500

    def __init__(self):
        self.told = []
        self.gone = Deferred()

    async def change_over(self, limit):
        self.told.append(limit)
        await self.gone


def test_other_processes_are_waited_for(house):
    """They are told once the successor is at the driver's place, and may finish what they began."""
    house.relief.elsewhere = others = Others()
    house.worn()
    assert others.told == []
    house.hello.callback(None)
    assert others.told == [DRAIN_LIMIT]
    assert "dismiss old" not in house.events
    others.gone.callback(None)
    assert house.events[-1] == "dismiss old"


def test_what_it_answered_to_others_wears_it_too():
    house = House()
    house.relief = Relief(house, house, house, Supervision(recycle_operations=507))
    house.worn(resident=0)
    assert house.events == []
    house.relief.elsewhere = Others()
    house.worn(resident=0)
    assert house.events[0] == "launch"


def test_work_without_end_is_broken_off(house, logged):
    """It dies with its process, so that nothing of it is still written when it is done again."""
    house.link.is_idle = False
    house.worn()
    house.hello.callback(None)
    house.pump([1.0] * int(DRAIN_LIMIT))
    assert house.events[-2:] == ["promote successor", "kill old"]
    assert house.link.is_lost
    assert any("is killed at its work" in line for line in logged)


def test_old_driver_that_dies_at_its_work_is_gone(house):
    """Its death is no trouble any more."""
    house.link.is_idle = False
    house.worn()
    house.hello.callback(None)
    house.link.is_lost = True
    house.advance(1)
    assert house.events[-1] == "dismiss old"


def test_old_driver_that_died_before_is_not_ended(house, logged):
    """Its end was noticed before that of its connection."""
    house.run = None
    house.worn()
    house.hello.callback(None)
    assert house.events[-1] == "promote successor"
    assert house.link.is_lost
    assert house.relief.counts["resident"] == 1
    assert any("was replaced" in line for line in logged)


def test_one_replacement_at_a_time(house):
    """However long it takes."""
    house.worn()
    house.advance(LIMITS.recycle_interval)
    house.worn()
    assert house.events.count("launch") == 1
    house.hello.callback(None)
    house.advance(LIMITS.recycle_interval)
    house.worn()
    assert house.events.count("launch") == 2


@pytest.mark.parametrize(
    "failure", [error.ConnectError(), Unavailable("it died"), OSError(11, "no process")]
)
def test_successor_that_does_not_come_up_changes_nothing(house, failure, logged):
    """The driver goes on; after a while it is tried again."""
    house.refusal = failure
    house.worn()
    if not isinstance(failure, OSError):
        house.hello.errback(failure)
        assert house.events[-1] == "dismiss successor"
    assert "promote successor" not in house.events
    assert not house.link.is_lost
    assert house.relief.counts == {"resident": 0, "operations": 0}
    assert any("could not be replaced, and goes on" in line for line in logged)
    house.events.clear()
    house.refusal, house.hello = None, Deferred()
    house.worn()
    assert house.events == []
    house.advance(LIMITS.recycle_interval)
    house.worn()
    assert "launch" in house.events


def test_successor_whose_socket_is_gone_goes_again(house, logged):
    """It could not be found again after a lost connection; the one before can."""
    house.has_no_socket = True
    house.worn()
    house.hello.callback(None)
    assert house.events[-1] == "dismiss successor"
    assert house.link.is_lost
    assert house.relief.counts == {"resident": 0, "operations": 0}
    assert any("could not be replaced" in line for line in logged)


def test_fault_of_ours_leaves_no_process_behind(house, logged, failures):
    """It is logged, the successor goes again, and the driver is replaced another time."""
    house.worn()
    house.hello.errback(ZeroDivisionError("a fault"))
    assert house.events[-1] == "dismiss successor"
    assert not house.link.is_lost
    assert any("could not be replaced" in line for line in logged)
    assert taken(failures) == [ZeroDivisionError]
    house.hello = Deferred()
    house.advance(LIMITS.recycle_interval)
    house.worn()
    assert house.events.count("launch") == 2


def test_fault_at_the_first_question_is_logged(house, logged, failures):
    """Nobody else would tell of it."""
    house.link.greet = None  # which can't be called
    house.worn()
    assert house.events == []
    assert any("could not be replaced" in line for line in logged)
    assert taken(failures) == [TypeError]


def test_other_processes_that_fail_are_not_waited_for(house, logged, failures):
    """The old driver is ended all the same."""
    house.relief.elsewhere = others = Others()
    house.worn()
    house.hello.callback(None)
    others.gone.errback(ZeroDivisionError("a fault"))
    assert house.events[-1] == "dismiss old"
    assert any("other processes could not be asked" in line for line in logged)
    assert taken(failures) == [ZeroDivisionError]


def test_content_in_memory_is_not_thrown_away(house):
    """A driver whose content is gone with its process is never replaced."""
    house.link = FakeLink(VOLATILE)
    house.worn()
    assert house.events == []


def test_driver_that_must_not_be_there_twice_is_asked_to_end(house):
    """One that decides conditions by itself has its next run after it, as after any death."""
    house.link = FakeLink(LOCAL_CONDITIONS)
    house.worn()
    assert house.events == ["terminate"]
    assert house.relief.counts["resident"] == 1


def test_driver_that_learnt_its_kind_after_its_hello_is_not_there_twice(house):
    """One whose backend was away then could not know whether that decides conditions."""
    house.link.next_hello = {"features": (LOCAL_CONDITIONS,)}
    house.worn()
    assert house.events == ["terminate"]


def test_driver_that_is_lost_is_not_replaced(house, logged):
    """Its next run is on its way, and is not to be ended for what this one was."""
    house.link.next_hello = Unavailable("the connection ended")
    house.worn()
    assert house.events == []
    assert house.relief.counts == {"resident": 0, "operations": 0}
    assert any("could not be replaced" in line for line in logged)


def test_stop_ends_it(house):
    """The registry's end leaves nothing behind and reports no failure."""
    house.relief.stop()
    house.worn()
    house.relief.stop()
    house.relief.stop()
    assert house.events[-1] == "change to /the/next"
    house.advance(DRAIN_LIMIT)
    assert not house.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_stop_during_the_drain_ends_it(house):
    """Likewise."""
    house.link.is_idle = False
    house.worn()
    house.hello.callback(None)
    house.relief.stop()
    assert not house.getDelayedCalls()


def test_bound_that_is_always_passed_is_named(house, logged):
    """The operator learns at the second time which key is to be raised, not at the first."""
    house.hello.callback(None)
    house.worn()
    house.advance(9)
    house.worn()
    assert not [sentence for sentence in logged if "recycleresident" in sentence]
    house.advance(1)
    house.link = FakeLink()
    house.worn()
    assert [sentence for sentence in logged if "recycleresident" in sentence]
    assert house.events.count("launch") == 2
