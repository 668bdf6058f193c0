# SPDX-License-Identifier: Apache-2.0
"""A cache with a bound in bytes: what was used longest ago goes first.

Room: registry. Must not know what is kept. Content by its digest never changes, so it may be kept
for ever; whether a repository has it is another question, which this does not answer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

#: What an entry costs besides its value, in bytes: keys, objects and the table. Measured roughly.
ENTRY_COST = 512

#: No entry takes more than one part in so many of the cache. Arbitrary.
LARGEST_SHARE = 8


class BoundedCache(Generic[K, V]):
    """Maps keys to values until there are too many bytes of them.

    Args:
        limit: bytes, costs of entries included; 0 keeps nothing.

    Attributes:
        size: bytes that are kept.
        hits, misses: how often a key that was asked for was there, and was not.
    """

    def __init__(self, limit: int) -> None:
        self.size = 0
        self.hits = self.misses = 0
        self._limit = limit
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return what is kept, None if nothing is."""
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value of ``size`` bytes, in place of another one; not if it is too large."""
        self.drop(key)
        cost = size + ENTRY_COST
        if cost * LARGEST_SHARE > self._limit:
            return
        self._entries[key] = (value, cost)
        self.size += cost
        while self.size > self._limit:
            _, (_, freed) = self._entries.popitem(last=False)
            self.size -= freed

    def drop(self, key: K) -> None:
        """Keep it no longer."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size -= entry[1]
