# SPDX-License-Identifier: Apache-2.0
"""Links: what a repository has."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from twisted.logger import formatEvent, globalLogPublisher

from txregistry.oci.digests import EMPTY_SHA256, Digest
from txregistry.registry.links import Links, Member, blob_link, data_path, manifest_link
from txregistry.registry.size_records import size_path
from txregistry.storage.contract import CONTENT_LIMIT
from txregistry.storage.errors import Missing, TooLarge, Unavailable

from .world import APP, OTHER, done, started

BLOB = Digest.of(b"blob")
LINK = blob_link(APP, BLOB)


@pytest.fixture
def links(world):
    return Links(world.driver)


@pytest.fixture
def exclusive(world):
    return Links(world.driver, cache_limit=1 << 20)


@contextmanager
def logged(text):
    """Something that is logged once within."""
    lines = []

    def observer(event):
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observer)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observer)
    assert len([line for line in lines if text in line]) == 1, lines


class LinksTests:
    def test_link_is_the_text_of_a_digest(self, world, links):
        """Byte for byte what the other registry reads: no newline."""
        done(links.write(LINK, BLOB))
        assert world.get(LINK) == str(BLOB).encode()
        assert len(world.get(LINK)) == 71
        assert done(links.read(LINK)) == BLOB

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\n",
            str(BLOB).encode() + b"\n",
            b"sha256:short",
            b"\xff\x00" * 35,
            b"md5:" + b"0" * 32,
            "sha256:\u0660".encode(),
        ],
    )
    def test_garbage_counts_as_absent(self, world, links, content):
        """A link that a crash left empty makes no 500."""
        world.put(LINK, content)
        assert done(links.read(LINK)) is None

    def test_writing_heals_garbage(self, world, links):
        world.put(LINK, b"")
        done(links.write(LINK, BLOB))
        assert done(links.read(LINK)) == BLOB

    def test_directory_in_its_place_is_no_link(self, world, links):
        world.put(f"{LINK}/x", b"")
        assert done(links.read(LINK)) is None

    def test_removed_link_is_gone(self, links):
        done(links.write(LINK, BLOB))
        done(links.remove(LINK))
        assert done(links.read(LINK)) is None
        with pytest.raises(Missing):
            done(links.remove(LINK))

    def test_store_is_asked_each_time(self, world, links):
        """Another process's delete is seen at once."""
        done(links.write(LINK, BLOB))
        done(links.read(LINK))
        world.delete(LINK)
        assert done(links.read(LINK)) is None


class FindTests:
    def test_blob_is_found_by_two_calls_at_once(self, world, links):
        done(world.blob(b"blob"))
        gate = world.driver.hold("^get_several")
        world.driver.forget()
        task = started(links.find_blob(APP, BLOB))
        digits = BLOB.encoded[:4]
        directory = f"blobs/sha256/{digits[:2]}/{digits}"
        assert world.calls == [
            f"get_several APP/_layers/sha256/{digits}/link {directory}/size",
            f"stat {directory}/data",
        ]
        gate.callback(None)
        assert task.result == Member(BLOB, BLOB, 4)
        assert task.result.data_path == data_path(BLOB)

    def test_digest_alone_opens_nothing(self, world, links):
        """Content that another repository has is not found."""
        done(world.blob(b"blob", OTHER))
        assert done(links.find_blob(APP, BLOB)) is None
        assert done(links.find_blob_to_open(APP, BLOB)) is None

    def test_blob_that_is_opened_is_found_by_its_record(self, world, links):
        """Without one its data are looked at."""
        done(world.blob(b"blob"))
        world.driver.forget()
        assert done(links.find_blob_to_open(APP, BLOB)) == Member(BLOB, BLOB, 4)
        assert [call.split()[0] for call in world.calls] == ["get_several"]
        world.put(size_path(BLOB), b"junk")
        with logged("is garbage; it is ignored"):
            assert done(links.find_blob_to_open(APP, BLOB)) == Member(BLOB, BLOB, 4)
        world.delete(data_path(BLOB))
        assert done(links.find_blob_to_open(APP, BLOB)) is None

    def test_alias_that_is_opened_is_followed(self, world, links):
        done(world.blob(b"blob"))
        alias = Digest.of(b"blob", "sha512")
        done(links.write(blob_link(APP, alias), BLOB))
        assert done(links.find_blob_to_open(APP, alias)) == Member(alias, BLOB, 4)

    def test_manifest_is_no_blob_and_blob_is_no_manifest(self, world, links):
        digest = done(world.image())
        done(world.blob(b"blob"))
        assert done(links.find_blob(APP, digest)) is None
        assert done(links.find_manifest(APP, BLOB)) is None
        assert done(links.find_manifest(APP, digest)).digest == digest

    def test_link_without_data_is_not_found(self, world, links):
        """What an offline collection removed is not said to exist."""
        done(world.blob(b"blob"))
        world.delete(data_path(BLOB))
        assert done(links.find_blob(APP, BLOB)) is None

    def test_data_that_are_a_directory_are_not_found(self, world, links):
        done(links.write(LINK, BLOB))
        world.put(f"{data_path(BLOB)}/x", b"")
        assert done(links.find_blob(APP, BLOB)) is None

    def test_data_that_became_empty_are_not_found(self, world, links):
        """A blob whose bytes were lost is unknown, so that it is pushed again."""
        done(world.blob(b"blob"))
        world.put(data_path(BLOB), b"")
        assert done(links.find_blob(APP, BLOB)) is None

    def test_empty_blob_is_found(self, world, links):
        done(links.write(blob_link(APP, EMPTY_SHA256), EMPTY_SHA256))
        world.put(data_path(EMPTY_SHA256), b"")
        assert done(links.find_blob(APP, EMPTY_SHA256)).size == 0

    def test_alias_is_followed(self, world, links):
        """registry:3 keeps what was pushed as sha512 under its sha256."""
        done(world.blob(b"blob"))
        alias = Digest.of(b"blob", "sha512")
        done(links.write(blob_link(APP, alias), BLOB))
        assert done(links.find_blob(APP, alias)) == Member(alias, BLOB, 4)
        world.delete(data_path(BLOB))
        assert done(links.find_blob(APP, alias)) is None

    @pytest.mark.parametrize("limit", [0, 1 << 20])
    @pytest.mark.parametrize("data", [b"blo", b"blobs", b"another"])
    def test_data_of_another_size_than_recorded_are_not_found(self, world, limit, data):
        """What lost its end is unknown, so that it is pushed again; that heals it."""
        links = Links(world.driver, cache_limit=limit)
        done(world.blob(b"blob"))
        assert world.get(size_path(BLOB)) == b"4"
        world.put(data_path(BLOB), data)
        with logged("were stored; they count as absent"):
            assert done(links.find_blob(APP, BLOB)) is None
        done(world.blob(b"blob"))
        assert done(links.find_blob(APP, BLOB)) == Member(BLOB, BLOB, 4)

    def test_what_another_registry_stored_has_no_record(self, world, links):
        """Adopted data are believed as they stand."""
        done(world.blob(b"blob"))
        world.delete(size_path(BLOB))
        assert done(links.find_blob(APP, BLOB)) == Member(BLOB, BLOB, 4)

    @pytest.mark.parametrize("record", [b"", b"4\n", b"-4", b"four", b"\xb2", b"4" * 21])
    def test_garbage_for_a_record_says_nothing(self, world, links, record):
        """A power cut may empty a record where nothing is synced; the data are not lost for
        that.
        """
        done(world.blob(b"blob"))
        world.put(size_path(BLOB), record)
        with logged("is garbage; it is ignored"):
            assert done(links.find_blob(APP, BLOB)) == Member(BLOB, BLOB, 4)

    def test_record_that_cannot_be_read_is_no_answer(self, world, links):
        """A backend in trouble is not taken for a blob without a record."""
        done(world.blob(b"blob"))
        world.put(size_path(BLOB), bytes(CONTENT_LIMIT + 1))
        with pytest.raises(TooLarge):
            done(links.find_blob(APP, BLOB))

    def test_recorded_size_of_an_alias_is_that_of_its_target(self, world, links):
        done(world.blob(b"blob"))
        alias = Digest.of(b"blob", "sha512")
        done(links.write(blob_link(APP, alias), BLOB))
        world.put(data_path(BLOB), b"bl")
        assert done(links.find_blob(APP, alias)) is None

    def test_alias_of_a_manifest_is_followed(self, world, links):
        digest = done(world.image())
        alias = Digest.of(world.get(data_path(digest)), "sha512")
        done(links.write(manifest_link(APP, alias), digest))
        assert done(links.find_manifest(APP, alias)).target == digest

    def test_link_that_cannot_be_read_is_no_answer(self, world, links):
        """Nor is a link that is there and can't be read."""
        world.put(LINK, bytes(CONTENT_LIMIT + 1))
        with pytest.raises(TooLarge):
            done(links.find_blob(APP, BLOB))

    def test_both_calls_have_ended_when_one_fails(self, world, links):
        done(world.blob(b"blob"))
        world.driver.fail("^stat", Unavailable())
        with pytest.raises(Unavailable):
            done(links.find_blob(APP, BLOB))


class ExclusiveLinksTests:
    def test_store_is_asked_once(self, world, exclusive):
        """With a storage of its own a process believes what it read."""
        world.put(LINK, str(BLOB).encode())
        assert done(exclusive.read(LINK)) == BLOB
        world.driver.forget()
        assert done(exclusive.read(LINK)) == BLOB
        assert world.calls == []

    def test_absence_is_asked_each_time(self, world, exclusive):
        assert done(exclusive.read(LINK)) is None
        world.put(LINK, str(BLOB).encode())
        assert done(exclusive.read(LINK)) == BLOB

    def test_own_changes_are_seen(self, exclusive):
        other = Digest.of(b"other")
        done(exclusive.write(LINK, BLOB))
        assert done(exclusive.read(LINK)) == BLOB
        done(exclusive.write(LINK, other))
        assert done(exclusive.read(LINK)) == other
        done(exclusive.remove(LINK))
        assert done(exclusive.read(LINK)) is None

    @pytest.mark.parametrize("change", ["write", "remove"])
    def test_read_that_a_change_overtook_is_not_believed(self, world, exclusive, change):
        """A slow answer from before a change does not hide the change."""
        other = Digest.of(b"other")
        done(exclusive.write(LINK, BLOB))
        gate = world.driver.hold("^put" if change == "write" else "^delete")
        changing = started(
            exclusive.write(LINK, other) if change == "write" else exclusive.remove(LINK)
        )
        # Read while the change is on its way: the store still has the old link.
        assert done(exclusive.read(LINK)) == BLOB
        gate.callback(None)
        assert changing.called
        assert done(exclusive.read(LINK)) == (other if change == "write" else None)

    def test_change_that_failed_leaves_it_open(self, world, exclusive):
        """Whether a write that failed was done, the store alone knows."""
        done(exclusive.write(LINK, BLOB))
        world.driver.fail("^put", Unavailable())
        with pytest.raises(Unavailable):
            done(exclusive.write(LINK, Digest.of(b"other")))
        world.put(LINK, str(Digest.of(b"other")).encode())
        assert done(exclusive.read(LINK)) == Digest.of(b"other")
