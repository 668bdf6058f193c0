# SPDX-License-Identifier: Apache-2.0
"""Real clients with bearer tokens: of the built-in token server, and of another one."""

from __future__ import annotations

import os
import time
from contextlib import closing

import pytest

from ..identify import signing
from .client import Client
from .images import Layout, check_layout
from .podman import Podman
from .servers import Registry, need
from .test_passwords import USERS, run, write_users
from .token_server import TokenServer

FLAGS = ("--dest-tls-verify=false", "--src-tls-verify=false", "--preserve-digests")


def copy(source, destination, *options, expected=0):
    command = (need("skopeo"), "--insecure-policy", "copy", *FLAGS, *options, source, destination)
    return run(*command, expected=expected)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    layout = Layout(tmp_path_factory.mktemp("image") / "layout")
    layout.tag(layout.add_image([200_000, 10]), "latest")
    return layout


@pytest.fixture(scope="module")
def built_in(tmp_path_factory):
    directory = tmp_path_factory.mktemp("built-in")
    users = directory / "htpasswd"
    write_users(users, USERS)
    server = Registry(directory)
    auth = {
        "htpasswd": {"realm": "Registry", "path": str(users)},
        "tokenserver": {"enabled": True, "realm": f"{server.url}/auth/token"},
        "access": [
            {"anonymous": True, "repositories": ["public/**"], "actions": ["pull"]},
            {"users": ["alice"], "actions": ["pull", "push", "delete", "catalog"]},
            {"users": ["bob"], "repositories": ["team/*"], "actions": ["pull"]},
        ],
    }
    server.reconfigure({"auth": auth})
    with server:
        yield server


class BuiltInTests:
    """One process does the whole dance."""

    @pytest.mark.parametrize("program", ["podman", "skopeo"])
    def test_login(self, built_in, program, tmp_path):
        command = (need(program), "login", "--tls-verify=false", "--authfile", f"{tmp_path}/a.json")
        run(*command, "-u", "alice", "-p", "secret", built_in.address)
        # podman has 125 for everything that goes wrong, skopeo 1.
        wrong = (*command, "-u", "alice", "-p", "wrong", built_in.address)
        assert "invalid username/password" in run(
            *wrong, expected=125 if program == "podman" else 1
        )

    def test_anonymous_pull_with_authenticated_push(self, built_in, image, tmp_path):
        here, there = f"oci:{image.directory}:latest", f"docker://{built_in.address}/public/app:1"
        copy(here, there, expected=1)
        copy(here, there, "--dest-creds", "bob:hunter2", expected=1)
        copy(here, there, "--dest-creds", "alice:secret")
        copy(there, f"oci:{tmp_path}/back:latest")
        assert check_layout(tmp_path / "back") == image.blobs()

    def test_podman_pulls_as_nobody_what_it_pushed_as_somebody(self, built_in, image, tmp_path):
        there = f"docker://{built_in.address}/public/podman:1"
        with Podman(tmp_path) as podman:
            taken = podman.take(image)
            push = ("push", "--tls-verify=false", taken, there)
            podman(*push, is_refused=True)
            podman(*push, "--creds", "bob:hunter2", is_refused=True)
            podman(*push, "--creds", "alice:secret")
            podman("rmi", "--force", taken)
            assert podman("pull", "--quiet", "--tls-verify=false", there).strip() == taken

    def test_rights_are_those_of_the_rules(self, built_in, image, tmp_path):
        here, there = f"oci:{image.directory}:latest", f"docker://{built_in.address}/team/app:1"
        copy(here, there, "--dest-creds", "alice:secret")
        copy(there, f"dir:{tmp_path}/nobody", expected=1)
        copy(there, f"dir:{tmp_path}/bob", "--src-creds", "bob:hunter2")
        delete = (need("skopeo"), "delete", "--tls-verify=false", there)
        run(*delete, "--creds", "bob:hunter2", expected=1)
        run(*delete, "--creds", "alice:secret")


def rotate(token_server, path):
    """Sign with a new key from now on, and have its certificate trusted."""
    now = int(time.time())
    token_server.key = signing.make_key()
    certificate = signing.make_certificate(
        token_server.key, authority=True, begins=now - 60, ends=now + 3600
    )
    token_server.header = {"x5c": signing.x5c(certificate)}
    new = path.with_suffix(".new")
    new.write_bytes(signing.pem(certificate))
    os.replace(new, path)


@pytest.fixture(scope="module")
def token_server():
    with closing(TokenServer("pw")) as server:
        yield server


@pytest.fixture(scope="module")
def other(token_server, tmp_path_factory):
    directory = tmp_path_factory.mktemp("other")
    rotate(token_server, directory / "roots.pem")
    auth = {"token": token_server.settings(rootcertbundle=str(directory / "roots.pem"))}
    with Registry(directory, {"auth": auth}) as server:
        server.roots = directory / "roots.pem"
        yield server


class OtherServerTests:
    """A token server of somebody else; its key is known by its certificate."""

    def test_push_and_pull(self, other, image, tmp_path):
        here, there = f"oci:{image.directory}:latest", f"docker://{other.address}/lib/app:1"
        copy(here, there, "--dest-creds", "alice:no", expected=1)
        copy(here, there, "--dest-creds", "alice:pw")
        copy(there, f"oci:{tmp_path}/back:latest", "--src-creds", "bob:pw")
        assert check_layout(tmp_path / "back") == image.blobs()

    def test_keys_are_rotated_without_a_restart(self, other, token_server, image):
        here, there = f"oci:{image.directory}:latest", f"docker://{other.address}/lib/app:2"
        old_key, old_header = token_server.key, token_server.header
        rotate(token_server, other.roots)
        other.wait_for_log(f"{other.roots} was read again")
        copy(here, there, "--dest-creds", "alice:pw")
        token = signing.sign(
            signing.claims(exp=int(time.time()) + 60, nbf=None), old_key, **old_header
        )
        answer = Client(other).get("/v2/", {"Authorization": f"Bearer {token}"})
        assert answer.refusal == (401, "UNAUTHORIZED")
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
