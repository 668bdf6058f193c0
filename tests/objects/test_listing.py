# SPDX-License-Identifier: Apache-2.0
"""Names in byte order, whatever order their keys have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.driver import Missing
from txregistry_drivers.objects import Capabilities, MemoryBucket, ObjectStore, Tuning
from txregistry_drivers.objects.keys import Keys
from txregistry_drivers.objects.listing import children

#: Names that are beginnings of each other, with the characters round the slash.
NAMES = st.text("a-.0_", min_size=1, max_size=5).filter(lambda name: name not in (".", ".."))
TREES = st.dictionaries(NAMES, st.booleans(), max_size=30)


class _ShortPages(MemoryBucket):
    """Gives a few keys at a time, and now and then none."""

    def list(self, prefix, *, after, limit, is_deep):
        return super().list(prefix, after=after, limit=min(limit, 3), is_deep=is_deep)


@given(tree=TREES, limit=st.integers(1, 7))
def test_pages_of_any_size_make_the_whole(tree, limit):
    """Every name once, in byte order, with its kind; ``has_more`` tells the truth."""
    bucket = _ShortPages()
    for name, is_directory in tree.items():
        bucket.put(f"d/{name}/x" if is_directory else f"d/{name}", b"", metadata={})
    found, after, has_more = [], "", bool(tree)
    while has_more:
        page = children(bucket, "d/", after, limit)
        assert 0 < len(page.named) <= limit
        found += [(one.name, one.found is None) for one in page.named]
        after, has_more = found[-1][0], page.has_more
    assert found == sorted(tree.items())


@given(tree=TREES, after=NAMES)
def test_a_page_begins_after_any_name(tree, after):
    """The name need not be there."""
    bucket = MemoryBucket()
    bucket.put("d/zz", b"", metadata={})
    for name, is_directory in tree.items():
        bucket.put(f"d/{name}/x" if is_directory else f"d/{name}", b"", metadata={})
    page = children(bucket, "d/", after, 1000)
    expected = sorted({"zz", *(name for name in tree if name > after)})
    assert [one.name for one in page.named] == expected


def test_few_requests_are_made():
    """A page is two requests, and one more for each dash or dot of its last name at most."""
    bucket = MemoryBucket()
    for number in range(3000):
        bucket.put(f"tags/v1.0.{number}-build/current/link", b"", metadata={})
    bucket.calls.clear()
    page = children(bucket, "tags/", "", 1000)
    assert (len(page.named), page.has_more) == (1000, True)
    assert bucket.calls["list"] <= 5


def test_what_is_ours_is_not_told():
    """Parts and notes are no children, but tell that a file may be a staged one."""
    bucket = MemoryBucket()
    for key in ("d/data", "d/data~/1", "d/other", "d/gone~/undo-1"):
        bucket.put(key, b"", metadata={})
    page = children(bucket, "d/", "", 10)
    assert [one.name for one in page.named] == ["data", "other"]
    assert page.recorded == {"data"}
    assert children(bucket, "d/", "", 1).recorded == {"data"}


def test_a_directory_of_nothing_is_missing():
    """But one whose rest comes before the page is there; and the root always is."""
    bucket = MemoryBucket()
    bucket.put("d/a", b"", metadata={})
    assert children(bucket, "d/", "z", 10).named == ()
    assert children(bucket, "", "zz", 10, is_root=True).named == ()
    with pytest.raises(Missing):
        children(bucket, "e/", "", 10)
    with pytest.raises(Missing):
        children(bucket, "e/", "a", 10)


def test_walk_tells_sizes_of_staged_files():
    """A walk says of a staged file what stat says, although its object is a record."""
    bucket = MemoryBucket(Capabilities(smallest_piece=10))
    store = ObjectStore(bucket, "", Tuning(part_size=100))
    for name, size in (("plain", 5), ("recorded", 250)):
        appender = store.append(f"/u/{name}", 0)
        appender.append(memoryview(bytes(size)))
        appender.close()
    claimed = store.append("/u/plain", 5)
    entries, has_more = store.list_entries("/u", "", 10)
    assert [entry.size for entry in entries] == [5, 250]
    assert entries == [store.stat("/u/plain"), store.stat("/u/recorded")]
    assert not has_more
    claimed.close()
    store.close()


@pytest.mark.parametrize("root", ["", "/", "a/b", "/a/b/"])
def test_root_may_be_written_in_any_way(root):
    """Slashes round it do not matter, as in registry:3."""
    expected = "a/b/" if "a" in root else ""
    keys = Keys(root)
    assert keys.of("/docker/x") == f"{expected}docker/x"
    assert (keys.below("/docker"), keys.below("/")) == (f"{expected}docker/", expected)
