# SPDX-License-Identifier: Apache-2.0
"""Walking a tree page by page, by nothing but a store's ``list`` and ``stat``.

Room: storage. Must not know what the tree means. The walk is depth first, children in byte order, a
directory before what is in it. A page begins strictly after a path, which need not exist any more:
what is still to come lies below it, after it in its directory, and after each directory above it::

    after = /a/b/c      below /a/b/c  ->  after c in /a/b  ->  after b in /a
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from txregistry.storage.contract import Child, Entry, Store, Walk
from txregistry.storage.errors import InvalidPath, Missing
from txregistry.storage.turns import is_within

_PAGE = 1000


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
    parents = [directory]
    while levels:
        child = next(levels[-1], None)
        if child is None:
            levels.pop()
            parents.pop()
            continue
        path = f"{parents[-1]}/{child.name}"
        try:
            entry = store.stat(path)
        except Missing:  # vanished since it was listed
            continue
        yield entry
        if entry.is_directory:
            levels.append(_children(store, path, ""))
            parents.append(path)


def _children(store: Store, directory: str, after: str) -> Iterator[Child]:
    has_more = True
    while has_more:
        try:
            listing = store.list(directory or "/", after, _PAGE)
        except Missing:  # vanished, or a file: nothing is below it
            return
        yield from listing.children
        has_more = listing.has_more
        after = listing.children[-1].name if has_more else ""
