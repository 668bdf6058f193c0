# SPDX-License-Identifier: Apache-2.0
"""What an immutable tag needs is known, however far below it lies."""

from __future__ import annotations

import pytest

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code
from txregistry.oci.media_types import OCI_INDEX
from txregistry.oci.names import Tag
from txregistry.storage.errors import Unavailable

from ..oci.refusals import refused
from .world import APP, LATEST, OTHER, child, done, index

KEPT = Tag("kept")


def is_kept(tag):
    return tag == KEPT


def is_needed(world, reference, repository=APP):
    return done(world.registry.needed.is_needed(repository, reference, is_kept))


@pytest.fixture
def images(world):
    """An image in an index in an index; the outer one is tagged, and tagged to be kept."""
    inner = done(world.image("in the index", None))
    levels = [inner]
    for _ in range(2):
        data = index(child(levels[-1], len(read(world, levels[-1]))))
        done(world.registry.manifests.put(APP, Digest.of(data), OCI_INDEX, data))
        levels.append(Digest.of(data))
    done(world.registry.manifests.put(APP, LATEST, OCI_INDEX, read(world, levels[-1])))
    return levels


def read(world, digest):
    return world.get(f"blobs/sha256/{digest.encoded[:2]}/{digest.encoded}/data")


def keep(world, digest):
    """Tag it as to be kept."""
    media_type = done(world.registry.manifests.fetch(APP, digest)).media_type
    done(world.registry.manifests.put(APP, KEPT, media_type, read(world, digest)))


class NeededTests:
    def test_tag_is_needed_if_it_is_kept(self, world):
        """Also one that is not there: it is not for the caller to find out."""
        assert is_needed(world, KEPT)
        assert not is_needed(world, LATEST)

    def test_all_below_a_kept_tag_is_needed(self, world, images):
        """The manifests of every level, and the blobs of the lowest."""
        keep(world, images[-1])
        for digest in (*images, Digest.of(b"layer"), Digest.of(b"{}")):
            assert is_needed(world, digest)

    def test_what_no_kept_tag_leads_to_is_not_needed(self, world, images):
        """Other tags do not matter, nor does what lies above or beside."""
        other = done(world.image("other"))
        assert not any(is_needed(world, digest) for digest in images)
        keep(world, images[0])
        assert not is_needed(world, images[1])
        assert not is_needed(world, other)

    def test_other_repositories_do_not_count(self, world, images):
        """What is deleted is deleted from one repository."""
        keep(world, images[-1])
        assert not is_needed(world, images[0], OTHER)

    def test_tag_that_points_nowhere_needs_nothing(self, world, images):
        """A broken tag does not forbid everything."""
        keep(world, images[-1])
        world.put("APP/_manifests/tags/kept/current/link", b"")
        assert not is_needed(world, images[0])

    def test_manifest_that_can_not_be_read_hides_what_is_below(self, world, images):
        """What is known to be needed is needed; what lies below a hole can't be known."""
        keep(world, images[-1])
        world.delete(f"blobs/sha256/{images[1].encoded[:2]}/{images[1].encoded}/data")
        registry = world.open()
        needed = registry.needed.is_needed
        assert done(needed(APP, images[1], is_kept))
        assert not done(needed(APP, images[0], is_kept))

    def test_index_that_is_met_again_is_passed_over(self, world, images):
        """Many tags may share what they need; each is looked at once."""
        keep(world, images[-1])
        for name in ("a", "b", "c"):
            done(world.registry.manifests.put(APP, Tag(name), OCI_INDEX, read(world, images[-1])))
        registry = world.open()
        world.driver.forget()
        everything = done(registry.needed.is_needed(APP, Digest.of(b"no"), lambda tag: True))
        assert not everything
        reads = [call for call in world.calls if images[1].encoded[:4] in call]
        assert len(reads) == len(set(reads))

    def test_storage_that_is_away_does_not_mean_no(self, world, images):
        """Nothing is deleted on a guess."""
        world.driver.fail("list APP/_manifests/tags", Unavailable("away"))
        with refused(Code.UNAVAILABLE):
            is_needed(world, images[0])
