# SPDX-License-Identifier: Apache-2.0
"""What an event looks like: registry:3's form to the letter, and CloudEvents."""

import json

import pytest

from txregistry.errand import Errand
from txregistry.events.endpoint import Form
from txregistry.events.envelope import EVENTS_TYPE, Stamp, event_of, render
from txregistry.oci.media_types import OCI_MANIFEST, OCTET_STREAM
from txregistry.oci.names import UploadId
from txregistry.registry import Action, Event

from .samples import APP, DELETE, DIGEST, NOW, OTHER, PUSH, SOURCE, plain

ERRAND = Errand("an-id", "PUT", "10.0.0.7", 51234, host="reg", user_agent="docker/27", user="alice")


def sent(event, errand=ERRAND, **words):
    return event_of(event, errand, Stamp("u", NOW), SOURCE, **words)


class RegistryFormTests:
    def test_push_of_a_manifest(self):
        """The sample of registry:3's documentation, field for field."""
        assert sent(PUSH) == {
            "id": "u",
            "timestamp": "2025-01-31T10:30:20.500000Z",
            "action": "push",
            "target": {
                "mediaType": OCI_MANIFEST,
                "digest": str(DIGEST),
                "size": 708,
                "length": 708,
                "repository": "lib/app",
                "url": f"https://reg/v2/lib/app/manifests/{DIGEST}",
                "tag": "latest",
            },
            "request": {
                "id": "an-id",
                "addr": "10.0.0.7:51234",
                "host": "reg",
                "method": "PUT",
                "useragent": "docker/27",
            },
            "actor": {"name": "alice"},
            "source": {"addr": "node1:5000", "instanceID": "an-instance"},
        }

    @pytest.mark.parametrize(
        ("event", "target"),
        [
            (
                Event(Action.PULL, APP, DIGEST, OCTET_STREAM, 3),
                {
                    "mediaType": OCTET_STREAM,
                    "digest": str(DIGEST),
                    "size": 3,
                    "length": 3,
                    "repository": "lib/app",
                    "url": f"https://reg/v2/lib/app/blobs/{DIGEST}",
                },
            ),
            (
                Event(Action.MOUNT, APP, DIGEST, OCTET_STREAM, 3, source=OTHER),
                {
                    "mediaType": OCTET_STREAM,
                    "digest": str(DIGEST),
                    "size": 3,
                    "length": 3,
                    "repository": "lib/app",
                    "fromRepository": "lib/other",
                    "url": f"https://reg/v2/lib/app/blobs/{DIGEST}",
                },
            ),
            (
                DELETE,
                {
                    "mediaType": "",
                    "digest": "",
                    "size": 0,
                    "repository": "lib/app",
                    "tag": "latest",
                },
            ),
            (
                Event(Action.DELETE, APP, DIGEST),
                {"mediaType": "", "digest": str(DIGEST), "size": 0, "repository": "lib/app"},
            ),
            (
                Event(Action.START, APP, upload=UploadId("up")),
                {"mediaType": "", "digest": "", "size": 0, "repository": "lib/app", "upload": "up"},
            ),
        ],
        ids=["blob", "mount", "tag", "digest", "upload"],
    )
    def test_target(self, event, target):
        assert sent(event)["target"] == target
        assert sent(event)["action"] == event.action.value

    def test_references(self):
        references = [{"mediaType": "a/b", "digest": str(DIGEST), "size": 1}]
        assert sent(PUSH, references=references)["target"]["references"] == references

    def test_nobodys_errand_says_nothing(self):
        event = sent(PUSH, errand=None)
        assert (event["request"], event["actor"]) == ({}, {})

    @pytest.mark.parametrize(
        ("client", "port", "address"),
        [("::1", 5, "[::1]:5"), ("192.0.2.1", 0, "192.0.2.1"), ("::1", 0, "::1"), ("", 0, None)],
    )
    def test_address(self, client, port, address):
        """With a port only if it is the client's own."""
        event = sent(PUSH, errand=Errand("1", client=client, port=port))
        assert event["request"].get("addr") == address

    def test_body_is_an_envelope(self):
        media_type, body = render([plain(1), plain(2)], Form.REGISTRY, is_batched=True)
        assert media_type == EVENTS_TYPE
        assert [event["id"] for event in json.loads(body)["events"]] == ["1", "2"]

    def test_hostile_text_is_bounded_and_stays_text(self):
        """What clients call themselves is theirs to choose."""
        text = '"}],\r\n\0\u2028\ud800' * 10_000
        event = sent(PUSH, errand=Errand("1", host=text, user_agent=text))
        _, body = render([event], Form.REGISTRY, is_batched=False)
        assert len(body) < 16 * 1024
        assert json.loads(body)["events"][0]["request"]["useragent"] == text[:1024]


class CloudEventTests:
    def test_one(self):
        """The required attributes, and the event as it is as data."""
        media_type, body = render([plain()], Form.CLOUDEVENTS, is_batched=False)
        assert media_type == "application/cloudevents+json"
        assert json.loads(body) == {
            "specversion": "1.0",
            "id": "1",
            "source": "//node1:5000",
            "type": "registry.push.v1",
            "subject": "lib/app:latest",
            "time": "2025-01-31T10:30:20.500000Z",
            "datacontenttype": "application/json",
            "data": plain(),
        }

    def test_batch_is_a_list_also_of_one(self):
        """A receiver of batches gets one form only."""
        media_type, body = render([plain()], Form.CLOUDEVENTS, is_batched=True)
        assert media_type == "application/cloudevents-batch+json"
        assert [event["id"] for event in json.loads(body)] == ["1"]

    @pytest.mark.parametrize(
        ("event", "subject"),
        [
            (Event(Action.DELETE, APP, DIGEST), f"lib/app@{DIGEST}"),
            (Event(Action.START, APP, upload=UploadId("up")), "lib/app"),
        ],
    )
    def test_subject(self, event, subject):
        _, body = render([plain(event=event)], Form.CLOUDEVENTS, is_batched=False)
        assert json.loads(body)["subject"] == subject
