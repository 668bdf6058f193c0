# SPDX-License-Identifier: Apache-2.0
"""Notifications: what happens in a registry is told to receivers by HTTP, at least once.

    registry's observer -> notifier -> log -> segments on disk -> delivery -> sender -> receiver
                           envelope    |                          retry       signing
                                       sync, then the client is answered

``docs/operate/notifications.md`` says what is promised.
"""

from txregistry.events.counts import EndpointCounts, Growth, QueueCounts
from txregistry.events.directory import QueueError
from txregistry.events.endpoint import Endpoint, Form
from txregistry.events.envelope import Source
from txregistry.events.notifications import Notifications, Plan
from txregistry.events.notifier import Wishes
from txregistry.events.spool import Spool

__all__ = [
    "Endpoint",
    "EndpointCounts",
    "Form",
    "Growth",
    "Notifications",
    "Plan",
    "QueueCounts",
    "QueueError",
    "Source",
    "Spool",
    "Wishes",
]
