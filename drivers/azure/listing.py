# SPDX-License-Identifier: Apache-2.0
"""Pages of a listing that begin after any key.

Driver: azure. Azure lists from the beginning, or from a marker that an earlier page gave; not from
a key. So markers are kept, each with the last key before it, and a page that is asked for begins at
the nearest one::

    a0 … a9 | b0 … b9 | c0 … c9        after="c3": from the marker behind b9
            ^ marker  ^ marker

Whoever goes from page to page finds one each time. Without any (another process gave the earlier
page) the listing is gone through from its beginning, by large pages.
"""

from __future__ import annotations

import bisect
import threading
from collections import OrderedDict
from typing import Any

from attrs import field, frozen
from azure.storage.blob import BlobPrefix

from txregistry_drivers.azure.reading import modified_of, version_of
from txregistry_drivers.azure.refusals import BAD_REQUEST, FAILURES, refusal, status_of
from txregistry_drivers.objects import KeyPage, ListedObject
from txregistry_drivers.objects.keys import BEHIND

#: Keys that are asked for near a marker, and to get to a key without one: Azure gives no more.
_NEAR, _FAR = 1000, 5000

#: Markers that are kept. Arbitrary: some hundred bytes each.
_MARKERS = 4096


@frozen
class _Trail:
    """Markers of one listing, in the order of the keys that they are behind."""

    keys: list[str] = field(factory=list)
    markers: list[str] = field(factory=list)


class Bookmarks:
    """Markers of listings, those of the longest unused listings forgotten first.

    Args:
        limit: markers at most.
    """

    def __init__(self, limit: int = _MARKERS) -> None:
        self._limit = limit
        self._count = 0
        self._trails: OrderedDict[object, _Trail] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, listing: object, key: str, marker: str) -> None:
        """Remember a marker behind which is everything greater than ``key``."""
        with self._lock:
            trail = self._trails.setdefault(listing, _Trail())
            self._trails.move_to_end(listing)
            index = bisect.bisect_left(trail.keys, key)
            if index < len(trail.keys) and trail.keys[index] == key:
                trail.markers[index] = marker
                return
            trail.keys.insert(index, key)
            trail.markers.insert(index, marker)
            self._count += 1
            while self._count > self._limit:
                _, dropped = self._trails.popitem(last=False)
                self._count -= len(dropped.keys)

    def forget(self, listing: object) -> None:
        """Drop the markers of a listing."""
        with self._lock:
            dropped = self._trails.pop(listing, None)
            self._count -= len(dropped.keys) if dropped is not None else 0

    def nearest(self, listing: object, after: str) -> tuple[str, str]:
        """The greatest known key that is not greater than ``after``, and its marker; both empty if
        there is none.
        """
        with self._lock:
            trail = self._trails.get(listing)
            index = bisect.bisect_right(trail.keys, after) - 1 if trail is not None else -1
            if trail is None or index < 0:
                return "", ""
            self._trails.move_to_end(listing)
            return trail.keys[index], trail.markers[index]


class Lister:
    """Lists a container.

    Args:
        container: a client of it.
    """

    def __init__(self, container: Any) -> None:
        self._container = container
        self._bookmarks = Bookmarks()

    def page(self, prefix: str, after: str, limit: int, *, is_deep: bool) -> KeyPage:
        """As :meth:`Bucket.list <txregistry_drivers.objects.Bucket.list>`."""
        listing = prefix, is_deep
        key, marker = self._bookmarks.nearest(listing, after)
        count = limit if key == after else _NEAR if marker else _FAR
        while True:
            try:
                found, marker = self._ask(prefix, marker, count, is_deep=is_deep)
            except FAILURES as err:
                if not marker or status_of(err) != BAD_REQUEST:
                    raise refusal(err, prefix, "a listing") from err
                self._bookmarks.forget(listing)  # Azure does not promise how long one is good
                marker, count = "", _FAR
                continue
            told = {end: one for end, one in found.items() if end > after}
            if told or not marker:
                return _cut(told, limit, has_more=bool(marker))

    def _ask(
        self, prefix: str, marker: str, count: int, *, is_deep: bool
    ) -> tuple[dict[str, Any], str]:
        """Some blobs and prefixes, by the keys that end them, and the next marker."""
        named = {"name_starts_with": prefix or None, "results_per_page": count}
        if is_deep:
            pages = self._container.list_blobs(**named).by_page(marker or None)
        else:
            pages = self._container.walk_blobs(**named, delimiter="/").by_page(marker or None)
        found = {_end(one): one for one in next(pages, ())}
        following = str(pages.continuation_token or "")
        if following and found:
            self._bookmarks.add((prefix, is_deep), max(found), following)
        return found, following


def _cut(found: dict[str, Any], limit: int, *, has_more: bool) -> KeyPage:
    ends = sorted(found)
    told = ends[:limit]
    objects = tuple(_listed(found[end]) for end in told if not end.endswith(BEHIND))
    prefixes = tuple(end.removesuffix(BEHIND) for end in told if end.endswith(BEHIND))
    return KeyPage(objects, prefixes, told[-1] if told and (has_more or len(ends) > limit) else "")


def _end(one: Any) -> str:
    """The last key that a blob or a prefix stands for."""
    return f"{one.name}{BEHIND}" if isinstance(one, BlobPrefix) else str(one.name)


def _listed(blob: Any) -> ListedObject:
    return ListedObject(blob.name, int(blob.size), version_of(blob.etag), modified_of(blob))
