# SPDX-License-Identifier: Apache-2.0
"""The one place through which everything passes that others may want to know of.

Room: registry. Must not know who listens: leases of a collector, notifications, metrics.

``told``      is awaited before a positive answer about content leaves, so that what a client was
told
              exists can be made to stay (a lease).
``happened``  is awaited after something was done and before it is answered, so that an event can be
              queued durably with what it describes.

Both may raise; the request then fails although its effect stays, which a repetition will find.
"""

from __future__ import annotations

import enum
from typing import Protocol

from attrs import frozen

from txregistry.oci.digests import Digest
from txregistry.oci.names import RepositoryName, Tag


class Action(enum.Enum):
    """What was done. Source: registry:3's notifications, whose words these are."""

    PULL = "pull"
    PUSH = "push"
    MOUNT = "mount"
    DELETE = "delete"


@frozen
class Event:
    """One thing that was done in a repository.

    Attributes:
        digest: of the content; None where a tag was deleted.
        media_type: of the content; empty where it was deleted.
        size: bytes of the content; 0 where it was deleted.
        tag: by which a manifest was pulled, pushed or deleted.
        source: the repository that a blob was mounted from.
    """

    action: Action
    repository: RepositoryName
    digest: Digest | None = None
    media_type: str = ""
    size: int = 0
    tag: Tag | None = None
    source: RepositoryName | None = None


class Observer(Protocol):
    """Who is told."""

    async def told(self, repository: RepositoryName, digest: Digest) -> None:
        """A client is about to be told that ``repository`` has ``digest``."""

    async def happened(self, event: Event) -> None:
        """Something was done."""


class Nobody:
    """An observer that does nothing."""

    async def told(self, repository: RepositoryName, digest: Digest) -> None:
        """Do nothing."""

    async def happened(self, event: Event) -> None:
        """Do nothing."""
