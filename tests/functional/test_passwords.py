# SPDX-License-Identifier: Apache-2.0
"""Real clients log in with a name and a password, and push and pull then."""

from __future__ import annotations

import base64
import os
import signal
import subprocess

import bcrypt
import pytest

from .client import Client
from .images import Layout, check_layout
from .servers import Registry, need

USERS = {"alice": "secret", "bob": "hunter2"}


def write_users(path, users):
    lines = [
        f"{name}:{bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()}\n"
        for name, word in users.items()
    ]
    new = path.with_suffix(".new")
    new.write_text("".join(lines))
    os.chmod(new, 0o600)
    os.replace(new, path)


def basic(name, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def run(*command, expected=0):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == expected, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    directory = tmp_path_factory.mktemp("passwords")
    users = directory / "htpasswd"
    write_users(users, USERS)
    auth = {"htpasswd": {"realm": "Registry", "path": str(users)}}
    with Registry(directory, {"auth": auth}) as server:
        server.users = users
        yield server


@pytest.mark.parametrize("program", ["podman", "skopeo"])
def test_login_succeeds_with_the_right_password_only(registry, program, tmp_path):
    """As ``docker login`` does it."""
    login = (need(program), "login", "--tls-verify=false", "--authfile", f"{tmp_path}/auth.json")
    assert "Login Succeeded" in run(*login, "-u", "alice", "-p", "secret", registry.address)
    refused = subprocess.run(
        [*login, "-u", "alice", "-p", "wrong", registry.address], capture_output=True, text=True
    )
    assert refused.returncode != 0
    assert "invalid username/password" in refused.stderr


def test_image_is_pushed_and_pulled_by_who_is_logged_in(registry, tmp_path):
    layout = Layout(tmp_path / "layout")
    layout.tag(layout.add_image([100_000, 10]), "latest")
    skopeo = (need("skopeo"), "--insecure-policy", "copy")
    here, there = f"oci:{layout.directory}:latest", f"docker://{registry.address}/team/app:v1"
    flags = ("--dest-tls-verify=false", "--src-tls-verify=false", "--preserve-digests")
    run(*skopeo, *flags, here, there, expected=1)
    run(*skopeo, *flags, "--dest-creds", "alice:secret", here, there)
    back = f"oci:{tmp_path}/back:latest"
    run(*skopeo, *flags, "--src-creds", "bob:wrong", there, back, expected=1)
    run(*skopeo, *flags, "--src-creds", "bob:hunter2", there, back)
    assert check_layout(tmp_path / "back") == layout.blobs()


def test_nobody_learns_anything_without_a_password(registry):
    """Every endpoint but the liveness check asks for one, and answers alike whatever is there."""
    client = Client(registry)
    assert client.get("/").status == 200
    for path in ("/v2/", "/v2/_catalog", "/v2/team/app/tags/list", "/v2/no/such/tags/list"):
        answer = client.get(path)
        assert answer.refusal == (401, "UNAUTHORIZED"), path
        assert answer.all("WWW-Authenticate") == ['Basic realm="Registry"']
    answer = client.request("OPTIONS", "/v2/")
    assert answer.status == 401
    assert client.get("/v2/_catalog", basic("alice", "secret")).status == 200


def test_changed_file_is_taken_while_serving(registry):
    """No restart to let somebody in or out."""
    client = Client(registry)
    try:
        write_users(registry.users, {**USERS, "carol": "new"})
        registry.wait_for_log(f"{registry.users} was read again")
        assert client.get("/v2/", basic("carol", "new")).status == 200
    finally:
        write_users(registry.users, USERS)


def test_rules_change_with_a_reload(registry):
    """SIGHUP takes new rules and schemes without a restart; a mistake leaves the old ones."""
    client = Client(registry)
    before = registry.configuration.read_text()
    assert client.get("/v2/_catalog", basic("bob", "hunter2")).status == 200
    try:
        access = [{"users": ["alice"], "actions": ["pull", "catalog"]}]
        registry.reconfigure({"auth": {"access": access}})
        registry.process.send_signal(signal.SIGHUP)
        registry.wait_for_log("reloaded ")
        assert client.get("/v2/_catalog", basic("bob", "hunter2")).status == 403
        assert client.get("/v2/_catalog", basic("alice", "secret")).status == 200
        registry.reconfigure({"auth": {"htpasswd": {"path": "/nowhere"}}})
        registry.process.send_signal(signal.SIGHUP)
        registry.wait_for_log("not reloaded, everything stays as it was: /nowhere can't be read")
        assert client.get("/v2/_catalog", basic("alice", "secret")).status == 200
    finally:
        registry.configuration.write_text(before)
