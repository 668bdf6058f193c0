# SPDX-License-Identifier: Apache-2.0
"""The keys of ``notifications``: who is told of what happens here, and where what they have not
been told yet is kept.

Room: config. ``docs/operate/notifications.md`` says what they do. registry:3 has ``events.
includereferences`` and of an endpoint everything up to ``ignore``; the rest is ours.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

import attrs
from attrs import frozen

from txregistry.config.document import Items, Node, Scalar, is_null, lookup
from txregistry.config.errors import ConfigError, Origin, refusal
from txregistry.config.kinds import (
    FLAG,
    HEADERS,
    SECRET,
    TEXT,
    Kind,
    Misfit,
    choice,
    duration,
    whole,
    without_secrets,
)
from txregistry.config.rows import key, section, sections

MIB = 1024 * 1024

#: What can happen.
ACTIONS = ("pull", "push", "mount", "delete", "start", "finish", "cancel")


def _read_url(node: Node) -> str:
    text = TEXT.read(node)
    try:
        parts = urlsplit(text)
        # Reading the port is the check of it.
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise Misfit from None
    if not fits or not text.isascii() or not text.isprintable() or " " in text:
        raise Misfit
    return text


def _list_of(kind: Kind[str], expects: str) -> Kind[tuple[str, ...]]:
    """A list that may be empty."""

    def read(node: Node) -> tuple[str, ...]:
        if not isinstance(node, Items):
            raise Misfit
        return tuple(kind.read(item) for item in node.nodes)

    return Kind(expects, read, is_list=True)


def _positive(kind: Kind[float], default: float) -> Kind[float]:
    """Zero means the default, as in registry:3."""
    return Kind(kind.expects, lambda node: kind.read(node) or default)


# A URL may hold a password or a token, a header nearly always does.
URL: Kind[str] = Kind("a URL that begins with http:// or https://", _read_url, is_secret=True)
SECRET_HEADERS: Kind[Mapping[str, tuple[str, ...]]] = Kind(
    HEADERS.expects, HEADERS.read, is_free=True, is_secret=True
)
TYPES = _list_of(TEXT, "a list of media types")
DEEDS = _list_of(choice(*ACTIONS), "a list of " + ", ".join(ACTIONS))


@frozen
class Ignore:
    """``notifications.endpoints.ignore``"""

    media_types: tuple[str, ...] = key(TYPES, ())
    actions: tuple[str, ...] = key(DEEDS, ())


@frozen
class NotificationEndpoint:
    """``notifications.endpoints``: one of them."""

    name: str = key(TEXT, "")
    disabled: bool = key(FLAG, False)
    url: str = key(URL, "")
    headers: Mapping[str, tuple[str, ...]] = key(SECRET_HEADERS, {})
    timeout: float = key(_positive(duration(), 1.0), 1.0)
    threshold: int = key(whole(0), 10)
    backoff: float = key(_positive(duration(), 1.0), 1.0)
    ignored_media_types: tuple[str, ...] = key(TYPES, ())
    ignore: Ignore = section(Ignore)
    secret: str = key(SECRET, "")
    format: str = key(choice("registry", "cloudevents"), "registry")
    batch: int = key(whole(1, 1000), 1)
    queue_size: int = key(whole(MIB), 1024 * MIB)
    queue_age: float = key(duration(1.0), 168 * 3600.0)
    refused: str = key(choice("drop", "retry"), "drop")


@frozen
class EventWishes:
    """``notifications.events``"""

    include_references: bool = key(FLAG, False)
    uploads: bool = key(FLAG, False)


@frozen
class EventQueue:
    """``notifications.queue``"""

    directory: str = key(TEXT, "registry-events")
    durability: str = key(choice("strict", "none"), "strict")


@frozen
class Notifications:
    """``notifications``"""

    events: EventWishes = section(EventWishes)
    endpoints: tuple[NotificationEndpoint, ...] = sections(NotificationEndpoint)
    queue: EventQueue = section(EventQueue)

    @property
    def active(self) -> tuple[NotificationEndpoint, ...]:
        """The endpoints that are not disabled."""
        return tuple(each for each in self.endpoints if not each.disabled)


def judge_notifications(
    notifications: Notifications, tree: Node, origin: Origin, *, directory: str
) -> Notifications:
    """Return the section with the queue's whole path; endpoints can be reached and told apart.

    Args:
        directory: what a relative path is relative to.

    Raises:
        ConfigError: one can't.
    """
    names: set[str] = set()
    for index, endpoint in enumerate(notifications.endpoints):
        if endpoint.disabled:
            continue
        problem = _problem(endpoint, names)
        if problem is not None:
            raise _refused(index, problem, tree, origin)
        names.add(endpoint.name)
    path = os.path.normpath(os.path.join(directory, notifications.queue.directory))
    return attrs.evolve(notifications, queue=attrs.evolve(notifications.queue, directory=path))


def _problem(endpoint: NotificationEndpoint, names: set[str]) -> tuple[str, str] | None:
    """Return what is wrong, and the way out."""
    if not endpoint.url:
        return "has no url", "say where its events are sent, or set disabled: true"
    if not endpoint.name:
        return "has no name", "give it one, by which its place in the queue is kept"
    if endpoint.name in names:
        return "has the name of another one", "give each a name of its own"
    return None


def _refused(index: int, problem: tuple[str, str], tree: Node, origin: Origin) -> ConfigError:
    items = lookup(tree, "notifications.endpoints")
    where = items.nodes[index].origin if isinstance(items, Items) else origin
    return refusal(where, f"notifications.endpoints.{index} {problem[0]}", problem[1])


def holds_secret(tree: Node) -> bool:
    """Say whether an endpoint has something that not everybody should read."""
    items = lookup(tree, "notifications.endpoints")
    return isinstance(items, Items) and any(_is_confidential(item) for item in items.nodes)


def _is_confidential(endpoint: Node) -> bool:
    url = lookup(endpoint, "url")
    return (
        not is_null(lookup(endpoint, "secret"))
        or not is_null(lookup(endpoint, "headers"))
        or (isinstance(url, Scalar) and without_secrets(url.text) != url.text)
    )
