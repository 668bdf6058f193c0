# SPDX-License-Identifier: Apache-2.0
"""Conformance: blobs pushed in one request, mounted from elsewhere, deleted."""

from __future__ import annotations

import pytest

from .repository import ALGORITHMS, EMPTY_JSON, NOTHING, digest_of

DATA = b"some content " * 300
LARGE = bytes(range(256)) * 2000


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class OneRequestTests:
    """POST with a digest and all the bytes."""

    @pytest.mark.parametrize(
        "data", [DATA, LARGE, EMPTY_JSON, NOTHING], ids=["small", "large", "{}", "empty"]
    )
    def test_blob_is_201(self, repository, algorithm, data):
        """With a Location that can be pulled as it is."""
        digest = digest_of(data, algorithm)
        for spelled in (digest, digest.replace(":", "%3A")):
            answer = repository.client.post(f"{repository.uploads}?digest={spelled}", data)
            assert (answer.status, answer.body) == (201, b"")
            assert answer.headers["Docker-Content-Digest"] == digest
            assert answer.headers["Location"] == repository.blob(digest)
            assert repository.client.get(answer.headers["Location"]).body == data

    @pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "large"])
    def test_stream_is_taken(self, repository, algorithm, data):
        """A client need not know the length beforehand."""
        digest = digest_of(data, algorithm)
        answer = repository.client.post(
            f"{repository.uploads}?digest={digest}", [data[:9], data[9:]]
        )
        assert answer.status == 201
        assert repository.client.get(repository.blob(digest)).body == data

    @pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "large"])
    def test_other_digest_is_400(self, repository, algorithm, data):
        """Nothing is visible, under that digest or the true one."""
        digest = digest_of(b"other", algorithm)
        answer = repository.client.post(f"{repository.uploads}?digest={digest}", data)
        assert answer.refusal == (400, "DIGEST_INVALID")
        assert not repository.has_blob(digest)
        assert not repository.has_blob(digest_of(data, algorithm))

    def test_digest_without_bytes_is_an_announcement(self, repository, algorithm):
        """202: the client goes on with a session."""
        digest = digest_of(DATA, algorithm)
        answer = repository.client.post(f"{repository.uploads}?digest={digest}")
        assert answer.status == 202
        assert repository.close(answer.headers["Location"], digest, DATA).status == 201

    def test_pushed_again_is_201_again(self, repository, algorithm):
        """Nobody need ask first."""
        for _ in range(2):
            repository.push_blob(DATA, algorithm)

    def test_same_bytes_by_two_digests_are_two_blobs(self, repository, algorithm):
        """Each is known by the digest that it was pushed with, and deleted by itself."""
        other = "sha512" if algorithm == "sha256" else "sha256"
        digest, twin = repository.push_blob(DATA, algorithm), digest_of(DATA, other)
        assert not repository.has_blob(twin)
        assert repository.push_blob(DATA, other) == twin
        for each in (digest, twin):
            answer = repository.client.get(repository.blob(each))
            assert (answer.headers["Docker-Content-Digest"], answer.body) == (each, DATA)
        assert repository.client.delete(repository.blob(digest)).status == 202
        assert not repository.has_blob(digest) and repository.has_blob(twin)

    def test_form_is_bytes(self, repository, algorithm):
        """What a body holds is never taken for parameters (curl --data)."""
        body = b"mount=x&digest=y"
        digest = digest_of(body, algorithm)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = repository.client.post(f"{repository.uploads}?digest={digest}", body, headers)
        assert answer.status == 201
        assert repository.client.get(repository.blob(digest)).body == body


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class MountTests:
    """POST with a blob of another repository."""

    def mount(self, repository, digest, source=None):
        query = f"?mount={digest}" + (f"&from={source}" if source else "")
        return repository.client.post(repository.uploads + query)

    def test_blob_is_mounted(self, repository, algorithm):
        """201 without a byte, with a Location that can be pulled."""
        source = repository.sibling("source")
        digest = source.push_blob(DATA, algorithm)
        for spelled in (source.name, source.name.replace("/", "%2F")):
            answer = self.mount(repository, digest.replace(":", "%3A"), spelled)
            assert (answer.status, answer.body) == (201, b"")
            assert answer.headers["Docker-Content-Digest"] == digest
            assert answer.headers["Location"] == repository.blob(digest)
            assert repository.client.get(answer.headers["Location"]).body == DATA

    def test_empty_blob_is_mounted(self, repository, algorithm):
        """It is a blob as any other."""
        source = repository.sibling("source")
        digest = source.push_blob(NOTHING, algorithm)
        assert self.mount(repository, digest, source.name).status == 201
        assert repository.has_blob(digest)

    def test_mounted_blob_outlives_its_source(self, repository, algorithm):
        """Deleting it there takes nothing from here."""
        source = repository.sibling("source")
        digest = source.push_blob(DATA, algorithm)
        self.mount(repository, digest, source.name)
        assert repository.client.delete(source.blob(digest)).status == 202
        assert repository.client.get(repository.blob(digest)).body == DATA

    @pytest.mark.parametrize(
        "why", ["no such blob", "no such repository", "bad name", "no such digest"]
    )
    def test_what_can_not_be_mounted_is_an_upload(self, repository, algorithm, why):
        """202, and the session works."""
        source = repository.sibling("source")
        digest = source.push_blob(b"other", algorithm)
        wanted = digest_of(DATA, algorithm)
        asked, name = {
            "no such blob": (wanted, source.name),
            "no such repository": (digest, repository.sibling("none").name),
            "bad name": (digest, "UPPER"),
            "no such digest": ("sha256:junk", source.name),
        }[why]
        answer = self.mount(repository, asked, name)
        assert answer.status == 202
        assert answer.headers["Range"] == "0-0" and answer.headers["Docker-Upload-UUID"]
        assert repository.close(answer.headers["Location"], wanted, DATA).status == 201
        assert not repository.has_blob(digest)

    def test_mount_without_a_source_is_an_upload(self, repository, algorithm):
        """Where else the bytes may be is not searched: a digest alone opens nothing."""
        digest = repository.sibling("source").push_blob(DATA, algorithm)
        answer = self.mount(repository, digest)
        assert answer.status == 202
        assert not repository.has_blob(digest)
        assert repository.close(answer.headers["Location"], digest, DATA).status == 201

    def test_mount_of_what_is_here_already_is_201(self, repository, algorithm):
        """With this repository as the source, or none."""
        digest = repository.push_blob(DATA, algorithm)
        assert self.mount(repository, digest).status == 201
        assert self.mount(repository, digest, repository.name).status == 201


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class DeleteTests:
    """DELETE of a blob."""

    @pytest.mark.parametrize("data", [DATA, LARGE, NOTHING], ids=["small", "large", "empty"])
    def test_deleted_blob_is_gone_at_once(self, repository, algorithm, data):
        """202, then 404 for every method."""
        digest = repository.push_blob(data, algorithm)
        assert repository.has_blob(digest)
        answer = repository.client.delete(repository.blob(digest))
        assert (answer.status, answer.body) == (202, b"")
        assert answer.headers["Content-Length"] == "0"
        assert not repository.has_blob(digest)
        assert repository.client.get(repository.blob(digest)).refusal == (404, "BLOB_UNKNOWN")
        assert repository.client.delete(repository.blob(digest)).refusal == (404, "BLOB_UNKNOWN")

    def test_deleted_blob_stays_elsewhere(self, repository, algorithm):
        """It leaves one repository."""
        other = repository.sibling("other")
        digest = repository.push_blob(DATA, algorithm)
        other.push_blob(DATA, algorithm)
        assert repository.client.delete(repository.blob(digest)).status == 202
        assert repository.client.get(other.blob(digest)).body == DATA

    def test_deleted_blob_can_be_pushed_again(self, repository, algorithm):
        """And is there again."""
        digest = repository.push_blob(DATA, algorithm)
        repository.client.delete(repository.blob(digest))
        repository.push_blob(DATA, algorithm)
        assert repository.client.get(repository.blob(digest)).body == DATA

    def test_blob_in_use_can_be_deleted(self, repository, algorithm):
        """As in registry:3; the manifest stays and can't be pushed again without it."""
        data = repository.push_image(None, DATA, algorithm=algorithm)
        digest = digest_of(DATA, algorithm)
        assert repository.client.delete(repository.blob(digest)).status == 202
        reference = digest_of(data, algorithm)
        assert repository.client.get(repository.manifest(reference)).body == data
        assert repository.put(reference, data).refusal == (400, "MANIFEST_BLOB_UNKNOWN")
