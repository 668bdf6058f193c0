# SPDX-License-Identifier: Apache-2.0
"""The storage tree is the Go registry's, in place and both ways, uploads in flight included."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from .client import Client
from .images import Layout, check_layout
from .servers import Peer, Registry
from .test_clients import copy, skopeo

MIB = 1024 * 1024


@pytest.fixture
def image(tmp_path):
    layout = Layout(tmp_path / "layout")
    images = [layout.add_image([2 * MIB, 5], architecture=name) for name in ("amd64", "arm64")]
    layout.tag(layout.add_index(images), "latest")
    return layout


def pair(kind, tmp_path):
    """The writing and the reading server over one directory."""
    root = tmp_path / "shared"
    storage = {"filesystem": {"rootdirectory": str(root)}, "delete": {"enabled": True}}
    ours, theirs = Registry(tmp_path / "ours", storage=storage), Peer(tmp_path / "peer", root)
    return (theirs, ours) if kind == "peer first" else (ours, theirs)


@pytest.mark.parametrize("kind", ["peer first", "ours first"])
class TakeOverTests:
    def test_images_of_one_are_served_by_the_other(self, kind, tmp_path, image):
        """A whole multi-platform image, by tag, by digest and in the lists."""
        writer, reader = pair(kind, tmp_path)
        with writer:
            copy(
                f"oci:{image.directory}:latest",
                f"docker://{writer.address}/deep/er/app:v1",
                "--all",
            )
        with reader:
            reference = f"docker://{reader.address}/deep/er/app"
            copy(f"{reference}:v1", f"oci:{tmp_path}/back:latest", "--all")
            assert check_layout(tmp_path / "back") == image.blobs()
            assert json.loads(skopeo("list-tags", "--tls-verify=false", reference))["Tags"] == [
                "v1"
            ]
            assert Client(reader).get_json("/v2/_catalog")["repositories"] == ["deep/er/app"]

    def test_upload_begun_by_one_is_finished_by_the_other(self, kind, tmp_path):
        """Same secret, same tree: the second server takes the session at the offset where the first
        one left it.
        """
        data = os.urandom(3 * MIB + 77)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        first, second = pair(kind, tmp_path)
        with first:
            client = Client(first)
            location = client.start_upload("moved/app")
            location = client.patch(location, data[:MIB])
            location = client.patch(location, data[MIB : 2 * MIB])
        with second:
            client = Client(second)
            location = client.patch(client.here(location), data[2 * MIB : 2 * MIB + 5])
            answer = client.finish_upload(location, digest, data[2 * MIB + 5 :])
            assert answer.headers["Docker-Content-Digest"] == digest
            assert client.get(f"/v2/moved/app/blobs/{digest}").body == data

    def test_what_one_deletes_is_gone_for_the_other(self, kind, tmp_path, image):
        """Deleting a manifest takes its tags with it, whoever looks."""
        writer, reader = pair(kind, tmp_path)
        with writer:
            copy(f"oci:{image.directory}:latest", f"docker://{writer.address}/app:a", "--all")
            copy(f"oci:{image.directory}:latest", f"docker://{writer.address}/app:b", "--all")
        with reader:
            client = Client(reader)
            digest = client.head("/v2/app/manifests/a").headers["Docker-Content-Digest"]
            assert client.request("DELETE", f"/v2/app/manifests/{digest}").status == 202
        with writer:
            assert Client(writer).get("/v2/app/manifests/b").status == 404
