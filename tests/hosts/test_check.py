# SPDX-License-Identifier: Apache-2.0
"""``txregistry check`` on a bucket: through the driver, as on a disk."""

from __future__ import annotations

from ..functional.client import Client
from ..functional.test_check import check, classes
from .images import Image

TREE = "docker/registry/v2/"


class CheckTests:
    def test_damage_in_a_bucket_is_found_moved_away_and_healed(self, moto, host):
        """A layer that lost bytes and one that is gone; nothing is deleted by the repair."""
        short, gone, whole = (Image.random(number) for number in (1, 2, 3))
        for image in (short, gone, whole):
            image.push(host)
        place = {"Bucket": host.document["storage"]["s3"]["bucket"]}
        client = moto.client()

        def key_of(image):
            encoded = list(image.blobs)[-1].removeprefix("sha256:")
            return f"{TREE}blobs/sha256/{encoded[:2]}/{encoded}/data"

        client.put_object(**place, Key=key_of(short), Body=b"short")
        client.delete_object(**place, Key=key_of(gone))
        host.stop()
        status, document, _ = check(host, "--repair")
        assert status == 1
        assert {"blob-size", "layer-dangling", "tag-dangling"} <= classes(document)
        named = str(document["findings"])
        assert short.repository in named and gone.repository in named
        assert whole.repository not in named
        quarantine = document["quarantine"][0].strip("/")
        moved = client.get_object(**place, Key=f"{quarantine}/{key_of(short)}")
        assert moved["Body"].read() == b"short"

        host.start()
        whole.check(host)
        assert Client(host).get(f"/v2/{short.repository}/manifests/{short.tag}").status == 404
        for image in (short, gone):
            image.push(host)
            image.check(host)
        assert check(host, "--read-data", "--strict")[0] == 0
