# SPDX-License-Identifier: Apache-2.0
"""Images of random bytes, pushed and pulled by a client that asks for one thing a connection."""

from __future__ import annotations

import hashlib
import json
import os
import random
from dataclasses import dataclass

from ..functional.client import Client
from . import MIB, PART

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def sha256(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True)
class Image:
    """A repository, a tag, and everything that lies behind it.

    Attributes:
        blobs: digest -> bytes.
    """

    repository: str
    tag: str
    manifest: bytes
    blobs: dict

    @classmethod
    def random(cls, number):
        """Some layers of some sizes; every eighth has one of several parts."""
        chance = random.Random(number)
        sizes = [chance.randrange(1, 300_000) for _ in range(chance.randrange(1, 4))]
        if number % 8 == 0:
            sizes.append(PART + chance.randrange(MIB))
        config = json.dumps({"number": number, "salt": os.urandom(8).hex()}).encode()
        layers = [os.urandom(size) for size in sizes]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described(config, CONFIG),
            "layers": [described(layer, LAYER) for layer in layers],
        }
        blobs = {sha256(data): data for data in (config, *layers)}
        return cls(f"team/app-{number % 5}", f"v{number}", json.dumps(manifest).encode(), blobs)

    def push(self, server):
        """Each blob in three requests at least, which a proxy gives to whom it likes."""
        client = Client(server)
        for digest, data in self.blobs.items():
            location = client.start_upload(self.repository)
            half = len(data) // 2
            location = client.patch(location, data[:half])
            client.finish_upload(location, digest, data[half:])
        path = f"/v2/{self.repository}/manifests/{self.tag}"
        answer = client.put(path, self.manifest, {"Content-Type": MANIFEST})
        assert answer.status == 201, answer

    def check(self, server):
        """All of it is there, and as it was."""
        client = Client(server)
        answer = client.get(f"/v2/{self.repository}/manifests/{self.tag}")
        assert (answer.status, answer.body) == (200, self.manifest)
        for digest, data in self.blobs.items():
            answer = client.get(f"/v2/{self.repository}/blobs/{digest}")
            assert answer.status == 200, answer
            assert answer.body == data


def described(data, media_type):
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}
