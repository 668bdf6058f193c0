# SPDX-License-Identifier: Apache-2.0
"""Descriptors."""

from __future__ import annotations

import json

import pytest

from txregistry.oci.descriptors import Descriptor
from txregistry.oci.digests import EMPTY_SHA256
from txregistry.oci.media_types import NON_DISTRIBUTABLE, OCI_CONFIG, OCI_MANIFEST

FULL = Descriptor(
    OCI_MANIFEST,
    EMPTY_SHA256,
    0,
    artifact_type="application/x",
    annotations={"a": "b"},
    urls=("https://host.example/x",),
    platform={"os": "linux", "architecture": "arm64", "os.features": ["x"]},
)
BARE = Descriptor(OCI_CONFIG, EMPTY_SHA256, 0)


def test_members_that_are_not_there_are_left_out() -> None:
    """JSON of a bare descriptor has the three members that must be."""
    assert BARE.to_json_object() == {
        "mediaType": OCI_CONFIG,
        "digest": str(EMPTY_SHA256),
        "size": 0,
    }


def test_members_that_are_there_have_the_names_of_the_specification() -> None:
    """JSON of a full descriptor spells each member as the specification does."""
    assert FULL.to_json_object() == {
        "mediaType": OCI_MANIFEST,
        "digest": str(EMPTY_SHA256),
        "size": 0,
        "artifactType": "application/x",
        "annotations": {"a": "b"},
        "urls": ["https://host.example/x"],
        "platform": {"os": "linux", "architecture": "arm64", "os.features": ["x"]},
    }


def test_empty_annotations_stay() -> None:
    """What was said to be empty is not the same as what was not said."""
    assert (
        Descriptor(OCI_CONFIG, EMPTY_SHA256, 0, annotations={}).to_json_object()["annotations"]
        == {}
    )


@pytest.mark.parametrize("descriptor", [FULL, BARE])
def test_descriptor_survives_json(descriptor: Descriptor) -> None:
    """A descriptor that was kept as JSON comes back equal."""
    back = Descriptor.from_json_object(json.loads(json.dumps(descriptor.to_json_object())))
    assert back == descriptor
    assert hash(back) == hash(descriptor)


@pytest.mark.parametrize("media_type", sorted(NON_DISTRIBUTABLE))
def test_foreign_layer_with_urls_is_elsewhere(media_type: str) -> None:
    """A layer that may not be distributed need not be pushed, if it says where else it is."""
    assert Descriptor(media_type, EMPTY_SHA256, 0, urls=("https://host.example/x",)).is_elsewhere
    assert not Descriptor(media_type, EMPTY_SHA256, 0).is_elsewhere


def test_other_content_with_urls_is_not_elsewhere() -> None:
    """URLs alone excuse nothing."""
    assert not FULL.is_elsewhere
