# SPDX-License-Identifier: Apache-2.0
"""A process that queues only, beside the one that delivers."""

import pytest
from twisted.internet.task import Clock

from txregistry.events import Growth, Notifications, Plan, QueueError, Spool
from txregistry.events import spool as module
from txregistry.events.retry import Reply
from txregistry.storage.blocking import run_inline

from ..registry.world import done, parse
from .samples import NOW, PULL, PUSH, SOURCE, endpoint


class Receiver:
    def __init__(self):
        self.got = []

    async def send(self, events):
        self.got += events
        return Reply(200)

    async def close(self):
        pass


@pytest.fixture
def clock():
    clock = Clock()
    clock.advance(NOW)
    return clock


@pytest.fixture
def plan(tmp_path):
    return Plan(str(tmp_path / "queue"), (endpoint(),))


@pytest.fixture(autouse=True)
def inline(monkeypatch):
    """Work that blocks is done at once."""
    monkeypatch.setattr(Spool, "_run", lambda self, work: run_inline(work))
    monkeypatch.setattr(Notifications, "_run_in", lambda self, pool: run_inline)


def spool(plan, clock, grew=lambda: None):
    return Spool(plan, clock, source=SOURCE, parse=parse, grew=grew)


class SpoolTests:
    def test_what_it_queues_is_delivered_by_the_other(self, plan, clock):
        receiver, told = Receiver(), []
        main = Notifications(
            plan, clock, source=SOURCE, parse=parse, make_sender=lambda one, reactor: receiver
        )
        queueing = spool(plan, clock, lambda: told.append(queueing.growth()))
        main.start()
        queueing.start()
        done(queueing.observer.happened(PUSH))
        [growth] = told
        name = plan.endpoints[0].name
        assert growth == Growth({name: 1}, written=1)
        main.grew(growth)
        assert [event["action"] for event in receiver.got] == ["push"]
        [counts] = main.endpoint_counts
        assert (counts.queued, counts.waiting, counts.delivered) == (1, 0, 1)
        assert main.queue_counts.written == 1
        done(queueing.stop())
        done(main.stop())

    def test_pull_that_waits_for_its_moment_is_queued_at_the_end(self, plan, clock):
        main = Notifications(plan, clock, source=SOURCE, parse=parse)
        queueing = spool(plan, clock)
        queueing.start()
        done(queueing.observer.happened(PULL))
        assert queueing.growth().written == 0
        done(queueing.stop())
        assert queueing.growth().written == 1
        main.abandon()

    def test_directory_that_can_not_be_had_is_one_sentence(self, plan, clock):
        with pytest.raises(QueueError, match="can't be used"):
            spool(plan, clock)

    def test_blocking_work_is_done_by_a_thread(self, plan, clock, monkeypatch):
        monkeypatch.undo()
        main = Notifications(plan, clock, source=SOURCE, parse=parse)
        queueing = spool(plan, clock)
        asked = []
        monkeypatch.setattr(
            module, "deferToThreadPool", lambda reactor, pool, work: asked.append(work())
        )
        queueing._run(lambda: 5)
        assert asked == [5]
        queueing.abandon()
        main.abandon()
