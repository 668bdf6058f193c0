# SPDX-License-Identifier: Apache-2.0
"""Events and endpoints that the tests of this room share."""

from __future__ import annotations

from txregistry.events import Endpoint, Source
from txregistry.events.envelope import Stamp, event_of
from txregistry.events.records import encode
from txregistry.oci.digests import Digest
from txregistry.oci.media_types import OCI_MANIFEST
from txregistry.oci.names import RepositoryName, Tag
from txregistry.registry import Action, Event

APP = RepositoryName("lib/app")
OTHER = RepositoryName("lib/other")
DIGEST = Digest.of(b"content")
NOW = 1_738_319_420.5
SOURCE = Source("node1:5000", "an-instance", "https://reg/v2")

PUSH = Event(Action.PUSH, APP, DIGEST, OCI_MANIFEST, 708, Tag("latest"))
PULL = Event(Action.PULL, APP, DIGEST, OCI_MANIFEST, 708, Tag("latest"))
DELETE = Event(Action.DELETE, APP, tag=Tag("latest"))


def plain(number=1, event=PUSH, **words):
    """An event as it is sent, with a number for its id."""
    return event_of(event, None, Stamp(str(number), NOW), SOURCE, **words)


def line(number=1, stamp=NOW, event=PUSH):
    """The line of an event in the queue."""
    return encode(stamp, plain(number, event))


def endpoint(**words):
    return Endpoint(**{"name": "a", "url": "http://receiver.test/in"} | words)
