# SPDX-License-Identifier: Apache-2.0
"""Conformance: referrers - the list, its filter and pages, and what older clients left behind."""

from __future__ import annotations

import json
import shutil

import pytest

from .client import Client
from .repository import (
    ALGORITHMS,
    EMPTY_JSON,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_MANIFEST,
    Repository,
    descriptor,
    digest_of,
    image,
    index,
    type_of,
)
from .servers import Peer, Registry

SBOM, SIGNATURE = "application/vnd.example.sbom.v1+json", "application/vnd.example.signature"


def listed(repository, digest, query=""):
    """Digests of the referrers, from all pages."""
    pages = repository.client.pages(repository.referrers(digest, query))
    return [row["digest"] for page in pages for row in page["manifests"]]


def fallback_tag(digest):
    """Where clients keep an index of their own: algorithm cut to 32 characters, the rest to 64."""
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm[:32]}-{encoded[:64]}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class ListTests:
    """GET of the referrers of a digest."""

    def test_nothing_known_is_an_empty_index(self, repository, algorithm):
        """200 for a digest, and for a repository, that nobody has heard of; never 404."""
        digest = digest_of(b"unknown", algorithm)
        for known in (False, True):
            answer = repository.client.get(repository.referrers(digest))
            assert answer.status == 200
            assert answer.headers["Content-Type"] == OCI_INDEX
            assert answer.json() == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
            assert "OCI-Filters-Applied" not in answer.headers and "Link" not in answer.headers
            if not known:
                repository.push_image("v1")

    def test_descriptors_say_what_each_one_is(self, repository, algorithm):
        """Type, size, annotations; artifactType: its own, else its config's, an index only its
        own.
        """
        subject = repository.push_image("subject", algorithm=algorithm)
        of = descriptor(subject, OCI_MANIFEST, algorithm)
        notes = {"org.example.note": "a \u2028 note", "empty": ""}
        repository.push_blob(EMPTY_JSON)
        referrers = [
            (image(subject=of, artifactType=SBOM, annotations=notes), SBOM),
            (image(subject=of, config_type=OCI_CONFIG), OCI_CONFIG),
            (image(subject=of, config_type=OCI_EMPTY, artifactType=SIGNATURE), SIGNATURE),
            (index(subject=of, artifactType=SBOM, annotations=notes), SBOM),
            (index(subject=of), None),
        ]
        expected = {}
        for data, artifact_type in referrers:
            digest = repository.push(data, algorithm=algorithm)
            row = {"mediaType": type_of(data), "digest": digest, "size": len(data)}
            if artifact_type is not None:
                row["artifactType"] = artifact_type
            if "annotations" in json.loads(data):
                row["annotations"] = notes
            expected[digest] = row
        answer = repository.client.get(repository.referrers(of["digest"]))
        assert {row["digest"]: row for row in answer.json()["manifests"]} == expected
        assert answer.headers["Content-Length"] == str(len(answer.body))

    def test_each_is_listed_once_and_of_its_own_subject_only(self, repository, algorithm):
        """However often, and under however many tags, it was pushed."""
        subject, other = (
            repository.push_image("v1"),
            repository.push_image("v2", annotations={"x": "y"}),
        )
        data = repository.push_artifact(subject, SBOM, algorithm)
        digest = digest_of(data, algorithm)
        for tag in ("a", "b"):
            repository.push(data, tag, algorithm)
        assert listed(repository, digest_of(subject, algorithm)) == [digest]
        assert listed(repository, digest_of(other, algorithm)) == []
        assert listed(repository.sibling("other"), digest_of(subject, algorithm)) == []

    @pytest.mark.parametrize("spelled", [SBOM, SBOM.replace("+", "%2B").replace("/", "%2F")])
    def test_filter_is_applied_and_told(self, repository, algorithm, spelled):
        """The header is there with the filter only; a type that nothing has gives nothing."""
        subject = repository.push_image("v1", algorithm=algorithm)
        digest = digest_of(subject, algorithm)
        sbom = digest_of(repository.push_artifact(subject, SBOM, algorithm), algorithm)
        repository.push_artifact(subject, SIGNATURE, algorithm)
        for artifact_type, expected in [(spelled, [sbom]), ("application/none", [])]:
            answer = repository.client.get(
                repository.referrers(digest, f"?artifactType={artifact_type}")
            )
            assert answer.status == 200 and answer.headers["Content-Type"] == OCI_INDEX
            assert answer.headers["OCI-Filters-Applied"] == "artifactType"
            assert [row["digest"] for row in answer.json()["manifests"]] == expected
        for query in ("", "?artifactType=", "?artifacttype=x"):
            answer = repository.client.get(repository.referrers(digest, query))
            assert "OCI-Filters-Applied" not in answer.headers
            assert len(answer.json()["manifests"]) == 2

    @pytest.mark.parametrize("query", ["", "&artifactType=" + SBOM.replace("+", "%2B")])
    @pytest.mark.parametrize("limit", [1, 2, 3, 7])
    def test_links_lead_to_all_of_them(self, repository, algorithm, query, limit):
        """Each once, in order, and the filter goes with the links."""
        subject = repository.push_image("v1", algorithm=algorithm)
        digest = digest_of(subject, algorithm)
        expected = []
        for number in range(6):
            artifact_type = SIGNATURE if number % 3 == 2 else SBOM
            data = repository.push_artifact(subject, artifact_type, algorithm, number=str(number))
            if not query or artifact_type == SBOM:
                expected.append(digest_of(data, algorithm))
        assert listed(repository, digest, f"?n={limit}{query}") == sorted(expected)
        pages = repository.client.pages(repository.referrers(digest, f"?n={limit}{query}"))
        assert all(len(page["manifests"]) <= limit for page in pages)
        answer = repository.client.get(repository.referrers(digest, f"?n={limit}{query}"))
        for link in answer.all("Link"):
            assert ("artifactType" in link) == bool(query)
        if query:
            assert answer.headers["OCI-Filters-Applied"] == "artifactType"

    def test_nothing_asked_is_nothing_given(self, repository, algorithm):
        """n=0 has no Link either."""
        subject = repository.push_image("v1", algorithm=algorithm)
        repository.push_artifact(subject, SBOM, algorithm)
        answer = repository.client.get(repository.referrers(digest_of(subject, algorithm), "?n=0"))
        assert answer.json()["manifests"] == [] and "Link" not in answer.headers


def test_page_fits_where_a_manifest_fits(repository):
    """However much the annotations of the referrers are."""
    subject = repository.push_image("v1")
    pushed = [
        digest_of(
            repository.push_artifact(subject, SBOM, number=str(number), large="x" * 1_500_000)
        )
        for number in range(4)
    ]
    path = repository.referrers(digest_of(subject))
    answer = repository.client.get(path)
    assert len(answer.body) <= 4 * 1024 * 1024 and "Link" in answer.headers
    assert listed(repository, digest_of(subject)) == sorted(pushed)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class DeleteTests:
    """What deletes do to the list."""

    def test_deleted_referrer_is_not_listed(self, repository, algorithm):
        """At once; pushed again it is back."""
        subject = repository.push_image("v1", algorithm=algorithm)
        digest = digest_of(subject, algorithm)
        data = repository.push_artifact(subject, SBOM, algorithm)
        referrer = digest_of(data, algorithm)
        assert repository.client.delete(repository.manifest(referrer)).status == 202
        assert listed(repository, digest) == []
        repository.push(data, algorithm=algorithm)
        assert listed(repository, digest) == [referrer]

    def test_tag_is_not_what_makes_a_referrer(self, repository, algorithm):
        """Untagged it still refers."""
        subject = repository.push_image("v1", algorithm=algorithm)
        data = repository.push_artifact(subject, SBOM, algorithm)
        referrer = digest_of(data, algorithm)
        repository.push(data, "sbom", algorithm)
        assert repository.client.delete(repository.manifest("sbom")).status == 202
        assert listed(repository, digest_of(subject, algorithm)) == [referrer]

    def test_deleted_subject_keeps_its_referrers(self, repository, algorithm):
        """The subject need never have been there."""
        subject = repository.push_image("v1", algorithm=algorithm)
        digest = digest_of(subject, algorithm)
        repository.push(subject, algorithm=algorithm)
        referrer = digest_of(repository.push_artifact(subject, SBOM, algorithm), algorithm)
        assert repository.client.delete(repository.manifest(digest)).status == 202
        assert listed(repository, digest) == [referrer]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class FallbackTagTests:
    """The index that clients keep under a tag where a registry has no referrers API."""

    def keep_index(self, repository, subject, *referrers, algorithm):
        """Push that index, as old clients do after each referrer."""
        repository.push_blob(EMPTY_JSON)
        rows = [
            descriptor(data, type_of(data), algorithm, artifactType="application/claimed")
            for data in referrers
        ]
        data = index(manifests=rows)
        repository.push(data, fallback_tag(digest_of(subject, algorithm)))
        return data

    def forget(self, server, repository):
        """Make it so that everything was pushed before this registry knew of referrers."""
        root = server.root / "docker/registry/v2/repositories" / repository.name
        shutil.rmtree(root / "_manifests/referrers")

    def test_what_was_pushed_before_is_listed(self, server, repository, algorithm):
        """By what the manifests say of themselves, not by what the index says of them."""
        subject = repository.push_image("v1", algorithm=algorithm)
        digest = digest_of(subject, algorithm)
        sbom = repository.push_artifact(subject, SBOM, algorithm)
        signature = repository.push_artifact(subject, SIGNATURE, algorithm, note="it")
        self.keep_index(repository, subject, sbom, signature, algorithm=algorithm)
        self.forget(server, repository)
        rows = repository.client.get_json(repository.referrers(digest))["manifests"]
        found = {row["digest"]: row for row in rows}
        assert set(found) == {digest_of(sbom, algorithm), digest_of(signature, algorithm)}
        row = found[digest_of(signature, algorithm)]
        assert (row["artifactType"], row["annotations"]) == (SIGNATURE, {"note": "it"})
        assert row["size"] == len(signature)
        assert len(listed(repository, digest, f"?artifactType={SIGNATURE}")) == 1
        assert len(listed(repository, digest, "?n=1")) == 2

    def test_old_and_new_are_one_list(self, server, repository, algorithm):
        """What is known twice is listed once."""
        subject = repository.push_image("v1", algorithm=algorithm)
        digest = digest_of(subject, algorithm)
        old = repository.push_artifact(subject, SBOM, algorithm)
        self.keep_index(repository, subject, old, algorithm=algorithm)
        assert listed(repository, digest) == [digest_of(old, algorithm)]
        self.forget(server, repository)
        new = repository.push_artifact(subject, SIGNATURE, algorithm)
        expected = sorted(digest_of(data, algorithm) for data in (old, new))
        assert listed(repository, digest) == expected
        self.keep_index(repository, subject, old, new, algorithm=algorithm)
        assert listed(repository, digest) == expected

    def test_index_alone_makes_no_referrer(self, repository, algorithm):
        """What has no such subject, or was deleted, is not listed whatever the index says."""
        subject = repository.push_image("v1", algorithm=algorithm)
        stranger = repository.push_image(
            "v2", annotations={"is": "a stranger"}, algorithm=algorithm
        )
        other = repository.push_artifact(stranger, SBOM, algorithm)
        gone = repository.push_artifact(subject, SIGNATURE, algorithm)
        for data in (stranger, other, gone):
            repository.push(data, algorithm=algorithm)
        self.keep_index(repository, subject, stranger, other, gone, algorithm=algorithm)
        path = repository.manifest(digest_of(gone, algorithm))
        assert repository.client.delete(path).status == 202
        assert listed(repository, digest_of(subject, algorithm)) == []

    def test_tag_works_as_any_other(self, repository, algorithm):
        """Old clients go on with it: what they pushed is what they pull."""
        subject = repository.push_image("v1", algorithm=algorithm)
        sbom = repository.push_artifact(subject, SBOM, algorithm)
        data = self.keep_index(repository, subject, sbom, algorithm=algorithm)
        tag = fallback_tag(digest_of(subject, algorithm))
        assert repository.client.get(repository.manifest(tag)).body == data
        assert tag in repository.client.get_json(repository.tags)["tags"]
        assert repository.client.delete(repository.manifest(tag)).status == 202
        assert listed(repository, digest_of(subject, algorithm)) == [digest_of(sbom, algorithm)]


def test_referrers_of_another_registry_are_found(tmp_path):
    """Its clients kept an index; this registry takes the storage over and answers from it."""
    root = tmp_path / "shared"
    with Peer(tmp_path / "peer", root) as peer:
        repository = Repository(Client(peer), "lib/app")
        blob = digest_of(EMPTY_JSON)
        answer = repository.close(repository.client.here(repository.start()), blob, EMPTY_JSON)
        assert answer.status == 201
        subject = image()
        repository.push(subject, "v1")
        of = descriptor(subject, OCI_MANIFEST)
        sbom = image(subject=of, artifactType=SBOM, annotations={"note": "it"})
        repository.push(sbom)
        kept = index(sbom)
        repository.push(kept, fallback_tag(of["digest"]))
    storage = {"filesystem": {"rootdirectory": str(root)}, "delete": {"enabled": True}}
    with Registry(tmp_path / "ours", storage=storage) as server:
        repository = Repository(Client(server), "lib/app")
        expected = {
            **descriptor(sbom, OCI_MANIFEST),
            "artifactType": SBOM,
            "annotations": {"note": "it"},
        }
        document = repository.client.get_json(repository.referrers(of["digest"]))
        assert document["manifests"] == [expected]
