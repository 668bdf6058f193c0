# SPDX-License-Identifier: Apache-2.0
"""Blobs: asked for, read, mounted, deleted."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError

from txregistry.oci.digests import EMPTY_SHA256, Digest
from txregistry.oci.errors import Code
from txregistry.registry import Action, Event
from txregistry.registry.blobs import SMALL
from txregistry.registry.size_records import size_path
from txregistry.storage.contract import CONTENT_LIMIT
from txregistry.storage.errors import Closed, Denied, Missing, Unavailable

from ..oci.refusals import refused
from .world import APP, OTHER, World, done, short, started

BLOB = Digest.of(b"blob")
LARGE = b"x" * (SMALL + 1)
TYPE = "application/octet-stream"


def data_path(digest):
    return f"blobs/{digest.algorithm}/{digest.encoded[:2]}/{digest.encoded}/data"


def link_path(digest, repository="APP"):
    return f"{repository}/_layers/{digest.algorithm}/{digest.encoded}/link"


def called(world):
    return [call.split()[0] for call in world.calls]


@pytest.fixture
def blobs(world):
    return world.registry.blobs


@pytest.fixture
def blob(world):
    """A small blob of the repository."""
    digest = done(world.blob(b"blob"))
    world.driver.forget()
    world.witness.__init__()
    return digest


async def read(content, start, stop):
    reading = await content.read(start, stop)
    try:
        return b"".join([chunk async for chunk in reading])
    finally:
        await reading.aclose()


class StatTests:
    def test_size_is_told(self, world, blobs, blob):
        assert done(blobs.stat(APP, blob)) == 4
        assert called(world) == ["get_several", "stat"]
        assert world.witness.told_of == [("lib/app", blob)]
        assert world.witness.events == [Event(Action.PULL, APP, blob, TYPE, 4)]

    def test_unknown_blob(self, world, blobs):
        with refused(Code.BLOB_UNKNOWN) as caught:
            done(blobs.stat(APP, BLOB))
        assert caught.value.detail == str(BLOB)
        assert world.witness.told_of == []

    def test_existence_is_never_told_from_memory(self, world, blobs, blob):
        """A client that is told of a blob skips its upload, so the store is asked each time."""
        done(blobs.open(APP, blob))
        world.delete(data_path(blob))
        with refused(Code.BLOB_UNKNOWN):
            done(blobs.stat(APP, blob))

    def test_blob_of_another_repository_is_unknown(self, blobs, blob):
        for ask in (blobs.stat, blobs.open):
            with refused(Code.BLOB_UNKNOWN):
                done(ask(OTHER, blob))

    def test_manifest_is_no_blob(self, world, blobs):
        digest = done(world.image())
        for ask in (blobs.stat, blobs.open):
            with refused(Code.BLOB_UNKNOWN):
                done(ask(APP, digest))

    def test_backend_that_is_away(self, world, blobs, blob):
        world.driver.fail("^stat", Unavailable())
        with refused(Code.UNAVAILABLE):
            done(blobs.stat(APP, blob))


class OpenTests:
    def test_small_blob_is_given_whole(self, world, blobs, blob):
        content = done(blobs.open(APP, blob))
        assert (content.digest, content.size, content.data) == (blob, 4, b"blob")
        assert called(world) == ["get_several", "get"]
        assert world.witness.told_of == [("lib/app", blob)]
        assert world.witness.events == [Event(Action.PULL, APP, blob, TYPE, 4)]

    def test_second_time_costs_one_call(self, world, blobs, blob):
        done(blobs.open(APP, blob))
        world.driver.forget()
        assert done(blobs.open(APP, blob)).data == b"blob"
        assert called(world) == ["get"]

    def test_membership_is_asked_though_content_is_at_hand(self, world, blobs, blob):
        """Deleted in one repository and warm through another, it is gone from the first."""
        done(world.blob(b"blob", OTHER))
        done(blobs.open(OTHER, blob))
        done(world.open().blobs.delete(APP, blob))
        with refused(Code.BLOB_UNKNOWN):
            done(blobs.open(APP, blob))
        assert done(blobs.open(OTHER, blob)).data == b"blob"

    def test_small_blob_can_be_read_in_part(self, blobs, blob):
        assert done(read(done(blobs.open(APP, blob)), 1, 3)) == b"lo"

    def test_large_blob_is_read(self, world, blobs):
        digest = done(world.blob(LARGE))
        content = done(blobs.open(APP, digest))
        assert content.data is None and content.size == len(LARGE)
        assert done(read(content, 0, content.size)) == LARGE
        assert done(read(content, content.size - 1, content.size)) == b"x"

    def test_large_blob_is_looked_at_by_its_read(self, world, blobs):
        """One call finds it; it is a pull, one, when its data turn out to be there."""
        digest = done(world.blob(LARGE))
        world.driver.forget()
        world.witness.__init__()
        content = done(blobs.open(APP, digest))
        assert called(world) == ["get_several"]
        assert world.witness.events == []
        done(read(content, 0, 1))
        done(read(content, 5, 6))
        assert called(world) == ["get_several", "read", "read"]
        assert world.witness.told_of == [("lib/app", digest)]
        assert world.witness.events == [Event(Action.PULL, APP, digest, TYPE, len(LARGE))]

    def test_large_blob_whose_data_are_gone_is_unknown(self, world, blobs):
        """What an offline collection removed is not promised, and is no pull."""
        digest = done(world.blob(LARGE))
        world.delete(data_path(digest))
        world.witness.__init__()
        content = done(blobs.open(APP, digest))
        with refused(Code.BLOB_UNKNOWN):
            done(content.read(0, content.size))
        assert (world.witness.told_of, world.witness.events) == ([], [])

    def test_blob_without_a_recorded_size_is_looked_at(self, world, blobs):
        """What another registry stored is believed as it stands."""
        digest = done(world.blob(LARGE))
        world.delete(size_path(digest))
        world.driver.forget()
        content = done(blobs.open(APP, digest))
        assert called(world) == ["get_several", "stat"]
        assert done(read(content, 0, content.size)) == LARGE

    def test_data_that_are_no_longer_small_are_unknown(self, world, blobs, blob):
        """The record says so, and they are more than is ever read whole."""
        world.put(data_path(blob), bytes(CONTENT_LIMIT + 1))
        with refused(Code.BLOB_UNKNOWN):
            done(blobs.open(APP, blob))

    def test_read_is_closed_if_nobody_can_be_told(self, world, blobs):
        """A driver's descriptor is not left to the garbage collection."""
        digest = done(world.blob(LARGE))
        content = done(blobs.open(APP, digest))
        readings = []

        async def fail(event):
            raise Unavailable()

        async def remember(path, start, stop, read=world.driver.read):
            readings.append(await read(path, start, stop))
            return readings[-1]

        world.driver.read = remember
        world.witness.happened = fail
        with refused(Code.UNAVAILABLE):
            done(content.read(0, 1))
        with pytest.raises(Closed):
            done(anext(readings[0]))

    def test_empty_blob(self, world, blobs):
        done(world.blob(b""))
        assert done(blobs.open(APP, EMPTY_SHA256)).data == b""
        assert done(blobs.open(APP, EMPTY_SHA256)).size == 0

    def test_corrupt_small_blob_is_unknown(self, world, blobs, blob):
        """No 200 with other bytes; a client that pushes it again heals it."""
        world.put(data_path(blob), b"bl0b")
        with refused(Code.BLOB_UNKNOWN):
            done(blobs.open(APP, blob))
        done(world.blob(b"blob"))
        assert done(blobs.open(APP, blob)).data == b"blob"

    def test_blob_that_goes_in_between(self, world, blobs, blob):
        world.driver.fail("^get blobs", Missing())
        with refused(Code.BLOB_UNKNOWN):
            done(blobs.open(APP, blob))

    def test_blob_that_goes_before_it_is_read(self, world, blobs, blob):
        content = done(blobs.open(APP, blob))
        world.delete(data_path(blob))
        with refused(Code.BLOB_UNKNOWN):
            done(content.read(0, 4))

    @pytest.mark.parametrize("start", [0, 10])
    def test_blob_that_changes_before_it_is_read(self, world, blobs, start):
        """The promised length can't be kept, so there is an error before the first byte."""
        digest = done(world.blob(LARGE))
        content = done(blobs.open(APP, digest))
        world.put(data_path(digest), b"short")
        with refused(Code.BLOB_UNKNOWN):
            done(content.read(start, start + 4))

    def test_alias_of_another_registry(self, world, blobs, blob):
        """A sha512 link that holds a sha256 digest; the answer names what was asked for."""
        alias = Digest.of(b"blob", "sha512")
        world.put(link_path(alias), str(blob).encode())
        for _ in range(2):
            content = done(blobs.open(APP, alias))
            assert (content.digest, content.data) == (alias, b"blob")
            assert done(read(content, 0, 2)) == b"bl"
        assert done(blobs.stat(APP, alias)) == 4

    def test_without_a_cache(self):
        world = World(blob_cache=0)
        digest = done(world.blob(b"blob"))
        for _ in range(2):
            assert done(world.registry.blobs.open(APP, digest)).data == b"blob"

    def test_exclusive_storage_is_not_asked_again(self):
        world = World(exclusive=True)
        digest = done(world.blob(b"blob"))
        done(world.registry.blobs.open(APP, digest))
        world.driver.forget()
        done(world.registry.blobs.open(APP, digest))
        assert world.calls == []
        done(world.registry.blobs.delete(APP, digest))
        with refused(Code.BLOB_UNKNOWN):
            done(world.registry.blobs.open(APP, digest))


class DeleteTests:
    def test_deleted_blob_is_unknown(self, world, blobs, blob):
        done(blobs.delete(APP, blob))
        assert called(world) == ["get", "delete"]
        assert world.witness.events == [Event(Action.DELETE, APP, blob)]
        for ask in (blobs.stat, blobs.open, blobs.delete):
            with refused(Code.BLOB_UNKNOWN):
                done(ask(APP, blob))

    def test_other_repositories_keep_it(self, world, blobs, blob):
        done(world.blob(b"blob", OTHER))
        done(blobs.delete(APP, blob))
        assert done(blobs.stat(OTHER, blob)) == 4

    def test_what_another_registry_left_behind_is_no_blob(self, world, blobs):
        """It leaves the directory of a deleted link."""
        world.put(f"APP/_layers/sha256/{BLOB.encoded}/x", b"")
        with refused(Code.BLOB_UNKNOWN):
            done(blobs.delete(APP, BLOB))

    def test_two_at_once(self, world, blobs, blob):
        gate = world.driver.hold("^delete")
        slow = started(blobs.delete(APP, blob))
        done(blobs.delete(APP, blob))
        gate.callback(None)
        with refused(Code.BLOB_UNKNOWN):
            slow.result.raiseException()
        slow.addErrback(lambda _: None)

    def test_departed_client_stops_nothing(self, world, blobs, blob):
        gate = world.driver.hold("^delete")
        task = started(blobs.delete(APP, blob))
        task.cancel()
        assert task.result.check(CancelledError)
        task.addErrback(lambda _: None)
        gate.callback(None)
        assert not world.has(link_path(blob))


class MountTests:
    @pytest.fixture
    def blob(self, world):
        digest = done(world.blob(b"blob", OTHER))
        world.driver.forget()
        world.witness.__init__()
        return digest

    def mount(self, blobs, digest, source=OTHER, *, may_read=True):
        return done(blobs.mount(APP, digest, source, may_read=lambda _: may_read))

    def test_blob_is_mounted_by_a_link(self, world, blobs, blob):
        assert self.mount(blobs, blob)
        assert called(world) == ["get_several", "stat", "put"]
        assert done(blobs.open(APP, blob)).data == b"blob"
        assert world.witness.told_of[0] == ("lib/app", blob)
        assert world.witness.events[0] == Event(Action.MOUNT, APP, blob, TYPE, 4, source=OTHER)

    def test_right_on_the_source_is_needed(self, world, blobs, blob):
        """Nothing is asked, so nothing can be learnt."""
        assert not self.mount(blobs, blob, may_read=False)
        assert world.calls == [] and not world.has("APP")

    def test_right_is_asked_for_the_source(self, blobs, blob):
        asked = []
        done(blobs.mount(APP, blob, OTHER, may_read=lambda name: asked.append(name) or True))
        assert asked == [OTHER]

    def test_source_that_lacks_it(self, world, blobs):
        assert not self.mount(blobs, BLOB)
        assert world.witness.told_of == []

    def test_source_whose_data_are_gone(self, world, blobs, blob):
        world.delete(data_path(blob))
        assert not self.mount(blobs, blob)

    def test_without_a_source_only_what_is_here_counts(self, world, blobs, blob):
        assert not self.mount(blobs, blob, None)
        assert self.mount(blobs, blob, OTHER)
        world.driver.forget()
        assert self.mount(blobs, blob, None)
        assert called(world) == ["get_several", "stat"]

    def test_from_itself(self, world, blobs, blob):
        self.mount(blobs, blob)
        world.driver.forget()
        assert self.mount(blobs, blob, APP)
        assert called(world) == ["get_several", "stat"]

    def test_alias_is_mounted_as_one(self, world, blobs, blob):
        alias = Digest.of(b"blob", "sha512")
        world.put(link_path(alias, "OTHER"), str(blob).encode())
        assert self.mount(blobs, alias)
        assert world.get(link_path(alias)) == str(blob).encode()

    def test_backend_that_refuses(self, world, blobs, blob):
        world.driver.fail("^put", Denied("secret"))
        with refused(Code.UNKNOWN):
            self.mount(blobs, blob)

    def test_departed_client_stops_nothing(self, world, blobs, blob):
        gate = world.driver.hold("^put")
        task = started(blobs.mount(APP, blob, OTHER, may_read=lambda _: True))
        task.cancel()
        task.addErrback(lambda _: None)
        gate.callback(None)
        assert world.has(link_path(blob))


class RedirectTests:
    @pytest.fixture
    def world(self):
        world = World(redirect_seconds=1200)

        def redirect_url(path, method, seconds):
            return (
                None if "sha512" in path else f"https://store{short(path)[-5:]}?{method}&{seconds}"
            )

        world.store.redirect_url = redirect_url
        return world

    def test_client_is_sent_away(self, world, blobs, blob):
        assert done(blobs.redirect(APP, blob, "HEAD")) == "https://store/data?HEAD&1200"
        assert called(world) == ["redirect_url", "get_several", "stat"]
        assert world.witness.told_of == [("lib/app", blob)]
        assert len(world.witness.events) == 1

    def test_only_to_what_the_repository_has(self, world, blobs, blob):
        with refused(Code.BLOB_UNKNOWN):
            done(blobs.redirect(OTHER, blob, "GET"))
        assert world.witness.told_of == []

    def test_alias_is_sent_to_its_data(self, world, blobs, blob):
        alias = Digest.of(b"under another name")
        world.put(f"APP/_layers/sha256/{alias.encoded}/link", str(blob).encode())
        world.store.redirect_url = lambda path, method, seconds: f"https://store/{short(path)}"
        digits = blob.encoded[:4]
        where = f"https://store/blobs/sha256/{digits[:2]}/{digits}/data"
        assert done(blobs.redirect(APP, alias, "GET")) == where

    def test_driver_without_a_url(self, world, blobs):
        digest = done(world.blob(b"blob", algorithm="sha512"))
        world.witness.__init__()
        assert done(blobs.redirect(APP, digest, "GET")) is None
        assert world.witness.told_of == []

    def test_nobody_is_sent_away_unless_configured(self):
        world = World()
        digest = done(world.blob(b"blob"))
        world.driver.forget()
        assert done(world.registry.blobs.redirect(APP, digest, "GET")) is None
        assert world.calls == []
