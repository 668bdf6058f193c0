# SPDX-License-Identifier: Apache-2.0
"""Walking a tree page by page, by a store's ``list`` and ``stat``, or by what tells both at once.

Room: storage. Must not know what the tree means. The walk is depth first, children in byte order, a
directory before what is in it. A page begins strictly after a path, which need not exist any more:
what is still to come lies below it, after it in its directory, and after each directory above it::

    after = /a/b/c      below /a/b/c  ->  after c in /a/b  ->  after b in /a
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from txregistry.storage.contract import Entry, Store, TellingStore, Walk
from txregistry.storage.errors import InvalidPath, Missing
from txregistry.storage.turns import is_within

_PAGE = 1000

_Child = tuple[str, Entry | None]


def walk_page(store: Store, path: str, after: str, *, skip_subtree: bool, limit: int) -> Walk:
    """One page of :meth:`Driver.walk <txregistry.storage.contract.Driver.walk>`, blocking.

    Raises:
        Missing: nothing is at ``path``, or a file is.
        InvalidPath: ``after`` does not lie below ``path``.
    """
    top = "" if path == "/" else path
    if after and (after == top or not is_within(after, top)):
        raise InvalidPath(f"not below {path}", path=after)
    store.list(path, "", 1)
    found = list(islice(_following(store, top, after, skip_subtree), limit + 1))
    return Walk(tuple(found[:limit]), has_more=len(found) > limit)


def _following(store: Store, top: str, after: str, skip_subtree: bool) -> Iterator[Entry]:
    if not after:
        yield from _below(store, top, "")
        return
    if not skip_subtree:
        yield from _below(store, after, "")
    while after != top:
        directory, _, name = after.rpartition("/")
        yield from _below(store, directory, name)
        after = directory


def _below(store: Store, directory: str, after: str) -> Iterator[Entry]:
    """Everything below ``directory``, from the child after ``after`` on."""
    levels = [_children(store, directory, after)]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
            continue
        yield entry
        if entry.is_directory:
            levels.append(_children(store, entry.path, ""))


def _children(store: Store, directory: str, after: str) -> Iterator[Entry]:
    has_more = True
    while has_more:
        try:
            page, has_more = _page(store, directory or "/", after)
        except Missing:  # vanished, or a file: nothing is below it
            return
        for name, entry in page:
            after = name
            if entry is not None:
                yield entry


def _page(store: Store, directory: str, after: str) -> tuple[Iterator[_Child], bool]:
    """The next children; without an entry where one vanished meanwhile."""
    if isinstance(store, TellingStore):
        entries, has_more = store.list_entries(directory, after, _PAGE)
        return iter([(entry.path.rpartition("/")[2], entry) for entry in entries]), has_more
    listing = store.list(directory, after, _PAGE)
    top = directory.rstrip("/")
    names = (child.name for child in listing.children)
    return ((name, _look(store, f"{top}/{name}")) for name in names), listing.has_more


def _look(store: Store, path: str) -> Entry | None:
    try:
        return store.stat(path)
    except Missing:
        return None
