# SPDX-License-Identifier: Apache-2.0
"""What Azure does with blobs: compositions of blocks, conditions, markers, refusals."""

from __future__ import annotations

import pytest

from txregistry.driver import (
    Changed,
    Exists,
    InvalidOffset,
    Missing,
    Throttled,
    Unavailable,
)
from txregistry_drivers.azure.listing import Bookmarks
from txregistry_drivers.azure.opening import make_bucket
from txregistry_drivers.azure.options import read_options
from txregistry_drivers.objects import Piece

from .azure_copying import pages, read

MIB = 1024 * 1024


class ComposingTests:
    """Azure makes one blob of many itself."""

    def test_bytes_do_not_travel(self, objects, copying):
        """Each piece is copied from a URL that is signed for it."""
        parts = [bytes([n]) * (1000 + n) for n in range(18)]
        for n, part in enumerate(parts):
            objects.put(f"u/{n}", part, metadata={})
        pieces = [Piece(f"u/{n}", 0, len(part)) for n, part in enumerate(parts)]
        before = len(copying.asked)
        objects.compose("blob", [*pieces, b"tail", Piece("u/7", 3, 10)], pytest.fail)
        assert read(objects, "blob") == b"".join(parts) + b"tail" + parts[7][3:10]
        assert copying.copies == 19
        assert not [row for row in copying.asked[before:-1] if row[0] == "GET"]
        assert objects.head("blob").metadata == {}

    def test_many_small_blocks(self, objects):
        """Names of blocks are equally long, however many there are."""
        objects.compose("blob", [bytes([n % 256]) for n in range(120)], pytest.fail)
        assert read(objects, "blob") == bytes(n % 256 for n in range(120))

    def test_large_blob_is_copied_in_pieces(self, objects, copying):
        """Above what one copy takes; the store cuts it."""
        data = bytes(range(256)) * 8192
        objects.put("large", data, metadata={})
        half = len(data) // 2
        objects.compose(
            "copy", [Piece("large", 0, half), Piece("large", half, len(data))], pytest.fail
        )
        assert read(objects, "copy") == data
        assert copying.copies == 2

    def test_source_has_to_be_there(self, objects):
        objects.put("blob", b"old", metadata={})
        with pytest.raises(Missing) as caught:
            objects.compose("blob", [b"new", Piece("gone", 0, 3)], pytest.fail)
        assert caught.value.path == "gone"
        assert read(objects, "blob") == b"old"

    def test_what_was_appended_to_is_replaced(self, azurite, bucket, objects):
        """registry:3's blobs have no blocks."""
        azurite.place(bucket, "blob", b"appended")
        objects.put("part", b"part", metadata={})
        objects.compose("blob", [Piece("part", 0, 4), b"tail"], pytest.fail)
        assert read(objects, "blob") == b"parttail"
        azurite.place(bucket, "small", b"appended")
        objects.put("small", b"put", metadata={}, if_version=objects.head("small").version)
        assert read(objects, "small") == b"put"

    def test_blocks_that_another_takes_away_are_made_again(self, objects, copying):
        """Who writes the same key drops what is not yet in a list."""
        objects.put("part", b"part", metadata={})

        def overtake(_, query):
            if "blocklist" in query:
                return 400, "InvalidBlockList"
            copying.troubles.append(overtake)
            return None

        copying.troubles.append(overtake)
        objects.compose("blob", [Piece("part", 0, 4), b"tail"], pytest.fail)
        assert read(objects, "blob") == b"parttail"
        assert copying.copies == 2

    def test_blocks_are_not_made_again_for_ever(self, objects, copying):
        copying.troubles = [lambda *_: None, lambda *_: (400, "InvalidBlockList")] * 5
        with pytest.raises(Unavailable, match="again and again"):
            objects.compose("blob", [b"tail"], pytest.fail)

    def test_bytes_are_carried_where_azure_is_kept_out(self, objects, copying, capsys):
        """By a firewall; told once."""
        copying.may_read_itself = False
        data = bytes(range(256)) * 20_000
        objects.put("part", data, metadata={})
        for _ in range(2):
            objects.compose("blob", [Piece("part", 100, len(data)), b"tail"], pytest.fail)
            assert read(objects, "blob") == data[100:] + b"tail"
        assert copying.copies == 0
        assert capsys.readouterr().err == (
            "the server refuses Put Block From URL: what is copied goes through this process\n"
        )

    def test_copy_keeps_metadata(self, azurite, bucket, objects, capsys):
        """On whatever way it is made."""
        objects.put("from", b"data", metadata={"txregistrystaged": "4"})
        objects.copy("from", "to")
        azurite.place(bucket, "append", b"appended")
        objects.copy("from", "append")
        for key in ("to", "append"):
            assert read(objects, key) == b"data"
            assert objects.head(key).metadata == {"txregistrystaged": "4"}
        with pytest.raises(Missing):
            objects.copy("nothing", "to")
        assert capsys.readouterr().err == ""


class ConditionsTests:
    """Azure decides who may change what."""

    def test_only_one_creates(self, objects):
        version = objects.put("a", b"1", metadata={}, if_absent=True)
        with pytest.raises(Exists):
            objects.put("a", b"2", metadata={}, if_absent=True)
        assert objects.head("a").version == version
        assert read(objects, "a") == b"1"

    def test_only_what_was_seen_is_replaced(self, objects):
        old = objects.put("a", b"1", metadata={})
        new = objects.put("a", b"1", metadata={}, if_version=old)
        assert new != old
        for key, version in (("a", old), ("gone", old)):
            with pytest.raises(Changed):
                objects.put(key, b"3", metadata={}, if_version=version)

    def test_only_what_was_seen_is_deleted(self, objects):
        old = objects.put("a", b"1", metadata={})
        new = objects.put("a", b"2", metadata={})
        with pytest.raises(Changed):
            objects.delete("a", if_version=old)
        assert read(objects, "a") == b"2"
        objects.delete("a", if_version=new)
        objects.delete("a")
        with pytest.raises(Missing):
            objects.head("a")

    def test_version_is_the_same_wherever_it_is_told(self, objects):
        version = objects.put("a", b"12", metadata={})
        (listed,) = objects.list("", after="", limit=10, is_deep=True).objects
        assert {version, objects.head("a").version, objects.open("a").head.version} == {version}
        assert (listed.key, listed.size, listed.version) == ("a", 2, version)
        assert listed.modified == objects.head("a").modified

    def test_what_a_batch_refused_is_tried_alone(self, objects, copying):
        """Nothing is left behind in silence."""
        objects.put("a", b"", metadata={})
        copying.batch_status = 500
        objects.delete_many(["a", "b"])
        assert pages(objects, 10) == []

    def test_many_are_deleted_by_few_requests(self, objects, copying):
        for n in range(5):
            objects.put(f"a/{n}", b"", metadata={})
        before = len(copying.asked)
        objects.delete_many([f"a/{n}" for n in range(257)])
        assert len(copying.asked) - before == 2
        assert pages(objects, 10) == []


class ReadingTests:
    def test_reading_begins_anywhere(self, objects):
        data = bytes(range(256)) * 8192
        objects.put("a", data, metadata={})
        for start in (0, 1, len(data) - 1, len(data)):
            assert objects.open("a", start).head.size == len(data)
            assert read(objects, "a", start) == data[start:]
        with pytest.raises(InvalidOffset):
            objects.open("a", len(data) + 1)
        with pytest.raises(Missing):
            objects.open("b")

    def test_small_content_is_one_request(self, objects, copying):
        objects.put("a", b"small", metadata={})
        before = len(copying.asked)
        assert read(objects, "a") == b"small"
        assert len(copying.asked) == before + 1

    @pytest.mark.parametrize("change", ["put", "delete"])
    def test_no_mixture_of_two_is_read(self, objects, change):
        objects.put("a", b"1" * MIB, metadata={})
        opened = objects.open("a")
        opened.read(10)
        if change == "put":
            objects.put("a", b"2" * MIB, metadata={})
        else:
            objects.delete("a")
        with pytest.raises(Unavailable, match="another by now"):
            while opened.read(MIB):
                pass


class ListingTests:
    @pytest.fixture
    def keys(self, objects):
        keys = sorted([f"d{n}/{m}" for n in range(4) for m in "ab"] + ["d1-x", "d1.x", "d10"])
        for key in keys:
            objects.put(key, b"", metadata={})
        return keys

    @pytest.mark.parametrize("limit", [1, 3, 100])
    def test_pages_are_whole(self, objects, keys, limit):
        assert pages(objects, limit) == keys
        top = {"d0/", "d1-x", "d1.x", "d1/", "d10", "d2/", "d3/"}
        assert pages(objects, limit, is_deep=False) == sorted(top)

    def test_listing_begins_after_any_key(self, options, objects, keys):
        """Whether the key is there or not; also for a process that gave no page before."""
        for after in ("a", "d0/b", "d1-x", "d1~", "d3/aa", "z"):
            expected = [key for key in keys if key > after]
            assert pages(objects, 2, after=after) == expected
        other = make_bucket(read_options(options))
        assert pages(other, 2, after="d2/a") == [key for key in keys if key > "d2/a"]
        other.close()

    def test_going_on_costs_one_request_a_page(self, objects, keys, copying):
        after, before = "", copying.listings()
        for _ in range(4):
            after = objects.list("", after=after, limit=2, is_deep=True).after
        assert copying.listings() == before + 4

    def test_marker_that_is_good_no_more_is_done_without(self, objects, keys, copying):
        after = objects.list("", after="", limit=2, is_deep=True).after
        copying.troubles = [lambda *_: (400, "InvalidQueryParameterValue")]
        assert pages(objects, 2, after=after) == keys[2:]
        copying.troubles = [lambda *_: (400, "InvalidQueryParameterValue")]
        with pytest.raises(Unavailable, match="Azure answered a listing with 400"):
            objects.list("", after="", limit=2, is_deep=True)


class BookmarksTests:
    def test_nearest_is_not_behind_what_is_sought(self):
        marks = Bookmarks()
        for key in ("m", "c", "t"):
            marks.add("list", key, f"after {key}")
        assert marks.nearest("list", "b") == ("", "")
        assert marks.nearest("list", "c") == ("c", "after c")
        assert marks.nearest("list", "s") == ("m", "after m")
        assert marks.nearest("another", "s") == ("", "")

    def test_later_marker_counts(self):
        marks = Bookmarks()
        marks.add("list", "c", "old")
        marks.add("list", "c", "new")
        assert marks.nearest("list", "c") == ("c", "new")

    def test_longest_unused_is_forgotten(self):
        marks = Bookmarks(limit=3)
        for name in "abc":
            marks.add(name, "k", "marker")
        marks.nearest("a", "k")
        marks.add("d", "k", "marker")
        assert [name for name in "abcd" if marks.nearest(name, "k")[1]] == ["a", "c", "d"]


class TroubleTests:
    def test_busy_server_is_asked_again(self, objects, copying):
        copying.troubles = [lambda *_: (503, "ServerBusy")] * 3
        objects.put("a", b"1", metadata={})
        assert read(objects, "a") == b"1"

    def test_server_that_stays_busy_asked_for_patience(self, objects, copying):
        copying.troubles = [lambda *_: (503, "ServerBusy")] * 6
        with pytest.raises(Throttled) as caught:
            objects.head("a")
        assert caught.value.retry_after == 1.0
        assert copying.troubles == []

    def test_refusal_names_azures_word_for_it(self, objects, copying):
        copying.troubles = [lambda *_: (409, "BlobArchived")]
        with pytest.raises(Unavailable, match="Azure answered a read with 409 BlobArchived"):
            objects.open("a")

    def test_container_that_is_gone_is_no_missing_content(self, azurite, bucket, objects):
        with azurite.client() as client:
            client.delete_container(bucket)
        with pytest.raises(Unavailable, match="ContainerNotFound"):
            objects.head("a")
