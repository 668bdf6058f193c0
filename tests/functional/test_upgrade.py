# SPDX-License-Identifier: Apache-2.0
"""The way from Debian's docker-registry to this one and back, with its own configuration file."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import os
import subprocess
import sys
from pathlib import Path

import bcrypt
import pytest
import yaml

from .images import Layout, check_layout
from .servers import Server, need
from .test_clients import skopeo

STOCK = Path("/etc/docker/registry/config.yml")
MIB = 1024 * 1024
USER, PASSWORD = "keeper", "a password of the keeper's"
SECRET = "a secret of both"


class Keeper(Server):
    """A registry that asks for a password."""

    def answers(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return ask(self, "GET", "/v2/")[0].status == 200
        return False


def ask(server, method, path, body=None, **headers):
    """One request of the keeper's."""
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", **headers}
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    ) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer, answer.read()


@pytest.fixture
def house(tmp_path):
    """Debian's file, with places and a port of the test's own, and a server for each registry."""
    passwords = tmp_path / "htpasswd"
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    passwords.write_text(f"{USER}:{hashed}\n")
    passwords.chmod(0o600)  # nothing is warned of
    document = yaml.safe_load(STOCK.read_text())
    assert document["auth"]["htpasswd"]["path"] == "/etc/docker/registry"
    file = tmp_path / "config.yml"
    environment = {**os.environ, "REGISTRY_HTTP_SECRET": SECRET}
    ours = [sys.executable, "-m", "txregistry.cli"]
    debian = Keeper(tmp_path, [need("docker-registry"), "serve", str(file)], environment)
    txregistry = Keeper(tmp_path, [*ours, "serve", str(file)], environment)
    txregistry.port = debian.port
    document["storage"]["filesystem"]["rootdirectory"] = str(tmp_path / "storage")
    document["http"]["addr"] = debian.address
    document["auth"]["htpasswd"]["path"] = str(passwords)
    file.write_text(yaml.safe_dump(document))
    yield debian, txregistry, [*ours, "config", "check", str(file)], ours, file
    for each in (debian, txregistry):
        each.stop()


def copy(source, destination):
    login = f"{USER}:{PASSWORD}"
    there = "--dest" if destination.startswith("docker:") else "--src"
    options = (f"{there}-tls-verify=false", f"{there}-creds", login, "--preserve-digests")
    skopeo("copy", *options, source, destination)


def test_tree_configuration_and_uploads_are_taken_over_and_given_back(house, tmp_path):
    debian, txregistry, check, ours, file = house
    first, second = Layout(tmp_path / "first"), Layout(tmp_path / "second")
    first.tag(first.add_image([2 * MIB, 10]), "latest")
    second.tag(second.add_image([MIB, 20]), "latest")
    reference = f"docker://{debian.address}/team/app"
    data = b"half and half"

    with debian:
        copy(f"oci:{first.directory}:latest", f"{reference}:first")
        answer, _ = ask(debian, "POST", "/v2/team/app/blobs/uploads/")
        place = answer.getheader("Location").partition(debian.address)[2]
        answer, _ = ask(debian, "PATCH", place, data[:4])
        assert answer.status == 202
        place = answer.getheader("Location").partition(debian.address)[2]

    def say(*arguments):
        return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)

    checked = say(*check)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert say(*ours, "check", "--config", str(file)).returncode == 0

    with txregistry:
        copy(f"{reference}:first", f"oci:{tmp_path}/here:latest")
        assert check_layout(tmp_path / "here") == first.blobs()
        answer, _ = ask(txregistry, "PATCH", place, data[4:])
        assert answer.status == 202
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        place = answer.getheader("Location")
        answer, _ = ask(txregistry, "PUT", f"{place}&digest={digest}", b"")
        assert answer.status == 201
        copy(f"oci:{second.directory}:latest", f"{reference}:second")

    with debian:
        copy(f"{reference}:second", f"oci:{tmp_path}/back:latest")
        assert check_layout(tmp_path / "back") == second.blobs()
        answer, body = ask(debian, "GET", f"/v2/team/app/blobs/{digest}")
        assert (answer.status, body) == (200, data)


def test_file_as_it_is_shipped_is_refused_for_its_passwords_only(tmp_path):
    """It names a directory, for which the other registry makes up a user."""
    done = subprocess.run(
        [sys.executable, "-m", "txregistry.cli", "serve", str(STOCK)],
        env={
            **os.environ,
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(tmp_path / "storage"),
            "REGISTRY_HTTP_ADDR": "127.0.0.1:0",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    [sentence] = [line for line in done.stderr.splitlines() if line.startswith("txregistry: ")]
    assert "/etc/docker/registry" in sentence
    assert "Traceback" not in done.stderr
