# SPDX-License-Identifier: Apache-2.0
"""Clients that are sent to S3 for blobs, and go there: signed URLs of servers that take them."""

from __future__ import annotations

import hashlib
import http.client
import os
from urllib.parse import urlsplit

import pytest

from ..functional.client import Client
from ..functional.images import Layout, check_layout
from ..functional.servers import Registry
from ..functional.test_clients import copy

DATA = os.urandom(300_000)
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
BLOB = f"/v2/away/app/blobs/{DIGEST}"


@pytest.fixture(scope="module", params=["moto", "swift"])
def registry(request, tmp_path_factory):
    """One that sends clients away, except those that ask to be served."""
    server = request.getfixturevalue(request.param)
    options = server.options(f"away-{request.param}", rootdirectory="/registry")
    storage = {"s3": options, "redirect": {"exempt": {"useragents": ["stay-at-home"]}}}
    with Registry(tmp_path_factory.mktemp("away"), storage=storage) as registry:
        Client(registry).push_blob("away/app", DATA, DIGEST)
        yield registry


def follow(answer, method, headers=()):
    """What is had where a 307 points to, by a client that has no keys."""
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (307, DIGEST)
    where = urlsplit(answer.headers["Location"])
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=120)
    try:
        connection.request(method, f"{where.path}?{where.query}", headers=dict(headers))
        response = connection.getresponse()
        return response.status, int(response.headers["Content-Length"]), response.read()
    finally:
        connection.close()


class RedirectTests:
    def test_get_leads_to_the_bytes(self, registry):
        """All of them, or a range."""
        answer = Client(registry).get(BLOB)
        assert follow(answer, "GET") == (200, len(DATA), DATA)
        ranged = follow(answer, "GET", {"Range": "bytes=1000-1999"})
        assert ranged == (206, 1000, DATA[1000:2000])

    def test_head_leads_to_the_size(self, registry):
        """A URL is signed for its method."""
        assert follow(Client(registry).head(BLOB), "HEAD") == (200, len(DATA), b"")

    @pytest.mark.parametrize("registry", ["swift"], indirect=True)  # moto checks no signature
    def test_a_signature_is_for_one_method(self, registry):
        """Whoever has a URL may read that blob and no more."""
        answer = Client(registry).get(BLOB)
        assert follow(answer, "DELETE")[0] == 403
        assert follow(answer, "GET")[2] == DATA

    def test_whoever_is_exempt_is_served(self, registry):
        """And what is not there is told by the registry, to everybody."""
        client = Client(registry)
        answer = client.get(BLOB, {"User-Agent": "stay-at-home/1"})
        assert (answer.status, answer.body) == (200, DATA)
        assert client.get(f"/v2/away/other/blobs/{DIGEST}").refusal == (404, "BLOB_UNKNOWN")

    def test_skopeo_goes_there(self, registry, tmp_path):
        """An image is pulled by the client that most people have."""
        layout = Layout(tmp_path / "layout")
        layout.tag(layout.add_image([200_000, 10]), "latest")
        reference = f"docker://{registry.address}/team/away:1"
        copy(f"oci:{layout.directory}:latest", reference)
        copy(reference, f"oci:{tmp_path / 'back'}:latest")
        check_layout(tmp_path / "back")
