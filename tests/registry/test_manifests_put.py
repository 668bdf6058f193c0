# SPDX-License-Identifier: Apache-2.0
"""Manifests that are pushed: what is asked for, what is refused, in which order it is written."""

from __future__ import annotations

import json

import pytest
from twisted.internet.defer import CancelledError

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code, OciError
from txregistry.oci.manifests import MANIFEST_LIMIT
from txregistry.oci.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from txregistry.oci.names import Tag
from txregistry.registry import Action, Event, PutResult
from txregistry.registry.manifests import SYNC_BATCH
from txregistry.registry.references import REPORT_LIMIT
from txregistry.storage.errors import NoSpace, Unavailable

from ..oci.refusals import refused
from .world import APP, LATEST, OTHER, World, child, descriptor, done, image, index, short, started

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
FOREIGN_TYPE = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


@pytest.fixture
def manifests(world):
    return world.registry.manifests


@pytest.fixture
def blobs(world):
    """The blobs that an image needs."""
    done(world.blob(b"{}"))
    done(world.blob(b"layer"))
    world.driver.forget()
    world.witness.__init__()


def put(world, data, reference=LATEST, content_type=OCI_MANIFEST, tags=(), repository=APP):
    return done(world.registry.manifests.put(repository, reference, content_type, data, tags=tags))


def writes(world):
    return [call for call in world.calls if call.split()[0] in ("put", "delete", "sync")]


def assert_nothing_written(world):
    assert writes(world) == [] and not world.has("APP/_manifests")


class PutTests:
    def test_manifest_is_pushed_by_tag(self, world, blobs):
        data = image()
        digest = Digest.of(data)
        assert put(world, data) == PutResult(digest, None, ())
        assert world.get(f"blobs/sha256/{digest.encoded[:2]}/{digest.encoded}/data") == data
        text = str(digest).encode()
        assert world.get(f"APP/_manifests/revisions/sha256/{digest.encoded}/link") == text
        assert world.get(f"APP/_manifests/tags/latest/index/sha256/{digest.encoded}/link") == text
        assert world.get("APP/_manifests/tags/latest/current/link") == text

    def test_order_of_writes(self, world, blobs):
        """What is pointed at before what points at it: a crash leaves nothing that dangles."""
        subject = Digest.of(b"subject")
        data = image(subject={"mediaType": OCI_MANIFEST, "digest": str(subject), "size": 7})
        result = put(world, data)
        digits = result.digest.encoded[:4]
        assert result.subject == subject
        assert writes(world) == [
            f"put blobs/sha256/{digits[:2]}/{digits}/data",
            f"put APP/_manifests/referrers/sha256/{subject.encoded[:4]}/sha256/{digits}/descriptor",
            f"put APP/_manifests/revisions/sha256/{digits}/link",
            f"put APP/_manifests/tags/latest/index/sha256/{digits}/link",
            "put APP/_manifests/tags/latest/current/link",
        ]

    def test_calls(self, world, blobs):
        """Two for each reference, all at once, and then the writes."""
        gate = world.driver.hold("^get")
        task = started(world.registry.manifests.put(APP, LATEST, OCI_MANIFEST, image()))
        assert len(world.calls) == 4
        gate.callback(None)
        assert task.called and len(world.calls) == 8

    def test_by_digest_makes_no_tag(self, world, blobs):
        data = image()
        assert put(world, data, Digest.of(data)).tags == ()
        assert len(writes(world)) == 2 and not world.has("APP/_manifests/tags")

    def test_sha512_by_digest(self, world, blobs):
        """What is pushed as sha512 is kept and answered as sha512."""
        data = image()
        digest = Digest.of(data, "sha512")
        assert put(world, data, digest).digest == digest
        assert world.get(f"blobs/sha512/{digest.encoded[:2]}/{digest.encoded}/data") == data
        assert done(world.registry.manifests.fetch(APP, digest)).data == data

    def test_with_tags(self, world, blobs):
        """One request may make many tags; each is named once."""
        data = image()
        tags = tuple(Tag(f"t{number}") for number in range(40))
        result = put(world, data, Digest.of(data), tags=(*tags, tags[0]))
        assert result.tags == tags
        for tag in tags:
            assert done(world.registry.manifests.fetch(APP, tag)).data == data
        pushed = [event.tag for event in world.witness.events if event.action is Action.PUSH]
        assert pushed == list(tags)

    def test_by_tag_with_tags(self, world, blobs):
        assert put(world, image(), tags=(LATEST, Tag("v1"))).tags == (LATEST, Tag("v1"))
        assert writes(world).count("put APP/_manifests/tags/latest/current/link") == 1
        assert world.has("APP/_manifests/tags/v1/current/link")

    def test_tag_moves(self, world, blobs):
        """The last push wins; what it pointed at before stays, and so does its history."""
        first, second = image("1"), image("2")
        put(world, first)
        put(world, second)
        assert done(world.registry.manifests.fetch(APP, LATEST)).data == second
        assert done(world.registry.manifests.fetch(APP, Digest.of(first))).data == first
        assert world.has(f"APP/_manifests/tags/latest/index/sha256/{Digest.of(first).encoded}/link")

    def test_observer_is_told_before_the_answer(self, world, blobs):
        data = image()
        put(world, data)
        assert world.witness.told_of == [("lib/app", Digest.of(data))]
        assert world.witness.events == [
            Event(Action.PUSH, APP, Digest.of(data), OCI_MANIFEST, len(data), LATEST)
        ]

    def test_event_of_a_push_without_a_tag(self, world, blobs):
        data = image()
        put(world, data, Digest.of(data))
        assert [event.tag for event in world.witness.events] == [None]

    def test_bytes_are_kept(self, world, blobs):
        """Not a space of a manifest is changed."""
        data = b" \n" + image() + b"\n\n"
        put(world, data)
        assert done(world.registry.manifests.fetch(APP, LATEST)).data == data

    def test_push_heals_corrupt_content(self, world, blobs):
        data = image()
        digest = put(world, data).digest
        path = f"blobs/sha256/{digest.encoded[:2]}/{digest.encoded}/data"
        for garbage in (b"", b"x" * len(data)):
            world.put(path, garbage)
            put(world, data)
            assert world.get(path) == data

    def test_large_manifest(self, world, blobs):
        data = image("x" * (MANIFEST_LIMIT - len(image())))
        assert len(data) == MANIFEST_LIMIT
        put(world, data)
        assert done(world.registry.manifests.fetch(APP, LATEST)).data == data

    def test_departed_client_stops_nothing(self, world, manifests, blobs):
        gate = world.driver.hold("^put .*revisions")
        task = started(manifests.put(APP, LATEST, OCI_MANIFEST, image()))
        task.cancel()
        assert task.result.check(CancelledError)
        task.addErrback(lambda _: None)
        gate.callback(None)
        done(world.registry.settled())
        assert done(manifests.fetch(APP, LATEST)).data == image()

    @pytest.mark.parametrize(
        "call", ["^put blobs", "^put .*revisions", "^put .*index", "^put .*current"]
    )
    def test_failing_driver_leaves_no_half_tag(self, world, manifests, blobs, call):
        """The tag shows its old content or its new one."""
        put(world, image("1"))
        world.driver.fail(call, NoSpace())
        with refused(Code.UNAVAILABLE):
            put(world, image("2"))
        assert done(manifests.fetch(APP, LATEST)).data == image("1")
        put(world, image("2"))
        assert done(manifests.fetch(APP, LATEST)).data == image("2")

    def test_references_are_synced_where_a_commit_does_not(self):
        world = World(sync_references=True)
        done(world.blob(b"{}"))
        layer = done(world.blob(b"layer"))
        world.driver.forget()
        put(world, image())
        directory = short(world.path(f"blobs/sha256/{layer.encoded[:2]}/{layer.encoded}"))
        assert writes(world)[0].startswith("sync ")
        assert writes(world)[0].endswith(f" {directory}/data {directory}")

    def test_many_references_are_synced_in_batches(self):
        """What one call to a driver may hold is bounded."""
        world = World(sync_references=True)
        done(world.blob(b"{}"))
        layers = [str(number).encode() for number in range(SYNC_BATCH)]
        for layer in layers:
            done(world.blob(layer))
        put(world, image(layers=[descriptor(LAYER_TYPE, layer) for layer in layers]))
        synced = [call.split()[1:] for call in world.calls if call.startswith("sync")]
        assert [len(one) for one in synced] == [2 * SYNC_BATCH, 2]

    def test_nothing_to_sync(self):
        world = World(sync_references=True)
        put(world, index(), content_type=OCI_INDEX)
        assert not any(call.startswith("sync") for call in world.calls)


class RefusedTests:
    def test_too_large(self, world, blobs):
        with refused(Code.MANIFEST_INVALID) as caught:
            put(world, image("x" * MANIFEST_LIMIT))
        assert caught.value.too_large
        assert_nothing_written(world)

    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    def test_other_digest(self, world, blobs, algorithm):
        with refused(Code.DIGEST_INVALID):
            put(world, image("1"), Digest.of(image("2"), algorithm))
        assert_nothing_written(world)

    @pytest.mark.parametrize("data", [b"", b"{", b"null", b"[]", b"{}"])
    def test_no_manifest(self, world, blobs, data):
        with refused(Code.MANIFEST_INVALID):
            put(world, data)
        assert_nothing_written(world)

    def test_other_type(self, world, blobs):
        with refused(Code.MANIFEST_INVALID):
            put(world, image(), content_type=DOCKER_MANIFEST)

    def test_every_missing_blob_is_named(self, world):
        with refused(Code.MANIFEST_BLOB_UNKNOWN) as caught:
            put(world, image())
        assert [error.detail for error in caught.value.errors] == [
            str(Digest.of(b"{}")),
            str(Digest.of(b"layer")),
        ]
        assert_nothing_written(world)

    def test_one_missing_blob(self, world):
        done(world.blob(b"{}"))
        world.driver.forget()
        with refused(Code.MANIFEST_BLOB_UNKNOWN) as caught:
            put(world, image())
        assert caught.value.detail == str(Digest.of(b"layer"))
        assert_nothing_written(world)

    def test_blob_of_another_repository(self, world):
        """That the bytes are somewhere in the storage is not enough."""
        done(world.blob(b"{}", OTHER))
        done(world.blob(b"layer", OTHER))
        with refused(Code.MANIFEST_BLOB_UNKNOWN):
            put(world, image())

    def test_blob_whose_data_are_gone(self, world, blobs):
        digest = Digest.of(b"layer")
        world.delete(f"blobs/sha256/{digest.encoded[:2]}/{digest.encoded}/data")
        with refused(Code.MANIFEST_BLOB_UNKNOWN):
            put(world, image())

    @pytest.mark.parametrize("size", [0, 4, 6, 2**40])
    def test_size_that_is_not_the_blob_s(self, world, blobs, size):
        with refused(Code.MANIFEST_INVALID) as caught:
            put(world, image(layers=[descriptor(LAYER_TYPE, b"layer", size=size)]))
        assert "5 bytes" in caught.value.detail
        assert_nothing_written(world)

    def test_missing_ones_come_before_wrong_sizes(self, world, blobs):
        layers = [descriptor(LAYER_TYPE, b"layer", size=4), descriptor(LAYER_TYPE, b"none")]
        with refused(Code.MANIFEST_BLOB_UNKNOWN) as caught:
            put(world, image(layers=layers))
        assert [error.code for error in caught.value.errors] == [
            Code.MANIFEST_BLOB_UNKNOWN,
            Code.MANIFEST_INVALID,
        ]

    def test_report_is_bounded(self, world):
        layers = [
            descriptor(LAYER_TYPE, str(number).encode()) for number in range(REPORT_LIMIT + 10)
        ]
        with refused(Code.MANIFEST_BLOB_UNKNOWN) as caught:
            put(world, image(layers=layers))
        assert len(caught.value.errors) == REPORT_LIMIT

    def test_backend_that_is_away(self, world, blobs):
        """Not knowing is not the same as not being there."""
        world.driver.fail("^stat", Unavailable())
        with refused(Code.UNAVAILABLE):
            put(world, image())
        assert_nothing_written(world)


class ReferencesTests:
    def test_same_layer_twice_is_looked_for_once(self, world, blobs):
        put(world, image(layers=[descriptor(LAYER_TYPE, b"layer")] * 5))
        assert len([call for call in world.calls if call.startswith("stat")]) == 2

    def test_layer_that_lives_elsewhere_is_not_looked_for(self, world, blobs):
        layer = descriptor(FOREIGN_TYPE, b"foreign", urls=["http://169.254.169.254/"])
        put(world, image(layers=[layer]))

    def test_blob_under_an_alias(self, world, blobs):
        alias = Digest.of(b"layer", "sha512")
        world.put(f"APP/_layers/sha512/{alias.encoded}/link", str(Digest.of(b"layer")).encode())
        put(world, image(layers=[descriptor(LAYER_TYPE, b"layer", digest=str(alias))]))

    def test_subject_need_not_exist(self, world, blobs):
        subject = descriptor(OCI_MANIFEST, b"nowhere")
        assert put(world, image(subject=subject)).subject == Digest.of(b"nowhere")

    def test_index_of_children(self, world):
        digest = done(world.image())
        data = index(child(digest, len(image())))
        put(world, data, Tag("multi"), OCI_INDEX)
        nested = index(child(Digest.of(data), len(data), OCI_INDEX))
        put(world, nested, Tag("nested"), OCI_INDEX)
        assert done(world.registry.manifests.fetch(APP, Tag("nested"))).media_type == OCI_INDEX

    def test_child_must_be_a_manifest_of_the_repository(self, world):
        digest = done(world.image(repository=OTHER))
        done(world.blob(image()))  # the same bytes, but as a blob
        with refused(Code.MANIFEST_BLOB_UNKNOWN):
            put(world, index(child(digest, len(image()))), content_type=OCI_INDEX)

    def test_child_of_another_size(self, world):
        digest = done(world.image())
        with refused(Code.MANIFEST_INVALID):
            put(world, index(child(digest, 1)), content_type=OCI_INDEX)

    def test_build_cache_lists_blobs(self, world, blobs):
        """A descriptor in an index whose type is none of a manifest is looked for among the
        blobs.
        """
        put(world, index(descriptor(LAYER_TYPE, b"layer")), content_type=OCI_INDEX)
        with refused(Code.MANIFEST_BLOB_UNKNOWN):
            put(world, index(descriptor(LAYER_TYPE, b"none")), content_type=OCI_INDEX)

    def test_sparse_index_is_refused(self, world):
        done(world.image())
        with refused(Code.MANIFEST_BLOB_UNKNOWN) as caught:
            put(
                world,
                index(child(Digest.of(b"1"), 1), child(Digest.of(b"2"), 1)),
                content_type=OCI_INDEX,
            )
        assert len(caught.value.errors) == 2

    def test_sparse_index_where_it_is_allowed(self):
        world = World(allow_sparse_indexes=True)
        digest = done(world.image())
        put(
            world,
            index(child(digest, len(image())), child(Digest.of(b"1"), 1)),
            content_type=OCI_INDEX,
        )
        with refused(Code.MANIFEST_INVALID):
            put(world, index(child(digest, 1)), content_type=OCI_INDEX)

    def test_document_without_references(self, world):
        put(world, index(), content_type=OCI_INDEX)
        assert json.loads(done(world.registry.manifests.fetch(APP, LATEST)).data)["manifests"] == []


class CheckedTagTests:
    """Tags that may not be made, or not be changed."""

    def check(self, world, seen, forbidden=()):
        def check(tag, is_there):
            seen.append((tag.text, is_there))
            if (tag.text, is_there) in forbidden:
                raise OciError(Code.DENIED)

        return check

    def put(self, world, data, check, tags=(), reference=LATEST):
        return done(
            world.registry.manifests.put(
                APP, reference, OCI_MANIFEST, data, tags=tags, check_tag=check
            )
        )

    def test_check_is_told_what_would_change(self, world, blobs):
        """A tag that is made, one that comes to point elsewhere; not one that stays."""
        put(world, image("old"))
        seen = []
        check = self.check(world, seen)
        self.put(world, image("new"), check, (Tag("fresh"),))
        assert seen == [("latest", True), ("fresh", False)]
        seen.clear()
        self.put(world, image("new"), check, (Tag("fresh"),))
        assert seen == []

    @pytest.mark.parametrize("forbidden", [("latest", True), ("fresh", False)])
    def test_one_forbidden_tag_forbids_all(self, world, blobs, forbidden):
        """Nothing is written then."""
        digest = put(world, image("old")).digest
        world.driver.forget()
        check = self.check(world, [], (forbidden,))
        with refused(Code.DENIED):
            self.put(world, image("new"), check, (Tag("fresh"),))
        assert writes(world) == []
        assert done(world.registry.manifests.fetch(APP, LATEST)).digest == digest

    def test_tag_that_another_made_meanwhile_is_checked_again(self, world, blobs):
        """Two pushes of one tag: who comes second may not change it."""
        other = put(world, image("other"), Tag("other")).digest
        gate = world.driver.hold("put APP/_manifests/tags/latest/index")
        check = self.check(world, seen := [], (("latest", True),))
        pushing = started(
            world.registry.manifests.put(APP, LATEST, OCI_MANIFEST, image("mine"), check_tag=check)
        )
        world.put("APP/_manifests/tags/latest/current/link", str(other).encode())
        failures = []
        pushing.addErrback(lambda failure: failures.append(failure.value))
        gate.callback(None)
        assert [failure.code for failure in failures] == [Code.DENIED]
        assert seen == [("latest", False), ("latest", True)]
        assert done(world.registry.manifests.fetch(APP, LATEST)).digest == other

    def test_tag_that_another_made_meanwhile_may_be_the_same(self, world, blobs):
        """A push that is repeated while the first still runs changes nothing, and is no change."""
        digest = Digest.of(image("mine"))
        gate = world.driver.hold("put APP/_manifests/tags/latest/index")
        check = self.check(world, seen := [], (("latest", True),))
        pushing = started(
            world.registry.manifests.put(APP, LATEST, OCI_MANIFEST, image("mine"), check_tag=check)
        )
        world.put("APP/_manifests/tags/latest/current/link", str(digest).encode())
        gate.callback(None)
        results = []
        pushing.addCallback(results.append)
        assert [result.digest for result in results] == [digest]
        assert seen == [("latest", False)]

    def test_tag_that_another_made_meanwhile_may_be_changed_where_that_is_allowed(
        self, world, blobs
    ):
        """The last one counts, as without any check."""
        other = put(world, image("other"), Tag("other")).digest
        gate = world.driver.hold("put APP/_manifests/tags/latest/index")
        check = self.check(world, seen := [])
        pushing = started(
            world.registry.manifests.put(APP, LATEST, OCI_MANIFEST, image("mine"), check_tag=check)
        )
        world.put("APP/_manifests/tags/latest/current/link", str(other).encode())
        gate.callback(None)
        assert pushing.called
        assert seen == [("latest", False), ("latest", True)]
        assert done(world.registry.manifests.fetch(APP, LATEST)).digest == Digest.of(image("mine"))
