# SPDX-License-Identifier: Apache-2.0
"""Conformance: deleting manifests and tags, and what everybody sees of it at once."""

from __future__ import annotations

import pytest

from .repository import ALGORITHMS, EMPTY_JSON, digest_of, image, index


def is_gone(repository, reference):
    """For every method, now."""
    path = repository.manifest(reference)
    statuses = {
        repository.client.request(method, path).status for method in ("GET", "HEAD", "DELETE")
    }
    return statuses == {404}


def tags_of(repository):
    return repository.client.get_json(repository.tags)["tags"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class TagTests:
    """DELETE by tag."""

    def test_tag_goes_and_nothing_else(self, repository, algorithm):
        """202; its manifest stays, under its digest and its other tags."""
        data = repository.push_image("v1", algorithm=algorithm)
        digest = repository.push(data, "v2", algorithm)
        answer = repository.client.delete(repository.manifest("v1"))
        assert (answer.status, answer.body) == (202, b"")
        assert answer.headers["Content-Length"] == "0"
        assert tags_of(repository) == ["v2"]
        assert is_gone(repository, "v1")
        for reference in ("v2", digest):
            assert repository.client.get(repository.manifest(reference)).body == data

    def test_tag_that_moved_is_one_tag(self, repository, algorithm):
        """What it pointed at before does not come back."""
        repository.push_image("v1", algorithm=algorithm)
        repository.push_image("v1", algorithm=algorithm, annotations={"is": "new"})
        assert repository.client.delete(repository.manifest("v1")).status == 202
        assert is_gone(repository, "v1") and tags_of(repository) == []

    def test_deleted_tag_can_be_pushed_again(self, repository, algorithm):
        """To the same manifest or another one."""
        data = repository.push_image("v1", algorithm=algorithm)
        for _ in range(2):
            assert repository.client.delete(repository.manifest("v1")).status == 202
            repository.push(data, "v1", algorithm)
            assert repository.client.get(repository.manifest("v1")).body == data

    def test_unknown_tag_is_404(self, repository, algorithm):
        """In a repository that is there, and in one that is not."""
        repository.push_image("v1", algorithm=algorithm)
        for there in (repository, repository.sibling("none")):
            answer = there.client.delete(there.manifest("none"))
            assert answer.refusal == (404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class ManifestTests:
    """DELETE by digest."""

    def test_manifest_goes_with_all_its_tags(self, repository, algorithm):
        """202; tags of others stay, and the list is right at once."""
        data = repository.push_image("a", algorithm=algorithm)
        other = repository.push_image("b", algorithm=algorithm, annotations={"is": "another"})
        digest = digest_of(data, algorithm)
        for tag in ("c", "d", "e"):
            repository.push(data, tag, algorithm)
        spelled = digest.replace(":", "%3A")
        answer = repository.client.delete(repository.manifest(spelled))
        assert (answer.status, answer.body) == (202, b"")
        assert tags_of(repository) == ["b"]
        assert all(is_gone(repository, reference) for reference in (digest, "a", "c", "d", "e"))
        assert repository.client.get(repository.manifest("b")).body == other

    def test_tag_that_moved_on_stays(self, repository, algorithm):
        """It points at the manifest no more."""
        old = repository.push_image("v1", algorithm=algorithm)
        new = repository.push_image("v1", algorithm=algorithm, annotations={"is": "new"})
        path = repository.manifest(digest_of(old, algorithm))
        assert repository.client.delete(path).status == 202
        assert repository.client.get(repository.manifest("v1")).body == new

    def test_blobs_of_a_deleted_manifest_stay(self, repository, algorithm):
        """Until they are collected; so it can be pushed again."""
        data = repository.push_image("v1", b"layer", algorithm=algorithm)
        digest = digest_of(data, algorithm)
        assert repository.client.delete(repository.manifest(digest)).status == 202
        assert repository.has_blob(digest_of(b"layer", algorithm))
        repository.push(data, "v1", algorithm)
        assert repository.client.get(repository.manifest(digest)).body == data

    def test_child_of_an_index_can_be_deleted(self, repository, algorithm):
        """As in registry:3; the index stays."""
        child = repository.push_image(algorithm=algorithm)
        data = index(child, algorithm=algorithm)
        repository.push(data, "all", algorithm)
        path = repository.manifest(digest_of(child, algorithm))
        assert repository.client.delete(path).status == 202
        assert repository.client.get(repository.manifest("all")).body == data

    def test_repositories_delete_by_themselves(self, repository, algorithm):
        """The same manifest elsewhere stays."""
        other = repository.sibling("other")
        data = repository.push_image("v1", algorithm=algorithm)
        other.push_image("v1", algorithm=algorithm)
        path = repository.manifest(digest_of(data, algorithm))
        assert repository.client.delete(path).status == 202
        assert other.client.get(other.manifest("v1")).body == data

    def test_same_manifest_by_the_other_digest_stays(self, repository, algorithm):
        """Two digests are two manifests, of which one may go."""
        for each in ALGORITHMS:
            repository.push_blob(EMPTY_JSON, each)
        data = image()
        digests = {each: repository.push(data, each, each) for each in ALGORITHMS}
        gone = digests.pop(algorithm)
        assert repository.client.delete(repository.manifest(gone)).status == 202
        [(other, digest)] = digests.items()
        assert tags_of(repository) == [other]
        for reference in (other, digest):
            assert repository.client.get(repository.manifest(reference)).body == data

    def test_unknown_manifest_is_404(self, repository, algorithm):
        """Also one that is a blob, and one that was deleted before."""
        data = repository.push_image(algorithm=algorithm)
        digest = digest_of(data, algorithm)
        assert repository.client.delete(repository.manifest(digest)).status == 202
        for reference in (digest, digest_of(EMPTY_JSON, algorithm), digest_of(b"none", algorithm)):
            answer = repository.client.delete(repository.manifest(reference))
            assert answer.refusal == (404, "MANIFEST_UNKNOWN")
