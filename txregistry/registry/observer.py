# SPDX-License-Identifier: Apache-2.0
"""The one place through which everything passes that others may want to know of.

Room: registry. Must not know who listens: leases of a collector, notifications, metrics.

``told``      is awaited before a positive answer about content leaves, so that what a client was
              told exists can be made to stay (a lease).
``happened``  is awaited after something was done and before it is answered, so that an event can be
              queued durably with what it describes.

Both may raise an OciError; the request then fails although its effect stays, which a repetition
will find.

On whose behalf a thing is done is not handed down here: ``errand`` knows.
"""

from __future__ import annotations

import enum
from typing import Protocol

from attrs import field, frozen

from txregistry.oci.digests import Digest
from txregistry.oci.names import RepositoryName, Tag, UploadId


class Action(enum.Enum):
    """What was done. Source: registry:3's notifications have the first four of these words."""

    PULL = "pull"
    PUSH = "push"
    MOUNT = "mount"
    DELETE = "delete"
    START = "start"
    FINISH = "finish"
    CANCEL = "cancel"

    @property
    def is_of_upload(self) -> bool:
        """Whether it is a step of an upload's session, as opposed to what becomes of content."""
        return self in (Action.START, Action.FINISH, Action.CANCEL)


@frozen
class Event:
    """One thing that was done in a repository.

    Attributes:
        digest: of the content; None where a tag was deleted, and where an upload has none yet.
        media_type: of the content; empty where it was deleted.
        size: bytes of the content; 0 where it was deleted.
        tag: by which a manifest was pulled, pushed or deleted.
        source: the repository that a blob was mounted from.
        manifest: the bytes of the manifest that was pulled or pushed; None for anything else.
        upload: the session that was started, cancelled, or became the blob.
    """

    action: Action
    repository: RepositoryName
    digest: Digest | None = None
    media_type: str = ""
    size: int = 0
    tag: Tag | None = None
    source: RepositoryName | None = None
    manifest: bytes | None = field(default=None, repr=False, eq=False)  # named by its digest
    upload: UploadId | None = None


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
