# SPDX-License-Identifier: Apache-2.0
"""What a registry asks of S3 for each operation is what the documentation says."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from ..functional.client import Client
from ..functional.servers import Registry
from .fake import FakeS3, Limits

MIB = 1024 * 1024

PAGE = Path(__file__).parents[2] / "docs" / "drivers" / "s3.md"

#: A row of the page's table: the operation, and how many requests.
ROW = re.compile(r"^\| ([^|]+) \| (\d+) \| [^|]+ \|$", re.MULTILINE)

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = b"{}"


def sha256(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


LAYER = bytes(100_000)
SMALL = b"a layer of a few bytes"
BLOB = f"/v2/count/app/blobs/{sha256(LAYER)}"


def manifest(note):
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "size": len(CONFIG)}
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "annotations": {"note": note}}
    document |= {"config": {**config, "digest": sha256(CONFIG)}, "layers": []}
    return json.dumps(document).encode()


def push_manifest(client, note):
    headers = {"Content-Type": MANIFEST}
    assert client.put("/v2/count/app/manifests/new", manifest(note), headers).status == 201


def push_in_one(client, data):
    path = f"/v2/count/app/blobs/uploads/?digest={sha256(data)}"
    assert client.post(path, data).status == 201


def push_in_pieces(client, data):
    location = client.patch(client.start_upload("count/app"), data)
    client.finish_upload(location, sha256(data))


def push_large(client, size):
    location, piece = client.start_upload("count/app"), bytes(MIB)
    running = hashlib.sha256()
    for _ in range(size // MIB):
        running.update(piece)
    client.finish_upload(location, f"sha256:{running.hexdigest()}", bytes(size))


def expect(status, answer):
    assert answer.status == status, answer


def prepare(client):
    """Put a tag and a layer there, and read once: the first read of a connection learns that this
    driver has no files to hand over.
    """
    for data in (LAYER, CONFIG):
        push_in_one(client, data)
    expect(200, client.get(BLOB))
    headers = {"Content-Type": MANIFEST}
    expect(201, client.put("/v2/count/app/manifests/tag", manifest("first"), headers))


#: What is done, by the name that it has in the table.
OPERATIONS = {
    "GET of a blob": lambda client: expect(200, client.get(BLOB)),
    "HEAD of a blob": lambda client: expect(200, client.head(BLOB)),
    "GET of a manifest by tag": lambda client: expect(
        200, client.get("/v2/count/app/manifests/tag")
    ),
    "tags list": lambda client: expect(200, client.get("/v2/count/app/tags/list")),
    "push of a small blob in one POST": lambda client: push_in_one(client, SMALL),
    "push of a small blob by POST, PATCH and PUT": lambda client: push_in_pieces(
        client, b"other bytes"
    ),
    "push of 64 MiB": lambda client: push_large(client, 64 * MIB),
    "push of a manifest": lambda client: push_manifest(client, "another"),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A registry on a fake of S3's real limits, with a tag and a layer in it."""
    limits = Limits(smallest_part=5 * MIB, most_parts=10_000, copy_limit=5 * 1024**3)
    with FakeS3(limits) as fake:
        options = {"bucket": "b", "regionendpoint": fake.url, "accesskey": "a", "secretkey": "s"}
        storage = {"s3": options, "redirect": {"disable": True}, "delete": {"enabled": True}}
        with Registry(tmp_path_factory.mktemp("requests"), storage=storage) as registry:
            client = Client(registry)
            prepare(client)
            yield fake, client


def told():
    """The page's table."""
    section = PAGE.read_text().partition("## Requests")[2].partition("\n## ")[0]
    return {name: int(count) for name, count in ROW.findall(section)}


def test_every_row_is_counted():
    """And nothing that is counted lacks a row."""
    assert set(told()) == set(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_requests_are_those_of_the_page(served, operation):
    """Exactly; a large push may need fewer, if parts arrive together."""
    fake, client = served
    before = fake.calls.copy()
    OPERATIONS[operation](client)
    calls = fake.calls - before
    print(operation, calls.total(), dict(calls))
    if operation == "push of 64 MiB":
        assert 25 < calls.total() <= told()[operation], calls
    else:
        assert calls.total() == told()[operation], calls
