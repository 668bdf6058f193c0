# SPDX-License-Identifier: Apache-2.0
"""Tags: listing them, and taking them away.

Room: registry. Must not know manifests. A tag is listed if it has a directory; that its link can be
read is not asked for each of them, so a tag whose push or delete was cut off by a crash is listed
until it is pushed or deleted again, and a pull of it answers that it is unknown.

A repository is there if it has, or had, manifests or blobs. Driver calls: 1 for each 1,000 tags of
the answer; 1 more if there are none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code, OciError
from txregistry.oci.names import RepositoryName, Tag
from txregistry.oci.pages import Page, PageRequest, take
from txregistry.registry.border import border
from txregistry.registry.directories import PAGE, Names
from txregistry.registry.links import Links, tag_link
from txregistry.registry.tasks import each, if_there
from txregistry.registry.tree import LAYERS, MANIFESTS, markers_of
from txregistry.storage import paths
from txregistry.storage.contract import Driver
from txregistry.storage.errors import Missing


class Tags:
    """The tags of all repositories."""

    def __init__(self, driver: Driver, links: Links) -> None:
        self._driver = driver
        self._links = links

    async def page(self, repository: RepositoryName, request: PageRequest) -> Page:
        """List tags in byte order.

        Raises:
            OciError: NAME_UNKNOWN: there is no such repository.

        Source: distribution-spec end-8a, end-8b.
        """
        with border(Code.NAME_UNKNOWN, {"name": repository.text}):
            wanted = None if request.limit is None else request.limit + 1
            names = Names(self._driver, paths.tags(repository.text), request.last, _is_tag)
            try:
                found = await names.take(wanted)
            except Missing:
                await self._check_exists(repository)
                found = []
        return take(found, request)

    async def each(self, repository: RepositoryName) -> AsyncIterator[Tag]:
        """Give every tag, in byte order; none if there is no such repository."""
        names = Names(self._driver, paths.tags(repository.text), "", _is_tag)
        try:
            while page := await names.take(PAGE):
                for name in page:
                    yield Tag(name)
        except Missing:
            return

    async def remove(self, repository: RepositoryName, tag: Tag) -> None:
        """Remove a tag with its history. One driver call.

        Raises:
            Missing: there is no such tag.
        """
        directory = paths.tag_directory(repository.text, tag.text)
        await self._links.remove(tag_link(repository, tag), directory=directory)

    async def remove_pointing_at(self, repository: RepositoryName, digest: Digest) -> None:
        """Remove every tag that points at ``digest``."""

        async def remove(name: str) -> None:
            tag = Tag(name)
            if await self._links.read(tag_link(repository, tag)) == digest:
                await if_there(self.remove(repository, tag))

        names = Names(self._driver, paths.tags(repository.text), "", _is_tag)
        try:
            while page := await names.take(PAGE):
                await each(remove, page)
        except Missing:
            return

    async def _check_exists(self, repository: RepositoryName) -> None:
        """Raise Missing if there is no such repository."""
        if not await markers_of(self._driver, repository.text) & {MANIFESTS, LAYERS}:
            raise Missing(path=paths.repository(repository.text))


def _is_tag(name: str) -> bool:
    try:
        Tag.parse(name)
    except OciError:
        return False
    return True
