# SPDX-License-Identifier: Apache-2.0
"""The bounded cache."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from txregistry.registry.cache import ENTRY_COST, LARGEST_SHARE, BoundedCache

#: Room for eight entries of 88 bytes, and for none that is larger.
LIMIT = 8 * (ENTRY_COST + 88)


class BoundedCacheTests:
    def test_what_was_kept_is_found(self):
        cache = BoundedCache[str, str](LIMIT)
        cache.put("a", "A", 10)
        assert cache.get("a") == "A"
        assert cache.get("b") is None
        assert cache.size == 10 + ENTRY_COST

    def test_what_it_is_good_for_is_counted(self):
        cache = BoundedCache[str, str](LIMIT)
        cache.put("a", "A", 10)
        for key in ("a", "b", "a"):
            cache.get(key)
        assert (cache.hits, cache.misses) == (2, 1)

    def test_longest_unused_goes_first(self):
        """What is asked for often stays."""
        cache = BoundedCache[int, int](LIMIT)
        for key in range(8):
            cache.put(key, key, 88)
        cache.get(0)
        cache.put(8, 8, 88)
        assert cache.get(1) is None
        assert [cache.get(key) for key in (0, 2, 8)] == [0, 2, 8]

    def test_what_is_too_large_is_not_kept(self):
        """One large thing does not push out everything else."""
        cache = BoundedCache[int, int](LIMIT)
        cache.put(1, 1, LIMIT // LARGEST_SHARE - ENTRY_COST + 1)
        assert cache.get(1) is None and cache.size == 0

    def test_replaced_value_counts_once(self):
        cache = BoundedCache[int, int](LIMIT)
        cache.put(1, 1, 80)
        cache.put(1, 2, 20)
        assert cache.get(1) == 2 and cache.size == 20 + ENTRY_COST

    def test_dropped_is_gone(self):
        cache = BoundedCache[int, int](LIMIT)
        cache.put(1, 1, 80)
        cache.drop(1)
        cache.drop(2)
        assert cache.get(1) is None and cache.size == 0

    def test_no_room_keeps_nothing(self):
        cache = BoundedCache[int, int](0)
        cache.put(1, 1, 0)
        assert cache.get(1) is None

    @given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 200))))
    def test_never_more_than_the_limit(self, puts):
        cache = BoundedCache[int, int](LIMIT)
        for key, size in puts:
            cache.put(key, size, size)
            assert cache.size <= LIMIT
            assert cache.get(key) in (size, None)
