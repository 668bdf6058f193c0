# SPDX-License-Identifier: Apache-2.0
"""Reads manifests: from a tag to a digest, from a digest to bytes that are verified.

Room: registry. Must not know who asks: a pull, a list of referrers, a delete.

Content is cached by its digest, tags and membership are not (``links`` says when they are). Bytes
are checked against their digest when they enter the cache; what is corrupt counts as absent, since
pushing it again heals it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from attrs import evolve, field, frozen
from twisted.logger import Logger

from txregistry.oci.digests import Digest
from txregistry.oci.errors import OciError
from txregistry.oci.manifests import Manifest, stored_media_type
from txregistry.oci.names import RepositoryName, Tag
from txregistry.registry.cache import BoundedCache
from txregistry.registry.contents import Contents
from txregistry.registry.links import Links, data_path, manifest_link, tag_link
from txregistry.registry.tasks import together
from txregistry.storage.errors import TooLarge

#: Reads a manifest from its bytes and its Content-Type; raises OciError. It may take long, so it is
#: given from outside and runs elsewhere.
Parse: TypeAlias = Callable[[bytes, str | None], Awaitable[Manifest]]

#: Bytes for remembering where tags pointed: some thousands of them. Arbitrary.
_GUESSES = 4 * 1024 * 1024

log = Logger()


@frozen
class StoredManifest:
    """A manifest as it is served.

    Attributes:
        digest: as it was asked for.
        media_type: found in its own bytes.
        data: exactly the bytes that were pushed.
    """

    digest: Digest
    media_type: str
    data: bytes = field(repr=False)


class ManifestReader:
    """Reads manifests of all repositories.

    Args:
        parse: reads what a manifest says.
        cache_limit: bytes of manifests that are kept in memory.

    Attributes:
        cache: those.
    """

    def __init__(
        self, contents: Contents, links: Links, parse: Parse, *, cache_limit: int = 0
    ) -> None:
        self._contents = contents
        self._links = links
        self._parse = parse
        self.cache: BoundedCache[Digest, StoredManifest] = BoundedCache(cache_limit)
        #: Where tags pointed when they were last read: never believed, but what to ask for as well.
        self._pointed: BoundedCache[str, Digest] = BoundedCache(min(cache_limit, _GUESSES))

    async def resolve(self, repository: RepositoryName, tag: Tag) -> Digest | None:
        """Return what a tag points at, None if there is no such tag. One driver call."""
        return await self._links.read(tag_link(repository, tag))

    async def read_tagged(self, repository: RepositoryName, tag: Tag) -> StoredManifest | None:
        """Return the manifest that a tag points at, None if there is no such tag or manifest.

        One driver call if the tag points where it did last time and that is cached, else two, one
        after the other.

        Raises:
            OciError: MANIFEST_UNKNOWN: it is of a kind that is not served.
        """
        link = tag_link(repository, tag)
        guess = self._pointed.get(link)
        cached = None if guess is None else self.cache.get(guess)
        if guess is None or cached is None:
            pointed = await self._links.read(link)
        else:
            pointed, member = await self._links.read_both(link, manifest_link(repository, guess))
            if pointed == member == guess:
                return cached
        if pointed is None:
            self._pointed.drop(link)
            return None
        self._pointed.put(link, pointed, len(link))
        return await self.read(repository, pointed)

    async def read(self, repository: RepositoryName, digest: Digest) -> StoredManifest | None:
        """Return a manifest of ``repository``, None if it has none of that digest.

        One driver call if its content is cached, else two at once.

        Raises:
            OciError: MANIFEST_UNKNOWN: it is of a kind that is not served.
        """
        link = manifest_link(repository, digest)
        stored = self.cache.get(digest)
        if stored is not None:
            target = await self._links.read(link)
        else:
            target, stored = await together(self._links.read(link), self._content(digest))
        if target is None:
            return None
        if target != digest:
            aliased = self.cache.get(target) or await self._content(target)
            return None if aliased is None else evolve(aliased, digest=digest)
        return stored

    async def examine(
        self, repository: RepositoryName, digest: Digest
    ) -> tuple[StoredManifest, Manifest] | None:
        """Return a manifest with what it says, None if there is none or it can't be read."""
        try:
            stored = await self.read(repository, digest)
            return (
                None
                if stored is None
                else (stored, await self._parse(stored.data, stored.media_type))
            )
        except OciError as error:
            log.info("what {digest} says can't be read: {error}", digest=str(digest), error=error)
            return None

    def keep(self, manifest: StoredManifest) -> None:
        """Cache one that was verified."""
        self.cache.put(manifest.digest, manifest, len(manifest.data))

    async def _content(self, digest: Digest) -> StoredManifest | None:
        """Return what ``digest`` names, whoever has it. One driver call at most."""
        try:
            data = await self._contents.read(digest, data_path(digest))
        except TooLarge:
            return None
        if data is None:
            return None
        manifest = StoredManifest(digest, stored_media_type(data), data)
        self.keep(manifest)
        return manifest
