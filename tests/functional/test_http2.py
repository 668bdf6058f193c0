# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 where the operator has switched it on: a real server, with curl, skopeo and Go's own
HTTP/2 on the other end.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection

import pytest

from tests.tls.authority import Authority
from tests.web.content import digest_of

from .caddy import Caddy
from .images import Layout, check_layout
from .servers import need, peak_resident
from .test_client_certificates import trusting
from .test_tls import MIB, TlsRegistry, run

SIZE = 104 * MIB
LIMIT = 120 * MIB


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def robot(authority):
    return authority.issue("robot", client=True)


@pytest.fixture(scope="module")
def registry(tmp_path_factory, authority, robot):
    """A registry for whoever shows the robot's certificate."""
    tls = {"clientcas": [str(authority.file)], "clientauth": "verify-client-cert-if-given"}
    directory = tmp_path_factory.mktemp("http2")
    server = authority.issue("server", "localhost")
    registry = TlsRegistry(
        directory, authority, server, show=robot, tls=tls, http2={"disabled": False}
    )
    access = [{"users": ["robot"], "actions": ["pull", "push"]}]
    registry.reconfigure({"http": {"draintimeout": "1m"}})
    registry.reconfigure({"log": {"accesslog": {"disabled": False}}})
    registry.reconfigure({"auth": {"certificates": {"name": "commonname"}, "access": access}})
    with registry:
        yield registry


@pytest.fixture
def curl(registry, authority, robot):
    """Asks by HTTP/2; returns what curl writes of the answer."""

    def ask(path, *options, status=0, to=os.devnull, out="%{http_version} %{response_code}"):
        url = path if path.startswith("https:") else f"https://localhost:{registry.port}{path}"
        return run(
            *(need("curl"), "--silent", "--show-error", "--http2", "--cacert", authority.file),
            *("--cert", robot.certificate, "--key", robot.key, "--output", to),
            *("--write-out", out, *options, url),
            status=status,
        )

    return ask


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """A large file, and its digest."""
    path = tmp_path_factory.mktemp("content") / "blob"
    running = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(SIZE // MIB):
            piece = os.urandom(MIB)
            running.update(piece)
            file.write(piece)
    return path, f"sha256:{running.hexdigest()}"


def begin(curl, registry):
    location = curl("/v2/a/app/blobs/uploads/", "--request", "POST", out="%header{location}")
    return f"https://localhost:{registry.port}{location}"


def test_nobody_is_let_in_without_a_certificate(registry, authority):
    """What a client shows counts here as it does over HTTP/1.1."""
    said = run(
        *(need("curl"), "--silent", "--http2", "--cacert", authority.file),
        *("--output", os.devnull, "--write-out", "%{http_version} %{response_code}"),
        f"https://localhost:{registry.port}/v2/",
    )
    assert said == "2 401"


def test_large_blob_goes_in_and_out_in_little_memory(registry, curl, content, tmp_path):
    """The upload is lost once on the way, and goes on where it was."""
    path, digest = content
    place = begin(curl, registry)
    slow = ("--limit-rate", "20M", "--max-time", "2", "--upload-file", path)
    curl(place, "--request", "PATCH", *slow, status=28)
    headers = tmp_path / "headers"
    assert curl(place, "--dump-header", headers) == "2 204"
    found = dict(line.split(": ", 1) for line in headers.read_text().splitlines() if ": " in line)
    kept = int(found["range"].partition("-")[2]) + 1
    assert 0 < kept < SIZE
    rest = tmp_path / "rest"
    with path.open("rb") as file:
        file.seek(kept)
        rest.write_bytes(file.read())
    place = f"https://localhost:{registry.port}{found['location']}&digest={digest}"
    assert curl(place, "--upload-file", rest) == "2 201"
    back = tmp_path / "back"
    assert curl(f"/v2/a/app/blobs/{digest}", to=back) == "2 200"
    assert back.read_bytes() == path.read_bytes()
    assert max(peak_resident(pid) for pid in registry.tree()) < LIMIT


def test_image_goes_there_and_back(registry, authority, robot, tmp_path):
    """skopeo gives Go a TLS configuration of its own, which switches Go's HTTP/2 off: it is served
    as before, on the same port.
    """
    layout = Layout(tmp_path / "layout")
    layout.tag(layout.add_image([3 * MIB, 10, 0, 2 * MIB, 9]), "latest")
    trust = trusting(tmp_path / "certs", authority, robot)
    reference = f"docker://127.0.0.1:{registry.port}/team/app:one"
    skopeo = (need("skopeo"), "--insecure-policy", "copy", "--preserve-digests")
    run(*skopeo, "--dest-cert-dir", trust, f"oci:{layout.directory}:latest", reference)
    run(*skopeo, "--src-cert-dir", trust, reference, f"oci:{tmp_path}/back:latest")
    assert check_layout(tmp_path / "back") == layout.blobs()


class Go(Caddy):
    """Asks us by the HTTP/2 of Go's library: what it is asked by HTTP/1.1 it passes on as it
    comes, all on one connection.
    """

    def __init__(self, directory, registry, authority, robot):
        super().__init__(directory)
        self.configure(
            f"""
            {self.url} {{
                reverse_proxy https://localhost:{registry.port} {{
                    transport http {{
                        versions 2
                        tls_trusted_ca_certs {authority.file}
                        tls_client_auth {robot.certificate} {robot.key}
                    }}
                }}
            }}
            """
        )


class GoTests:
    """A client of Go's library, as most clients of registries are."""

    @pytest.fixture(scope="class")
    @staticmethod
    def go(tmp_path_factory, registry, authority, robot):
        with Go(tmp_path_factory.mktemp("go"), registry, authority, robot) as go:
            yield go

    @pytest.fixture(autouse=True)
    def was_asked_by_http_2(self, registry):
        """Of all that was asked here nothing came otherwise."""
        yield
        lines = registry.wait_for_lines(" /v2/go/")
        assert [line for line in lines if ' HTTP/2.0" ' not in line] == []

    def test_image_goes_there_and_back(self, go, tmp_path):
        """skopeo asks for several blobs at once, and does not say how long one is that it sends."""
        layout = Layout(tmp_path / "layout")
        layout.tag(layout.add_image([3 * MIB, 10, 0, 2 * MIB, 9]), "latest")
        reference = f"docker://{go.address}/go/image:one"
        skopeo = (need("skopeo"), "--insecure-policy", "copy", "--preserve-digests")
        here = f"oci:{layout.directory}:latest"
        run(*skopeo, "--dest-tls-verify=false", here, reference)
        run(*skopeo, "--src-tls-verify=false", reference, f"oci:{tmp_path}/back:latest")
        assert check_layout(tmp_path / "back") == layout.blobs()

    def test_many_at_once_and_some_that_leave(self, go):
        """Who leaves in the middle ends its own stream, and no other one of that connection."""
        large = os.urandom(16 * MIB)
        self.push(go, large)

        def work(number):
            blob = os.urandom(MIB + number)
            self.push(go, blob)
            if number % 3 == 0:
                self.leave(go, large)
            return self.pull(go, blob) == blob

        with ThreadPoolExecutor(12) as pool:
            assert list(pool.map(work, range(24))) == [True] * 24

    def push(self, go, blob):
        with closing(HTTPConnection("127.0.0.1", go.port, timeout=60)) as connection:
            connection.request("POST", "/v2/go/many/blobs/uploads/")
            started = connection.getresponse()
            started.read()
            # Without a length: it comes to us as Go makes it up.
            pieces = (blob[start : start + 100_000] for start in range(0, len(blob), 100_000))
            place = f"{started.headers['Location']}&digest={digest_of(blob)}"
            connection.request("PUT", place, pieces, encode_chunked=True)
            assert connection.getresponse().status == 201

    def leave(self, go, blob):
        with closing(HTTPConnection("127.0.0.1", go.port, timeout=60)) as connection:
            connection.request("GET", f"/v2/go/many/blobs/{digest_of(blob)}")
            assert connection.getresponse().read(1000) == blob[:1000]

    def pull(self, go, blob):
        with closing(HTTPConnection("127.0.0.1", go.port, timeout=60)) as connection:
            connection.request("GET", f"/v2/go/many/blobs/{digest_of(blob)}")
            return connection.getresponse().read()


def test_told_to_stop_it_finishes_what_is_in_progress(registry, authority, robot, tmp_path):
    """``systemctl stop`` cuts nobody off. The last test here: the registry is gone after it."""
    back = tmp_path / "back"
    content = os.urandom(24 * MIB)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    back.write_bytes(content)
    url = f"https://localhost:{registry.port}/v2/a/app/blobs/"
    curl = (
        *(need("curl"), "--silent", "--show-error", "--http2", "--cacert", str(authority.file)),
        *("--cert", str(robot.certificate), "--key", str(robot.key)),
    )
    run(*curl, "--data-binary", f"@{back}", f"{url}uploads/?digest={digest}")
    back.unlink()
    pulling = subprocess.Popen(
        [*curl, "--limit-rate", "12M", "--output", str(back), f"{url}{digest}"]
    )
    try:
        while not back.exists() or not back.stat().st_size:
            assert pulling.poll() is None
            time.sleep(0.01)
        registry.process.terminate()
        assert pulling.wait(timeout=120) == 0
    finally:
        pulling.kill()
    assert back.read_bytes() == content
    assert registry.process.wait(timeout=60) == 0
