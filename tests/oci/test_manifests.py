# SPDX-License-Identifier: Apache-2.0
"""Manifests that are taken, and what is read from them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.oci import media_types
from txregistry.oci.descriptors import Descriptor
from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code
from txregistry.oci.manifests import (
    CHILDREN_LIMIT,
    LAYERS_LIMIT,
    MANIFEST_LIMIT,
    Manifest,
    parse_manifest,
    stored_media_type,
)
from txregistry.oci.members import SIZE_LIMIT

from .documents import (
    CHILD_DIGEST,
    CONFIG_DIGEST,
    FOREIGN_TYPE,
    LAYER_DIGEST,
    LAYER_TYPE,
    SUBJECT_DIGEST,
    Missing,
    child,
    config,
    descriptor,
    encoded,
    image,
    index,
    sample,
)
from .refusals import refused

TYPES = sorted(media_types.MANIFEST_TYPES)
OCI_TYPES = [media_types.OCI_MANIFEST, media_types.OCI_INDEX]

CONFIG = Descriptor(media_types.OCI_CONFIG, Digest.parse(CONFIG_DIGEST), 2)
LAYER = Descriptor(LAYER_TYPE, Digest.parse(LAYER_DIGEST), 5)
CHILD = Descriptor(media_types.OCI_MANIFEST, Digest.parse(CHILD_DIGEST), 5)
SUBJECT = Descriptor(media_types.OCI_MANIFEST, Digest.parse(SUBJECT_DIGEST), 5)

IMAGES = {
    "no layers": image(layers=[]),
    "layers missing": image(layers=Missing),
    "layers null": image(layers=None),
    "same layer twice": image(layers=[descriptor(), descriptor()]),
    "most layers": image(layers=[descriptor()] * LAYERS_LIMIT),
    "empty config": image(
        config=config(mediaType=media_types.OCI_EMPTY, data="e30="), artifactType="application/x"
    ),
    "config of any type": image(
        config=config(mediaType="application/vnd.cncf.helm.config.v1+json")
    ),
    "type with parameters": image(layers=[descriptor(mediaType="text/plain; charset=utf-8")]),
    "data": image(layers=[descriptor(data="bGF5ZXI=")]),
    "annotations": image(annotations={"": "", "a": "\0\n<script>", "é": "\U0001f600"}),
    "no annotations": image(annotations={}),
    "null for what may be missing": image(
        subject=None, annotations=None, artifactType=None, mediaType=None
    ),
    "empty for what may be missing": image(artifactType="", mediaType=""),
    "null in a descriptor": image(
        layers=[
            descriptor(urls=None, annotations=None, data=None, artifactType=None, platform=None)
        ]
    ),
    "layer of no bytes": image(layers=[descriptor(size=0)]),
    "largest layer": image(layers=[descriptor(size=SIZE_LIMIT)]),
    "sha512": image(layers=[descriptor(digest=SUBJECT_DIGEST)]),
    "foreign layer": image(
        layers=[descriptor(mediaType=FOREIGN_TYPE, urls=["http://169.254.169.254/"])]
    ),
    "unknown members": image(fsLayers=[], x={"size": -1, "digest": 5, "Layers": [1.5, None, True]}),
    "unknown members of a descriptor": image(layers=[descriptor(x=1.5, Data2="x")]),
    "subject": image(subject=child(digest=SUBJECT_DIGEST)),
}

INDEXES = {
    "no children": index(manifests=[]),
    "children null": index(manifests=None),
    "most children": index(manifests=[child()] * CHILDREN_LIMIT),
    "nested": index(manifests=[child(mediaType=media_types.OCI_INDEX)]),
    "blobs of a build cache": index(manifests=[descriptor(), child()]),
    "platform": index(
        manifests=[child(platform={"os": "linux", "os.features": ["x"], "Variant": 1})]
    ),
    "empty platform": index(manifests=[child(platform={})]),
    "child with an artifact type": index(
        manifests=[child(artifactType="application/x", annotations={"a": "b"})]
    ),
    "subject": index(subject=child(digest=SUBJECT_DIGEST), artifactType="application/x"),
}


@pytest.mark.parametrize("media_type", TYPES)
def test_document_that_names_its_type_is_taken(media_type: str) -> None:
    """Each of the four kinds is read, and is served as what it was pushed as."""
    data = encoded(sample(media_type))
    manifest = parse_manifest(data, media_type)
    if media_type in media_types.IMAGE_TYPES:
        assert manifest == Manifest(media_type, config=CONFIG, layers=(LAYER,))
    else:
        assert manifest == Manifest(media_type, manifests=(CHILD,))
    assert manifest.is_index is (media_type in media_types.INDEX_TYPES)
    assert stored_media_type(data) == media_type


@pytest.mark.parametrize("media_type", OCI_TYPES)
def test_oci_document_need_not_name_its_type(media_type: str) -> None:
    """OCI's documents are known by their shape."""
    data = encoded(sample(media_type, mediaType=Missing))
    assert parse_manifest(data, media_type).media_type == media_type
    assert stored_media_type(data) == media_type


@pytest.mark.parametrize("form", ["{}; charset=utf-8", " {}", "{};"])
@pytest.mark.parametrize("media_type", TYPES)
def test_form_of_the_content_type_does_not_matter(media_type: str, form: str) -> None:
    """Parameters, white space and case of a Content-Type change nothing."""
    data = encoded(sample(media_type))
    assert parse_manifest(data, form.format(media_type.upper())).media_type == media_type


@pytest.mark.parametrize("document", IMAGES.values(), ids=IMAGES.keys())
def test_image_manifest_of_the_grammar_is_taken(document: dict[str, object]) -> None:
    """What the specification allows in an image manifest is taken, served as pushed, and carried
    whole.
    """
    data = encoded(document)
    manifest = parse_manifest(data, media_types.OCI_MANIFEST)
    assert stored_media_type(data) == media_types.OCI_MANIFEST
    assert Manifest.from_plain(json.loads(json.dumps(manifest.to_plain()))) == manifest
    assert manifest.children == ()


@pytest.mark.parametrize("document", INDEXES.values(), ids=INDEXES.keys())
def test_index_of_the_grammar_is_taken(document: dict[str, Any]) -> None:
    """What the specification allows in an index is taken, served as pushed, and carried whole."""
    data = encoded(document)
    manifest = parse_manifest(data, media_types.OCI_INDEX)
    assert stored_media_type(data) == media_types.OCI_INDEX
    assert Manifest.from_plain(json.loads(json.dumps(manifest.to_plain()))) == manifest
    assert manifest.references == ()
    assert len(manifest.children) == len(document["manifests"] or ())


def test_all_members_are_read() -> None:
    """Whatever the registry acts upon comes out of the document."""
    document = image(
        layers=[
            descriptor(
                urls=["https://host.example/x"],
                annotations={"a": "b"},
                artifactType="application/y",
            ),
        ],
        subject=child(digest=SUBJECT_DIGEST),
        artifactType="application/x",
        annotations={"c": "d"},
    )
    manifest = parse_manifest(encoded(document), media_types.OCI_MANIFEST)
    assert manifest == Manifest(
        media_types.OCI_MANIFEST,
        config=CONFIG,
        layers=(
            Descriptor(
                LAYER_TYPE,
                Digest.parse(LAYER_DIGEST),
                5,
                artifact_type="application/y",
                annotations={"a": "b"},
                urls=("https://host.example/x",),
            ),
        ),
        subject=SUBJECT,
        artifact_type="application/x",
        annotations={"c": "d"},
    )
    assert hash(manifest) == hash(Manifest.from_plain(manifest.to_plain()))


def test_references_are_config_and_layers_each_once() -> None:
    """What must have been pushed before is asked for once, in the document's order."""
    document = image(
        layers=[descriptor(), descriptor(annotations={"a": "b"}), descriptor(digest=CHILD_DIGEST)]
    )
    found = parse_manifest(encoded(document), media_types.OCI_MANIFEST).references
    assert [str(blob.digest) for blob in found] == [CONFIG_DIGEST, LAYER_DIGEST, CHILD_DIGEST]


def test_layer_that_is_named_with_two_sizes_is_asked_for_twice() -> None:
    """One of two sizes is wrong, and neither hides the other."""
    document = image(layers=[descriptor(), descriptor(size=6)])
    found = parse_manifest(encoded(document), media_types.OCI_MANIFEST).references
    assert [blob.size for blob in found] == [2, 5, 6]


@pytest.mark.parametrize("media_type", sorted(media_types.NON_DISTRIBUTABLE))
def test_foreign_layer_need_not_exist_if_it_says_where_it_is(media_type: str) -> None:
    """A layer that may not be distributed is asked for only if it has no URLs."""
    elsewhere = image(layers=[descriptor(mediaType=media_type, urls=["https://host.example/x"])])
    assert parse_manifest(encoded(elsewhere), media_types.OCI_MANIFEST).references == (CONFIG,)
    nowhere = image(layers=[descriptor(mediaType=media_type)])
    assert len(parse_manifest(encoded(nowhere), media_types.OCI_MANIFEST).references) == 2


@pytest.mark.parametrize(
    ("document", "media_type", "expected"),
    [
        (image(), media_types.OCI_MANIFEST, media_types.OCI_CONFIG),
        (image(artifactType="application/x"), media_types.OCI_MANIFEST, "application/x"),
        (image(artifactType=""), media_types.OCI_MANIFEST, media_types.OCI_CONFIG),
        (index(), media_types.OCI_INDEX, None),
        (index(artifactType="application/x"), media_types.OCI_INDEX, "application/x"),
    ],
)
def test_type_among_referrers(
    document: dict[str, object], media_type: str, expected: str | None
) -> None:
    """A referrer is listed by its own type, else its config's; an index has no other."""
    manifest = parse_manifest(encoded(document | {"annotations": {"a": "b"}}), media_type)
    assert manifest.referrer_type == expected
    assert manifest.as_referrer(SUBJECT.digest, 7) == Descriptor(
        media_type, SUBJECT.digest, 7, artifact_type=expected, annotations={"a": "b"}
    )


@pytest.mark.parametrize("size", [MANIFEST_LIMIT - 1, MANIFEST_LIMIT])
def test_manifest_up_to_the_limit_is_taken(size: int) -> None:
    """Four mebibytes are taken, padded by white space or by one annotation."""
    data = encoded(image(annotations={"a": ""}))
    padding = size - len(data)
    for padded in (data + b" " * padding, encoded(image(annotations={"a": "x" * padding}))):
        assert len(padded) == size
        parse_manifest(padded, media_types.OCI_MANIFEST)
        assert stored_media_type(padded) == media_types.OCI_MANIFEST


def test_three_mebibytes_of_annotations_are_taken() -> None:
    """Annotations are bounded by the manifest's size alone."""
    many = {f"org.example.{place}": "x" for place in range(120_000)}
    manifest = parse_manifest(encoded(image(annotations=many)), media_types.OCI_MANIFEST)
    assert manifest.annotations == many


@given(
    st.dictionaries(st.text(min_size=1), st.text(), max_size=5),
    st.lists(st.integers(0, SIZE_LIMIT), max_size=5),
    st.sampled_from(sorted(media_types.IMAGE_TYPES)),
)
def test_any_image_is_carried_whole(
    annotations: dict[str, str], sizes: list[int], media_type: str
) -> None:
    """Whatever is read in a worker process arrives as it was read."""
    document = image(
        media_type,
        annotations=annotations,
        layers=[descriptor(size=size, annotations=annotations) for size in sizes],
    )
    try:
        data = json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        with refused(Code.MANIFEST_INVALID):
            parse_manifest(encoded(document), media_type)
        return
    manifest = parse_manifest(data, media_type)
    assert [layer.size for layer in manifest.layers] == sizes
    assert Manifest.from_plain(json.loads(json.dumps(manifest.to_plain()))) == manifest


STORED = {
    "index by its member": (b'{"schemaVersion":2,"manifests":[]}', media_types.OCI_INDEX),
    "image by nothing else": (
        b'{"schemaVersion":2,"config":{},"layers":[]}',
        media_types.OCI_MANIFEST,
    ),
    "equal names": (b'{"schemaVersion":2,"a":1,"a":2,"layers":[]}', media_types.OCI_MANIFEST),
    "null type": (b'{"mediaType":null,"manifests":[]}', media_types.OCI_INDEX),
    "wrong shape for its type": (
        f'{{"mediaType":"{media_types.DOCKER_LIST}","layers":[]}}'.encode(),
        media_types.DOCKER_LIST,
    ),
}

UNSERVABLE = {
    "empty": b"",
    "zeros": b"\0" * 100,
    "gzip": b"\x1f\x8b\x08\x00",
    "list": b"[]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "schema 1": b'{"schemaVersion":1,"fsLayers":[]}',
    "HTML": b'{"schemaVersion":2,"mediaType":"text/html"}',
    "type of a blob": f'{{"mediaType":"{media_types.OCI_CONFIG}"}}'.encode(),
    "type in upper case": f'{{"mediaType":"{media_types.OCI_INDEX.upper()}"}}'.encode(),
    "type that is no text": b'{"schemaVersion":2,"mediaType":["x"]}',
    "type with a line end": b'{"schemaVersion":2,"mediaType":"a/b\\r\\nX: y"}',
    "too large": b" " * MANIFEST_LIMIT + b"{}",
}


@pytest.mark.parametrize(("data", "media_type"), STORED.values(), ids=STORED.keys())
def test_manifest_of_an_adopted_tree_is_served_by_its_shape(data: bytes, media_type: str) -> None:
    """What another registry took is served as that registry would."""
    assert stored_media_type(data) == media_type


@pytest.mark.parametrize("data", UNSERVABLE.values(), ids=UNSERVABLE.keys())
def test_stored_bytes_of_no_known_kind_are_unknown(data: bytes) -> None:
    """What is no manifest, or an old one, is a 404 that says so, and never served as something
    else.
    """
    with refused(Code.MANIFEST_UNKNOWN) as caught:
        stored_media_type(data)
    assert caught.value.detail
