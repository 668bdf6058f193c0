# SPDX-License-Identifier: Apache-2.0
"""The children of a directory, in byte order of their names, page by page.

Drivers: objects. A bucket lists keys, and there a directory counts as its name with a slash behind
it, which puts it elsewhere::

    by name   a    a-b   a.c   a0
    by key    a-b  a.c   a/    a0          "-" < "." < "/" < "0"

So a name may come only after some that continue it with ``-`` or ``.``. Only the last key of a page
leaves that open, and only for the names that it continues: these few are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

from txregistry.driver import Missing
from txregistry_drivers.objects.bucket import Bucket, KeyPage, ListedObject
from txregistry_drivers.objects.keys import MARK

#: Keys that are asked for at once, at most.
PAGE = 1000

#: Keys that are asked for beyond what is wanted, since some are not told on. Arbitrary.
_SPARE = 16

_EARLIER = re.compile(r"[-.]")


@frozen
class Named:
    """A child of a directory.

    Attributes:
        found: the object, of a file; None for a directory.
    """

    name: str
    found: ListedObject | None


@frozen
class Children:
    """A page of them.

    Attributes:
        recorded: names of files that something of ours belongs to: they may be staged ones.
    """

    named: tuple[Named, ...]
    recorded: frozenset[str]
    has_more: bool


def children(
    bucket: Bucket, prefix: str, after: str, limit: int, *, is_root: bool = False
) -> Children:
    """At most ``limit`` children of a directory, strictly after the name ``after``.

    Args:
        prefix: what the keys below the directory begin with.
        is_root: it is there even if nothing is below it.

    Raises:
        Missing: nothing is below it.
    """
    found: dict[str, Named] = {}
    hidden: set[str] = set()
    last = ""
    is_seen = is_root
    for page in _pages(bucket, prefix, prefix + after if after else "", limit):
        is_seen = is_seen or bool(page.objects or page.prefixes)
        for child in _told(page, prefix):
            if child.name.endswith(MARK):
                hidden.add(child.name.removesuffix(MARK))
            elif child.name > after:
                _add(found, child)
        last = _last_name(page, prefix) if page.after else ""
        if len(found) > limit:
            break
    for name in _open_names(last):
        if after < name and name not in found and _is_below(bucket, f"{prefix}{name}/"):
            found[name] = Named(name, None)
    if not is_seen and not (after and _is_below(bucket, prefix)):
        raise Missing("nothing is there", path=f"/{prefix.rstrip('/')}")
    names = sorted(found)[:limit]
    hidden &= set(names)
    hidden |= {
        name
        for name in names
        if last.startswith(name) and _is_below(bucket, f"{prefix}{name}{MARK}/")
    }
    named = tuple(found[name] for name in names)
    return Children(named, frozenset(hidden), has_more=len(found) > limit)


def _pages(bucket: Bucket, prefix: str, after: str, limit: int) -> Iterator[KeyPage]:
    count = min(PAGE, limit + _SPARE)
    has_more = True
    while has_more:
        page = bucket.list(prefix, after=after, limit=count, is_deep=False)
        yield page
        after = page.after
        has_more = bool(after)


def _told(page: KeyPage, prefix: str) -> Iterator[Named]:
    start = len(prefix)
    for found in page.objects:
        if len(found.key) > start:  # some tools make an object of the prefix itself
            yield Named(found.key[start:], found)
    for group in page.prefixes:
        yield Named(group[start:-1], None)


def _add(found: dict[str, Named], child: Named) -> None:
    """Content may lie below content here: then the file is told, and hides the directory."""
    known = found.get(child.name)
    if known is None or known.found is None:
        found[child.name] = child


def _last_name(page: KeyPage, prefix: str) -> str:
    keys = [*(one.key for one in page.objects[-1:]), *page.prefixes[-1:]]
    return max(keys, default=prefix)[len(prefix) :].rstrip("/")


def _open_names(last: str) -> Iterator[str]:
    """Names of directories that would come after the key of ``last`` and before its name."""
    for match in _EARLIER.finditer(last):
        if match.start():
            yield last[: match.start()]


def _is_below(bucket: Bucket, prefix: str) -> bool:
    """Whether any key begins with a prefix."""
    page = bucket.list(prefix, after="", limit=1, is_deep=True)
    while page.after and not page.objects:
        page = bucket.list(prefix, after=page.after, limit=1, is_deep=True)
    return bool(page.objects)
