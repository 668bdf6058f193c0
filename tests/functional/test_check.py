# SPDX-License-Identifier: Apache-2.0
"""``txregistry check`` and ``txregistry uploads`` as operators use them, on real registries'
trees.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from .client import Client
from .images import Layout
from .servers import Peer, Registry
from .test_clients import copy

MIB = 1024 * 1024
TREE = "docker/registry/v2"

#: Seconds for one command on a busy machine.
PATIENCE = 300


def command(server, *arguments):
    """The command, with the configuration of a server of ours."""
    return subprocess.run(
        [sys.executable, "-m", "txregistry.cli", *arguments, "--config", str(server.configuration)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def check(server, *arguments):
    """Status, document and standard error of a check."""
    done = command(server, "check", "--json", *arguments)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def classes(document):
    return {finding["class"] for finding in document["findings"]}


def two_platforms(directory):
    layout = Layout(directory / "layout")
    images = [layout.add_image([MIB, 5, 0], architecture=name) for name in ("amd64", "arm64")]
    layout.tag(layout.add_index(images), "latest")
    return layout


@pytest.fixture
def image(tmp_path):
    return two_platforms(tmp_path)


@pytest.fixture
def ours(tmp_path):
    return Registry(tmp_path / "ours")


def push(server, image, name):
    copy(f"oci:{image.directory}:latest", f"docker://{server.address}/{name}", "--all")


def files_of(root):
    """Every file below a directory with the hash of its bytes, without the driver's own."""
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            if not name.startswith(".txregistry-"):
                path = Path(directory) / name
                found[str(path.relative_to(root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def age(root):
    """Make everything an hour old: what is young may still be in the making, and is looked at for
    longer.
    """
    then = time.time() - 3600
    for path in root.rglob("*"):
        os.utime(path, (then, then))


def pusher(server, name, stop, failures):
    """Push, tag, delete and upload without end."""
    client = Client(server)
    number = 0
    try:
        while not stop.is_set():
            number += 1
            config = f"{name} {number}".encode()
            digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
            client.push_blob(name, config, digest)
            manifest = json.dumps(
                {
                    "schemaVersion": 2,
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": {"mediaType": "application/x", "digest": digest, "size": len(config)},
                    "layers": [],
                    "subject": {
                        "mediaType": "application/vnd.oci.image.manifest.v1+json",
                        "digest": digest,
                        "size": 1,
                    },
                }
            ).encode()
            kind = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
            assert (
                client.request("PUT", f"/v2/{name}/manifests/latest", manifest, kind).status == 201
            )
            location = client.start_upload(name)
            client.patch(location, os.urandom(100_000))
            if number % 3 == 0:
                pushed = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
                assert client.request("DELETE", f"/v2/{name}/manifests/{pushed}").status == 202
    except Exception as error:
        failures.append(error)


class HealthyTests:
    def test_tree_of_the_peer_is_clean(self, tmp_path, image, ours):
        """Whoever takes a tree over may check it first: what the other registry wrote is no
        finding.
        """
        with Peer(tmp_path / "peer", ours.root) as peer:
            push(peer, image, "deep/er/app:v1")
            push(peer, image, "app:v1")
            client = Client(peer)
            client.patch(client.start_upload("app"), b"half an upload")
            client.start_upload("app")
            digest = client.head("/v2/app/manifests/v1").headers["Docker-Content-Digest"]
            assert client.request("DELETE", f"/v2/app/manifests/{digest}").status == 202
            status, document, error = check(ours, "--read-data", "--strict")
        assert document["findings"] == []
        assert (status, error) == (0, "")
        assert document["checked"]["repositories"] == 2
        assert document["checked"]["uploads"] == 2
        assert document["checked"]["bytes_read"] >= document["checked"]["bytes"] > 2 * MIB

    def test_tree_under_load_is_clean(self, ours, image):
        """A check beside a registry at work tells nothing that is only half-done."""
        stop, failures = threading.Event(), []
        with ours:
            push(ours, image, "lib/app:latest")
            load = [
                threading.Thread(target=pusher, args=(ours, f"load/{number}", stop, failures))
                for number in range(3)
            ]
            for thread in load:
                thread.start()
            try:
                for _ in range(2):
                    status, document, error = check(ours, "--read-data", "--strict")
                    assert document["findings"] == []
                    assert (status, error) == (0, "")
            finally:
                stop.set()
                for thread in load:
                    thread.join()
            assert failures == []
        assert document["checked"]["uploads"] > 3
        assert document["checked"]["manifests"] > 3


class DamageTests:
    @pytest.fixture(scope="class")
    @staticmethod
    def image(tmp_path_factory):
        return two_platforms(tmp_path_factory.mktemp("image"))

    @pytest.fixture(scope="class")
    @staticmethod
    def tree(tmp_path_factory, image):
        """The storage of two images, the first of which has lost a bit. Not to be changed."""
        directory = tmp_path_factory.mktemp("damaged")
        with Registry(directory) as server:
            push(server, image, "lib/app:v1")
            other = Layout(directory / "other")
            other.tag(other.add_image([2 * MIB]), "latest")
            push(server, other, "lib/other:v1")
        data = server.root / TREE / "blobs" / "sha256"
        large = [path for path in data.rglob("data") if 2 * MIB > path.stat().st_size > MIB]
        content = bytearray(large[0].read_bytes())
        content[700_000] ^= 4
        large[0].write_bytes(content)
        age(server.root)
        return server.root

    @pytest.fixture
    def damaged(self, ours, tree):
        """A registry on a copy of it."""
        shutil.copytree(tree, ours.root)
        return ours

    def test_lost_bit_is_found_if_data_are_read(self, damaged):
        """And so is everything that it makes useless; the report is one line for each."""
        assert command(damaged, "check").returncode == 0
        done = command(damaged, "check", "--read-data")
        assert done.returncode == 1
        lines = done.stdout.splitlines()
        assert lines[0].startswith(
            "error    blob-corrupt         /docker/registry/v2/blobs/sha256/"
        )
        assert " it is not what its digest says, but sha256:" in lines[0]
        assert any(line.startswith("error    tag-dangling") for line in lines)
        assert lines[-1] == "not clean"
        assert "lib/other" not in done.stdout
        assert done.stderr == ""

    def test_repair_loses_nothing(self, damaged, image):
        """What is damaged is kept aside; the rest is clean, and a push heals it."""
        before = files_of(damaged.root)
        status, document, _ = check(damaged, "--read-data", "--repair")
        assert status == 1
        assert "blob-corrupt" in classes(document)
        after = files_of(damaged.root)
        quarantine = document["quarantine"][0].strip("/")
        for path, content in before.items():
            assert content in (after.get(path), after.get(f"{quarantine}/{path}")), path
        for finding in document["findings"]:
            assert finding["repaired_to"].strip("/").startswith(quarantine)
        status, document, _ = check(damaged, "--read-data", "--strict")
        assert (status, document["findings"]) == (0, [])
        with damaged:
            assert Client(damaged).get("/v2/lib/app/manifests/v1").status == 404
            assert Client(damaged).get("/v2/lib/other/manifests/v1").status == 200
            push(damaged, image, "lib/app:v1")
            assert Client(damaged).get("/v2/lib/app/manifests/v1").status == 200
        assert check(damaged, "--read-data", "--strict")[0] == 0

    def test_repair_needs_the_storage_alone(self, damaged):
        """A registry that is running does not find its content moved away."""
        with damaged:
            done = command(damaged, "check", "--repair")
        assert done.returncode == 2
        assert done.stdout == ""
        assert f"rootdirectory {damaged.root} is in use by a registry; stop it first" in done.stderr
        assert done.stderr.count("\n") == 1

    def test_classes_can_be_left_out(self, damaged):
        (damaged.root / TREE / "notes").write_text("mine")
        assert command(damaged, "check", "--strict").returncode == 1
        assert command(damaged, "check", "--strict", "--ignore", "foreign").returncode == 0
        assert command(damaged, "check").returncode == 0
        assert command(damaged, "check", "--ignore", "nonsense").returncode == 2

    def test_storage_that_can_not_be_had_is_one_sentence(self, damaged):
        damaged.configuration.write_text(
            "version: 0.1\nstorage: {filesystem: {rootdirectory: /dev/null}}\n"
        )
        done = command(damaged, "check")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        damaged.configuration.write_text("version: 0.1\n")
        done = command(damaged, "check")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


class UploadsTests:
    def test_uploads_are_listed_and_purged(self, ours):
        """Those that nobody goes on with go, those in progress stay."""
        with ours:
            client = Client(ours)
            client.patch(client.start_upload("lib/app"), b"half")
            left = client.patch(client.start_upload("lib/other"), b"left behind")
            old = time.time() - 25 * 3600
            for path in (ours.root / TREE / "repositories/lib/other/_uploads").rglob("*"):
                os.utime(path, (old, old))
            listed = json.loads(command(ours, "uploads", "list", "--json").stdout)
            assert listed["schema"] == "txregistry.uploads/1"
            assert [(one["repository"], one["size"]) for one in listed["uploads"]] == [
                ("lib/app", 4),
                ("lib/other", 11),
            ]
            text = command(ours, "uploads", "list").stdout.splitlines()
            assert text[-1] == "2 uploads that hold 15 bytes"
            assert text[2].endswith("lib/other")
            for options in (["--dry-run"], []):
                purged = command(
                    ours, "uploads", "purge", "--older-than", "24h", "--json", *options
                )
                assert json.loads(purged.stdout)["examined"] == 2
            assert client.request("PATCH", left, b"more").status == 404
            assert command(ours, "uploads", "purge", "--older-than", "24h").stdout == (
                "1 upload, 0 removed, 0 bytes freed\n"
            )

    def test_upload_in_use_is_never_purged(self, ours):
        done = command(ours, "uploads", "purge", "--older-than", "0")
        assert (done.returncode, done.stdout) == (1, "")
        assert "may be in use; give 10m or more" in done.stderr
