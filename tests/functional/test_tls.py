# SPDX-License-Identifier: Apache-2.0
"""TLS, as clients and strangers see it: a real server, with curl, openssl and skopeo on the other
end.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import socket
import ssl
import subprocess
import time

import pytest

from tests.tls.authority import Authority

from .images import Layout, check_layout
from .servers import START_TIMEOUT, Registry, need, peak_resident

MIB = 1024 * 1024


class TlsRegistry(Registry):
    """A registry that speaks TLS on ``http.addr``."""

    def __init__(self, directory, authority, server, show=None, **http_settings):
        self.authority = authority
        self.show = show
        tls = {**server.settings, **http_settings.pop("tls", {})}
        super().__init__(directory, {"http": {"tls": tls, **http_settings}})

    def context(self, show=None):
        context = ssl.create_default_context(cafile=str(self.authority.file))
        if show is not None:
            context.load_cert_chain(show.certificate, show.key)
        return context

    def connection(self, show=None):
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=30, context=self.context(show or self.show)
        )

    def answers(self):
        connection = self.connection()
        try:
            connection.request("GET", self.check)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def lines(self, text):
        return [line for line in self.log.read_text().splitlines() if text in line]

    def wait_for_lines(self, text, count=1):
        deadline = time.monotonic() + START_TIMEOUT
        while len(self.lines(text)) < count:
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.02)
        return self.lines(text)


def run(*command, stdin="", status=0):
    done = subprocess.run(
        list(map(str, command)),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert status is None or done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority):
    return authority.issue("server", "localhost", "registry.example")


@pytest.fixture(scope="module")
def robot(authority):
    return authority.issue("robot", client=True)


@pytest.fixture(scope="module")
def registry(tmp_path_factory, authority, server):
    with TlsRegistry(tmp_path_factory.mktemp("tls"), authority, server) as registry:
        yield registry


class ClientTests:
    def test_curl_talks_http_1_over_tls(self, registry, authority):
        """Also if it would rather speak HTTP/2."""
        said = run(
            *(need("curl"), "--silent", "--show-error", "--http2", "--cacert", authority.file),
            *("--write-out", "%{http_version} %{response_code}"),
            f"https://localhost:{registry.port}/v2/",
        )
        assert said == "{}1.1 200"

    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    def test_openssl_verifies_the_server(self, registry, authority, version):
        said = run(
            *(need("openssl"), "s_client", "-connect", registry.address, version),
            *("-CAfile", authority.file, "-alpn", "h2,http/1.1"),
            stdin="Q\n",
        )
        assert "Verify return code: 0 (ok)" in said
        assert "ALPN protocol: http/1.1" in said

    def test_image_goes_there_and_back(self, registry, authority, tmp_path):
        layout = Layout(tmp_path / "layout")
        layout.tag(layout.add_image([3 * MIB, 10, 0]), "latest")
        trust = tmp_path / "certs"
        trust.mkdir()
        (trust / "ca.crt").write_bytes(authority.file.read_bytes())
        reference = f"docker://127.0.0.1:{registry.port}/team/app:one"
        skopeo = (need("skopeo"), "--insecure-policy", "copy", "--preserve-digests")
        run(*skopeo, "--dest-cert-dir", trust, f"oci:{layout.directory}:latest", reference)
        run(*skopeo, "--src-cert-dir", trust, reference, f"oci:{tmp_path}/back:latest")
        assert check_layout(tmp_path / "back") == layout.blobs()


class StrangerTests:
    """What is no TLS ends the connection, and is one line in the log."""

    LINE = "brought no TLS: "

    def said(self, registry, do):
        """Do something; return what the log then says more."""
        before = len(registry.lines(self.LINE))
        do()
        lines = registry.wait_for_lines(self.LINE, before + 1)
        assert len(lines) == before + 1
        assert not registry.lines("Traceback")
        return lines[-1]

    def exchange(self, registry, data):
        with socket.create_connection(("127.0.0.1", registry.port), timeout=60) as client:
            client.sendall(data)
            return b"".join(iter(lambda: client.recv(4096), b""))

    def test_plain_http_is_told_what_is_wrong(self, registry):
        answers = []
        line = self.said(
            registry,
            lambda: answers.append(
                self.exchange(registry, b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
            ),
        )
        assert ": it spoke plain HTTP" in line
        assert answers[0].startswith(b"HTTP/1.0 400 Bad Request\r\n")
        assert b"this port speaks HTTPS" in answers[0]

    @pytest.mark.parametrize("junk", [b"\0" * 600, b"\x16\x03\x01\x00\x05hello", b"\xff" * 9])
    def test_junk_ends_the_connection(self, registry, junk):
        self.said(registry, lambda: self.exchange(registry, junk))

    def test_tls_1_1_is_refused(self, registry):
        def old():
            run(
                *(need("openssl"), "s_client", "-connect", registry.address, "-tls1_1"),
                *("-cipher", "ALL:@SECLEVEL=0"),
                status=None,
            )

        assert "unsupported protocol" in self.said(registry, old)

    def test_client_that_leaves_in_the_middle(self, registry):
        def leave():
            with socket.create_connection(("127.0.0.1", registry.port), timeout=60) as client:
                client.sendall(b"\x16\x03\x01\x02\x00\x01\x00")

        self.said(registry, leave)

    def test_client_that_does_not_trust_us_is_one_line(self, registry):
        def distrust():
            with (
                pytest.raises(ssl.SSLError),
                socket.create_connection(("127.0.0.1", registry.port), timeout=60) as client,
            ):
                ssl.create_default_context().wrap_socket(client, server_hostname="localhost")

        self.said(registry, distrust)

    def test_connection_without_a_byte_is_no_line(self, registry):
        """Balancers look whether the port is open, every second."""
        before = len(registry.lines(self.LINE))
        socket.create_connection(("127.0.0.1", registry.port), timeout=60).close()
        self.said(registry, lambda: self.exchange(registry, b"\0" * 600))
        assert len(registry.lines(self.LINE)) == before + 1


class ClientCertificateTests:
    @pytest.fixture
    def strict(self, tmp_path, authority, server, robot):
        tls = {"clientcas": [str(authority.file)]}
        with TlsRegistry(tmp_path, authority, server, robot, tls=tls) as registry:
            yield registry

    def test_only_those_with_a_certificate_get_in(self, strict, authority, robot, tmp_path):
        url = f"https://localhost:{strict.port}/v2/"
        curl = (need("curl"), "--silent", "--show-error", "--cacert", authority.file)
        shown = ("--cert", robot.certificate, "--key", robot.key)
        assert run(*curl, *shown, url) == "{}"
        assert "alert" in run(*curl, url, status=None)
        assert strict.wait_for_lines("peer did not return a certificate")

        layout = Layout(tmp_path / "layout")
        layout.tag(layout.add_image([10]), "latest")
        trust = tmp_path / "certs"
        trust.mkdir()
        (trust / "ca.crt").write_bytes(authority.file.read_bytes())
        reference = f"docker://127.0.0.1:{strict.port}/team/app:one"
        push = (need("skopeo"), "--insecure-policy", "copy", "--dest-cert-dir", trust)
        refused = run(*push, f"oci:{layout.directory}:latest", reference, status=1)
        assert re.search("certificate required|bad certificate", refused)
        (trust / "client.cert").write_bytes(robot.certificate.read_bytes())
        (trust / "client.key").write_bytes(robot.key.read_bytes())
        run(*push, f"oci:{layout.directory}:latest", reference)


class MemoryTests:
    """Neither direction holds more of a blob than a bounded part, however slow the other end is."""

    SIZE = 160 * MIB

    def test_upload_and_stalled_download_are_bounded(self, tmp_path, authority, server):
        with TlsRegistry(tmp_path, authority, server) as registry:
            digest = self.push(registry)
            after_push = peak_resident(registry.process.pid)
            self.stall(registry, digest)
            after_stall = peak_resident(registry.process.pid)
        assert after_push < 200 * MIB
        assert after_stall - after_push < 32 * MIB

    def push(self, registry):
        piece = b"x" * MIB
        hasher = hashlib.sha256()
        connection = registry.connection()
        connection.request("POST", "/v2/a/blobs/uploads/", headers={"Content-Length": "0"})
        location = connection.getresponse().getheader("Location")
        connection.close()

        def body():
            for _ in range(self.SIZE // MIB):
                hasher.update(piece)
                yield piece

        connection = registry.connection()
        head = {"Content-Length": str(self.SIZE)}
        connection.request("PATCH", location, body(), headers=head)
        answer = connection.getresponse()
        assert answer.status == 202
        location = answer.getheader("Location")
        answer.read()
        digest = f"sha256:{hasher.hexdigest()}"
        connection.request("PUT", f"{location}&digest={digest}", headers={"Content-Length": "0"})
        assert connection.getresponse().status == 201
        connection.close()
        return digest

    def stall(self, registry, digest):
        """Four clients that ask and then read nothing but the head; then one reads it all."""
        idle = [registry.connection() for _ in range(4)]
        for connection in idle:
            connection.request("GET", f"/v2/a/blobs/{digest}")
            assert connection.getresponse().status == 200
        connection = registry.connection()
        connection.request("GET", f"/v2/a/blobs/{digest}")
        answer = connection.getresponse()
        hasher = hashlib.sha256()
        while piece := answer.read(MIB):
            hasher.update(piece)
        assert f"sha256:{hasher.hexdigest()}" == digest
        for each in [*idle, connection]:
            each.close()


class ListenerTests:
    def test_other_listeners_serve_the_same(self, tmp_path, authority, server):
        """Plain beside TLS, and a UNIX socket; a proxy on that is believed about its clients."""
        path = tmp_path / "r.sock"
        listeners = ["http://127.0.0.1:0", f"unix:{path}", "https://127.0.0.1:0"]
        settings = {"listeners": listeners, "trustedproxies": ["unix"]}
        registry = TlsRegistry(tmp_path, authority, server, **settings)
        registry.reconfigure({"log": {"accesslog": {"disabled": False}}})
        with registry:
            [line] = registry.lines(": listening on ")[:1]
            found = re.search(
                r"on (https://127.0.0.1:\d+), (http://127.0.0.1:\d+), (unix:\S+), "
                r"(https://127.0.0.1:\d+), storing",
                line,
            )
            assert found, line
            curl = (need("curl"), "--silent", "--show-error", "--cacert", authority.file)
            for url in (found[1], found[2], found[4]):
                assert run(*curl, f"{url}/v2/") == "{}"
            says = ("--header", "X-Forwarded-For: 192.0.2.7")
            assert run(*curl, *says, found[2] + "/v2/") == "{}"
            assert registry.lines("192.0.2.7") == []
            assert run(*curl, *says, "--unix-socket", path, "http://localhost/v2/") == "{}"
            registry.wait_for_lines("192.0.2.7 - - ")

    def test_challenges_are_answered_where_they_should_be(self, tmp_path, authority, server):
        """The port for them serves nothing else."""
        webroot = tmp_path / "acme"
        challenges = webroot / ".well-known" / "acme-challenge"
        challenges.mkdir(parents=True)
        (challenges / "Token-1_x").write_text("Token-1_x.thumbprint")
        (tmp_path / "secret").write_text("secret")
        (challenges / "link").symlink_to(tmp_path / "secret")
        acme = {"webroot": str(webroot), "addr": "127.0.0.1:0"}
        with TlsRegistry(tmp_path, authority, server, acme=acme) as registry:
            [line] = registry.lines("answering ACME challenges on ")
            plain = re.search(r"on (http://127.0.0.1:\d+)", line)[1]
            curl = (need("curl"), "--silent", "--path-as-is", "--cacert", authority.file)
            code = ("--output", tmp_path / "body", "--write-out", "%{response_code}")
            for url in (plain, f"https://localhost:{registry.port}"):
                path = f"{url}/.well-known/acme-challenge"
                assert run(*curl, f"{path}/Token-1_x") == "Token-1_x.thumbprint"
                for other in ("none", "link", "..", "%2e%2e", "x/y", ""):
                    assert run(*curl, *code, f"{path}/{other}") == "404"
            for path in ("/", "/v2/", "/v2/_catalog"):
                assert run(*curl, *code, plain + path) == "404"
