# SPDX-License-Identifier: Apache-2.0
"""From what happens in a registry to what a receiver has: all parts together, without sockets."""

import json
import os

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from txregistry.events import Notifications, Plan, QueueError, Wishes
from txregistry.events import notifications as module
from txregistry.events.log import LINGER
from txregistry.events.retry import Reply
from txregistry.events.segments import numbers_in
from txregistry.oci.media_types import OCTET_STREAM
from txregistry.oci.names import UploadId
from txregistry.registry import Action, Event
from txregistry.storage.blocking import run_inline

from ..registry.world import child, done, image, index, parse
from .samples import APP, DELETE, DIGEST, NOW, PULL, PUSH, SOURCE, endpoint


class Receiver:
    """A sender to a receiver that takes what comes, while it is up."""

    def __init__(self, one):
        self.one = one
        self.got = []
        self.is_up = True

    async def send(self, events):
        if not self.is_up:
            return Reply(None, "no connection")
        self.got += [dict(event) for event in events]
        return Reply(200)

    async def close(self):
        pass


class House:
    """Notifications over a clock that stands still, as often as they are opened."""

    def __init__(self, directory):
        self.directory = str(directory / "queue")
        self.clock = Clock()
        self.clock.advance(NOW)
        self.receivers = {}
        self.notifications = None

    def open(self, *endpoints, wishes=None, are_up=True):
        def make_sender(one, reactor):
            receiver = Receiver(one)
            receiver.is_up = are_up
            self.receivers[one.name] = receiver
            return receiver

        self.notifications = Notifications(
            Plan(self.directory, endpoints or (endpoint(),), wishes or Wishes()),
            self.clock,
            source=SOURCE,
            parse=parse,
            make_sender=make_sender,
            uniform=lambda low, high: high,
        )
        self.notifications.start()
        return self

    def happen(self, *events):
        for event in events:
            done(self.notifications.observer.happened(event))

    def close(self):
        if self.notifications is not None:
            stopped = Deferred.fromCoroutine(self.notifications.stop())
            assert stopped.called
            self.notifications = None

    def crash(self):
        """End without having been told to."""
        self.notifications.abandon()
        for delivery in self.notifications._deliveries:
            done(delivery.stop())
        self.notifications = None

    def got(self, name="a"):
        """What a receiver got, as (action, tag or digest)."""
        return [
            (event["action"], event["target"].get("tag", event["target"]["digest"]))
            for event in self.receivers[name].got
        ]


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "deferToThreadPool", inline)
    monkeypatch.setattr(module, "ThreadPool", NoThreads)
    house = House(tmp_path)
    yield house
    house.close()


def inline(reactor, pool, work):
    return Deferred.fromCoroutine(run_inline(work))


class NoThreads:
    def __init__(self, *arguments):
        pass

    def start(self):
        pass

    def stop(self):
        pass


@pytest.fixture
def warnings():
    found = []
    globalLogPublisher.addObserver(found.append)
    yield found
    globalLogPublisher.removeObserver(found.append)


class QueueTests:
    def test_what_happens_is_told(self, house):
        house.open().happen(PUSH, DELETE)
        assert house.got() == [("push", "latest"), ("delete", "latest")]

    def test_pulls_follow_within_a_moment(self, house):
        house.open().happen(PULL)
        assert house.got() == []
        house.clock.advance(LINGER)
        assert house.got() == [("pull", "latest")]

    def test_pulls_of_the_last_moment_are_queued_at_a_stop(self, house):
        house.open(are_up=False).happen(PULL)
        house.close()
        assert house.open().got() == [("pull", "latest")]

    def test_each_receiver_gets_what_it_wants(self, house):
        house.open(
            endpoint(name="a", ignored_actions=frozenset({"delete"})),
            endpoint(name="b", ignored_media_types=frozenset({PUSH.media_type})),
        ).happen(PUSH, DELETE)
        assert house.got("a") == [("push", "latest")]
        assert house.got("b") == [("delete", "latest")]
        assert [each.queued for each in house.notifications.endpoint_counts] == [1, 1]
        assert house.notifications.queue_counts.written == 2

    def test_what_nobody_wants_is_not_queued(self, house):
        house.open(endpoint(ignored_actions=frozenset({"push"}))).happen(PUSH)
        assert house.notifications.queue_counts.written == 0

    def test_looking_is_no_news(self, house):
        house.open()
        done(house.notifications.observer.told(APP, DIGEST))
        assert house.notifications.queue_counts.written == 0


class WishTests:
    STEPS = (
        Event(Action.START, APP, upload=UploadId("u")),
        Event(Action.FINISH, APP, DIGEST, OCTET_STREAM, 1, upload=UploadId("u")),
        Event(Action.CANCEL, APP, upload=UploadId("u")),
    )

    @pytest.mark.parametrize(("wanted", "count"), [(True, 3), (False, 0)])
    def test_steps_of_uploads_only_if_wanted(self, house, wanted, count):
        house.open(wishes=Wishes(uploads=wanted)).happen(*self.STEPS)
        house.clock.advance(LINGER)
        assert len(house.got()) == count

    def references(self, house, data, media_type=PUSH.media_type):
        event = Event(Action.PUSH, APP, DIGEST, media_type, len(data), manifest=data)
        house.open(wishes=Wishes(references=True)).happen(event)
        [got] = house.receivers["a"].got
        return got["target"].get("references")

    def test_references_of_an_image(self, house):
        found = self.references(house, image())
        document = json.loads(image())
        assert found == [document["config"], *document["layers"]]

    def test_references_of_an_index(self, house):
        data = index(child(DIGEST, 7, platform={"os": "linux", "architecture": "amd64"}))
        media_type = json.loads(data)["mediaType"]
        assert self.references(house, data, media_type=media_type) == json.loads(data)["manifests"]

    def test_too_many_references_are_left_out(self, house, monkeypatch):
        monkeypatch.setattr("txregistry.events.notifier.REFERENCES_LIMIT", 100)
        assert self.references(house, image()) is None

    def test_manifest_that_can_not_be_read_is_told_without(self, house):
        assert self.references(house, b"rubbish") is None

    def test_blob_has_none(self, house):
        house.open(wishes=Wishes(references=True)).happen(
            Event(Action.PUSH, APP, DIGEST, OCTET_STREAM, 1)
        )
        assert "references" not in house.receivers["a"].got[0]["target"]


class WaitingTests:
    def waiting(self, house):
        return [each.waiting for each in house.notifications.endpoint_counts]

    def test_events_wait_until_they_are_taken(self, house):
        house.open(endpoint(name="a"), endpoint(name="b"))
        house.receivers["b"].is_up = False
        house.happen(PUSH, DELETE)
        assert self.waiting(house) == [0, 2]
        house.receivers["b"].is_up = True
        house.clock.advance(60)
        assert self.waiting(house) == [0, 0]

    def test_pull_waits_once_it_is_queued(self, house):
        house.open(are_up=False).happen(PULL)
        assert self.waiting(house) == [0]
        house.clock.advance(LINGER)
        assert self.waiting(house) == [1]
        assert house.notifications.endpoint_counts[0].queued == 1

    def test_what_waits_is_known_after_a_crash(self, house):
        house.open(are_up=False).happen(PUSH, DELETE)
        house.crash()
        house.open(are_up=False).happen(PUSH)
        assert self.waiting(house) == [3]


class LifeTests:
    def test_what_waits_survives_a_crash(self, house):
        house.open(are_up=False).happen(PUSH, DELETE)
        house.crash()
        assert house.open().got() == [("push", "latest"), ("delete", "latest")]

    def test_what_was_delivered_is_not_delivered_again(self, house):
        house.open().happen(PUSH)
        house.close()
        house.open().happen(DELETE)
        assert house.got() == [("delete", "latest")]

    def test_id_is_the_same_at_each_try(self, house):
        """By which a receiver knows what it has seen."""
        house.open().happen(PUSH)
        first = house.receivers["a"].got
        house.crash()
        assert house.open().receivers["a"].got == first

    def test_cursor_is_saved_soon(self, house):
        house.open().happen(PUSH)
        house.clock.advance(module.SAVE_AFTER)
        house.crash()
        assert house.open().got() == []

    def test_what_all_were_told_of_is_removed(self, house, monkeypatch):
        house.open(endpoint(name="a"), endpoint(name="b")).happen(PUSH)
        house.close()
        house.open(endpoint(name="a"), endpoint(name="b")).happen(PUSH)
        house.clock.advance(1)
        house.clock.advance(1)
        assert numbers_in(house.directory) == [2]

    def test_slowest_receiver_keeps_it(self, house):
        house.open(endpoint(name="a"), endpoint(name="b"))
        house.receivers["b"].is_up = False
        house.happen(PUSH)
        house.close()
        house.open(endpoint(name="a"), endpoint(name="b"))
        assert (house.got("a"), house.got("b")) == ([], [("push", "latest")])

    def test_new_receiver_begins_now(self, house):
        house.open(are_up=False).happen(PUSH)
        house.close()
        house.open(endpoint(name="a"), endpoint(name="b")).happen(DELETE)
        assert house.got("a") == [("push", "latest"), ("delete", "latest")]
        assert house.got("b") == [("delete", "latest")]

    def test_receiver_that_has_gone_is_told_of(self, house, warnings):
        house.open(endpoint(name="a"), endpoint(name="b"), are_up=False).happen(PUSH)
        house.close()
        warnings.clear()
        house.open(endpoint(name="a"))
        assert [event["name"] for event in warnings if "no longer" in event["log_format"]] == ["b"]

    def test_lost_cursors_mean_that_all_is_told_again(self, house):
        house.open().happen(PUSH)
        house.close()
        os.unlink(os.path.join(house.directory, "cursors.json"))
        assert house.open().got() == [("push", "latest")]

    def test_cursors_that_can_not_be_saved_stop_nothing(self, house, warnings, monkeypatch):
        def fail(*arguments):
            raise OSError(28, "No space left on device")

        house.open()
        monkeypatch.setattr(module, "save_cursors", fail)
        house.happen(PUSH)
        house.clock.advance(module.SAVE_AFTER)
        assert any("could not be saved" in event["log_format"] for event in warnings)
        house.happen(DELETE)
        assert house.got() == [("push", "latest"), ("delete", "latest")]
        house.close()

    def test_second_registry_is_refused(self, house):
        house.open()
        with pytest.raises(QueueError, match="another registry"):
            House.open(Other(house))

    def test_queue_that_can_not_be_used_is_refused_and_left(self, house, monkeypatch):
        def fail(*arguments):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(module, "save_cursors", fail)
        with pytest.raises(QueueError, match=r"can't be used \(No space left on device\); mend"):
            house.open()
        monkeypatch.undo()
        monkeypatch.setattr(module, "deferToThreadPool", inline)
        monkeypatch.setattr(module, "ThreadPool", NoThreads)
        house.open()


class Other(House):
    """Another registry with the directory of a first one."""

    def __init__(self, first):
        self.directory = first.directory
        self.clock = first.clock
        self.receivers = {}
