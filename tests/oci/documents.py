# SPDX-License-Identifier: Apache-2.0
"""Manifests to push in tests: small good ones, and ways to spoil them."""

from __future__ import annotations

import json
from typing import Any

from txregistry.oci import media_types
from txregistry.oci.digests import Digest

CONFIG_DIGEST = str(Digest.of(b"{}"))
LAYER_DIGEST = str(Digest.of(b"layer"))
CHILD_DIGEST = str(Digest.of(b"child"))
SUBJECT_DIGEST = str(Digest.of(b"subject", "sha512"))

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
FOREIGN_TYPE = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


class Missing:
    """What to set a member to so that it is not there."""


def descriptor(**members: object) -> dict[str, Any]:
    """Return the JSON of a layer's descriptor with ``members`` changed."""
    return changed({"mediaType": LAYER_TYPE, "digest": LAYER_DIGEST, "size": 5}, members)


def config(**members: object) -> dict[str, Any]:
    """Return the JSON of a config's descriptor with ``members`` changed."""
    return descriptor(
        **{"mediaType": media_types.OCI_CONFIG, "digest": CONFIG_DIGEST, "size": 2} | members
    )


def child(**members: object) -> dict[str, Any]:
    """Return the JSON of a child's descriptor with ``members`` changed."""
    return descriptor(**{"mediaType": media_types.OCI_MANIFEST, "digest": CHILD_DIGEST} | members)


def image(media_type: str | None = None, **members: object) -> dict[str, Any]:
    """Return the JSON of an image manifest with ``members`` changed."""
    document: dict[str, Any] = {"schemaVersion": 2, "config": config(), "layers": [descriptor()]}
    return changed(document, members if media_type is None else {"mediaType": media_type} | members)


def index(media_type: str | None = None, **members: object) -> dict[str, Any]:
    """Return the JSON of an index with ``members`` changed."""
    document: dict[str, Any] = {"schemaVersion": 2, "manifests": [child()]}
    return changed(document, members if media_type is None else {"mediaType": media_type} | members)


def sample(media_type: str, **members: object) -> dict[str, Any]:
    """Return a good document of a type, which it names, with ``members`` changed."""
    return (image if media_type in media_types.IMAGE_TYPES else index)(media_type, **members)


def encoded(document: object) -> bytes:
    """Return the bytes of a document."""
    return json.dumps(document).encode()


def changed(document: dict[str, Any], members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (document | members).items() if value is not Missing}
