# SPDX-License-Identifier: Apache-2.0
"""Doing things at once, and finishing what nobody waits for."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import globalLogPublisher

from txregistry.oci.errors import Code, OciError
from txregistry.registry.tasks import Finishing, each, if_there, together
from txregistry.storage.errors import Denied, Fenced, Missing, Unavailable, WrongOffset

from .world import done, started


async def give(value):
    return value


async def refuse(error):
    raise error


async def wait_for(gate):
    return await gate


class TogetherTests:
    def test_results_are_in_order(self):
        assert done(together(give(1), give("b"))) == (1, "b")

    def test_everything_has_begun_before_anything_is_awaited(self):
        """Two calls cost one round trip."""
        one, other = Deferred(), Deferred()
        task = started(together(wait_for(one), wait_for(other)))
        other.callback(2)
        one.callback(1)
        assert task.result == (1, 2)

    def test_first_failure_is_raised_when_all_has_ended(self):
        """Nothing of a request is left running when its answer leaves."""
        gate = Deferred()
        task = started(together(refuse(KeyError("a")), wait_for(gate), refuse(ValueError())))
        assert not task.called
        gate.callback(None)
        with pytest.raises(KeyError):
            task.result.raiseException()
        task.addErrback(lambda _: None)

    def test_cancelling_cancels_all(self):
        cancelled = []
        gates = [Deferred(cancelled.append), Deferred(cancelled.append)]
        task = started(together(*map(wait_for, gates)))
        task.cancel()
        assert cancelled == gates
        assert task.result.check(CancelledError)
        task.addErrback(lambda _: None)


class EachTests:
    def test_results_are_in_order_of_the_arguments(self):
        gates = [Deferred(), Deferred(), Deferred()]
        task = started(each(wait_for, gates, width=2))
        gates[1].callback("b")
        gates[2].callback("c")
        gates[0].callback("a")
        assert task.result == ["a", "b", "c"]

    def test_nothing_to_do(self):
        assert done(each(give, [])) == []

    def test_no_more_than_width_at_once(self):
        """A manifest of a thousand layers does not take all of a driver's slots."""
        begun = []
        gates = [Deferred() for _ in range(5)]

        async def work(number):
            begun.append(number)
            return await gates[number]

        task = started(each(work, range(5), width=2))
        assert begun == [0, 1]
        gates[0].callback(None)
        assert begun == [0, 1, 2]
        for gate in gates[1:]:
            gate.callback(None)
        assert len(task.result) == 5

    def test_nothing_begins_after_a_failure(self):
        begun = []

        async def work(number):
            begun.append(number)
            raise KeyError(number)

        with pytest.raises(KeyError):
            done(each(work, range(5), width=2))
        assert begun == [0]


class IfThereTests:
    def test_missing_is_none(self):
        assert done(if_there(give(1))) == 1
        assert done(if_there(refuse(Missing()))) is None

    def test_other_refusals_pass(self):
        with pytest.raises(Denied):
            done(if_there(refuse(Denied())))


@pytest.fixture
def failures():
    """What is logged as a failure meanwhile."""
    events = []

    def observe(event):
        if "log_failure" in event:
            events.append(event["log_failure"].value)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


class FinishingTests:
    def test_result_is_given(self):
        assert done(wait_for(Finishing().run(give(1)))) == 1

    def test_failure_is_given(self, failures):
        with pytest.raises(KeyError):
            done(wait_for(Finishing().run(refuse(KeyError()))))
        assert not failures

    def test_work_outlives_its_client(self):
        """A client that hangs up stops nothing that was begun."""
        finishing, gate, ended = Finishing(), Deferred(), []

        async def work():
            await gate
            ended.append(True)

        task = started(wait_for(finishing.run(work())))
        task.cancel()
        assert task.result.check(CancelledError)
        task.addErrback(lambda _: None)
        settled = started(finishing.settled())
        assert not settled.called
        gate.callback(None)
        assert ended and settled.called

    def test_settled_at_once_when_nothing_is_under_way(self):
        done(Finishing().settled())

    @pytest.mark.parametrize(
        "error, is_logged",
        [
            (KeyError(), True),
            (OciError(Code.UNKNOWN), False),
            (Denied("x"), True),
            (Unavailable("x"), False),
            (Fenced("x"), False),
            (WrongOffset("x", actual=1), False),
        ],
    )
    def test_failure_that_nobody_waits_for_is_logged(self, failures, error, is_logged):
        finishing, gate = Finishing(), Deferred()
        waiting = finishing.run(wait_for(gate))
        waiting.addErrback(lambda _: None)
        waiting.cancel()
        gate.errback(error)
        assert failures == [error] * is_logged

    def test_settled_waits_for_all(self):
        finishing, gates = Finishing(), [Deferred(), Deferred()]
        for gate in gates:
            finishing.run(wait_for(gate))
        settled = [started(finishing.settled()), started(finishing.settled())]
        gates[0].callback(None)
        assert not settled[0].called
        gates[1].callback(None)
        assert settled[0].called and settled[1].called
