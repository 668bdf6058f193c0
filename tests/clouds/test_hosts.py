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
from ..functional.servers import Registry

MIB = 1024 * 1024

#: More than Azure copies by one request.
LARGE = 257 * MIB


@pytest.fixture(scope="module")
def pair(azurite, tmp_path_factory):
    """Started at once on an empty container, with no secret."""
    storage = {"azure": azurite.options("hosts"), "redirect": {"disable": True}}
    hosts = [
        Registry(tmp_path_factory.mktemp(name), {"http": {"secret": ""}}, storage=storage)
        for name in ("one", "other")
    ]
    for host in hosts:
        host.launch()
    for host in hosts:
        host.wait_ready()
    yield hosts
    for host in hosts:
        host.stop()


def test_an_upload_goes_from_one_to_the_other(pair):
    """Begun here, continued there, finished here."""
    data = os.urandom(3 * MIB)
    one, other = map(Client, pair)
    location = one.patch(one.start_upload("team/app"), data[:MIB])
    location = other.patch(location, data[MIB : 2 * MIB])
    one.finish_upload(location, digest_of(data), data[2 * MIB :])
    assert other.get(f"/v2/team/app/blobs/{digest_of(data)}").body == data


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
