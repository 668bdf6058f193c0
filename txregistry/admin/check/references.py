# SPDX-License-Identifier: Apache-2.0
"""Looks whether a repository has what a manifest refers to, as a push of it would.

Room: admin. Must not know how manifests are found. The rules are those of ``registry.references``:
configs and layers are blobs of the same repository, children of an index its manifests, each of the
size that the descriptor gives; a child of no manifest's type is a blob.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import frozen

from txregistry.admin.check.blobs import fault
from txregistry.admin.check.digest_table import DigestTable
from txregistry.admin.check.findings import Finding
from txregistry.admin.check.inspection import Inspection
from txregistry.oci.descriptors import Descriptor
from txregistry.oci.digests import Digest
from txregistry.oci.manifests import Manifest
from txregistry.oci.media_types import MANIFEST_TYPES
from txregistry.oci.names import RepositoryName
from txregistry.registry.links import Links, data_path


@frozen
class Lack:
    """Something that a manifest refers to in vain.

    Attributes:
        what: which, and why it is none.
        damage: what is wrong with its data, if they are why.
    """

    what: str
    damage: Finding | None = None


class References:
    """What the manifests of one repository refer to.

    Args:
        layers: its blobs, with the sizes of their data.
        size_of: returns the size of one of its manifests, None if that is missing or damaged.
    """

    def __init__(
        self,
        inspection: Inspection,
        name: RepositoryName,
        layers: DigestTable,
        size_of: Callable[[Digest], Awaitable[int | None]],
        links: Links,
    ) -> None:
        self._inspection = inspection
        self._name = name
        self._layers = layers
        self._size_of = size_of
        self._links = links

    async def blobs(self, manifest: Manifest) -> list[Lack]:
        """Return what is missing of a manifest's config and layers."""
        return _those([await self._lacking_blob(blob) for blob in manifest.references])

    async def children(self, index: Manifest) -> list[Lack]:
        """Return what is missing of an index's children."""
        return _those([await self._lacking_child(child) for child in index.children])

    async def _lacking_blob(self, blob: Descriptor) -> Lack | None:
        if self._inspection.is_damaged(blob.digest):
            return Lack(f"the blob {blob.digest}, whose data are damaged")
        size = self._layers.get(blob.digest)
        if size is None:
            member = await self._links.find_blob(self._name, blob.digest)
            if member is None or self._inspection.is_damaged(member.target):
                return Lack(f"the blob {blob.digest}")
            size = member.size
        if size == blob.size:
            return None
        return await self._of_other_size(blob, size)

    async def _of_other_size(self, blob: Descriptor, size: int) -> Lack | None:
        """Return what it means that a blob has another size: are the data wrong, or the
        descriptor?
        """
        wrong = None
        if blob.digest in self._inspection.blobs:
            entry = await self._inspection.driver.stat(data_path(blob.digest))
            if entry.size == blob.size:  # pushed again since the walk
                return None
            wrong = await fault(self._inspection, blob.digest)
        return Lack(f"the blob {blob.digest} of {blob.size} bytes, there are {size}", wrong)

    async def _lacking_child(self, child: Descriptor) -> Lack | None:
        if child.media_type not in MANIFEST_TYPES:
            return await self._lacking_blob(child)
        size = await self._size_of(child.digest)
        if size is None:
            return (
                None
                if self._inspection.options.allow_sparse
                else Lack(f"the manifest {child.digest}")
            )
        if size != child.size:
            return Lack(f"the manifest {child.digest} of {child.size} bytes, there are {size}")
        return None


def _those(lacks: list[Lack | None]) -> list[Lack]:
    return [lack for lack in lacks if lack is not None]
