# SPDX-License-Identifier: Apache-2.0
"""Real clients push to the registry and pull from it: skopeo and podman, OCI and Docker formats,
one and many platforms.
"""

from __future__ import annotations

import json
import subprocess
import tempfile

import pytest

from .images import Layout, check_layout
from .servers import Registry, need

MIB = 1024 * 1024


def run(*command, timeout=300):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, (
        f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    )
    return done.stdout


def skopeo(*arguments):
    return run(need("skopeo"), "--insecure-policy", *arguments)


def copy(source, destination, *options):
    """Copy without changing a byte, unless the options ask for another format."""
    kept = () if "--format" in options else ("--preserve-digests",)
    insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
    return skopeo("copy", *insecure, *kept, *options, source, destination)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    layout = Layout(tmp_path_factory.mktemp("image") / "layout")
    layout.tag(layout.add_image([3 * MIB, 10, 0]), "latest")
    return layout


@pytest.fixture(scope="module")
def large_image(tmp_path_factory):
    layout = Layout(tmp_path_factory.mktemp("large") / "layout")
    layout.tag(layout.add_image([120 * MIB, 110 * MIB, 130 * MIB, 140 * MIB, 1 * MIB]), "large")
    return layout


@pytest.fixture(scope="module")
def many_platforms(tmp_path_factory):
    layout = Layout(tmp_path_factory.mktemp("many") / "layout")
    images = [layout.add_image([MIB], architecture=name) for name in ("amd64", "arm64", "s390x")]
    layout.tag(layout.add_index(images), "all")
    return layout


class SkopeoTests:
    def test_oci_image_comes_back_whole_by_tag_and_by_digest(self, registry, image, tmp_path):
        """What was pushed is what is pulled, byte for byte."""
        reference = f"docker://{registry.address}/team/app"
        copy(f"oci:{image.directory}:latest", f"{reference}:one")
        copy(f"{reference}:one", f"oci:{tmp_path}/tag:latest")
        assert check_layout(tmp_path / "tag") == image.blobs()
        digest = image.manifests[0]["digest"]
        copy(f"{reference}@{digest}", f"oci:{tmp_path}/digest:latest")
        assert check_layout(tmp_path / "digest") == image.blobs()

    def test_docker_format_is_kept(self, registry, image, tmp_path):
        """A schema 2 manifest is served as it was pushed."""
        reference = f"docker://{registry.address}/team/docker:v2s2"
        copy(f"oci:{image.directory}:latest", reference, "--format", "v2s2")
        raw = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", reference))
        assert raw["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
        copy(reference, f"dir:{tmp_path}/docker")
        assert json.loads((tmp_path / "docker/manifest.json").read_text()) == raw

    def test_half_gigabyte_in_large_layers(self, registry, large_image, tmp_path):
        """500 MB in layers of more than 100 MB go in and come out."""
        reference = f"docker://{registry.address}/team/large:large"
        copy(f"oci:{large_image.directory}:large", reference)
        copy(reference, f"oci:{tmp_path}/large:large")
        assert check_layout(tmp_path / "large") == large_image.blobs()

    @pytest.mark.parametrize("form", ["oci", "v2s2"])
    def test_many_platforms(self, registry, many_platforms, tmp_path, form):
        """An index (or a manifest list) and all its images go in and come out."""
        reference = f"docker://{registry.address}/team/many-{form}:all"
        copy(f"oci:{many_platforms.directory}:all", reference, "--all", "--format", form)
        copy(reference, f"dir:{tmp_path}/many", "--all")
        raw = json.loads((tmp_path / "many/manifest.json").read_text())
        platforms = [entry["platform"]["architecture"] for entry in raw["manifests"]]
        assert platforms == ["amd64", "arm64", "s390x"]
        assert ("docker" in raw["mediaType"]) == (form == "v2s2")

    def test_tags_are_listed_and_deleted(self, registry, image):
        """list-tags shows what was pushed, in byte order, and not what was deleted."""
        repository = f"docker://{registry.address}/team/tags"
        for tag in ("0.1.20", "0.1.2", "latest"):
            copy(f"oci:{image.directory}:latest", f"{repository}:{tag}")
        other = Layout(image.directory.parent / "other")
        other.tag(other.add_image([100]), "x")
        copy(f"oci:{other.directory}:x", f"{repository}:doomed")
        listed = json.loads(skopeo("list-tags", "--tls-verify=false", repository))["Tags"]
        assert listed == ["0.1.2", "0.1.20", "doomed", "latest"]
        skopeo("delete", "--tls-verify=false", f"{repository}:doomed")
        listed = json.loads(skopeo("list-tags", "--tls-verify=false", repository))["Tags"]
        assert listed == ["0.1.2", "0.1.20", "latest"]

    def test_sync_copies_a_repository(self, registry, image, tmp_path):
        """skopeo sync takes every tag out, and puts them into another repository."""
        repository = f"{registry.address}/sync/source"
        for tag in ("a", "b"):
            copy(f"oci:{image.directory}:latest", f"docker://{repository}:{tag}")
        skopeo(
            "sync",
            "--src-tls-verify=false",
            "--src",
            "docker",
            "--dest",
            "dir",
            repository,
            str(tmp_path),
        )
        destination = f"{registry.address}/sync/copy"
        back = ("--src", "dir", "--dest", "docker", str(tmp_path), destination)
        skopeo("sync", "--dest-tls-verify=false", *back)
        listed = skopeo("list-tags", "--tls-verify=false", f"docker://{destination}/source")
        assert json.loads(listed)["Tags"] == ["a", "b"]


class PodmanTests:
    @pytest.fixture
    def podman(self, tmp_path):
        # podman wants its run root's path to be short
        with tempfile.TemporaryDirectory(prefix="podman-") as run_root:
            storage = (
                "--root",
                f"{tmp_path}/root",
                "--runroot",
                run_root,
                "--storage-driver",
                "vfs",
            )
            yield lambda *arguments: run(need("podman"), *storage, *arguments)

    @pytest.mark.parametrize("form", ["oci", "v2s2"])
    def test_image_goes_in_and_comes_out(self, registry, image, podman, form):
        """podman pulls what skopeo pushed, pushes it under another name, and pulls that again."""
        first = f"{registry.address}/podman/first:{form}"
        second = f"{registry.address}/podman/second:{form}"
        copy(f"oci:{image.directory}:latest", f"docker://{first}", "--format", form)
        podman("pull", "--tls-verify=false", first)
        podman("tag", first, second)
        podman("push", "--tls-verify=false", "--format", form, second)
        podman("rmi", "--all", "--force")
        podman("pull", "--tls-verify=false", second)
        assert second in podman("images", "--format", "{{.Repository}}:{{.Tag}}")
