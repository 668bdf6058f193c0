# SPDX-License-Identifier: Apache-2.0
"""One key for the uploads of all hosts, without configuring any; or a sentence."""

from __future__ import annotations

import hashlib

from ..functional.client import Client
from ..functional.servers import START_TIMEOUT, Registry
from ..s3.fake import FakeS3
from . import PART

DATA = b"a layer"
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


def registry_on(fake, directory, secret):
    options = {"bucket": "b", "regionendpoint": fake.url, "accesskey": "a", "secretkey": "b"}
    storage = {"s3": {**options, "chunksize": PART}}
    return Registry(directory, {"http": {"secret": secret}}, storage=storage)


class KeyTests:
    def test_hosts_that_start_together_agree(self, tmp_path):
        """Three at once on an empty bucket: each goes on with what any other began."""
        with FakeS3() as fake:
            hosts = [registry_on(fake, tmp_path / str(number), "") for number in range(3)]
            try:
                for host in hosts:
                    host.launch()
                for host in hosts:
                    host.wait_ready()
                for number, host in enumerate(hosts):
                    location = Client(host).start_upload("team/app")
                    other = Client(hosts[number - 1])
                    other.finish_upload(location, DIGEST, DATA)
            finally:
                for host in hosts:
                    host.stop()
            assert [key for key in fake.objects if key.endswith("/token-key")]

    def test_bucket_without_conditional_puts_needs_a_secret(self, tmp_path):
        """One sentence that names the key; nothing is made in the bucket."""
        with FakeS3(has_conditions=False) as fake:
            host = registry_on(fake, tmp_path, "")
            host.launch()
            assert host.process.wait(START_TIMEOUT) == 1
            told = host.log.read_text()
            assert "Traceback" not in told
            assert told.splitlines()[-1].endswith(
                "http.secret is not set, and hosts can't agree on one in a storage without"
                " conditional puts: set http.secret to the same long random text on all hosts"
            )
            assert not fake.objects

    def test_with_a_secret_it_is_served(self, tmp_path):
        with FakeS3(has_conditions=False) as fake, registry_on(fake, tmp_path, "x" * 32) as host:
            Client(host).push_blob("team/app", DATA, DIGEST)
            assert Client(host).get(f"/v2/team/app/blobs/{DIGEST}").status in (200, 307)
