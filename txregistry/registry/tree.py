# SPDX-License-Identifier: Apache-2.0
"""Walks the repositories of a storage tree, lazily, in byte order of their full names.

Room: registry. Must not know what a repository is listed for.

Repositories nest, and the order of names is not that of a walk: ``a``, ``a-b``, ``a/x`` is in order
although ``a/x`` lies inside ``a``, because ``-`` and ``.`` sort before ``/``. What keeps the order
is a heap of what is known and not yet given. A directory's descendants all sort after itself, so
the smallest thing in the heap is the next, once it was looked into::

    unvisited name   look into it: its first children go into the heap, and it goes back as visited
    visited name     give it
    rest of a page   sorts as the last child of the page: list the next page

Memory is bounded by the directories that are open, not by the tree; nothing is listed that sorts
before the start, however deep the start lies.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import TypeAlias

from attrs import frozen

from txregistry.oci.errors import OciError
from txregistry.oci.names import NAME_LIMIT, RepositoryName
from txregistry.registry.directories import safe_start
from txregistry.registry.tasks import each, if_there
from txregistry.storage import paths
from txregistry.storage.contract import Driver, Listing

#: Children that one call lists, and directories that are looked into at once. Arbitrary.
PAGE = 1000
WIDTH = 8

#: What a repository keeps in its own directory, beside the directories of repositories below it.
MANIFESTS, LAYERS, UPLOADS = "_manifests", "_layers", "_uploads"

#: It sorts before all of these, and no name of a repository begins with it.
_BEFORE_MARKERS = "_"
_MARKERS_LIMIT = 16


@frozen
class Node:
    """A directory that may be a repository.

    Attributes:
        markers: those of ``MANIFESTS``, ``LAYERS``, ``UPLOADS`` that are there.
    """

    name: RepositoryName
    markers: frozenset[str]


@frozen
class _Unvisited:
    name: str


@frozen
class _Rest:
    """What follows the child ``after`` of ``directory`` (empty: the top)."""

    directory: str
    after: str


_Known: TypeAlias = _Unvisited | Node | _Rest


async def markers_of(driver: Driver, name: str) -> frozenset[str]:
    """Return the markers in the directory of ``name``. One driver call.

    Raises:
        Missing: there is no such directory.
    """
    return _markers(
        await driver.list(paths.repository(name), after=_BEFORE_MARKERS, limit=_MARKERS_LIMIT)
    )


class RepositoryTree:
    """One walk.

    Args:
        after: any text; only names after it are given.
        leads_on: says of a name whether it, or one below it, is wanted at all; others may be left
            out, and cost nothing. None: all are wanted.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        after: str = "",
        leads_on: Callable[[str], bool] | None = None,
    ) -> None:
        self._driver = driver
        self._after = after
        self._is_wanted = leads_on
        self._serial = itertools.count()
        self._heap: list[tuple[str, int, _Known]] = []
        self._push("", _Unvisited(""))

    async def next(self) -> Node | None:
        """Return the next directory, None at the end. One driver call for each, and for each
        page.
        """
        while self._heap:
            _, _, known = heapq.heappop(self._heap)
            if isinstance(known, Node):
                return known
            if isinstance(known, _Rest):
                await self._list(known.directory, known.after)
            else:
                await each(self._visit, self._batch(known), width=WIDTH)
        return None

    def _batch(self, first: _Unvisited) -> list[str]:
        """Take more from the heap that will have to be looked into next."""
        names = [first.name]
        while self._heap and len(names) < WIDTH:
            known = self._heap[0][2]
            if not isinstance(known, _Unvisited):
                break
            heapq.heappop(self._heap)
            names.append(known.name)
        return names

    async def _visit(self, name: str) -> None:
        """Look into a directory (empty: the top), which need not exist."""
        start = self._start_in(name)
        listing = await self._list(name, start)
        if listing is not None and name > self._after:
            # All of it sorts after the start, so the listing began with its first child.
            is_whole = not listing.has_more or listing.children[-1].name >= UPLOADS
            markers = _markers(listing) if is_whole else await markers_of(self._driver, name)
            self._push(name, Node(RepositoryName(name), markers))

    async def _list(self, directory: str, after: str) -> Listing | None:
        """List one page of children into the heap; None if there is no such directory."""
        path = paths.repository(directory) if directory else paths.REPOSITORIES
        listing = await if_there(self._driver.list(path, after=after, limit=PAGE))
        if listing is None:
            return None
        for child in listing.children:
            name = _join(directory, child.name)
            if child.is_directory and self._leads_on(name) and _is_name(name):
                self._push_unvisited(name)
        if listing.has_more:
            last = listing.children[-1].name
            self._push(_join(directory, last), _Rest(directory, last))
        return listing

    def _start_in(self, directory: str) -> str:
        """Return the child name after which listing ``directory`` begins.

        What sorts before and may lead beyond the start all the same is put into the heap unseen:
        the name on the way to the start, and those that it continues with something before ``/``.
        """
        prefix = _join(directory, "")
        if not self._after.startswith(prefix):
            return ""
        component = self._after[len(prefix) :].partition("/")[0][:NAME_LIMIT]
        for end in range(1, len(component) + 1):
            name = prefix + component[:end]
            if component[end : end + 1] < "/" and _is_name(name):
                self._push_unvisited(name)
        return safe_start(component)

    def _leads_on(self, name: str) -> bool:
        """Say whether ``name``, or anything that could be below it, sorts after the start."""
        return name + "/" > self._after or self._after.startswith(name + "/")

    def _push_unvisited(self, name: str) -> None:
        if self._is_wanted is None or self._is_wanted(name):
            self._push(name, _Unvisited(name))

    def _push(self, key: str, known: _Known) -> None:
        heapq.heappush(self._heap, (key, next(self._serial), known))


def _markers(listing: Listing) -> frozenset[str]:
    names = {child.name for child in listing.children if child.is_directory}
    return frozenset(names & {MANIFESTS, LAYERS, UPLOADS})


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _is_name(name: str) -> bool:
    try:
        RepositoryName.parse(name)
    except OciError:
        return False
    return True
