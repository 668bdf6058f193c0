# SPDX-License-Identifier: Apache-2.0
"""Clients that log in by the certificate that they show."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.tls.authority import Authority

from .images import Layout, check_layout
from .podman import Podman
from .servers import need
from .test_tls import TlsRegistry, run


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def robot(authority):
    return authority.issue("robot", client=True)


@pytest.fixture(scope="module")
def reader(authority):
    return authority.issue("reader", client=True)


@pytest.fixture(scope="module")
def registry(tmp_path_factory, authority, robot):
    server = authority.issue("server", "localhost")
    tls = {
        "clientcas": [str(authority.file)],
        "clientauth": "verify-client-cert-if-given",
    }
    directory = tmp_path_factory.mktemp("certificates")
    registry = TlsRegistry(directory, authority, server, show=robot, tls=tls)
    access = [
        {"users": ["robot"], "actions": ["pull", "push"]},
        {"users": ["reader"], "actions": ["pull"]},
    ]
    registry.reconfigure({"auth": {"certificates": {"name": "commonname"}, "access": access}})
    with registry:
        yield registry


def ask(registry, show, path):
    connection = registry.connection(show)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def trusting(directory, authority, show):
    """A directory as skopeo wants it: whom to trust, and what to show."""
    directory.mkdir()
    shutil.copy(authority.file, directory / "ca.crt")
    if show is not None:
        shutil.copy(show.certificate, directory / "client.cert")
        shutil.copy(show.key, directory / "client.key")
    return directory


def test_image_is_pushed_by_whom_the_certificate_names(
    registry, authority, robot, reader, tmp_path
):
    """No password, no token; and the rules hold for names in certificates, too."""
    layout = Layout(tmp_path / "layout")
    layout.tag(layout.add_image([100_000, 10]), "latest")
    here, there = f"oci:{layout.directory}:latest", f"docker://127.0.0.1:{registry.port}/a/b:1"
    skopeo = (need("skopeo"), "--insecure-policy", "copy", "--preserve-digests")
    by_robot = trusting(tmp_path / "robot", authority, robot)
    by_reader = trusting(tmp_path / "reader", authority, reader)
    by_nobody = trusting(tmp_path / "nobody", authority, None)
    for place in (by_reader, by_nobody):
        run(*skopeo, "--dest-cert-dir", place, here, there, status=1)
    run(*skopeo, "--dest-cert-dir", by_robot, here, there)
    run(*skopeo, "--src-cert-dir", by_nobody, there, f"dir:{tmp_path}/none", status=1)
    run(*skopeo, "--src-cert-dir", by_reader, there, f"oci:{tmp_path}/back:latest")
    assert check_layout(tmp_path / "back") == layout.blobs()


def test_podman_is_let_in_by_its_certificate(registry, authority, robot, reader, tmp_path):
    """It pushes and pulls with the one, pulls with the other, and nothing without any."""
    layout = Layout(tmp_path / "layout")
    layout.tag(layout.add_image([100_000]), "latest")
    there = f"docker://127.0.0.1:{registry.port}/by/podman:1"
    shows = {
        name: ("--cert-dir", trusting(tmp_path / name, authority, files))
        for name, files in (("robot", robot), ("reader", reader), ("nobody", None))
    }
    with Podman(tmp_path / "podman") as podman:
        image = podman.take(layout)
        for name in ("reader", "nobody"):
            podman("push", *shows[name], image, there, is_refused=True)
        podman("push", *shows["robot"], image, there)
        podman("rmi", "--force", image)
        podman("pull", *shows["nobody"], there, is_refused=True)
        assert podman("pull", "--quiet", *shows["reader"], there).strip() == image


def test_who_shows_none_is_asked_to_log_in(registry, authority, robot):
    assert ask(registry, robot, "/v2/") == (200, {})
    registry.show = None
    try:
        status, document = ask(registry, None, "/v2/")
    finally:
        registry.show = robot
    assert (status, document["errors"][0]["code"]) == (401, "UNAUTHORIZED")
