# SPDX-License-Identifier: Apache-2.0
"""The catalog: which repositories there are.

Room: registry. Must not know who may see them. A repository is listed if a manifest or a tag is
left in it; one that was emptied is not, although its directories may stay behind for ever on a file
system. Driver calls: 2 for each repository of the answer and 1 for each directory above them.

Who sees little of it has a page that is looked for far and wide. So what can't hold anything that
they see is not looked into, and each client has one such walk at a time: the next waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from txregistry.oci.errors import Code
from txregistry.oci.names import RepositoryName
from txregistry.oci.pages import Page, PageRequest, take
from txregistry.registry.border import border
from txregistry.registry.tasks import if_there
from txregistry.registry.tree import MANIFESTS, Node, RepositoryTree
from txregistry.storage import paths
from txregistry.storage.blocking import Bell
from txregistry.storage.contract import Driver, Entry

#: Entries of the first look for a manifest: its algorithm, its directory, its link come first. The
#: looks after it meet only what deleted manifests left.
_FIRST_LOOK = 4
_NEXT_LOOKS = 1000


class Sight(Protocol):
    """What somebody sees who does not see everything."""

    def sees(self, name: RepositoryName) -> bool:
        """Say whether they are told that a repository is there."""

    def leads_on(self, directory: str) -> bool:
        """Say whether they might see a repository of that name or below it."""


class Catalog:
    """The repositories of a storage tree."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._walks: dict[str, Bell] = {}

    async def page(
        self, request: PageRequest, *, sight: Sight | None = None, owner: str = ""
    ) -> Page:
        """List repositories in byte order of their names.

        Args:
            sight: what may be seen; of the rest it is not told that it is there. None: everything.
            owner: whose walks wait for one another.

        Source: registry:2's ``_catalog``.
        """
        if request.limit == 0:
            return Page((), False)
        if sight is None:
            return await self._page(request, RepositoryTree(self._driver, after=request.last), None)
        while owner in self._walks:
            await self._walks[owner].rung()
        with self._walking(owner):
            tree = RepositoryTree(self._driver, after=request.last, leads_on=sight.leads_on)
            return await self._page(request, tree, sight)

    @contextmanager
    def _walking(self, owner: str) -> Iterator[None]:
        bell = self._walks[owner] = Bell()
        try:
            yield
        finally:
            del self._walks[owner]
            bell.ring()

    async def _page(self, request: PageRequest, tree: RepositoryTree, sight: Sight | None) -> Page:
        names: list[str] = []
        with border(Code.NAME_UNKNOWN):
            while request.limit is None or len(names) <= request.limit:
                node = await tree.next()
                if node is None:
                    break
                if sight is not None and not sight.sees(node.name):
                    continue
                if await self._is_listed(node):
                    names.append(node.name.text)
        return take(names, request)

    async def _is_listed(self, node: Node) -> bool:
        if MANIFESTS not in node.markers:
            return False
        return await self._has_manifest(node.name) or await self._has_tag(node.name)

    async def _has_manifest(self, name: RepositoryName) -> bool:
        root = paths.revisions(name.text)
        after, limit = "", _FIRST_LOOK
        while True:
            walk = await if_there(self._driver.walk(root, after=after, limit=limit))
            if walk is None:
                return False
            if any(_is_revision(entry, root) for entry in walk.entries):
                return True
            if not walk.has_more:
                return False
            after, limit = walk.entries[-1].path, _NEXT_LOOKS

    async def _has_tag(self, name: RepositoryName) -> bool:
        listing = await if_there(self._driver.list(paths.tags(name.text), limit=1))
        return listing is not None and bool(listing.children)


def _is_revision(entry: Entry, root: str) -> bool:
    """Say whether it is ``<algorithm>/<hex>/link`` with something in it."""
    parts = entry.path.removeprefix(root + "/").split("/")
    return len(parts) == 3 and parts[2] == "link" and entry.size > 0
