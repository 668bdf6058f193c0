# SPDX-License-Identifier: Apache-2.0
"""Proxies in front, with the configurations that the documents show."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import re
import ssl
import threading
from pathlib import Path

import pytest
import yaml

from tests.tls.authority import Authority
from txregistry.config import load_text

from .caddy import Caddy
from .images import Layout, check_layout
from .servers import Registry, Server, need
from .test_clients import copy, skopeo
from .test_starting import eventually

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
SIDE_BY_SIDE = EXAMPLES / "v1-and-v2"
MIB = 1024 * 1024


class Nginx(Server):
    """nginx with a configuration of the documents, places and ports replaced."""

    def __init__(self, directory, text, replacements, port_line="listen {};"):
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "nginx.conf"
        super().__init__(
            directory,
            [need("nginx"), "-p", str(directory), "-c", str(path), "-g", "daemon off;"],
        )
        replacements = {
            **replacements,
            "/run/nginx.pid": f"{directory}/nginx.pid",
            "error_log /dev/stderr": f"error_log {directory}/error.log",
            "access_log /dev/stdout": f"access_log {directory}/access.log",
        }
        for port in (80, 443):
            here = port_line.format(f"127.0.0.1:{self.port}")
            replacements |= {port_line.format(port): here} if port_line.format(port) in text else {}
        for old, new in replacements.items():
            assert old in text, old
            text = text.replace(old, new)
        path.write_text(text)


@contextlib.contextmanager
def stub_of_v1():
    """Answers as a registry of V1 does; yields its address."""

    class V1(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"true" if self.path == "/v1/_ping" else b"[]"
            self.send_response(200)
            self.send_header("X-Docker-Registry-Version", "0.9.1")
            self.send_header("X-Docker-Registry-Standalone", "True")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self):
            length = int(self.headers["Content-Length"])
            while length > 0:
                length -= len(self.rfile.read(min(length, MIB)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), V1)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory):
    """nginx as in docs/examples/v1-and-v2, with a stand-in for the registry of V1."""
    directory = tmp_path_factory.mktemp("side-by-side")
    example = yaml.safe_load((SIDE_BY_SIDE / "registry.yml").read_text())
    settings = {"http": {"root": example["http"]["root"]}}
    text = (SIDE_BY_SIDE / "nginx.conf").read_text()
    with stub_of_v1() as v1, Registry(directory / "v2", settings) as v2:
        places = {"registry-v1:5000": v1, "registry-v2:5000": v2.address}
        with Nginx(directory / "nginx", text, places) as nginx:
            nginx.v2 = v2
            yield nginx


def ask(server, path, method="GET", body=None, **headers):
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    ) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer, answer.read()


class SideBySideTests:
    def test_root_names_both(self, side_by_side):
        answer, body = ask(side_by_side, "/")
        assert answer.status == 200
        told = json.loads(body)
        assert told["versions"] == ["v2", "v1"]
        assert told["endpoints"][0] == {"version": "v2", "url": "/v2/", "push": True}
        assert told["endpoints"][1]["push"] is False
        assert told["fallback"] is True

    def test_v1_goes_to_the_other_registry(self, side_by_side):
        answer, body = ask(side_by_side, "/v1/_ping")
        assert (answer.status, body) == (200, b"true")
        assert answer.getheader("X-Docker-Registry-Version") == "0.9.1"
        answer, _ = ask(side_by_side, "/v1/images/x/layer", "PUT", b"x" * 3 * MIB)
        assert answer.status == 200

    def test_v2_comes_here(self, side_by_side):
        answer, body = ask(side_by_side, "/v2/")
        assert (answer.status, body) == (200, b"{}")
        assert answer.headers.get_all("Docker-Distribution-Api-Version") == ["registry/2.0"]

    @pytest.mark.parametrize(
        "agent", ["docker/1.5.0 go/go1.3.3", "docker/1.3.2", "Go 1.1 package http"]
    )
    def test_client_of_v1_only_does_not_find_v2(self, side_by_side, agent):
        """It would take the answer for a broken V1."""
        assert ask(side_by_side, "/v2/", **{"User-Agent": agent})[0].status == 404
        assert ask(side_by_side, "/v1/_ping", **{"User-Agent": agent})[0].status == 200

    @pytest.mark.parametrize("agent", ["docker/1.6.0", "docker/27.0.1 go/go1.21", "skopeo/1.9.3"])
    def test_client_of_v2_finds_it(self, side_by_side, agent):
        assert ask(side_by_side, "/v2/", **{"User-Agent": agent})[0].status == 200

    def test_image_goes_through_and_comes_back(self, side_by_side, tmp_path):
        layout = Layout(tmp_path / "layout")
        layout.tag(layout.add_image([5 * MIB, 10]), "latest")
        reference = f"docker://{side_by_side.address}/team/app:one"
        copy(f"oci:{layout.directory}:latest", reference)
        copy(reference, f"oci:{tmp_path}/back:latest")
        assert check_layout(tmp_path / "back") == layout.blobs()

    def test_compose_file_fits_the_others(self):
        """Names, ports and mounts are those of the files beside it."""
        compose = yaml.safe_load((SIDE_BY_SIDE / "compose.yaml").read_text())
        nginx = (SIDE_BY_SIDE / "nginx.conf").read_text()
        services = compose["services"]
        for host, port in re.findall(r"server (\S+):(\d+);", nginx):
            assert host in services
            assert port == "5000"
        for service in services.values():
            for volume in service["volumes"]:
                source = volume.split(":")[0]
                here = (
                    (SIDE_BY_SIDE / source).is_file()
                    if source[0] == "."
                    else source in compose["volumes"]
                )
                assert here, volume
        build = services["registry-v2"]["build"]
        assert (SIDE_BY_SIDE / build["context"] / build["dockerfile"]).is_file()
        configuration = load_text((SIDE_BY_SIDE / "registry.yml").read_text(), {})
        assert (configuration.http.addr, configuration.warnings) == (":5000", ())


class Encrypting:
    """Answers over TLS, with a certificate of the tests' own authority."""

    authority = None

    def connection(self):
        context = ssl.create_default_context(cafile=str(self.authority.file))
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context)

    def answers(self):
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(self.connection()) as connection,
        ):
            connection.request("GET", "/v2/")
            return connection.getresponse().status == 200
        return False


class EncryptingNginx(Encrypting, Nginx):
    """docs/examples/proxies/nginx.conf."""

    def __init__(self, directory, registry, authority):
        server = authority.issue("nginx", "localhost")
        self.authority = authority
        text = (EXAMPLES / "proxies" / "nginx.conf").read_text()
        places = {
            "/etc/ssl/registry.pem": str(server.certificate),
            "/etc/ssl/registry.key": str(server.key),
            "127.0.0.1:5000": registry.address,
        }
        super().__init__(directory, text, places, port_line="listen {} ssl;")


class Haproxy(Encrypting, Server):
    """docs/examples/proxies/haproxy.cfg."""

    def __init__(self, directory, registry, authority):
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "haproxy.cfg"
        super().__init__(directory, [need("haproxy"), "-f", str(path)])
        server = authority.issue("haproxy", "localhost")
        self.authority = authority
        both = directory / "both.pem"
        both.write_bytes(server.certificate.read_bytes() + server.key.read_bytes())
        text = (EXAMPLES / "proxies" / "haproxy.cfg").read_text()
        for old, new in {
            "/etc/ssl/registry-with-key.pem": str(both),
            "127.0.0.1:5000": registry.address,
            "bind :443": f"bind 127.0.0.1:{self.port}",
        }.items():
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)


class EncryptingCaddy(Encrypting, Caddy):
    """docs/examples/proxies/Caddyfile."""

    def __init__(self, directory, registry, authority):
        super().__init__(directory)
        server = authority.issue("caddy", "localhost")
        self.authority = authority
        text = (EXAMPLES / "proxies" / "Caddyfile").read_text()
        for old, new in {
            # It would get one from an authority on the internet.
            "registry.example {": f"https://{self.address} {{\n\ttls {server.certificate} {server.key}",
            "127.0.0.1:5000": registry.address,
        }.items():
            assert old in text
            text = text.replace(old, new)
        self.configure(text)


class ProxyTests:
    """The documented proxies with the documented registry behind them."""

    @pytest.fixture(
        scope="class",
        params=[EncryptingNginx, Haproxy, EncryptingCaddy],
        ids=["nginx", "haproxy", "caddy"],
    )
    @staticmethod
    def proxy(request, tmp_path_factory):
        directory = tmp_path_factory.mktemp("proxy")
        authority = Authority(directory / "authority")
        settings = {
            "http": {"trustedproxies": ["127.0.0.1"]},
            "log": {"accesslog": {"disabled": False}},
        }
        with (
            Registry(directory / "registry", settings) as registry,
            request.param(directory / "proxy", registry, authority) as proxy,
        ):
            proxy.registry = registry
            yield proxy

    def test_image_goes_through_and_comes_back(self, proxy, tmp_path):
        trust = tmp_path / "certs"
        trust.mkdir()
        (trust / "ca.crt").write_bytes(proxy.authority.file.read_bytes())
        layout = Layout(tmp_path / "layout")
        layout.tag(layout.add_image([20 * MIB, 10]), "latest")
        reference = f"docker://{proxy.address}/team/app:one"
        keep = ("copy", "--preserve-digests")
        skopeo(*keep, "--dest-cert-dir", str(trust), f"oci:{layout.directory}:latest", reference)
        skopeo(*keep, "--src-cert-dir", str(trust), reference, f"oci:{tmp_path}/back:latest")
        assert check_layout(tmp_path / "back") == layout.blobs()

    def test_upload_goes_through_as_it_comes(self, proxy):
        """What a client has sent is stored before it has sent the rest."""
        with contextlib.closing(proxy.connection()) as connection:
            connection.request("POST", "/v2/a/blobs/uploads/", headers={"Content-Length": "0"})
            place = connection.getresponse().getheader("Location")
        with contextlib.closing(proxy.connection()) as connection:
            connection.putrequest("PATCH", place)
            connection.putheader("Content-Length", str(2 * MIB))
            connection.endheaders(b"x" * MIB)
            uploads = proxy.registry.root / "docker/registry/v2/repositories/a/_uploads"
            eventually(lambda: sum(path.stat().st_size for path in uploads.glob("*/data")) == MIB)
            connection.send(b"x" * MIB)
            assert connection.getresponse().status == 202

    def test_client_is_known_by_its_own_address(self, proxy):
        """And not by one that it claims to have."""
        with contextlib.closing(proxy.connection()) as connection:
            head = {"User-Agent": "claims", "X-Forwarded-For": "192.0.2.1"}
            connection.request("GET", "/v2/", headers=head)
            connection.getresponse().read()

        def logged():
            lines = proxy.registry.log.read_text().splitlines()
            return [line for line in lines if '"claims"' in line]

        eventually(logged)
        assert logged()[0].startswith("127.0.0.1 ")
