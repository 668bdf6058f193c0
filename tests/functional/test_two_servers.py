# SPDX-License-Identifier: Apache-2.0
"""Two registries on one directory serve one client in turn, and agree on the tokens' key without
being told one.
"""

from __future__ import annotations

import hashlib
import os

import pytest

from .client import Client
from .two_servers import MIB, Shared, two_on


class TwoServersTests(Shared):
    @pytest.fixture(scope="class")
    def pair(self, tmp_path_factory):
        directory = tmp_path_factory.mktemp("pair")
        root = {"rootdirectory": str(directory / "shared")}
        with two_on({"filesystem": root, "delete": {"enabled": True}}, directory) as servers:
            yield servers

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
        pair[1].start()
        assert client.get(f"/v2/team/app/blobs/{digest}").body == data
