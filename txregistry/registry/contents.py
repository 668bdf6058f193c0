# SPDX-License-Identifier: Apache-2.0
"""Reads small content by its digest: from the store, or from a cache that hosts share.

Room: registry. Must not know what is read (a manifest, a config), nor where a cache lives. Whatever
comes is checked against its digest, so a cache can't give anything wrong; whether a repository has
it is asked at the store each time, by others, so a cache can't make readable what was deleted. What
is written never asks here.
"""

from __future__ import annotations

from typing import Protocol

from twisted.logger import Logger

from txregistry.oci.digests import Digest
from txregistry.registry.tasks import if_there
from txregistry.storage.contract import Driver

log = Logger()


class SharedCache(Protocol):
    """Content by digest, kept outside this process. It may forget, be slow or be gone."""

    async def get(self, digest: Digest) -> bytes | None:
        """Return what is kept, None if nothing is or if that can't be told soon."""

    def keep(self, digest: Digest, data: bytes) -> None:
        """Keep it if that is possible; nobody waits for it."""


class Contents:
    """The small contents of a store.

    Args:
        shared: asked before the store, told of what the store gave; None for none.
    """

    def __init__(self, driver: Driver, shared: SharedCache | None = None) -> None:
        self._driver = driver
        self._shared = shared

    async def read(self, digest: Digest, path: str) -> bytes | None:
        """Return the content, None if there is none or it is corrupt. One driver call at most.

        Args:
            path: where the store has it.

        Raises:
            TooLarge: it is not small.
            StorageError: the store can't be asked.
        """
        if self._shared is not None:
            kept = await self._shared.get(digest)
            if kept is not None and digest.matches(kept):
                return kept
        content = await if_there(self._driver.get(path))
        if content is None:
            return None
        if not digest.matches(content.data):
            # Absent is what makes a client push it again, which heals it.
            log.error("the data of {digest} are corrupt; they count as absent", digest=str(digest))
            return None
        if self._shared is not None:
            self._shared.keep(digest, content.data)
        return content.data
