# SPDX-License-Identifier: Apache-2.0
"""Blobs and manifests to be pushed."""

from __future__ import annotations

import hashlib
import json

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY_CONFIG = b"{}"
EMPTY_SHA256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def digest_of(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def descriptor(data, media_type="application/octet-stream"):
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def manifest(*layers, subject=None, artifact_type=None, annotations=None):
    """An OCI manifest with the empty config."""
    members = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(EMPTY_CONFIG, "application/vnd.oci.empty.v1+json"),
        "layers": [descriptor(layer) for layer in layers],
    }
    if subject is not None:
        members["subject"] = descriptor(subject, OCI_MANIFEST)
    if artifact_type is not None:
        members["artifactType"] = artifact_type
    if annotations is not None:
        members["annotations"] = annotations
    return json.dumps(members).encode()


async def push_blob(house, name, data):
    """Push a blob in one request; returns its digest."""
    digest = digest_of(data)
    reply = await house.ask("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", body=data)
    assert reply.status == 201, reply
    return digest


async def push_manifest(house, name, reference, data, media_type=OCI_MANIFEST):
    """Push a manifest and return the answer."""
    return await house.ask(
        "PUT",
        f"/v2/{name}/manifests/{reference}",
        headers=[f"Content-Type: {media_type}"],
        body=data,
    )


async def push_image(house, name, tag, *layers, **members):
    """Push an image with all that it needs; returns its manifest."""
    for blob in (EMPTY_CONFIG, *layers):
        await push_blob(house, name, blob)
    data = manifest(*layers, **members)
    reply = await push_manifest(house, name, tag, data)
    assert reply.status == 201, reply
    return data
