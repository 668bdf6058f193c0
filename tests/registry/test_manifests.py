# SPDX-License-Identifier: Apache-2.0
"""Manifests that are fetched and deleted."""

from __future__ import annotations

import json

import pytest
from twisted.internet.defer import CancelledError

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code
from txregistry.oci.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from txregistry.oci.names import Tag
from txregistry.oci.pages import PageRequest
from txregistry.registry import Action, Event
from txregistry.storage.errors import Corrupt, TooLarge, Unavailable

from ..oci.refusals import refused
from .world import APP, LATEST, OTHER, World, child, done, image, index, started


@pytest.fixture
def manifests(world):
    return world.registry.manifests


@pytest.fixture
def pushed(world):
    """An image under ``latest``; nothing of it is cached."""
    digest = done(world.image())
    world.registry = world.open()
    world.driver.forget()
    world.witness.__init__()
    return digest


def fetch(world, reference, repository=APP):
    return done(world.registry.manifests.fetch(repository, reference))


def delete(world, reference, repository=APP):
    done(world.registry.manifests.delete(repository, reference))


def tags(world, repository=APP):
    return list(done(world.registry.tags.page(repository, PageRequest(None))).names)


def data_path(digest):
    return f"blobs/{digest.algorithm}/{digest.encoded[:2]}/{digest.encoded}/data"


def link_path(digest):
    return f"APP/_manifests/revisions/{digest.algorithm}/{digest.encoded}/link"


TAG_LINK = "APP/_manifests/tags/latest/current/link"


class FetchTests:
    def test_by_tag(self, world, pushed):
        found = fetch(world, LATEST)
        assert (found.digest, found.media_type, found.data) == (pushed, OCI_MANIFEST, image())
        digits = pushed.encoded[:4]
        assert world.calls == [
            "get APP/_manifests/tags/latest/current/link",
            f"get APP/_manifests/revisions/sha256/{digits}/link",
            f"get blobs/sha256/{digits[:2]}/{digits}/data",
        ]
        assert world.witness.told_of == [("lib/app", pushed)]
        assert world.witness.events == [
            Event(Action.PULL, APP, pushed, OCI_MANIFEST, len(image()), LATEST)
        ]
        assert world.witness.events[0].manifest == image()

    def test_what_the_client_has_is_not_pulled(self, world, pushed):
        """It stays promised, and nobody is told that it was pulled."""
        done(world.registry.manifests.fetch(APP, LATEST, is_known=lambda digest: digest == pushed))
        assert world.witness.told_of == [("lib/app", pushed)]
        assert world.witness.events == []

    def test_by_digest(self, world, pushed):
        assert fetch(world, pushed).data == image()
        assert len(world.calls) == 2
        assert world.witness.events[0].tag is None

    def test_link_and_content_are_asked_for_at_once(self, world, pushed):
        gate = world.driver.hold("revisions")
        task = started(world.registry.manifests.fetch(APP, pushed))
        assert len(world.calls) == 2
        gate.callback(None)
        assert task.result.data == image()

    def test_second_time_only_links_are_asked_for(self, world, pushed):
        fetch(world, LATEST)
        world.driver.forget()
        assert fetch(world, LATEST).data == image()
        digits = pushed.encoded[:4]
        assert world.calls == [
            "get_several APP/_manifests/tags/latest/current/link"
            f" APP/_manifests/revisions/sha256/{digits}/link"
        ]

    def test_tag_that_lost_its_manifest_is_not_believed(self, world, pushed):
        fetch(world, LATEST)
        world.delete("APP/_manifests/revisions")
        with refused(Code.MANIFEST_UNKNOWN):
            fetch(world, LATEST)

    def test_tag_that_is_gone_is_not_believed(self, world, pushed):
        fetch(world, LATEST)
        world.delete("APP/_manifests/tags")
        for _ in range(2):
            with refused(Code.MANIFEST_UNKNOWN):
                fetch(world, LATEST)

    def test_garbage_in_a_tag_is_an_absent_tag(self, world, pushed):
        fetch(world, LATEST)
        world.put("APP/_manifests/tags/latest/current/link", b"")
        with refused(Code.MANIFEST_UNKNOWN):
            fetch(world, LATEST)

    def test_storage_that_fails_is_not_an_absent_tag(self, world, pushed):
        fetch(world, LATEST)
        world.driver.fail("get_several", Unavailable("down"))
        with refused(Code.UNAVAILABLE):
            fetch(world, LATEST)

    def test_one_link_that_fails_is_not_an_absent_one(self, world, pushed, monkeypatch):
        fetch(world, LATEST)

        def get(path):
            raise Unavailable("down", path=path)

        monkeypatch.setattr(world.store, "get", get)
        with refused(Code.UNAVAILABLE):
            fetch(world, LATEST)

    def test_content_is_at_hand_after_a_push(self, world):
        digest = done(world.image())
        world.driver.forget()
        fetch(world, digest)
        assert len(world.calls) == 1

    def test_exclusive_storage_is_not_asked_again(self):
        world = World(exclusive=True)
        digest = done(world.image())
        fetch(world, LATEST)
        world.driver.forget()
        assert fetch(world, LATEST).digest == digest
        assert world.calls == []
        done(world.image("2"))
        assert fetch(world, LATEST).digest != digest
        delete(world, LATEST)
        with refused(Code.MANIFEST_UNKNOWN):
            fetch(world, LATEST)

    def test_exclusive_storage_forgets_what_is_deleted(self):
        world = World(exclusive=True)
        digest = done(world.image())
        fetch(world, LATEST)
        delete(world, digest)
        for reference in (LATEST, digest):
            with refused(Code.MANIFEST_UNKNOWN):
                fetch(world, reference)

    def test_tag_that_another_process_moved(self, world, pushed):
        fetch(world, LATEST)
        other = World.__new__(World)
        other.__dict__.update(world.__dict__, registry=world.open())
        digest = done(other.image("2"))
        assert fetch(world, LATEST).digest == digest

    def test_unknown(self, world, pushed):
        other = Digest.of(b"other")
        for reference, detail in (
            (Tag("none"), "unknown tag=none"),
            (other, f"unknown digest={other}"),
        ):
            with refused(Code.MANIFEST_UNKNOWN) as caught:
                fetch(world, reference)
            assert caught.value.detail == detail
        assert world.witness.told_of == []

    def test_repository_that_has_it_not(self, world, pushed):
        """Content that is cached opens nothing either."""
        fetch(world, pushed)
        for reference in (LATEST, pushed):
            with refused(Code.MANIFEST_UNKNOWN):
                fetch(world, reference, OTHER)

    def test_blob_is_no_manifest(self, world, pushed):
        with refused(Code.MANIFEST_UNKNOWN):
            fetch(world, Digest.of(b"{}"))

    @pytest.mark.parametrize("path", [TAG_LINK, "revision"])
    def test_empty_link_counts_as_absent(self, world, pushed, path):
        """What a crash of an older registry left is a 404 and heals with the next push."""
        world.put(link_path(pushed) if path == "revision" else path, b"")
        with refused(Code.MANIFEST_UNKNOWN):
            fetch(world, LATEST)
        done(world.image())
        assert fetch(world, LATEST).digest == pushed

    @pytest.mark.parametrize("content", [b"", b"garbage", image("2")])
    def test_corrupt_content_is_never_served(self, world, pushed, content):
        world.put(data_path(pushed), content)
        for _ in range(2):
            with refused(Code.MANIFEST_UNKNOWN):
                fetch(world, LATEST)
        done(world.image())
        assert fetch(world, LATEST).data == image()

    def test_content_that_is_missing(self, world, pushed):
        world.delete(data_path(pushed))
        with refused(Code.MANIFEST_UNKNOWN):
            fetch(world, pushed)

    def test_content_that_is_too_large(self, world, pushed):
        world.driver.fail("data", TooLarge())
        with refused(Code.MANIFEST_UNKNOWN):
            fetch(world, pushed)

    def test_schema_1_is_not_served(self, world):
        """Very old storage holds such; a client is told that it is not there, not that we broke."""
        data = b'{"schemaVersion":1}'
        digest = Digest.of(data)
        world.put(data_path(digest), data)
        world.put(link_path(digest), str(digest).encode())
        with refused(Code.MANIFEST_UNKNOWN):
            fetch(world, digest)

    @pytest.mark.parametrize(
        "document, media_type",
        [
            ({"schemaVersion": 2}, OCI_MANIFEST),
            ({"schemaVersion": 2, "manifests": []}, OCI_INDEX),
            ({"schemaVersion": 2, "mediaType": DOCKER_MANIFEST}, DOCKER_MANIFEST),
        ],
    )
    def test_type_is_told_by_the_content(self, world, document, media_type):
        """No other record of it is in a tree of the other registry."""
        data = json.dumps(document).encode()
        digest = Digest.of(data)
        world.put(data_path(digest), data)
        world.put(link_path(digest), str(digest).encode())
        assert fetch(world, digest).media_type == media_type

    def test_alias(self, world, pushed):
        alias = Digest.of(image(), "sha512")
        world.put(link_path(alias), str(pushed).encode())
        found = fetch(world, alias)
        assert (found.digest, found.data) == (alias, image())
        world.delete(data_path(pushed))
        world.registry = world.open()
        with refused(Code.MANIFEST_UNKNOWN):
            fetch(world, alias)

    def test_backend_that_fails(self, world, pushed):
        world.driver.fail("tags", Unavailable())
        with refused(Code.UNAVAILABLE):
            fetch(world, LATEST)
        world.driver.fail("data", Corrupt())
        with refused(Code.UNKNOWN):
            fetch(world, LATEST)


class DeleteTagTests:
    def test_only_the_tag_goes(self, world, pushed):
        delete(world, LATEST)
        assert world.calls == ["delete APP/_manifests/tags/latest"]
        assert world.witness.events == [Event(Action.DELETE, APP, tag=LATEST)]
        with refused(Code.MANIFEST_UNKNOWN):
            fetch(world, LATEST)
        assert fetch(world, pushed).data == image()
        assert not world.has("APP/_manifests/tags")

    def test_unknown_tag(self, world, pushed):
        for _ in range(2):
            with refused(Code.MANIFEST_UNKNOWN) as caught:
                delete(world, Tag("none"))
        assert caught.value.detail == "unknown tag=none"

    def test_broken_tag_can_be_deleted(self, world, pushed):
        """It is listed, so it must be possible to be rid of it."""
        world.delete(TAG_LINK)
        assert tags(world) == ["latest"]
        delete(world, LATEST)
        assert tags(world) == []

    def test_departed_client_stops_nothing(self, world, manifests, pushed):
        gate = world.driver.hold("^delete")
        task = started(manifests.delete(APP, LATEST))
        task.cancel()
        assert task.result.check(CancelledError)
        task.addErrback(lambda _: None)
        gate.callback(None)
        assert tags(world) == []


class DeleteDigestTests:
    def test_manifest_goes_with_its_tags(self, world, pushed):
        other = done(world.image("2", Tag("other")))
        for name in ("a", "b"):
            done(world.registry.manifests.put(APP, Tag(name), OCI_MANIFEST, image()))
        delete(world, pushed)
        assert tags(world) == ["other"]
        for reference in (LATEST, Tag("a"), pushed):
            with refused(Code.MANIFEST_UNKNOWN):
                fetch(world, reference)
        assert fetch(world, Tag("other")).digest == other
        assert world.witness.events[-2].action is Action.DELETE
        with refused(Code.MANIFEST_UNKNOWN):
            delete(world, pushed)

    def test_order_of_deletes(self, world):
        """Tags first: at no moment does one point at nothing; the record of its subject last."""
        subject = Digest.of(b"subject")
        members = {"mediaType": OCI_MANIFEST, "digest": str(subject), "size": 7}
        digest = done(world.image(subject=members))
        world.driver.forget()
        delete(world, digest)
        digits = digest.encoded[:4]
        assert world.calls == [
            f"get APP/_manifests/revisions/sha256/{digits}/link",
            f"get APP/_manifests/revisions/sha256/{digits}/link",
            "list APP/_manifests/tags",
            "get APP/_manifests/tags/latest/current/link",
            "delete APP/_manifests/tags/latest",
            f"delete APP/_manifests/revisions/sha256/{digits}",
            f"delete APP/_manifests/referrers/sha256/{subject.encoded[:4]}/sha256/{digits}",
        ]

    def test_untagged(self, world):
        digest = done(world.image(reference=None))
        delete(world, digest)
        with refused(Code.MANIFEST_UNKNOWN):
            fetch(world, digest)
        assert not world.has("APP/_manifests")

    def test_other_repository_keeps_it(self, world, pushed):
        done(world.image(repository=OTHER))
        delete(world, pushed)
        assert fetch(world, LATEST, OTHER).digest == pushed

    def test_many_tags(self, world):
        """More than one page of them, a bounded number at a time."""
        digest = done(world.image())
        link = str(digest).encode()
        for number in range(1500):
            world.put(f"APP/_manifests/tags/t{number:04}/current/link", link)
        done(world.image("2", Tag("other")))
        delete(world, digest)
        assert tags(world) == ["other"]

    def test_tag_that_another_request_deletes_meanwhile(self, world, manifests, pushed):
        gate = world.driver.hold("^delete .*tags")
        task = started(manifests.delete(APP, pushed))
        delete(world, LATEST)
        gate.callback(None)
        assert task.called and task.result is None

    @pytest.mark.parametrize(
        "content", [None, b"", b"{}", b'{"schemaVersion":2,"mediaType":"x/y"}']
    )
    def test_unreadable_manifest_can_be_deleted(self, world, pushed, content):
        if content is None:
            world.delete(data_path(pushed))
        else:
            world.put(data_path(pushed), content)
        delete(world, pushed)
        assert tags(world) == []

    def test_manifest_that_we_would_not_take(self, world):
        """What another registry took and we can't read is deleted all the same."""
        data = json.dumps({"schemaVersion": 2, "manifests": [], "layers": []}).encode()
        digest = Digest.of(data)
        world.put(data_path(digest), data)
        world.put(link_path(digest), str(digest).encode())
        delete(world, digest)
        assert not world.has(link_path(digest))

    def test_signatures_of_an_old_registry_go_with_it(self, world, pushed):
        world.put(f"APP/_manifests/revisions/sha256/{pushed.encoded}/signatures/sha256/0/link", b"")
        delete(world, pushed)
        assert not world.has("APP/_manifests/revisions")

    def test_child_of_an_index_may_go(self, world, pushed):
        data = index(child(pushed, len(image())))
        done(world.registry.manifests.put(APP, Tag("multi"), OCI_INDEX, data))
        delete(world, pushed)
        assert fetch(world, Tag("multi")).data == data

    def test_departed_client_stops_nothing(self, world, manifests, pushed):
        """No tag is left dangling by a client that hangs up."""
        gate = world.driver.hold("^delete .*tags")
        task = started(manifests.delete(APP, pushed))
        task.cancel()
        assert task.result.check(CancelledError)
        task.addErrback(lambda _: None)
        gate.callback(None)
        done(world.registry.settled())
        assert not world.has("APP/_manifests")

    def test_failing_driver_can_be_asked_again(self, world, pushed):
        world.driver.fail("^delete .*revisions", Unavailable())
        with refused(Code.UNAVAILABLE):
            delete(world, pushed)
        assert tags(world) == []
        delete(world, pushed)
        with refused(Code.MANIFEST_UNKNOWN):
            fetch(world, pushed)
