# SPDX-License-Identifier: Apache-2.0
"""Registries over S3, as processes: one, two on one bucket, and one whose driver is killed."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.client
import os
import time

import pytest

from ..functional.client import Client
from ..functional.images import Layout, check_layout
from ..functional.servers import START_TIMEOUT, Registry
from ..functional.test_clients import copy
from ..functional.test_interruptions import Content
from ..functional.two_servers import two_on
from .servers import Moto

MIB = 1024 * 1024

#: The smallest part, so that little data makes many.
PART = 5 * MIB


def sha256(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def storage_on(server, bucket):
    """Blobs go through the registry, not by redirects."""
    return {
        "s3": server.options(bucket, chunksize=PART, rootdirectory="/registry"),
        "redirect": {"disable": True},
        "delete": {"enabled": True},
    }


@pytest.fixture(scope="module", params=["moto", "swift"])
def registry(request, tmp_path_factory):
    server = request.getfixturevalue(request.param)
    bucket = f"images-{request.param}"
    directory = tmp_path_factory.mktemp("registry")
    with Registry(directory, storage=storage_on(server, bucket)) as registry:
        registry.bucket = server.client(), bucket
        yield registry


@pytest.fixture(scope="module")
def pair(moto, tmp_path_factory):
    with two_on(storage_on(moto, "shared"), tmp_path_factory.mktemp("pair")) as servers:
        yield servers


class OneRegistryTests:
    def test_skopeo_pushes_and_pulls(self, registry, tmp_path):
        """An image with layers of many parts, of one, and of nothing comes back as it was."""
        layout = Layout(tmp_path / "layout")
        layout.tag(layout.add_image([12 * MIB, PART, 10, 0]), "latest")
        reference = f"docker://{registry.address}/team/app:1"
        copy(f"oci:{layout.directory}:latest", reference)
        copy(reference, f"oci:{tmp_path / 'back'}:latest")
        check_layout(tmp_path / "back")
        assert Client(registry).get_json("/v2/team/app/tags/list")["tags"] == ["1"]

    def test_nothing_of_an_upload_is_left(self, registry):
        """After a push the bucket has the tree of registry:3, no part and no open upload."""
        client, bucket = registry.bucket
        data = os.urandom(2 * PART + 1)
        Client(registry).push_blob("tidy/app", data, sha256(data))
        encoded = sha256(data).removeprefix("sha256:")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [one["Key"] for page in pages for one in page["Contents"]]
        assert not [key for key in keys if "~" in key or "_uploads" in key]
        assert f"registry/docker/registry/v2/blobs/sha256/{encoded[:2]}/{encoded}/data" in keys
        assert client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []

    def test_a_cancelled_upload_leaves_nothing(self, registry):
        """DELETE of a session removes its parts."""
        client, bucket = registry.bucket
        ours = Client(registry)
        location = ours.patch(ours.start_upload("cancelled/app"), os.urandom(PART + 1))
        where = {"Bucket": bucket, "Prefix": "registry/docker/registry/v2/repositories/cancelled/"}
        assert any("~/" in one["Key"] for one in client.list_objects_v2(**where)["Contents"])
        assert ours.delete(location).status == 204
        assert "Contents" not in client.list_objects_v2(**where)

    def test_ranges_and_early_ends(self, registry):
        """Any range is served; a client that leaves early does no harm."""
        data = os.urandom(PART + 1000)
        digest = sha256(data)
        client = Client(registry)
        client.push_blob("ranges/app", data, digest)
        path = f"/v2/ranges/app/blobs/{digest}"
        for start, stop in ((0, 1), (PART - 1, PART + 1), (1000, len(data))):
            answer = client.get(path, {"Range": f"bytes={start}-{stop - 1}"})
            assert (answer.status, answer.body) == (206, data[start:stop])
        for _ in range(3):
            connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=60)
            connection.request("GET", path)
            connection.getresponse().read(10)
            connection.close()
        assert client.get(path).body == data


class TwoRegistriesTests:
    def test_an_upload_goes_from_one_to_the_other(self, pair):
        """Begun here, continued there, asked here, finished here, by a driver that was killed
        meanwhile; parts of any size.
        """
        data = os.urandom(3 * PART + 77)
        one, other = map(Client, pair)
        location = one.start_upload("team/app")
        location = other.patch(location, data[: PART + 10])
        location = one.patch(location, data[PART + 10 : PART + 20])
        answer = other.request("GET", location)
        assert (answer.status, answer.headers["Range"]) == (204, f"0-{PART + 19}")
        location = other.patch(other.here(answer.headers["Location"]), data[PART + 20 : 2 * PART])
        pair[0].strike()
        one.finish_upload(location, sha256(data), data[2 * PART :])
        assert other.get(f"/v2/team/app/blobs/{sha256(data)}").body == data

    def test_two_finish_one_session(self, pair):
        """Both say 201 or that the session is gone; the blob is there either way."""
        for size in (1000, PART + 1):
            data = os.urandom(size)
            one, other = map(Client, pair)
            location = one.patch(one.start_upload("race/app"), data)
            path = f"{location}&digest={sha256(data)}"
            with concurrent.futures.ThreadPoolExecutor() as threads:
                work = [threads.submit(client.put, path) for client in (one, other)]
                statuses = [one.result().status for one in work]
            assert 201 in statuses and set(statuses) <= {201, 404}, statuses
            assert other.get(f"/v2/race/app/blobs/{sha256(data)}").body == data

    def test_two_push_one_blob(self, pair):
        """The same content by two sessions on two hosts at once."""
        data = os.urandom(2 * PART)
        with concurrent.futures.ThreadPoolExecutor() as threads:
            work = [
                threads.submit(Client(server).push_blob, f"same/{number}", data, sha256(data))
                for number, server in enumerate(pair)
            ]
            assert [one.result().status for one in work] == [201, 201]
        assert Client(pair[0]).get(f"/v2/same/1/blobs/{sha256(data)}").body == data

    def test_a_tag_raced_for_is_one_of_the_two(self, pair):
        """Two hosts set one tag at once: it names one of the manifests, and both are there."""
        clients = list(map(Client, pair))
        config = b"{}"
        clients[0].push_blob("tags/app", config, sha256(config))
        manifests = [manifest(config, note) for note in ("one", "other")]
        headers = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
        with concurrent.futures.ThreadPoolExecutor() as threads:
            work = [
                threads.submit(client.put, "/v2/tags/app/manifests/t", body, headers)
                for client, body in zip(clients, manifests, strict=True)
            ]
            assert [one.result().status for one in work] == [201, 201]
        found = [client.get("/v2/tags/app/manifests/t").body for client in clients]
        assert found[0] == found[1] and found[0] in manifests
        for body in manifests:
            assert clients[0].get(f"/v2/tags/app/manifests/{sha256(body)}").body == body


def manifest(config, note):
    kind = "application/vnd.oci.image"
    return (
        f'{{"schemaVersion":2,"mediaType":"{kind}.manifest.v1+json","config":{{"mediaType":'
        f'"{kind}.config.v1+json","digest":"{sha256(config)}","size":{len(config)}}},'
        f'"layers":[],"annotations":{{"note":"{note}"}}}}'
    ).encode()


class KillTests:
    @pytest.mark.parametrize("registry", ["moto"], indirect=True)
    def test_death_of_the_driver_is_seen_by_nobody(self, registry):
        """A push and a pull go on to their ends although the driver is killed on the way."""
        content = Content(48 * MIB)
        digest = content.digest()
        client = Client(registry)
        location = client.start_upload("kill/app")
        connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=120)
        connection.putrequest("PUT", f"{location}&digest={digest}")
        connection.putheader("Content-Length", str(content.size))
        connection.endheaders()
        for start in range(0, content.size, MIB):
            connection.send(content.chunk(start, start + MIB))
            if start in (10 * MIB, 30 * MIB):
                registry.strike()
        response = connection.getresponse()
        assert response.status == 201, response.read()
        connection.close()

        connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=120)
        connection.request("GET", f"/v2/kill/app/blobs/{digest}")
        response = connection.getresponse()
        running = hashlib.sha256(response.read(MIB))
        registry.strike()
        while chunk := response.read(MIB):
            running.update(chunk)
        connection.close()
        assert f"sha256:{running.hexdigest()}" == digest


class AwayTests:
    def test_a_registry_waits_for_its_bucket(self, tmp_path, tmp_path_factory):
        """It starts without, answers 503 and when to come again, and heals by itself."""
        server = Moto(tmp_path_factory.mktemp("late"))
        options = {"bucket": "late", "regionendpoint": server.url, "accesskey": "a"}
        storage = {"s3": {**options, "secretkey": "b", "maxattempts": 1}}
        with Registry(tmp_path, storage=storage) as registry:
            client = Client(registry)
            answer = client.get("/v2/a/b/manifests/t")
            assert (answer.status, answer.codes) == (503, ["UNAVAILABLE"])
            assert int(answer.headers["Retry-After"]) > 0
            with server:
                server.client().create_bucket(Bucket="late")
                deadline = time.monotonic() + 3 * START_TIMEOUT  # it looks less and less often
                while client.get("/v2/a/b/manifests/t").status == 503:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
                assert client.get("/v2/a/b/manifests/t").status == 404


class ExistingTreeTests:
    def test_a_tree_of_registry_3_is_served(self, moto, tmp_path, bucket):
        """Nothing has to be migrated: what the other registry stored is listed, pulled, deleted."""
        config = b"{}"
        layer = os.urandom(6 * MIB)
        body = manifest(config, "old")
        options = moto.options(bucket)
        client = moto.client()

        def store(path, data):
            client.put_object(Bucket=bucket, Key=f"docker/registry/v2/{path}", Body=data)

        for data in (config, layer, body):
            encoded = sha256(data).removeprefix("sha256:")
            store(f"blobs/sha256/{encoded[:2]}/{encoded}/data", data)
        home = "repositories/old/app"
        for data in (config, layer):
            encoded = sha256(data).removeprefix("sha256:")
            store(f"{home}/_layers/sha256/{encoded}/link", sha256(data).encode())
        encoded = sha256(body).removeprefix("sha256:")
        for place in (
            f"revisions/sha256/{encoded}",
            "tags/v1/current",
            f"tags/v1/index/sha256/{encoded}",
        ):
            store(f"{home}/_manifests/{place}/link", sha256(body).encode())
        storage = {"s3": options, "redirect": {"disable": True}, "delete": {"enabled": True}}
        with Registry(tmp_path, storage=storage) as registry:
            ours = Client(registry)
            assert ours.get_json("/v2/_catalog")["repositories"] == ["old/app"]
            assert ours.get_json("/v2/old/app/tags/list")["tags"] == ["v1"]
            assert ours.get("/v2/old/app/manifests/v1").body == body
            assert ours.get(f"/v2/old/app/blobs/{sha256(layer)}").body == layer
            assert ours.delete(f"/v2/old/app/manifests/{sha256(body)}").status == 202
            assert ours.get("/v2/old/app/manifests/v1").status == 404
