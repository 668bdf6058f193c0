# SPDX-License-Identifier: Apache-2.0
"""One repository of a server as a client sees it, and the documents that are pushed to it."""

from __future__ import annotations

import hashlib
import json

ALGORITHMS = ("sha256", "sha512")

OCTET_STREAM = "application/octet-stream"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

#: The empty config of an artifact, and the bytes of no bytes at all.
EMPTY_JSON = b"{}"
NOTHING = b""


def digest_of(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def descriptor(data, media_type=OCTET_STREAM, algorithm="sha256", **members):
    digest = digest_of(data, algorithm)
    return {"mediaType": media_type, "digest": digest, "size": len(data), **members}


def image(*layers, config=EMPTY_JSON, config_type=OCI_EMPTY, algorithm="sha256", **members):
    """An image manifest over these layers; a member that is None is left out."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(config, config_type, algorithm),
        "layers": [descriptor(layer, OCI_LAYER, algorithm) for layer in layers],
        **members,
    }
    return spell(document)


def index(*children, algorithm="sha256", **members):
    """An index over these manifests."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor(child, type_of(child), algorithm) for child in children],
        **members,
    }
    return spell(document)


def spell(document):
    return json.dumps(
        {name: value for name, value in document.items() if value is not None}
    ).encode()


def type_of(manifest):
    """The type that a manifest names, else the one that its members make it."""
    document = json.loads(manifest)
    return document.get("mediaType") or (OCI_INDEX if "manifests" in document else OCI_MANIFEST)


class Repository:
    """A repository; it comes to be with the first thing that is pushed.

    Attributes:
        root: the path of everything in it.
    """

    def __init__(self, client, name, prefix="/"):
        self.client = client
        self.name = name
        self.root = f"{prefix}v2/{name}"

    def blob(self, digest):
        return f"{self.root}/blobs/{digest}"

    def manifest(self, reference):
        return f"{self.root}/manifests/{reference}"

    def referrers(self, digest, query=""):
        return f"{self.root}/referrers/{digest}{query}"

    @property
    def uploads(self):
        return f"{self.root}/blobs/uploads/"

    @property
    def tags(self):
        return f"{self.root}/tags/list"

    def sibling(self, name):
        return Repository(
            self.client, f"{self.name}/{name}", self.root.removesuffix(f"v2/{self.name}")
        )

    # --- blobs

    def push_blob(self, data, algorithm="sha256"):
        """Push in one request; returns the digest."""
        digest = digest_of(data, algorithm)
        answer = self.client.post(f"{self.uploads}?digest={digest}", data)
        assert answer.status == 201, answer
        return digest

    def start(self, query=""):
        """Open a session; returns its Location as it came."""
        answer = self.client.post(self.uploads + query)
        assert answer.status == 202, answer
        return answer.headers["Location"]

    def patch(self, location, data, content_range=None, **headers):
        """Send a chunk; a list of bytes goes out with chunked coding."""
        if content_range is not None:
            headers["Content-Range"] = content_range
        return self.client.request(
            "PATCH", location, data, {"Content-Type": OCTET_STREAM, **headers}
        )

    def close(self, location, digest, data=b"", content_range=None):
        """Close a session, with what may be its last chunk."""
        headers = {} if content_range is None else {"Content-Range": content_range}
        return self.client.put(
            f"{location}&digest={digest}", data, {"Content-Type": OCTET_STREAM, **headers}
        )

    def has_blob(self, digest):
        status = self.client.head(self.blob(digest)).status
        assert status in (200, 404)
        return status == 200

    # --- manifests

    def put(self, reference, data, media_type=None):
        """Push a manifest, as the type that it names if no other is given."""
        headers = {"Content-Type": media_type or type_of(data)}
        return self.client.put(self.manifest(reference), data, headers)

    def push(self, data, tag=None, algorithm="sha256"):
        """Push a manifest that must be taken, by its digest if it gets no tag; returns the
        digest.
        """
        digest = digest_of(data, algorithm)
        reference = digest if tag is None else tag
        if tag is not None and algorithm != "sha256":
            reference = f"{digest}?tag={tag}"
        answer = self.put(reference, data)
        assert answer.status == 201, answer
        assert answer.headers["Docker-Content-Digest"] == digest
        return digest

    def push_image(self, tag=None, *layers, algorithm="sha256", **members):
        """Push an image with its blobs; returns the manifest."""
        for blob in {members.get("config", EMPTY_JSON), *layers}:
            self.push_blob(blob, algorithm)
        data = image(*layers, algorithm=algorithm, **members)
        self.push(data, tag, algorithm)
        return data

    def push_artifact(self, subject, artifact_type, algorithm="sha256", **annotations):
        """Push something that refers to a manifest; returns its bytes."""
        return self.push_image(
            algorithm=algorithm,
            artifactType=artifact_type,
            subject=descriptor(subject, type_of(subject), algorithm),
            annotations=annotations or None,
        )
