# SPDX-License-Identifier: Apache-2.0
"""Clients that are sent elsewhere for blobs, and hosts that share a cache, with real processes."""

from __future__ import annotations

import contextlib
import functools
import http.server
import socket
import subprocess
import threading
import time

import pytest

from .client import Client
from .images import Layout, check_layout
from .repository import Repository, digest_of
from .servers import Registry, free_port, need
from .test_clients import copy

DATA = b"some content"

#: Seconds that something may take on a busy machine.
PATIENCE = 60


@pytest.fixture
def files(tmp_path):
    """A web server that has the same tree; tells what it was asked for."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            server.asked.append(self.path)

    directory = tmp_path / "storage"
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(directory))
    )
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sending(tmp_path, files):
    """A registry that sends clients to it, but for one kind of them."""
    chain = [
        {"name": "redirect", "options": {"baseurl": "http://files.example/"}},
        {"name": "rewrite", "disabled": True, "options": {"host": "nowhere.example"}},
        {"name": "rewrite", "options": {"host": f"127.0.0.1:{files.server_port}"}},
    ]
    settings = {
        "middleware": {"storage": chain},
        "storage": {"redirect": {"exempt": {"useragents": ["stay-at-home"]}}},
    }
    with Registry(tmp_path, settings) as server:
        yield server


class MiddlewareTests:
    def test_real_client_follows(self, sending, files, tmp_path):
        """skopeo gets manifests from here, and blobs from there."""
        layout = Layout(tmp_path / "layout")
        layout.tag(layout.add_image([100_000, 10]), "latest")
        reference = f"docker://{sending.address}/team/app:one"
        copy(f"oci:{layout.directory}:latest", reference)
        copy(reference, f"oci:{tmp_path}/pulled:latest")
        assert check_layout(tmp_path / "pulled") == layout.blobs()
        assert len([path for path in files.asked if path.endswith("/data")]) >= 3

    def test_answer_has_the_digest(self, sending, files):
        """For HEAD, too; who is exempt is served from here; who has no link gets nothing."""
        client = Client(sending)
        repository = Repository(client, "a/app")
        digest = digest_of(DATA)
        repository.push_blob(DATA)
        place = f"http://127.0.0.1:{files.server_port}/docker/registry/v2/blobs/sha256/"
        for ask in (client.get, client.head):
            answer = ask(repository.blob(digest))
            assert (answer.status, answer.headers["Docker-Content-Digest"]) == (307, digest)
            assert answer.headers["Location"].startswith(place)
        stays = client.get(repository.blob(digest), {"User-Agent": "Stay-At-Home/1.0"})
        assert (stays.status, stays.body) == (200, DATA)
        other = client.get(Repository(client, "b/app").blob(digest))
        assert other.refusal == (404, "BLOB_UNKNOWN")


@pytest.fixture
def redis(tmp_path):
    port = free_port()
    process = subprocess.Popen(
        [need("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
    yield process, port
    process.kill()
    process.wait()


class RedisTests:
    def test_hosts_share_and_survive_its_end(self, redis, tmp_path):
        """What was deleted is gone for both, though Redis still has it; without Redis all goes
        on.
        """
        process, port = redis
        settings = {
            "storage": {"cache": {"blobdescriptor": "redis"}},
            "redis": {"addrs": [f"127.0.0.1:{port}"]},
        }
        storage = {
            "filesystem": {"rootdirectory": str(tmp_path / "storage")},
            "delete": {"enabled": True},
        }
        with (
            Registry(tmp_path / "one", settings, dict(storage)) as one,
            Registry(tmp_path / "two", settings, dict(storage)) as two,
        ):
            here, there = (Repository(Client(server), "a/app") for server in (one, two))
            digest = digest_of(DATA)
            here.push_blob(DATA)
            deadline = time.monotonic() + PATIENCE
            while not _kept(port) and time.monotonic() < deadline:
                assert here.client.get(here.blob(digest)).body == DATA
                one.stop()  # what it has in memory would keep it from asking Redis again
                one.start()
            assert there.client.get(there.blob(digest)).body == DATA
            assert here.client.delete(here.blob(digest)).status == 202
            assert _kept(port)
            for repository in (here, there):
                assert repository.client.get(repository.blob(digest)).status == 404
            process.kill()
            process.wait()
            data = here.push_image("latest")
            for repository in (here, there):
                assert repository.client.get(repository.manifest("latest")).body == data


def _kept(port):
    """Whether Redis has any content."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"DBSIZE\r\n")
        return connection.recv(100) != b":0\r\n"
