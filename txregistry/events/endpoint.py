# SPDX-License-Identifier: Apache-2.0
"""One receiver of notifications, as configured, and which events it wants.

Room: events. Must not know the configuration file (``service`` translates its keys into these), nor
how events get there.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from attrs import field, frozen

MIB = 1024 * 1024


class Form(enum.Enum):
    """How events are spelled."""

    REGISTRY = "registry"
    CLOUDEVENTS = "cloudevents"


@frozen(kw_only=True)
class Endpoint:
    """A receiver.

    Attributes:
        name: by which its place in the queue is kept.
        url: where events are sent; may hold a user and a password, or a token.
        headers: put on every request: name -> values.
        timeout: seconds from a request to the end of its answer's head.
        threshold: failures in a row after which the waits grow, and after which a single event that
            is refused is given up.
        backoff: seconds, see ``retry``.
        ignored_media_types, ignored_actions: what it does not want.
        secret: requests are signed with, empty for none.
        batch: most events of one request.
        queue_size: bytes of the queue that may wait for it; what is older goes.
        queue_age: seconds that an event may wait for it.
        gives_up: an event that it refuses is dropped, after ``threshold`` tries.
    """

    name: str
    url: str = field(repr=False)
    headers: Mapping[str, Sequence[str]] = field(factory=dict, repr=False)
    timeout: float = 1.0
    threshold: int = 10
    backoff: float = 1.0
    ignored_media_types: frozenset[str] = frozenset()
    ignored_actions: frozenset[str] = frozenset()
    secret: str = field(default="", repr=False)
    form: Form = Form.REGISTRY
    batch: int = 1
    queue_size: int = 1024 * MIB
    queue_age: float = 7 * 24 * 3600.0
    gives_up: bool = True

    @property
    def where(self) -> str:
        """The origin of the URL: what follows may be secret, as the path of a chat's webhook is."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        port = "" if parts.port is None else f":{parts.port}"
        return f"{parts.scheme}://{host}{port}"

    @property
    def is_picky(self) -> bool:
        """There are events that it does not want."""
        return bool(self.ignored_actions or self.ignored_media_types)

    def wants(self, action: str, media_type: str) -> bool:
        """Say whether an event is for it. Source: registry:3, ``ignore``."""
        return action not in self.ignored_actions and media_type not in self.ignored_media_types
