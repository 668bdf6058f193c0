# SPDX-License-Identifier: Apache-2.0
"""What a configuration says of notifications, in the words of the room that sends them.

The wiring of ``events``, apart from ``service`` because it is a page of its own.
"""

from __future__ import annotations

import socket
import uuid
from typing import Any

from txregistry.config import Configuration, NotificationEndpoint
from txregistry.config.addresses import TcpAddress
from txregistry.events import Endpoint, Form, Notifications, Plan, QueueError, Source, Wishes
from txregistry.process.spec import StartError
from txregistry.registry import Parse


def open_notifications(
    configuration: Configuration, reactor: Any, parse: Parse
) -> Notifications | None:
    """Open the queue, if anybody is to be told of anything.

    Raises:
        StartError: it can't be had.
    """
    plan = plan_of(configuration)
    if not plan.endpoints:
        return None
    try:
        return Notifications(plan, reactor, source=source_of(configuration), parse=parse)
    except QueueError as error:
        raise StartError(str(error)) from error


def plan_of(configuration: Configuration) -> Plan:
    """What notifications are to be."""
    settings = configuration.notifications
    return Plan(
        directory=settings.queue.directory,
        endpoints=tuple(endpoint_of(each) for each in settings.active),
        wishes=Wishes(
            references=settings.events.include_references, uploads=settings.events.uploads
        ),
        is_synced=settings.queue.durability == "strict",
    )


def endpoint_of(settings: NotificationEndpoint) -> Endpoint:
    """One receiver."""
    return Endpoint(
        name=settings.name,
        url=settings.url,
        headers=settings.headers,
        timeout=settings.timeout,
        threshold=settings.threshold,
        backoff=settings.backoff,
        ignored_media_types=frozenset(
            (*settings.ignored_media_types, *settings.ignore.media_types)
        ),
        ignored_actions=frozenset(settings.ignore.actions),
        secret=settings.secret,
        form=Form(settings.format),
        batch=settings.batch,
        queue_size=settings.queue_size,
        queue_age=settings.queue_age,
        gives_up=settings.refused == "drop",
    )


def source_of(configuration: Configuration) -> Source:
    """How events name this registry and this process. Source: registry:3, ``source``."""
    http = configuration.http
    address = http.address
    name = socket.gethostname()
    return Source(
        address=f"{name}:{address.port}" if isinstance(address, TcpAddress) else name,
        instance=str(uuid.uuid4()),
        root=f"{http.host}{http.prefix}v2",
    )
