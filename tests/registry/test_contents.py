# SPDX-License-Identifier: Apache-2.0
"""Content from a cache that hosts share."""

import pytest

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code

from ..oci.refusals import refused
from .world import APP, LATEST, World, done

DATA = b"a config"


class Shelf:
    """A shared cache in memory."""

    def __init__(self):
        self.kept = {}
        self.asked = []

    async def get(self, digest):
        self.asked.append(digest)
        return self.kept.get(digest)

    def keep(self, digest, data):
        self.kept[digest] = data


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def world(shelf):
    """Without caches in memory, so that each read goes to the shared one."""
    return World(manifest_cache=0, blob_cache=0, shared_cache=shelf)


class SharedTests:
    def test_what_one_host_read_the_other_need_not(self, world, shelf):
        """The link is asked for each time, the content only once."""
        digest = done(world.blob(DATA))
        blobs = world.registry.blobs
        assert done(blobs.open(APP, digest)).data == DATA
        assert shelf.kept == {digest: DATA}
        world.driver.forget()
        assert done(blobs.open(APP, digest)).data == DATA
        assert not [call for call in world.driver.calls if call.startswith("get ")]

    def test_manifests_too(self, world, shelf):
        manifest = done(world.image())
        assert done(world.registry.manifests.fetch(APP, LATEST)).digest in shelf.kept
        world.driver.forget()
        assert done(world.registry.manifests.fetch(APP, LATEST)).digest == manifest
        assert not [call for call in world.driver.calls if call.startswith("get blobs")]

    def test_deleted_blob_can_not_be_read(self, world, shelf):
        """CVE-2026-35172: a cache that remembers does not give it out."""
        digest = done(world.blob(DATA))
        done(world.registry.blobs.open(APP, digest))
        done(world.registry.blobs.delete(APP, digest))
        assert digest in shelf.kept
        with refused(Code.BLOB_UNKNOWN):
            done(world.registry.blobs.open(APP, digest))

    def test_wrong_content_is_not_believed(self, world, shelf):
        """Whoever can write to the cache can't change what clients get."""
        digest = done(world.blob(DATA))
        shelf.kept[digest] = b"something else"
        assert done(world.registry.blobs.open(APP, digest)).data == DATA
        assert shelf.kept[digest] == DATA

    def test_question_before_a_push_is_never_answered_from_it(self, world, shelf):
        """A cache that outlives the data must not make a client leave out its upload."""
        digest = Digest.of(DATA)
        shelf.kept[digest] = DATA
        with refused(Code.BLOB_UNKNOWN):
            done(world.registry.blobs.stat(APP, digest))
        assert shelf.asked == []


def test_no_shared_cache_is_the_default():
    world = World(manifest_cache=0, blob_cache=0)
    digest = done(world.blob(DATA))
    assert done(world.registry.blobs.open(APP, digest)).data == DATA
