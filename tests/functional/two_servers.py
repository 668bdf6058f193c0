# SPDX-License-Identifier: Apache-2.0
"""Two registries on one storage: what holds whatever the storage is."""

from __future__ import annotations

import contextlib
import hashlib
import os

from .client import Client
from .servers import Registry

MIB = 1024 * 1024


@contextlib.contextmanager
def two_on(storage, directory):
    """Started at once, and no secret configured: whoever comes first makes one, in the storage."""
    servers = [
        Registry(directory / name, {"http": {"secret": ""}}, storage=storage)
        for name in ("one", "other")
    ]
    try:
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_ready()
        yield servers
    finally:
        for server in servers:
            server.stop()


class Shared:
    """Cases over a fixture ``pair``; its storage has no redirects, and deletes."""

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
