# SPDX-License-Identifier: Apache-2.0
"""A registry that stores in each cloud, and real clients of it."""

from __future__ import annotations

import random
import threading
import urllib.request

import pytest

from ..functional.client import Client
from ..functional.images import Layout, check_layout
from ..functional.repository import OCI_MANIFEST, Repository, digest_of, image
from ..functional.servers import Registry
from ..functional.test_clients import copy

MIB = 1024 * 1024
ROOT = "docker/registry/v2"


def blob(repository, digest):
    """A blob's content, wherever a client is sent for it."""
    answer = repository.client.get(repository.blob(digest))
    if answer.status != 307:
        return answer.body
    with urllib.request.urlopen(answer.headers["Location"], timeout=60) as elsewhere:
        return elsewhere.read()


@pytest.fixture
def registry(server, bucket, tmp_path):
    storage = {server.driver: server.options(bucket), "delete": {"enabled": True}}
    with Registry(tmp_path / "registry", storage=storage) as registry:
        yield registry


class SkopeoTests:
    def test_images_go_in_and_out_while_the_driver_is_killed(self, registry, tmp_path):
        """kill -9 in the middle of pushes and pulls is not seen by their client."""
        layout = Layout(tmp_path / "layout")
        layout.tag(layout.add_image([6 * MIB, 3 * MIB, 10, 0]), "latest")
        reference = f"docker://{registry.address}/team/app"
        is_over = threading.Event()
        kills = []

        def strike():
            client = Client(registry)
            chance = random.Random(7)
            # A driver is lost in the middle of its work, not kept from it: its time begins when it
            # answers, and is longer each time, since a machine may be slow.
            while client.get("/v2/_catalog").status:
                if is_over.wait(chance.uniform(1, 3) * (1 + len(kills))):
                    return
                kills.append(registry.kill_driver())

        striker = threading.Thread(target=strike)
        striker.start()
        number = 0
        try:
            # However fast the machine is: the driver is struck while there is something to do.
            while number < 3 or kills.count(True) < 2:
                assert striker.is_alive(), "nobody kills the driver any longer"
                copy(f"oci:{layout.directory}:latest", f"{reference}:{number}")
                copy(f"{reference}:{number}", f"oci:{tmp_path}/pulled-{number}:latest")
                assert check_layout(tmp_path / f"pulled-{number}") == layout.blobs()
                number += 1
        finally:
            is_over.set()
            striker.join()


class TreeTests:
    def test_what_another_registry_stored_is_served(self, server, registry, bucket):
        """There is nothing to do to take over a bucket of registry:2 or registry:3."""
        layer, config = b"a layer", b"{}"
        manifest = image(layer, config=config)
        manifest_digest = digest_of(manifest)
        for data in (layer, config, manifest):
            hex_ = digest_of(data).partition(":")[2]
            server.place(bucket, f"{ROOT}/blobs/sha256/{hex_[:2]}/{hex_}/data", data)
            kind = "_manifests/revisions" if data is manifest else "_layers"
            link = f"{ROOT}/repositories/old/app/{kind}/sha256/{hex_}/link"
            server.place(bucket, link, digest_of(data).encode())
        tag = f"{ROOT}/repositories/old/app/_manifests/tags/v1"
        server.place(bucket, f"{tag}/current/link", manifest_digest.encode())
        server.place(
            bucket,
            f"{tag}/index/sha256/{manifest_digest.partition(':')[2]}/link",
            manifest_digest.encode(),
        )
        repository = Repository(Client(registry), "old/app")
        answer = repository.client.get(repository.manifest("v1"), {"Accept": OCI_MANIFEST})
        assert (answer.status, answer.body) == (200, manifest)
        assert blob(repository, digest_of(layer)) == layer
        assert repository.client.get_json("/v2/_catalog")["repositories"] == ["old/app"]
        assert repository.client.get_json(repository.tags)["tags"] == ["v1"]

    def test_tree_is_that_of_the_other_registry(self, server, registry, bucket):
        """So that it can take over as well: nothing of an upload is left."""
        repository = Repository(Client(registry), "new/app")
        manifest = repository.push_image("v1", b"x" * 1000)
        hex_ = digest_of(manifest).partition(":")[2]
        keys = server.keys(bucket)
        assert f"{ROOT}/blobs/sha256/{hex_[:2]}/{hex_}/data" in keys
        assert f"{ROOT}/repositories/new/app/_manifests/tags/v1/current/link" in keys
        assert not [key for key in keys if "_uploads" in key or "~" in key]
