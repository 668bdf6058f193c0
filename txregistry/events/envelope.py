# SPDX-License-Identifier: Apache-2.0
"""What an event looks like to a receiver.

Room: events. Pure: ids and times are given. Two forms::

    registry      {"events": [event, ...]}                 registry:3's envelope and media type
    cloudevents   {specversion, id, source, type, subject, time, data: event}, or a list of those

where ``event`` is in both what registry:3 sends::

    {id, timestamp, action,
     target: {mediaType, digest, size, length, repository, fromRepository, url, tag, references},
     request: {id, addr, host, method, useragent}, actor: {name}, source: {addr, instanceID}}

``mediaType``, ``digest`` and ``size`` are always there, all else only if it says something. Ours
alone are the actions ``start``, ``finish`` and ``cancel`` with ``target.upload``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from txregistry.errand import Errand
from txregistry.events.endpoint import Form
from txregistry.oci.media_types import OCTET_STREAM
from txregistry.registry import Event

#: Source: registry:3's notifications.
EVENTS_TYPE = "application/vnd.docker.distribution.events.v2+json"
#: Source: CloudEvents 1.0, "JSON Event Format", sections 3 and 4.
CLOUDEVENT_TYPE = "application/cloudevents+json"
CLOUDEVENTS_TYPE = "application/cloudevents-batch+json"

#: Most characters of what a client says of itself. Arbitrary: longer than any honest one.
TEXT_LIMIT = 1024


@frozen
class Source:
    """Where events come from.

    Attributes:
        address: ``host:port`` of this registry.
        instance: an id of this process.
        root: what URLs of content begin with: up to and including ``/v2``.
    """

    address: str
    instance: str
    root: str


@frozen
class Stamp:
    """What makes one event this event.

    Attributes:
        id: of the event, the same however often it is sent.
        time: seconds since the epoch.
    """

    id: str
    time: float


def event_of(
    event: Event,
    errand: Errand | None,
    stamp: Stamp,
    source: Source,
    references: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return an event as registry:3 spells it.

    Args:
        errand: on whose behalf it happened.
        references: descriptors of what a manifest refers to, if they are wanted.
    """
    asked = Errand("") if errand is None else errand
    return {
        "id": stamp.id,
        "timestamp": _rfc3339(stamp.time),
        "action": event.action.value,
        "target": _target(event, source, references),
        "request": _present(
            id=asked.id,
            addr=_address(asked)[:TEXT_LIMIT],
            host=asked.host[:TEXT_LIMIT],
            method=asked.method,
            useragent=asked.user_agent[:TEXT_LIMIT],
        ),
        "actor": _present(name=asked.user),
        "source": {"addr": source.address, "instanceID": source.instance},
    }


def render(
    events: Sequence[Mapping[str, Any]], form: Form, *, is_batched: bool
) -> tuple[str, bytes]:
    """Return the media type and the body of a request that carries ``events``.

    Args:
        is_batched: the receiver expects lists, also of one.
    """
    if form is Form.REGISTRY:
        return EVENTS_TYPE, _json({"events": list(events)})
    if not is_batched:
        return CLOUDEVENT_TYPE, _json(_cloudevent(events[0]))
    return CLOUDEVENTS_TYPE, _json([_cloudevent(event) for event in events])


def _target(
    event: Event, source: Source, references: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    digest = "" if event.digest is None else str(event.digest)
    kind = "blobs" if event.media_type == OCTET_STREAM else "manifests"
    # A deleted thing has no URL, and of no type: what it was is not known any more.
    url = f"{source.root}/{event.repository}/{kind}/{digest}" if event.media_type else ""
    return {
        "mediaType": event.media_type,
        "digest": digest,
        "size": event.size,
        **_present(
            length=event.size,
            repository=event.repository.text,
            fromRepository="" if event.source is None else event.source.text,
            url=url,
            tag="" if event.tag is None else event.tag.text,
            references=list(references),
            upload="" if event.upload is None else str(event.upload),
        ),
    }


def _address(errand: Errand) -> str:
    """Return where a request came from, with the port if we know it."""
    host = f"[{errand.client}]" if ":" in errand.client and errand.port else errand.client
    return f"{host}:{errand.port}" if errand.port else host


def _cloudevent(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event in the other form. Source: CloudEvents 1.0, "Required Attributes"."""
    target = event["target"]
    subject = target["repository"]
    if target.get("tag"):
        subject += f":{target['tag']}"
    elif target["digest"]:
        subject += f"@{target['digest']}"
    return {
        "specversion": "1.0",
        "id": event["id"],
        "source": f"//{event['source']['addr']}",
        "type": f"registry.{event['action']}.v1",
        "subject": subject,
        "time": event["timestamp"],
        "datacontenttype": "application/json",
        "data": event,
    }


def _present(**members: Any) -> dict[str, Any]:
    """Return the members that say something."""
    return {name: value for name, value in members.items() if value}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _rfc3339(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
