# SPDX-License-Identifier: Apache-2.0
"""Images made by the tests themselves: real tar layers in OCI layouts, one or several platforms."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


class Layout:
    """An OCI image layout in a directory."""

    def __init__(self, directory):
        self.directory = Path(directory)
        (self.directory / "blobs/sha256").mkdir(parents=True)
        (self.directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.manifests = []

    def add_blob(self, data, media_type):
        encoded = hashlib.sha256(data).hexdigest()
        (self.directory / "blobs/sha256" / encoded).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{encoded}", "size": len(data)}

    def add_layer(self, size, *, is_compressed=False):
        """A layer with one file of ``size`` random bytes, so that no two layers are alike."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            entry = tarfile.TarInfo(f"data-{os.urandom(4).hex()}")
            entry.size = size
            tar.addfile(entry, io.BytesIO(os.urandom(size)))
        data = buffer.getvalue()
        diff_id = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if is_compressed:
            return diff_id, self.add_blob(gzip.compress(data, 1), LAYER + "+gzip")
        return diff_id, self.add_blob(data, LAYER)

    def add_image(self, sizes, *, architecture="amd64", is_compressed=False):
        """An image of layers of these sizes; returns its descriptor."""
        layers = [self.add_layer(size, is_compressed=is_compressed) for size in sizes]
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id for diff_id, _ in layers]},
            "history": [{"created_by": "tests"} for _ in layers],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.add_blob(json.dumps(config).encode(), CONFIG),
            "layers": [descriptor for _, descriptor in layers],
        }
        descriptor = self.add_blob(json.dumps(manifest).encode(), MANIFEST)
        return {**descriptor, "platform": {"architecture": architecture, "os": "linux"}}

    def add_index(self, descriptors):
        """An index over images; returns its descriptor."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors}
        return self.add_blob(json.dumps(index).encode(), INDEX)

    def tag(self, descriptor, name):
        annotated = {**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}}
        self.manifests.append(annotated)
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests}
        (self.directory / "index.json").write_text(json.dumps(index))

    def blobs(self):
        """Hex of every blob in the layout."""
        return {path.name for path in (self.directory / "blobs/sha256").iterdir()}


def check_layout(directory):
    """Every blob of a layout is what its name says; returns their names."""
    names = set()
    for path in (Path(directory) / "blobs/sha256").iterdir():
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        assert digest.hexdigest() == path.name
        names.add(path.name)
    return names
