# SPDX-License-Identifier: Apache-2.0
"""Conformance: pulling manifests and blobs, in whole and in part."""

from __future__ import annotations

import email
import os

import pytest

from .repository import (
    ALGORITHMS,
    EMPTY_JSON,
    NOTHING,
    OCI_INDEX,
    OCI_MANIFEST,
    OCTET_STREAM,
    digest_of,
    image,
    index,
)

#: Contents of the sizes for which a server may have ways of its own.
SIZES = {"none": 0, "one byte": 1, "small": 2048, "in memory": 64 * 1024, "large": 300_000}


@pytest.fixture(scope="module")
def contents():
    return {name: os.urandom(size) for name, size in SIZES.items()}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class ManifestTests:
    """GET and HEAD of a manifest."""

    @pytest.mark.parametrize("by", ["tag", "digest", "encoded digest"])
    def test_bytes_are_those_that_were_pushed(self, repository, algorithm, by):
        """Odd spacing and members that nobody knows included, with digest, type and length."""
        repository.push_blob(EMPTY_JSON, algorithm)
        data = image(algorithm=algorithm, **{"x-unknown": {"é": [1.50, "\u2028"]}})
        data = b" \n" + data.replace(b", ", b" ,\t") + b"\r\n\n"
        digest = digest_of(data, algorithm)
        repository.push(data, "v1", algorithm)
        reference = {"tag": "v1", "digest": digest}.get(by, digest.replace(":", "%3A"))
        answer = repository.client.get(repository.manifest(reference))
        assert (answer.status, answer.body) == (200, data)
        assert answer.headers["Docker-Content-Digest"] == digest
        assert answer.headers["Content-Type"] == OCI_MANIFEST
        assert answer.headers["Content-Length"] == str(len(data))
        assert answer.headers["ETag"] == f'"{digest}"'

    @pytest.mark.parametrize("by", ["tag", "digest"])
    def test_type_is_the_one_that_was_pushed_without_parameters(self, repository, algorithm, by):
        """Also where the document does not name its type."""
        repository.push_blob(EMPTY_JSON, algorithm)
        for data, media_type in [
            (image(algorithm=algorithm), OCI_MANIFEST),
            (image(algorithm=algorithm, mediaType=None), OCI_MANIFEST),
            (index(algorithm=algorithm), OCI_INDEX),
            (index(algorithm=algorithm, mediaType=None), OCI_INDEX),
        ]:
            digest = digest_of(data, algorithm)
            answer = repository.put(f"{digest}?tag=v1", data, f"{media_type}; charset=utf-8")
            assert answer.status == 201
            got = repository.client.get(repository.manifest(digest if by == "digest" else "v1"))
            assert (got.headers["Content-Type"], got.body) == (media_type, data)

    @pytest.mark.parametrize(
        "accept",
        [None, "*/*", "application/*", OCI_INDEX, "text/html", "", f"{OCI_INDEX};q=0.1, x/y"],
    )
    @pytest.mark.parametrize("by", ["tag", "digest"])
    def test_accept_converts_and_hides_nothing(self, repository, algorithm, by, accept):
        """A manifest is what it is; 404 would be a lie."""
        data = repository.push_image(algorithm=algorithm)
        digest = digest_of(data, algorithm)
        repository.push(data, "v1", algorithm)
        path = repository.manifest("v1" if by == "tag" else digest)
        headers = {} if accept is None else {"Accept": accept}
        for method in ("GET", "HEAD"):
            answer = repository.client.request(method, path, headers=headers)
            assert answer.status == 200
            assert answer.headers["Docker-Content-Digest"] == digest
            assert answer.headers["Content-Type"] == OCI_MANIFEST

    def test_what_is_missing_is_404_for_both_methods(self, repository, algorithm):
        """By tag, by digest, in a repository that nobody has heard of, and under the other
        digest.
        """
        data = repository.push_image(algorithm=algorithm)
        other = digest_of(data, "sha512" if algorithm == "sha256" else "sha256")
        for path in [
            repository.manifest("none"),
            repository.manifest(digest_of(b"none", algorithm)),
            repository.manifest(other),
            repository.sibling("none").manifest(digest_of(data, algorithm)),
        ]:
            assert repository.client.get(path).refusal == (404, "MANIFEST_UNKNOWN")
            assert repository.client.head(path).status == 404

    @pytest.mark.parametrize("condition", ['"{}"', "{}", 'W/"{}"', '"x", "{}"', '"x",W/"{}"', "*"])
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_known_content_is_304(self, repository, algorithm, method, condition):
        """By tag, it is asked on every pull whether the tag has moved."""
        data = repository.push_image(algorithm=algorithm)
        digest = digest_of(data, algorithm)
        repository.push(data, "v1", algorithm)
        for reference in ("v1", digest):
            headers = {"If-None-Match": condition.format(digest)}
            answer = repository.client.request(
                method, repository.manifest(reference), headers=headers
            )
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers["ETag"] == f'"{digest}"'
            assert answer.headers["Docker-Content-Digest"] == digest

    def test_other_content_is_200(self, repository, algorithm):
        """The tag has moved since."""
        old = repository.push_image(algorithm=algorithm)
        new = repository.push_image(algorithm=algorithm, annotations={"is": "new"})
        repository.push(new, "v1", algorithm)
        headers = {"If-None-Match": f'"{digest_of(old, algorithm)}"'}
        assert repository.client.get(repository.manifest("v1"), headers).body == new

    def test_condition_does_not_stand_for_the_content(self, repository, algorithm):
        """What is not there is 404 whatever the client holds."""
        digest = digest_of(b"none", algorithm)
        for value in (f'"{digest}"', "*"):
            answer = repository.client.get(repository.manifest(digest), {"If-None-Match": value})
            assert answer.refusal == (404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class BlobTests:
    """GET and HEAD of a blob."""

    @pytest.mark.parametrize("size", SIZES)
    def test_content_comes_back(self, repository, contents, algorithm, size):
        """The empty one too; with digest, length and what caches want to know."""
        data = contents[size]
        digest = repository.push_blob(data, algorithm)
        for spelled in (digest, digest.replace(":", "%3a")):
            answer = repository.client.get(repository.blob(spelled))
            assert (answer.status, answer.body) == (200, data)
            assert answer.headers["Docker-Content-Digest"] == digest
            assert answer.headers["Content-Length"] == str(len(data))
            assert answer.headers["Content-Type"] == OCTET_STREAM
            assert answer.headers["ETag"] == f'"{digest}"'
            assert answer.headers["Accept-Ranges"] == "bytes"
            assert answer.headers["Cache-Control"] == "max-age=31536000"

    def test_what_is_missing_is_404_for_both_methods(self, repository, algorithm):
        """In this repository, and so under the other digest of the same bytes."""
        repository.push_blob(b"data", algorithm)
        other = digest_of(b"data", "sha512" if algorithm == "sha256" else "sha256")
        for path in [
            repository.blob(digest_of(b"none", algorithm)),
            repository.blob(other),
            repository.sibling("none").blob(digest_of(b"data", algorithm)),
        ]:
            assert repository.client.get(path).refusal == (404, "BLOB_UNKNOWN")
            assert repository.client.head(path).status == 404

    def test_manifest_is_no_blob(self, repository, algorithm):
        """Each is found where it was pushed."""
        data = repository.push_image(algorithm=algorithm)
        assert not repository.has_blob(digest_of(data, algorithm))

    @pytest.mark.parametrize("size", ["none", "small", "large"])
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_known_content_is_304(self, repository, contents, algorithm, method, size):
        """Bare, quoted, weak, in a list, or anything at all."""
        digest = repository.push_blob(contents[size], algorithm)
        for value in (digest, f'"{digest}"', f'W/"{digest}"', f'"x", "{digest}"', "*"):
            answer = repository.client.request(
                method, repository.blob(digest), headers={"If-None-Match": value}
            )
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers["ETag"] == f'"{digest}"'

    def test_other_content_is_200(self, repository, algorithm):
        """And nothing missing is a match."""
        digest = repository.push_blob(b"data", algorithm)
        answer = repository.client.get(repository.blob(digest), {"If-None-Match": '"other"'})
        assert (answer.status, answer.body) == (200, b"data")
        missing = repository.blob(digest_of(b"none", algorithm))
        assert repository.client.get(missing, {"If-None-Match": "*"}).status == 404


@pytest.mark.parametrize("size", ["small", "in memory", "large"])
class RangeTests:
    """GET of a part."""

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize(
        "asked, start, stop",
        [
            ("500-1499", 500, 1500),
            ("0-0", 0, 1),
            ("500-", 500, None),
            ("-500", -500, None),
            ("2000-500000", 2000, None),
            ("0-99999999999999999999", 0, None),
            ("-99999999999999999999", 0, None),
            ("0-", 0, None),
        ],
    )
    def test_one_range_is_206(self, repository, contents, algorithm, size, asked, start, stop):
        """Each form; an end past the end is cut."""
        data = contents[size]
        digest = repository.push_blob(data, algorithm)
        answer = repository.client.get(repository.blob(digest), {"Range": f"bytes={asked}"})
        part = data[start:stop]
        first = start % len(data)
        assert (answer.status, answer.body) == (206, part)
        place = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
        assert answer.headers["Content-Range"] == place
        assert answer.headers["Content-Length"] == str(len(part))
        assert answer.headers["Docker-Content-Digest"] == digest
        assert answer.headers["Content-Type"] == OCTET_STREAM

    @pytest.mark.parametrize("asked", ["500-0", "500000-600000", "500000-", "-0", "5-4,0-1"])
    def test_what_lies_outside_is_416(self, repository, contents, size, asked):
        """Past the end, or an end before the start; with the true size."""
        digest = repository.push_blob(contents[size])
        answer = repository.client.get(repository.blob(digest), {"Range": f"bytes={asked}"})
        assert answer.refusal == (416, "RANGE_INVALID")
        assert answer.headers["Content-Range"] == f"bytes */{len(contents[size])}"

    @pytest.mark.parametrize(
        "asked", ["items=0-4", "0-4", "bytes=", "bytes=a-b", "bytes=--1", "bytes 0-4"]
    )
    def test_what_is_no_range_is_ignored(self, repository, contents, size, asked):
        """The whole content is a right answer too."""
        digest = repository.push_blob(contents[size])
        answer = repository.client.get(repository.blob(digest), {"Range": asked})
        assert (answer.status, answer.body) == (200, contents[size])

    def test_several_ranges_are_one_document(self, repository, contents, size):
        """Each with its place; those that overlap are one."""
        data = contents[size]
        digest = repository.push_blob(data)
        answer = repository.client.get(
            repository.blob(digest), {"Range": "bytes=0-9,500-599,550-649,-10"}
        )
        assert answer.status == 206
        head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
        document = email.message_from_bytes(head + answer.body)
        assert document.get_content_type() == "multipart/byteranges"
        places = [part["Content-Range"] for part in document.get_payload()]
        spans = [(0, 10), (500, 650), (len(data) - 10, len(data))]
        assert places == [f"bytes {start}-{stop - 1}/{len(data)}" for start, stop in spans]
        position = 0
        for start, stop in spans:
            position = answer.body.index(data[start:stop], position) + stop - start

    def test_interrupted_pull_goes_on(self, repository, contents, size):
        """If-Range makes sure that it is the rest of the same content."""
        data = contents[size]
        digest = repository.push_blob(data)
        headers = {"Range": "bytes=1000-", "If-Range": f'"{digest}"'}
        answer = repository.client.get(repository.blob(digest), headers)
        assert (answer.status, answer.body) == (206, data[1000:])
        for other in ('"other"', f'W/"{digest}"', "Wed, 21 Oct 2015 07:28:00 GMT"):
            answer = repository.client.get(repository.blob(digest), {**headers, "If-Range": other})
            assert (answer.status, answer.body) == (200, data)

    def test_head_has_no_ranges(self, repository, contents, size):
        """Range is for GET: RFC 9110 section 14.2."""
        digest = repository.push_blob(contents[size])
        answer = repository.client.head(repository.blob(digest), {"Range": "bytes=0-4"})
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(contents[size])))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_range_of_nothing_is_nothing(repository, algorithm):
    """A client that asks all its questions by range can pull the empty blob."""
    digest = repository.push_blob(NOTHING, algorithm)
    for asked in ("bytes=0-", "bytes=0-99", "bytes=-5"):
        answer = repository.client.get(repository.blob(digest), {"Range": asked})
        assert (answer.status, answer.body) == (200, b"")
