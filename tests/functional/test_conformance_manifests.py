# SPDX-License-Identifier: Apache-2.0
"""Conformance: pushing manifests - by tag and digest, their limits, types and references."""

from __future__ import annotations

import base64
import json

import pytest

from .repository import (
    ALGORITHMS,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    EMPTY_JSON,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_MANIFEST,
    descriptor,
    digest_of,
    image,
    index,
    spell,
    type_of,
)

MIB = 1024 * 1024
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def padded(size):
    """A manifest of exactly so many bytes."""
    bare = image(annotations={"padding": ""})
    return image(annotations={"padding": "x" * (size - len(bare))})


def docker_image(layer):
    return spell(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": descriptor(EMPTY_JSON, DOCKER_CONFIG),
            "layers": [descriptor(layer, DOCKER_LAYER)],
        }
    )


@pytest.fixture
def stocked(repository):
    """A repository with the empty config by both digests."""
    for algorithm in ALGORITHMS:
        repository.push_blob(EMPTY_JSON, algorithm)
    return repository


class PutTests:
    """What a push is answered."""

    def test_push_by_tag_is_201(self, stocked):
        """Located by digest, and there under both."""
        data = image()
        answer = stocked.put("v1", data)
        digest = digest_of(data)
        assert (answer.status, answer.body) == (201, b"")
        assert answer.headers["Docker-Content-Digest"] == digest
        assert answer.headers["Location"] == stocked.manifest(digest)
        assert answer.headers["Content-Length"] == "0"
        assert "OCI-Subject" not in answer.headers and "OCI-Tag" not in answer.headers
        for path in (answer.headers["Location"], stocked.manifest("v1")):
            assert stocked.client.get(path).body == data

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_push_by_digest_is_201(self, stocked, algorithm):
        """Located by the digest that it was pushed with; no tag comes of it."""
        data = image(algorithm=algorithm)
        digest = digest_of(data, algorithm)
        for spelled in (digest, digest.replace(":", "%3A")):
            answer = stocked.put(spelled, data)
            assert answer.status == 201
            assert answer.headers["Docker-Content-Digest"] == digest
            assert answer.headers["Location"] == stocked.manifest(digest)
        assert stocked.client.get(stocked.manifest(digest)).body == data
        assert stocked.client.get_json(stocked.tags)["tags"] == []

    def test_tag_moves(self, stocked):
        """To what was pushed last; what it pointed at stays."""
        old, new = image(), image(annotations={"is": "new"})
        for data in (old, new, old, new):
            stocked.push(data, "v1")
            assert stocked.client.get(stocked.manifest("v1")).body == data
        assert stocked.client.get(stocked.manifest(digest_of(old))).body == old

    @pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
    def test_conditions_on_a_push_are_ignored(self, stocked, header):
        """As in registry:3: the last one wins."""
        for value in ('"other"', "*"):
            headers = {"Content-Type": OCI_MANIFEST, header: value}
            answer = stocked.client.put(stocked.manifest("v1"), image(), headers)
            assert answer.status == 201

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_other_digest_is_400(self, stocked, algorithm):
        """A digest names its own bytes, to the last blank."""
        data = image()
        digest = digest_of(data, algorithm)
        answer = stocked.put(digest, data + b"  ", OCI_MANIFEST)
        assert answer.refusal == (400, "DIGEST_INVALID")
        assert stocked.client.get(stocked.manifest(digest)).status == 404

    def test_stream_is_taken(self, stocked):
        """A client need not know the length beforehand."""
        data = image()
        headers = {"Content-Type": OCI_MANIFEST}
        answer = stocked.client.put(stocked.manifest("v1"), [data[:7], data[7:]], headers)
        assert answer.status == 201
        assert stocked.client.get(stocked.manifest("v1")).body == data

    def test_encoded_document_is_415(self, stocked):
        """It would be stored as it came."""
        headers = {"Content-Type": OCI_MANIFEST, "Content-Encoding": "gzip"}
        answer = stocked.client.put(stocked.manifest("v1"), image(), headers)
        assert answer.refusal == (415, "UNSUPPORTED")


class LimitTests:
    """How large a manifest may be."""

    def test_four_mebibytes_are_taken(self, stocked):
        """To the byte, by tag and by digest, and given back."""
        data = padded(4 * MIB)
        stocked.push(data, "v1")
        stocked.push(data, algorithm="sha512")
        assert stocked.client.get(stocked.manifest("v1")).body == data

    @pytest.mark.parametrize("is_declared", [True, False])
    def test_more_is_413(self, stocked, is_declared):
        """Whether or not the length was said beforehand."""
        data = padded(4 * MIB + 1)
        headers = {"Content-Type": OCI_MANIFEST}
        answer = stocked.client.put(
            stocked.manifest("v1"), data if is_declared else [data], headers
        )
        assert answer.refusal == (413, "MANIFEST_INVALID")
        assert stocked.client.get(stocked.manifest("v1")).status == 404


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class TagParameterTests:
    """PUT by digest with ``tag`` parameters."""

    def test_all_tags_are_made_and_named(self, stocked, algorithm):
        """Ten must be possible; each is an ``OCI-Tag``, once."""
        data = image(algorithm=algorithm)
        digest = digest_of(data, algorithm)
        tags = [f"t{number}" for number in range(20)]
        query = "&".join(f"tag={tag}" for tag in [*tags, "t0"])
        answer = stocked.put(f"{digest}?{query}", data)
        assert (answer.status, answer.all("OCI-Tag")) == (201, tags)
        assert answer.headers["Docker-Content-Digest"] == digest
        assert stocked.client.get_json(stocked.tags)["tags"] == sorted(tags)
        for tag in tags:
            answer = stocked.client.get(stocked.manifest(tag))
            assert (answer.body, answer.headers["Docker-Content-Digest"]) == (data, digest)

    def test_too_many_are_414(self, stocked, algorithm):
        """Before anything is stored."""
        data = image(algorithm=algorithm)
        digest = digest_of(data, algorithm)
        query = "&".join(f"tag=t{number}" for number in range(101))
        assert stocked.put(f"{digest}?{query}", data).refusal == (414, "UNSUPPORTED")
        assert stocked.client.get(stocked.manifest(digest)).status == 404

    def test_bad_one_is_400(self, stocked, algorithm):
        """All or none."""
        data = image(algorithm=algorithm)
        digest = digest_of(data, algorithm)
        assert stocked.put(f"{digest}?tag=ok&tag=.bad", data).refusal == (400, "TAG_INVALID")
        assert stocked.client.get(stocked.manifest("ok")).status == 404
        assert stocked.client.get(stocked.manifest(digest)).status == 404

    def test_push_by_tag_has_no_others(self, stocked, algorithm):
        """The parameter belongs to a push by digest."""
        answer = stocked.put("v1?tag=v2", image(algorithm=algorithm))
        assert (answer.status, answer.all("OCI-Tag")) == (201, [])
        assert stocked.client.get(stocked.manifest("v2")).status == 404


class TypeTests:
    """Content-Type and ``mediaType``."""

    @pytest.mark.parametrize("media_type", [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST])
    def test_four_types_are_taken(self, stocked, media_type):
        """And given back as what they are; case and parameters mean nothing."""
        stocked.push_blob(b"layer")
        stocked.push(image(), "child")
        data = {
            OCI_MANIFEST: image(b"layer"),
            OCI_INDEX: index(image()),
            DOCKER_MANIFEST: docker_image(b"layer"),
            DOCKER_LIST: index(image(), mediaType=DOCKER_LIST),
        }[media_type]
        for spelled in (media_type, media_type.upper(), f"{media_type} ; charset=utf-8;x=y"):
            assert stocked.put("v1", data, spelled).status == 201
            for reference in ("v1", digest_of(data)):
                for accept in (media_type, OCI_MANIFEST, "*/*"):
                    answer = stocked.client.get(stocked.manifest(reference), {"Accept": accept})
                    assert (answer.status, answer.body) == (200, data)
                    assert answer.headers["Content-Type"] == media_type

    @pytest.mark.parametrize(
        "said, named",
        [
            (OCI_MANIFEST, OCI_INDEX),
            (OCI_MANIFEST, DOCKER_MANIFEST),
            (OCI_INDEX, OCI_MANIFEST),
            (DOCKER_MANIFEST, OCI_MANIFEST),
            (DOCKER_MANIFEST, None),
            (OCI_MANIFEST, "application/vnd.example"),
            (OCI_MANIFEST, 7),
        ],
    )
    def test_type_that_differs_from_the_named_one_is_400(self, stocked, said, named):
        """Nobody can be made to take one kind for another."""
        answer = stocked.put("v1", image(mediaType=named), said)
        assert answer.refusal == (400, "MANIFEST_INVALID")

    @pytest.mark.parametrize(
        "said",
        [
            "application/json",
            "application/octet-stream",
            "junk",
            "application/vnd.oci.empty.v1+json",
            None,
        ],
    )
    def test_other_types_are_400(self, stocked, said):
        """Also none at all."""
        headers = {} if said is None else {"Content-Type": said}
        answer = stocked.client.put(stocked.manifest("v1"), image(), headers)
        assert answer.refusal == (400, "MANIFEST_INVALID")

    @pytest.mark.parametrize("kind", ["v1+json", "v1+prettyjws"])
    def test_schema_1_is_400(self, stocked, kind):
        """Its time is over."""
        said = f"application/vnd.docker.distribution.manifest.{kind}"
        answer = stocked.put("v1", b'{"schemaVersion": 1}', said)
        assert answer.refusal == (400, "UNSUPPORTED")

    @pytest.mark.parametrize(
        "data",
        [
            *(b"", b"{", b"[]", b"null", b"\xff", b'{"schemaVersion": 2}', b"{}" * 2),
            image(schemaVersion=3),
            image(schemaVersion="2"),
            image(schemaVersion=None),
            image(config=b"", config_type=None),
            image(manifests=[]),
            image(layers={}),
            image(layers=[{"mediaType": "a/b", "digest": "sha256:x", "size": 1}]),
            image(layers=[{"mediaType": "a/b", "digest": digest_of(EMPTY_JSON), "size": -1}]),
            image(annotations={"a": 1}),
            image(subject={"digest": digest_of(b"x")}),
            image()[:-1] + b', "config": {}}',
        ],
        ids=range(18),
    )
    def test_malformed_document_is_400(self, stocked, data):
        """Whatever is wrong with it."""
        assert stocked.put("v1", data, OCI_MANIFEST).refusal == (400, "MANIFEST_INVALID")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class ReferencesTests:
    """What a manifest names must be there, with exceptions."""

    def test_missing_blobs_are_all_named(self, stocked, algorithm):
        """One error for each."""
        data = image(b"one", b"two", algorithm=algorithm)
        answer = stocked.put("v1", data)
        assert answer.codes == ["MANIFEST_BLOB_UNKNOWN"] * 2 and answer.status == 400
        missing = {error["detail"] for error in answer.json()["errors"]}
        assert missing == {digest_of(b"one", algorithm), digest_of(b"two", algorithm)}

    def test_missing_config_is_an_error(self, stocked, algorithm):
        """It is a blob as any other."""
        data = image(config=b"none", algorithm=algorithm)
        assert stocked.put("v1", data).refusal == (400, "MANIFEST_BLOB_UNKNOWN")

    def test_blobs_of_another_repository_do_not_count(self, repository, algorithm):
        """Nor those of the same bytes by another digest."""
        repository.sibling("other").push_blob(EMPTY_JSON, algorithm)
        repository.push_blob(EMPTY_JSON, "sha512" if algorithm == "sha256" else "sha256")
        answer = repository.put("v1", image(algorithm=algorithm))
        assert answer.refusal == (400, "MANIFEST_BLOB_UNKNOWN")

    def test_size_must_be_true(self, stocked, algorithm):
        """A client that believes it would fail."""
        config = {**descriptor(EMPTY_JSON, OCI_EMPTY, algorithm), "size": 3}
        document = json.loads(image(algorithm=algorithm)) | {"config": config}
        assert stocked.put("v1", spell(document)).refusal == (400, "MANIFEST_INVALID")

    @pytest.mark.parametrize(
        "media_type",
        [
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        ],
    )
    def test_layers_that_live_elsewhere_need_not_be_here(self, stocked, algorithm, media_type):
        """If they say where; without URLs they must."""
        layer = descriptor(b"elsewhere", media_type, algorithm)
        assert stocked.put("v1", image(layers=[layer])).refusal == (400, "MANIFEST_BLOB_UNKNOWN")
        layer["urls"] = ["https://store.example/layer"]
        stocked.push(image(layers=[layer]), "v1")

    def test_missing_subject_is_no_error(self, stocked, algorithm):
        """OCI-Subject tells that it will be found as a referrer all the same."""
        subject = descriptor(b"never pushed", OCI_MANIFEST, algorithm)
        answer = stocked.put("v1", image(subject=subject))
        assert (answer.status, answer.headers["OCI-Subject"]) == (201, subject["digest"])
        [found] = stocked.client.get_json(stocked.referrers(subject["digest"]))["manifests"]
        assert found["digest"] == answer.headers["Docker-Content-Digest"]

    @pytest.mark.parametrize("is_index", [False, True])
    def test_subject_is_told_back(self, stocked, algorithm, is_index):
        """By tag and by digest, of manifests and indexes."""
        subject = descriptor(stocked.push_image("subject"), OCI_MANIFEST, algorithm)
        data = index(subject=subject) if is_index else image(subject=subject)
        for reference in ("v1", digest_of(data), f"{digest_of(data, 'sha512')}?tag=v2"):
            answer = stocked.put(reference, data)
            assert (answer.status, answer.headers["OCI-Subject"]) == (201, subject["digest"])

    def test_index_needs_its_children(self, stocked, algorithm):
        """Unless the registry is configured to take sparse ones."""
        here = image(algorithm=algorithm)
        missing = image(annotations={"is": "missing"}, algorithm=algorithm)
        stocked.push(here, algorithm=algorithm)
        stocked.push(index(here, algorithm=algorithm), "whole")
        answer = stocked.put("sparse", index(here, missing, algorithm=algorithm))
        assert answer.refusal == (400, "MANIFEST_BLOB_UNKNOWN")
        assert answer.json()["errors"][0]["detail"] == digest_of(missing, algorithm)

    def test_indexes_nest(self, stocked, algorithm):
        """To any depth, empty ones too."""
        data = index(algorithm=algorithm)
        for depth in range(5):
            stocked.push(data, f"depth-{depth}", algorithm)
            assert stocked.client.get(stocked.manifest(f"depth-{depth}")).body == data
            data = index(data, algorithm=algorithm, annotations={"depth": str(depth)})

    @pytest.mark.parametrize(
        "members",
        [
            {"layers": []},
            {"layers": None},
            {"artifactType": "application/vnd.example.thing"},
            {"artifactType": "application/vnd.example.thing", "layers": []},
            {"annotations": {}, "x-own": {"any": ["thing"]}},
            {"data": True},
        ],
        ids=[
            "no layers",
            "layers left out",
            "artifact",
            "artifact without layers",
            "own members",
            "data",
        ],
    )
    def test_odd_manifests_are_taken(self, stocked, algorithm, members):
        """All of these are in use."""
        if members.pop("data", False):
            config = descriptor(EMPTY_JSON, OCI_EMPTY, algorithm)
            config["data"] = base64.b64encode(EMPTY_JSON).decode()
            data = spell(json.loads(image()) | {"config": config})
        else:
            data = image(algorithm=algorithm, **members)
        stocked.push(data, "v1", algorithm)
        answer = stocked.client.get(stocked.manifest("v1"))
        assert (answer.body, answer.headers["Content-Type"]) == (data, type_of(data))

    def test_null_layers_are_no_layers(self, stocked, algorithm):
        """As Go spells an empty list."""
        data = spell(json.loads(image(algorithm=algorithm)) | {"layers": []}).replace(
            b"[]", b"null"
        )
        stocked.push(data, algorithm=algorithm)

    def test_whole_image_comes_and_goes(self, repository, algorithm):
        """Config, layers, two platforms, an index over them; all by one algorithm."""
        config = json.dumps({"architecture": "amd64", "os": "linux"}).encode()
        images = [
            repository.push_image(
                None, layer, b"shared", algorithm=algorithm, config=config, config_type=OCI_CONFIG
            )
            for layer in (b"amd64" * 30_000, b"arm64" * 30_000)
        ]
        data = index(*images, algorithm=algorithm)
        repository.push(data, "latest", algorithm)
        got = repository.client.get(repository.manifest("latest"))
        for child in got.json()["manifests"]:
            manifest = repository.client.get(repository.manifest(child["digest"])).json()
            for blob in (manifest["config"], *manifest["layers"]):
                content = repository.client.get(repository.blob(blob["digest"])).body
                assert digest_of(content, algorithm) == blob["digest"]
                assert len(content) == blob["size"]
