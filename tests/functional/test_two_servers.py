# SPDX-License-Identifier: Apache-2.0
"""Two registries on one directory serve one client in turn, and agree on the tokens' key without
being told one.
"""

from __future__ import annotations

import hashlib
import os

import pytest

from .client import Client
from .servers import Registry

MIB = 1024 * 1024


class TwoServersTests:
    @pytest.fixture
    def pair(self, tmp_path):
        storage = {
            "filesystem": {"rootdirectory": str(tmp_path / "shared")},
            "delete": {"enabled": True},
        }
        # No secret in the configuration: whoever starts first makes one, in the storage.
        servers = [
            Registry(tmp_path / name, {"http": {"secret": ""}}, storage=storage)
            for name in ("one", "other")
        ]
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_ready()
        yield servers
        for server in servers:
            server.stop()

    def test_each_request_of_an_upload_goes_to_the_other_server(self, pair):
        """Begun here, continued there, asked here, finished there."""
        data = os.urandom(3 * MIB + 1)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        one, other = map(Client, pair)
        location = one.start_upload("team/app")
        location = other.patch(location, data[:MIB])
        location = one.patch(location, data[MIB : 2 * MIB])
        answer = other.request("GET", location)
        assert (answer.status, answer.headers["Range"]) == (204, f"0-{2 * MIB - 1}")
        location = other.here(answer.headers["Location"])
        location = one.patch(location, data[2 * MIB : 3 * MIB])
        other.finish_upload(location, digest, data[3 * MIB :])
        assert one.get(f"/v2/team/app/blobs/{digest}").body == data

    def test_what_one_takes_the_other_has_at_once(self, pair):
        """Blobs, lists and deletes."""
        data = b"{}"
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        one, other = map(Client, pair)
        one.push_blob("team/app", data, digest)
        assert other.get(f"/v2/team/app/blobs/{digest}").body == data
        assert other.request("DELETE", f"/v2/team/app/blobs/{digest}").status == 202
        assert one.get(f"/v2/team/app/blobs/{digest}").status == 404

    def test_key_survives_a_restart_of_everything(self, pair):
        """An upload that was begun before is finished afterwards."""
        data = os.urandom(MIB)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        client = Client(pair[0])
        location = client.patch(client.start_upload("team/app"), data[:1000])
        for server in pair:
            server.stop()
        pair[0].start()
        client.finish_upload(location, digest, data[1000:])
        assert client.get(f"/v2/team/app/blobs/{digest}").body == data
