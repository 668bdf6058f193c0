# SPDX-License-Identifier: Apache-2.0
"""What tags need: the manifests that they point at, the children of these, and their blobs.

Room: registry. Must not know why it is asked. One driver call for each tag that is asked for, and
up to two for each manifest below it.
"""

from __future__ import annotations

from collections.abc import Callable

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code
from txregistry.oci.names import Reference, RepositoryName, Tag
from txregistry.registry.border import border
from txregistry.registry.manifest_reader import ManifestReader
from txregistry.registry.tags import Tags


class Needed:
    """Looks from tags down to what they need."""

    def __init__(self, tags: Tags, reader: ManifestReader) -> None:
        self._tags = tags
        self._reader = reader

    async def is_needed(
        self, repository: RepositoryName, reference: Reference, is_asked: Callable[[Tag], bool]
    ) -> bool:
        """Say whether one of some tags is ``reference``, or needs it.

        Args:
            is_asked: which tags.
        """
        if isinstance(reference, Tag):
            return is_asked(reference)
        seen: set[Digest] = set()
        with border(Code.MANIFEST_UNKNOWN):
            async for tag in self._tags.each(repository):
                if is_asked(tag):
                    target = await self._reader.resolve(repository, tag)
                    if target is not None and await self._needs(
                        repository, target, reference, seen
                    ):
                        return True
        return False

    async def _needs(
        self, repository: RepositoryName, above: Digest, wanted: Digest, seen: set[Digest]
    ) -> bool:
        waiting = [above]
        while waiting:
            digest = waiting.pop()
            if digest == wanted:
                return True
            if digest in seen:
                continue
            seen.add(digest)
            examined = await self._reader.examine(repository, digest)
            if examined is None:
                continue
            manifest = examined[1]
            if any(each.digest == wanted for each in manifest.references):
                return True
            waiting += [child.digest for child in manifest.children]
        return False
