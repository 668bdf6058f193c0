# SPDX-License-Identifier: Apache-2.0
"""Manifests that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.oci import media_types
from txregistry.oci.errors import Code, OciError
from txregistry.oci.manifests import (
    CHILDREN_LIMIT,
    LAYERS_LIMIT,
    MANIFEST_LIMIT,
    parse_manifest,
    stored_media_type,
)

from .documents import (
    LAYER_DIGEST,
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

CONTENT_TYPES = {
    "missing": None,
    "empty": "",
    "JSON": "application/json",
    "HTML": "text/html",
    "octets": "application/octet-stream",
    "wildcard": "*/*",
    "a config's": media_types.OCI_CONFIG,
    "two": f"{media_types.OCI_MANIFEST}, {media_types.OCI_INDEX}",
    "two lines": media_types.OCI_MANIFEST + "\r\nX: y",
    "prefix": media_types.OCI_MANIFEST + "x",
    "4 KiB": "application/" + "a" * 4096,
    "4 KiB of parameters": media_types.OCI_MANIFEST + ";a=" + "a" * 4096,
}

NOT_OBJECTS: list[object] = [None, [], [{}], "x", 5, 1.5, True]

# what is wrong: (the document, what the detail begins with)
SPOILT_IMAGES: dict[str, tuple[object, str]] = {
    "version missing": (image(schemaVersion=Missing), "schemaVersion"),
    "version null": (image(schemaVersion=None), "schemaVersion"),
    "version 3": (image(schemaVersion=3), "schemaVersion"),
    "version 0": (image(schemaVersion=0), "schemaVersion"),
    "version as text": (image(schemaVersion="2"), "schemaVersion"),
    "version as a fraction": (image(schemaVersion=2.0), "schemaVersion"),
    "version true": (image(schemaVersion=True), "schemaVersion"),
    "version in a list": (image(schemaVersion=[2]), "schemaVersion"),
    "other type": (image(media_types.OCI_INDEX), "mediaType"),
    "Docker's type": (image(media_types.DOCKER_MANIFEST), "mediaType"),
    "type in upper case": (image(media_types.OCI_MANIFEST.upper()), "mediaType"),
    "type with a parameter": (image(media_types.OCI_MANIFEST + ";a=b"), "mediaType"),
    "type that is no text": (image(mediaType=[media_types.OCI_MANIFEST]), "mediaType"),
    "type false": (image(mediaType=False), "mediaType"),
    "type zero": (image(mediaType=0), "mediaType"),
    "children beside layers": (image(manifests=[child()]), "manifests"),
    "no children beside layers": (image(manifests=[]), "manifests"),
    "null children beside layers": (image(manifests=None), "manifests"),
    "an index": (index(), "manifests"),
    "config missing": (image(config=Missing), "config"),
    "layers as an object": (image(layers={}), "layers"),
    "layers as text": (image(layers="x"), "layers"),
    "layers false": (image(layers=False), "layers"),
    "too many layers": (image(layers=[descriptor()] * (LAYERS_LIMIT + 1)), "layers"),
    "annotations as a list": (image(annotations=[]), "annotations"),
    "annotation null": (image(annotations={"a": None}), "annotations"),
    "annotation as a number": (image(annotations={"a": 1}), "annotations"),
    "annotation as an object": (image(annotations={"a": {}}), "annotations"),
    "artifact type as a number": (image(artifactType=0), "artifactType"),
    "artifact type false": (image(artifactType=False), "artifactType"),
    "artifact type as a list": (image(artifactType=[]), "artifactType"),
    "artifact type of no grammar": (image(artifactType="a\r\nb"), "artifactType"),
    "subject as text": (image(subject=LAYER_DIGEST), "subject"),
    "subject without a digest": (image(subject=child(digest=Missing)), "subject.digest"),
    "known member in another case": (image(Layers=[]), "the document"),
    "known member in capitals": (image(CONFIG={}), "the document"),
    "known member by a long s": (image(None, **{"layerſ": []}), "the document"),
}

SPOILT_DESCRIPTORS: dict[str, tuple[dict[str, object], str]] = {
    "type missing": ({"mediaType": Missing}, ".mediaType"),
    "type null": ({"mediaType": None}, ".mediaType"),
    "type empty": ({"mediaType": ""}, ".mediaType"),
    "type of no grammar": ({"mediaType": "layer"}, ".mediaType"),
    "type with a line end": ({"mediaType": "a/b\r\n"}, ".mediaType"),
    "digest missing": ({"digest": Missing}, ".digest"),
    "digest null": ({"digest": None}, ".digest"),
    "digest empty": ({"digest": ""}, ".digest"),
    "digest traversal": ({"digest": "sha256:../../../../etc/passwd"}, ".digest"),
    "digest too short": ({"digest": LAYER_DIGEST[:-1]}, ".digest"),
    "digest too long": ({"digest": LAYER_DIGEST + "0"}, ".digest"),
    "digest in upper case": ({"digest": LAYER_DIGEST.upper()}, ".digest"),
    "digest of an unknown algorithm": ({"digest": "md5:" + "a" * 32}, ".digest"),
    "digest with a line end": ({"digest": LAYER_DIGEST + "\n"}, ".digest"),
    "digest of ten kilobytes": ({"digest": "sha256:" + "a" * 10240}, ".digest"),
    "size missing": ({"size": Missing}, ".size"),
    "size null": ({"size": None}, ".size"),
    "size negative": ({"size": -1}, ".size"),
    "size of 2**63": ({"size": 2**63}, ".size"),
    "size as text": ({"size": "5"}, ".size"),
    "size as a fraction": ({"size": 5.0}, ".size"),
    "size true": ({"size": True}, ".size"),
    "size in a list": ({"size": [5]}, ".size"),
    "urls as text": ({"urls": "https://host.example/"}, ".urls"),
    "urls as an object": ({"urls": {}}, ".urls"),
    "url null": ({"urls": [None]}, ".urls"),
    "url as a number": ({"urls": ["x", 1]}, ".urls"),
    "annotations as text": ({"annotations": "x"}, ".annotations"),
    "annotation as a list": ({"annotations": {"a": []}}, ".annotations"),
    "platform as text": ({"platform": "linux/amd64"}, ".platform"),
    "platform as a list": ({"platform": []}, ".platform"),
    "artifact type as a list": ({"artifactType": [1]}, ".artifactType"),
    "artifact type of no grammar": ({"artifactType": "x"}, ".artifactType"),
    "data as a list": ({"data": []}, ".data"),
    "digest in another case": ({"Digest": LAYER_DIGEST}, ""),
    "urls in another case": ({"URLs": []}, ""),
    "size by a long s": ({"ſize": 5}, ""),
}

# Where a descriptor may be: (where it is told to be, a document that has it there, that document's
# type)
PLACES: dict[str, tuple[str, Callable[[dict[str, Any]], object], str]] = {
    "config": (
        "config",
        lambda it: image(config=config() | it, layers=[]),
        media_types.OCI_MANIFEST,
    ),
    "layers": ("layers[1]", lambda it: image(layers=[descriptor(), it]), media_types.OCI_MANIFEST),
    "manifests": ("manifests[1]", lambda it: index(manifests=[child(), it]), media_types.OCI_INDEX),
    "subject": ("subject", lambda it: image(subject=it), media_types.OCI_MANIFEST),
    "an index's subject": ("subject", lambda it: index(subject=it), media_types.OCI_INDEX),
}

SPOILT_INDEXES: dict[str, tuple[object, str]] = {
    "an image": (image(), "config"),
    "config beside children": (index(config=config()), "config"),
    "null config beside children": (index(config=None), "config"),
    "layers beside children": (index(layers=[descriptor()]), "layers"),
    "no layers beside children": (index(layers=[]), "layers"),
    "children missing": (index(manifests=Missing), "manifests"),
    "children as an object": (index(manifests={}), "manifests"),
    "too many children": (index(manifests=[child()] * (CHILDREN_LIMIT + 1)), "manifests"),
    "other type": (index(media_types.DOCKER_LIST), "mediaType"),
    "known member in another case": (index(MANIFESTS=[]), "the document"),
    "member of the other kind in another case": (index(Config={}), "the document"),
}


def refusal(data: bytes, content_type: str | None, code: Code = Code.MANIFEST_INVALID) -> str:
    """Return the detail with which a push is refused."""
    with refused(code) as caught:
        parse_manifest(data, content_type)
    assert not caught.value.too_large
    assert isinstance(caught.value.detail, str)
    assert 0 < len(caught.value.detail) < 400
    return caught.value.detail


@pytest.mark.parametrize("content_type", CONTENT_TYPES.values(), ids=CONTENT_TYPES.keys())
def test_content_type_that_is_no_manifests_is_refused(content_type: str | None) -> None:
    """A manifest that is not said to be one of the four kinds is never stored."""
    assert refusal(encoded(image()), content_type).startswith("Content-Type")


@pytest.mark.parametrize("document", NOT_OBJECTS, ids=repr)
@pytest.mark.parametrize("media_type", TYPES)
def test_document_that_is_no_object_is_refused(media_type: str, document: object) -> None:
    """Any JSON that is not an object is a bad request."""
    assert refusal(encoded(document), media_type).startswith("the document")


@pytest.mark.parametrize("media_type", TYPES)
def test_empty_object_is_refused(media_type: str) -> None:
    """An object without members is no manifest."""
    assert refusal(b"{}", media_type).startswith("schemaVersion")


@pytest.mark.parametrize(
    "data", [b"", b"\xef\xbb\xbf{}", b"{}{}", b"\xff", b"[" * 100_000, b'{"a":NaN}']
)
def test_what_is_not_json_is_refused(data: bytes) -> None:
    """What is refused as JSON is refused as a manifest."""
    refusal(data, media_types.OCI_MANIFEST)


@pytest.mark.parametrize(
    "number",
    [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 5000, b"-0", b"1.0", b"1e1", b"0.5"],
)
def test_number_that_is_no_size_is_refused(number: bytes) -> None:
    """A size is an integer that a file may have, in any place."""
    data = encoded(image(layers=[descriptor(size=31337)])).replace(b"31337", number)
    refusal(data, media_types.OCI_MANIFEST)


def test_equal_names_are_refused() -> None:
    """A document of which two parsers make two manifests is refused."""
    data = encoded(image())
    refusal(data.replace(b"{", b'{"layers":[],', 1), media_types.OCI_MANIFEST)


@pytest.mark.parametrize(("document", "where"), SPOILT_IMAGES.values(), ids=SPOILT_IMAGES.keys())
def test_spoilt_image_manifest_is_refused(document: object, where: str) -> None:
    """Each fault of an image manifest is refused, and named."""
    assert refusal(encoded(document), media_types.OCI_MANIFEST).startswith(f"{where}: ")


@pytest.mark.parametrize(("document", "where"), SPOILT_INDEXES.values(), ids=SPOILT_INDEXES.keys())
def test_spoilt_index_is_refused(document: object, where: str) -> None:
    """Each fault of an index is refused, and named."""
    assert refusal(encoded(document), media_types.OCI_INDEX).startswith(f"{where}: ")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("members", "where"), SPOILT_DESCRIPTORS.values(), ids=SPOILT_DESCRIPTORS.keys()
)
def test_spoilt_descriptor_is_refused_wherever_it_is(
    members: dict[str, object], where: str, place: str
) -> None:
    """Each fault of a descriptor is refused in every place that has one, and named."""
    path, document, media_type = PLACES[place]
    spoilt = descriptor(**members)
    if place == "config":  # which is merged into a good one there
        spoilt |= {name: None for name, value in members.items() if value is Missing}
    assert refusal(encoded(document(spoilt)), media_type).startswith(f"{path}{where}: ")


@pytest.mark.parametrize("value", [*NOT_OBJECTS, {}], ids=repr)
def test_descriptor_that_is_no_object_is_refused(value: object) -> None:
    """An entry of any other kind is refused."""
    assert refusal(encoded(image(layers=[value])), media_types.OCI_MANIFEST).startswith("layers[0]")
    assert refusal(encoded(index(manifests=[value])), media_types.OCI_INDEX).startswith(
        "manifests[0]"
    )


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("named", [*TYPES, Missing])
def test_type_of_the_document_and_of_the_request_agree(content_type: str, named: object) -> None:
    """A document is taken as what it says that it is, or not at all; Docker's must say it."""
    data = encoded(sample(content_type, mediaType=named))
    if named == content_type or (
        named is Missing and content_type not in media_types.SELF_NAMING_TYPES
    ):
        assert parse_manifest(data, content_type).media_type == content_type
    else:
        assert refusal(data, content_type).startswith("mediaType")


@pytest.mark.parametrize("size", [MANIFEST_LIMIT + 1, MANIFEST_LIMIT * 2])
def test_manifest_over_the_limit_is_too_large(size: int) -> None:
    """One byte more than is taken is told apart from a bad document."""
    with refused(Code.MANIFEST_INVALID) as caught:
        parse_manifest(encoded(image()).ljust(size), media_types.OCI_MANIFEST)
    assert caught.value.too_large


@pytest.mark.parametrize("media_type", TYPES)
def test_schema_1_in_any_type_is_unsupported(media_type: str) -> None:
    """The old format is refused by its name, as a fault of the request."""
    with refused(Code.UNSUPPORTED) as caught:
        parse_manifest(encoded(sample(media_type, schemaVersion=1)), media_type)
    assert caught.value.malformed


@pytest.mark.parametrize("media_type", sorted(media_types.SCHEMA1_TYPES))
def test_schema_1_by_its_own_type_is_unsupported(media_type: str) -> None:
    """The old format is refused whatever is in it."""
    assert "schema 1" in refusal(b"junk", media_type + "; charset=utf-8", Code.UNSUPPORTED)


@given(st.sampled_from(TYPES), st.data())
def test_manifest_with_any_member_changed_is_taken_or_refused(
    media_type: str, data: st.DataObject
) -> None:
    """Type confusion in any place is a refusal and never a fault; what is taken is served as
    pushed.
    """
    junk = st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
        ),
        max_leaves=4,
    )
    document = sample(media_type, annotations={"a": "b"}, subject=child())
    target = data.draw(st.sampled_from([document, document["subject"]]))
    names = sorted({*target, "config", "layers", "manifests", "urls", "platform", "data"})
    target[data.draw(st.sampled_from(names))] = data.draw(junk)
    body = json.dumps(document).encode()
    try:
        manifest = parse_manifest(body, media_type)
    except OciError as err:
        assert err.code in (Code.MANIFEST_INVALID, Code.UNSUPPORTED)
    else:
        assert stored_media_type(body) == media_type == manifest.media_type
