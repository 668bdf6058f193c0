# SPDX-License-Identifier: Apache-2.0
"""Two registries on one container of Azure, which agree on a key by themselves."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.client
import os

import pytest

from ..functional.client import Client
from ..functional.repository import digest_of
from ..functional.two_servers import MIB, Shared, two_on

#: More than Azure copies by one request.
LARGE = 257 * MIB


@pytest.fixture(scope="module")
def pair(azurite, tmp_path_factory):
    storage = {
        "azure": azurite.options("hosts"),
        "redirect": {"disable": True},
        "delete": {"enabled": True},
    }
    with two_on(storage, tmp_path_factory.mktemp("hosts")) as hosts:
        yield hosts


class AzureTests(Shared):
    """What holds on any storage."""


def test_two_append_to_one_upload(pair):
    """At once: one is taken, the other is told where the upload is, or to come again."""
    location = Client(pair[0]).patch(Client(pair[0]).start_upload("race/app"), b"begun")
    bodies = [os.urandom(300_000) for _ in pair]
    kind = {"Content-Type": "application/octet-stream"}
    with concurrent.futures.ThreadPoolExecutor() as threads:
        work = [
            threads.submit(Client(host).request, "PATCH", location, body, kind)
            for host, body in zip(pair, bodies, strict=True)
        ]
        answers = [one.result() for one in work]
    statuses = [answer.status for answer in answers]
    assert statuses.count(202) == 1 and set(statuses) <= {202, 416, 503}, statuses
    winner = statuses.index(202)
    client = Client(pair[1 - winner])
    whole = b"begun" + bodies[winner]
    client.finish_upload(client.here(answers[winner].headers["Location"]), digest_of(whole))
    assert client.get(f"/v2/race/app/blobs/{digest_of(whole)}").body == whole


def test_a_large_blob_comes_back(pair):
    """Above what one copy moves; pushed to one host and pulled from the other."""
    block = os.urandom(MIB)
    running = hashlib.sha256()
    for _ in range(LARGE // MIB):
        running.update(block)
    digest = f"sha256:{running.hexdigest()}"
    location = Client(pair[0]).start_upload("large/app")
    connection = http.client.HTTPConnection("127.0.0.1", pair[0].port, timeout=600)
    blocks = (block for _ in range(LARGE // MIB))
    headers = {"Content-Length": str(LARGE)}
    connection.request("PUT", f"{location}&digest={digest}", blocks, headers)
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()
    connection.close()
    connection = http.client.HTTPConnection("127.0.0.1", pair[1].port, timeout=600)
    connection.request("GET", f"/v2/large/app/blobs/{digest}")
    answer = connection.getresponse()
    found = hashlib.sha256()
    while piece := answer.read(MIB):
        found.update(piece)
    connection.close()
    assert found.digest() == running.digest()
