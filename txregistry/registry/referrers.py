# SPDX-License-Identifier: Apache-2.0
"""Referrers: which manifests of a repository have another one as their subject.

Room: registry. Must not know HTTP, nor where referrers are recorded (``referrer_index``).

A page ends when it is full, in number or in bytes, or when enough was looked at for one request:
then there may be few on it, or none, and still more after it.

Driver calls of a request: 2 at once, 2 more if clients keep an index; 1 for each page of records;
then, for each referrer that is looked at, 2 at once (16 referrers at a time).
"""

from __future__ import annotations

import json

from attrs import evolve, frozen

from txregistry.oci.descriptors import Descriptor
from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code
from txregistry.oci.names import RepositoryName
from txregistry.registry.border import border
from txregistry.registry.referrer_index import ReferrerIndex
from txregistry.registry.tasks import each

#: Most bytes of descriptors on a page: an index of them stays below the limit of a manifest, 4 MiB.
PAGE_BYTES = 4 * 1024 * 1024 - 64 * 1024

#: Most referrers on a page, and how many are looked at together. Arbitrary.
PAGE_LENGTH = 1000
WINDOW = 100

#: How many are looked at for one page. Arbitrary: it bounds what a rare filter costs.
LOOKS = 2000


@frozen
class ReferrersPage:
    """Some referrers, in byte order of their digests.

    Attributes:
        has_more: there may be others.
        last: what to ask for the next page with; empty if there is none.
    """

    descriptors: tuple[Descriptor, ...]
    has_more: bool
    last: str


class Referrers:
    """The referrers of all manifests."""

    def __init__(self, index: ReferrerIndex) -> None:
        self._index = index

    async def page(
        self,
        repository: RepositoryName,
        subject: Digest,
        artifact_type: str | None = None,
        *,
        last: str = "",
        limit: int | None = None,
    ) -> ReferrersPage:
        """List referrers; neither the subject nor the repository need exist.

        Args:
            artifact_type: only those of this type.
            last: only those whose digest sorts after this text.
            limit: most of them on the page, if less than :data:`PAGE_LENGTH`.

        Source: distribution-spec end-12a, end-12b.
        """
        limit = PAGE_LENGTH if limit is None else min(limit, PAGE_LENGTH)
        if limit == 0:
            return ReferrersPage((), False, "")
        filling = _Filling(limit, artifact_type, last)
        window = min(limit + 1, WINDOW)

        async def describe(digest: Digest) -> Descriptor | None:
            return await self._index.describe(repository, subject, digest)

        with border(Code.MANIFEST_UNKNOWN):
            candidates = await self._index.candidates(repository, subject, last)
            while filling.looks < LOOKS:
                digests = await candidates.take(window)
                for digest, descriptor in zip(digests, await each(describe, digests), strict=True):
                    if not filling.take(digest, descriptor):
                        return filling.page(has_more=True)
                if len(digests) < window:
                    return filling.page(has_more=False)
        return filling.page(has_more=True)


class _Filling:
    """A page that is being filled.

    Attributes:
        looks: candidates that were decided upon.
    """

    def __init__(self, limit: int, artifact_type: str | None, last: str) -> None:
        self.looks = 0
        self._limit = limit
        self._artifact_type = artifact_type
        self._last = last
        self._descriptors: list[Descriptor] = []
        self._room = PAGE_BYTES

    def take(self, digest: Digest, descriptor: Descriptor | None) -> bool:
        """Decide on a candidate; False if it should be on the page and there is no room for it."""
        if descriptor is not None and self._artifact_type in (None, descriptor.artifact_type):
            descriptor, cost = _fitted(descriptor)
            if len(self._descriptors) == self._limit or cost > self._room:
                return False
            self._descriptors.append(descriptor)
            self._room -= cost
        self._last = str(digest)
        self.looks += 1
        return True

    def page(self, *, has_more: bool) -> ReferrersPage:
        """Return what the page holds."""
        return ReferrersPage(tuple(self._descriptors), has_more, self._last if has_more else "")


def _fitted(descriptor: Descriptor) -> tuple[Descriptor, int]:
    """Return a descriptor that fits on a page of its own, if it must without annotations; its
    bytes.
    """
    cost = _cost(descriptor)
    if cost > PAGE_BYTES:
        descriptor = evolve(descriptor, annotations=None)
        cost = _cost(descriptor)
    return descriptor, cost


def _cost(descriptor: Descriptor) -> int:
    return len(json.dumps(descriptor.to_json_object())) + 2
