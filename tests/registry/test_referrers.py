# SPDX-License-Identifier: Apache-2.0
"""Referrers: from our own records and from the index that clients keep."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code, OciError
from txregistry.oci.media_types import OCI_INDEX, OCI_MANIFEST
from txregistry.oci.names import fallback_tag
from txregistry.registry import ReferrersPage
from txregistry.registry import referrers as module
from txregistry.storage.errors import Unavailable

from ..oci.refusals import refused
from .world import APP, OTHER, World, child, done, image, index

SUBJECT = Digest.of(b"subject")
MEMBERS = {"mediaType": OCI_MANIFEST, "digest": str(SUBJECT), "size": 7}


def refer(world, note="", subject=SUBJECT, repository=APP, **members):
    """Push an image that refers to the subject, by its digest."""
    about = MEMBERS | {"digest": str(subject)}
    return done(world.image(note, None, repository, subject=about, **members))


def page(world, subject=SUBJECT, artifact_type=None, repository=APP, **options):
    return done(world.registry.referrers.page(repository, subject, artifact_type, **options))


def digests(found):
    return [descriptor.digest for descriptor in found.descriptors]


def record_path(digest, subject=SUBJECT):
    return (
        f"APP/_manifests/referrers/{subject.algorithm}/{subject.encoded}"
        f"/{digest.algorithm}/{digest.encoded}/descriptor"
    )


def unrecord(world, digest):
    """As if it had been pushed before there was a referrers API."""
    world.delete(record_path(digest))


def list_as_clients_do(world, *digests, subject=SUBJECT, **members):
    """Keep the index that clients keep where a registry has no referrers API."""
    registry = world.open(allow_sparse_indexes=True)
    children = []
    for digest in digests:
        try:
            size = len(done(registry.manifests.fetch(APP, digest)).data)
        except OciError:
            size = 1
        children.append(child(digest, size, **members))
    done(registry.manifests.put(APP, fallback_tag(subject), OCI_INDEX, index(*children)))


class ReferrersTests:
    def test_referrer_is_listed(self, world):
        digest = refer(world, artifactType="application/x")
        found = page(world)
        (descriptor,) = found.descriptors
        assert (found.has_more, found.last) == (False, "")
        data = done(world.registry.manifests.fetch(APP, digest)).data
        assert descriptor.to_json_object() == {
            "mediaType": OCI_MANIFEST,
            "digest": str(digest),
            "size": len(data),
            "artifactType": "application/x",
            "annotations": {"note": ""},
        }

    def test_type_of_an_image_is_its_config_s(self, world):
        refer(world)
        assert (
            page(world).descriptors[0].artifact_type == "application/vnd.oci.image.config.v1+json"
        )

    def test_index_may_refer(self, world):
        data = index(subject=MEMBERS)
        done(world.registry.manifests.put(APP, Digest.of(data), OCI_INDEX, data))
        assert page(world).descriptors[0].artifact_type is None

    @pytest.mark.parametrize("subject", [Digest.of(b"unknown"), Digest.of(b"unknown", "sha512")])
    def test_nothing_is_known_of_it(self, world, subject):
        assert page(world, subject) == ReferrersPage((), False, "")
        assert [call.split()[0] for call in world.calls] == ["list", "get"]

    def test_subject_may_exist(self, world):
        subject = done(world.image())
        digest = refer(world, "1", subject)
        assert digests(page(world, subject)) == [digest]

    def test_sha512_subject_and_referrer(self, world):
        subject = Digest.of(b"subject", "sha512")
        first = refer(world, "1", subject)
        data = image("2", subject=MEMBERS | {"digest": str(subject)})
        second = Digest.of(data, "sha512")
        done(world.registry.manifests.put(APP, second, OCI_MANIFEST, data))
        assert digests(page(world, subject)) == [first, second]
        assert digests(page(world, subject, limit=1)) == [first]
        assert digests(page(world, subject, last=str(first))) == [second]
        assert digests(page(world, subject, last=str(second))) == []

    def test_other_repository_has_its_own(self, world):
        refer(world)
        assert page(world, repository=OTHER).descriptors == ()

    def test_deleted_referrer_is_not_listed(self, world):
        digest = refer(world)
        done(world.registry.manifests.delete(APP, digest))
        assert page(world).descriptors == ()
        assert not world.has("APP/_manifests")

    def test_referrer_that_somebody_else_deleted_is_not_listed(self, world):
        """Another registry that deletes a manifest knows nothing of our record."""
        digest = refer(world)
        world.delete(f"APP/_manifests/revisions/sha256/{digest.encoded}")
        assert page(world).descriptors == ()

    def test_deleted_subject_keeps_its_referrers(self, world):
        subject = done(world.image())
        digest = refer(world, "1", subject)
        done(world.registry.manifests.delete(APP, subject))
        assert digests(page(world, subject)) == [digest]

    @pytest.mark.parametrize(
        "garbage",
        [
            b"",
            b"{",
            b"[]",
            b"{}",
            b"\xff",
            b"null",
            b'{"mediaType":"a/b","digest":"x","size":1}',
            json.dumps({"mediaType": "a/b", "digest": str(SUBJECT), "size": 1}).encode(),
        ],
    )
    def test_garbage_in_place_of_a_record_is_mended_from_the_manifest(self, world, garbage):
        digest = refer(world)
        expected = page(world)
        world.put(record_path(digest), garbage)
        assert page(world) == expected

    def test_junk_beside_the_records_is_passed_over(self, world):
        digest = refer(world)
        root = f"APP/_manifests/referrers/sha256/{SUBJECT.encoded}"
        world.put(f"{root}/md5/{'0' * 32}/descriptor", b"")
        world.put(f"{root}/sha256/short/descriptor", b"")
        world.put(f"{root}/sha256/{digest.encoded}.tmp", b"")
        assert digests(page(world)) == [digest]

    def test_calls(self, world):
        for number in range(3):
            refer(world, str(number))
        world.driver.forget()
        page(world)
        assert [call.split()[0] for call in world.calls] == ["list", "get", "list"] + [
            "get",
            "get",
        ] * 3

    def test_backend_that_is_away(self, world):
        refer(world)
        world.driver.fail("descriptor", Unavailable())
        with refused(Code.UNAVAILABLE):
            page(world)


class FallbackTests:
    def test_index_of_clients_is_followed(self, world):
        """What was pushed before there was this API is listed, as if it had been pushed since."""
        digest = refer(world)
        expected = page(world)
        unrecord(world, digest)
        assert page(world).descriptors == ()
        list_as_clients_do(world, digest, annotations={"made": "up"})
        assert page(world) == expected

    def test_both_records_are_united(self, world):
        every = sorted(refer(world, str(number)) for number in range(6))
        for digest in every[::2]:
            unrecord(world, digest)
        list_as_clients_do(world, *every[:4])
        world.delete(record_path(every[3]))
        assert digests(page(world)) == [every[0], every[1], every[2], every[3], every[5]]

    def test_only_what_the_manifest_bears_out(self, world):
        """Listed with another subject, with none, as missing: not referrers."""
        other = refer(world, "1", Digest.of(b"other"))
        plain = done(world.image())
        gone = Digest.of(b"gone")
        list_as_clients_do(world, other, plain, gone)
        assert page(world).descriptors == ()

    def test_listed_manifest_that_can_not_be_read(self, world):
        digest = refer(world)
        unrecord(world, digest)
        list_as_clients_do(world, digest)
        world.put(f"blobs/sha256/{digest.encoded[:2]}/{digest.encoded}/data", b"{")
        world.registry = world.open()
        assert page(world).descriptors == ()

    def test_tag_that_is_no_index(self, world):
        done(world.image(reference=fallback_tag(SUBJECT)))
        assert page(world).descriptors == ()

    def test_tag_that_points_nowhere(self, world):
        world.put(
            f"APP/_manifests/tags/{fallback_tag(SUBJECT)}/current/link", str(SUBJECT).encode()
        )
        assert page(world).descriptors == ()

    def test_tag_of_a_long_digest_is_cut(self, world):
        subject = Digest.of(b"subject", "sha512")
        digest = refer(world, subject=subject)
        world.delete(record_path(digest, subject))
        list_as_clients_do(world, digest, subject=subject)
        assert world.has(f"APP/_manifests/tags/sha512-{subject.encoded[:64]}")
        assert digests(page(world, subject)) == [digest]


class PageTests:
    def test_filter(self, world):
        first = refer(world, "1", artifactType="application/x")
        refer(world, "2", artifactType="application/y")
        assert digests(page(world, artifact_type="application/x")) == [first]
        assert page(world, artifact_type="application/z") == ReferrersPage((), False, "")

    def test_pages(self, world):
        every = sorted(refer(world, str(number)) for number in range(5))
        first = page(world, limit=2)
        assert digests(first) == every[:2] and first.has_more and first.last == str(every[1])
        second = page(world, limit=2, last=first.last)
        assert digests(second) == every[2:4] and second.has_more
        third = page(world, limit=2, last=second.last)
        assert digests(third) == every[4:] and (third.has_more, third.last) == (False, "")

    def test_no_page_after_one_that_is_just_full(self, world):
        for number in range(2):
            refer(world, str(number))
        assert not page(world, limit=2).has_more

    def test_nothing_asked_for(self, world):
        refer(world)
        world.driver.forget()
        assert page(world, limit=0) == ReferrersPage((), False, "")
        assert world.calls == []

    def test_page_ends_when_its_bytes_are_full(self, world, monkeypatch):
        monkeypatch.setattr(module, "PAGE_BYTES", 1000)
        every = sorted(refer(world, f"{number}" + "x" * 300) for number in range(3))
        found = page(world)
        assert digests(found) == every[:1] and found.has_more
        found = page(world, last=found.last)
        assert digests(found) == every[1:2]

    def test_referrer_larger_than_a_page_loses_its_annotations(self, world, monkeypatch):
        """Better than a list that never gets past it."""
        monkeypatch.setattr(module, "PAGE_BYTES", 1000)
        digest = refer(world, "x" * 2000)
        (descriptor,) = page(world).descriptors
        assert descriptor.digest == digest and descriptor.annotations is None

    def test_rare_type_costs_a_bounded_look(self, world, monkeypatch):
        """An empty page may have more after it."""
        monkeypatch.setattr(module, "LOOKS", 2)
        monkeypatch.setattr(module, "WINDOW", 2)
        every = sorted(refer(world, str(number)) for number in range(3))
        found = page(world, artifact_type="application/none")
        assert found == ReferrersPage((), True, str(every[1]))
        assert page(world, artifact_type="application/none", last=found.last) == ReferrersPage(
            (), False, ""
        )

    @pytest.mark.parametrize(
        "last, count",
        [
            ("", 1),
            ("sha256:", 1),
            ("sha1", 1),
            ("sha256", 1),
            ("sha256;", 0),
            ("sha512:", 0),
            ("é", 0),
            ("/", 1),
        ],
    )
    def test_start_may_be_any_text(self, world, last, count):
        refer(world)
        assert len(page(world, last=last).descriptors) == count

    @given(st.integers(1, 4), st.lists(st.sampled_from(["ours", "theirs", "both"]), max_size=7))
    def test_pages_together_are_everything(self, limit, records):
        """Each referrer once and in order, wherever it is recorded and whatever the size of a
        page.
        """
        world = World()
        listed, every = [], []
        for number, record in enumerate(records):
            digest = refer(world, str(number))
            every.append(digest)
            if record == "theirs":
                unrecord(world, digest)
            if record != "ours":
                listed.append(digest)
        if listed:
            list_as_clients_do(world, *listed)
        seen, last, has_more = [], "", True
        while has_more:
            found = page(world, limit=limit, last=last)
            assert len(found.descriptors) <= limit
            seen += digests(found)
            last, has_more = found.last, found.has_more
        assert seen == sorted(every)
