# SPDX-License-Identifier: Apache-2.0
"""Checks, before a manifest is taken, that the repository has what it refers to.

Room: registry. Must not know how a manifest is written. Configs and layers must be blobs of the
same repository, children of an index manifests of it, each of the size that the descriptor gives. A
descriptor in an index whose type is none of a manifest is a blob (build caches list their layers
so). A subject need not exist. Everything that is missing is reported at once.
"""

from __future__ import annotations

from txregistry.oci.descriptors import Descriptor
from txregistry.oci.errors import Code, OciError, several
from txregistry.oci.manifests import Manifest
from txregistry.oci.media_types import MANIFEST_TYPES
from txregistry.oci.names import RepositoryName
from txregistry.registry.links import Links, Member
from txregistry.registry.tasks import each

#: Most that is reported of one manifest. Arbitrary; who misses so much needs no complete list.
REPORT_LIMIT = 100


class References:
    """Looks for what manifests refer to. Two driver calls at once for each reference.

    Args:
        allow_sparse: whether an index may list manifests that the repository does not have.
    """

    def __init__(self, links: Links, *, allow_sparse: bool = False) -> None:
        self._links = links
        self._allow_sparse = allow_sparse

    async def check(self, repository: RepositoryName, manifest: Manifest) -> tuple[Member, ...]:
        """Find everything that ``manifest`` needs.

        Returns:
            What was found.

        Raises:
            OciError: MANIFEST_BLOB_UNKNOWN, MANIFEST_INVALID (a size), or several of them.

        Source: distribution-spec end-7; registry:3's validation.
        """

        async def find_blob(descriptor: Descriptor) -> Member | OciError | None:
            return _sized(descriptor, await self._links.find_blob(repository, descriptor.digest))

        async def find_child(descriptor: Descriptor) -> Member | OciError | None:
            if descriptor.media_type not in MANIFEST_TYPES:
                return await find_blob(descriptor)
            member = await self._links.find_manifest(repository, descriptor.digest)
            return None if member is None and self._allow_sparse else _sized(descriptor, member)

        found = await each(find_blob, _distinct(manifest.references))
        found += await each(find_child, _distinct(manifest.children))
        refused = [one for one in found if isinstance(one, OciError)]
        if refused:
            raise several(sorted(refused, key=_is_not_missing)[:REPORT_LIMIT])
        return tuple(one for one in found if isinstance(one, Member))


def _distinct(descriptors: tuple[Descriptor, ...]) -> list[Descriptor]:
    """Return ``descriptors`` without those that ask for the same thing again."""
    is_manifest = MANIFEST_TYPES.__contains__
    return list(
        {(one.digest, one.size, is_manifest(one.media_type)): one for one in descriptors}.values()
    )


def _sized(descriptor: Descriptor, member: Member | None) -> Member | OciError:
    if member is None:
        return OciError(Code.MANIFEST_BLOB_UNKNOWN, str(descriptor.digest))
    if member.size != descriptor.size:
        why = f"{descriptor.digest} has {member.size} bytes, not {descriptor.size}"
        return OciError(Code.MANIFEST_INVALID, why)
    return member


def _is_not_missing(error: OciError) -> bool:
    return error.code is not Code.MANIFEST_BLOB_UNKNOWN
