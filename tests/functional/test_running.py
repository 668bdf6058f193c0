# SPDX-License-Identifier: Apache-2.0
"""A registry that runs for long: reloaded, watched and passed its sockets, as systemd does it."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import ssl
import subprocess
import sys

import bcrypt
import pytest
import yaml

from tests.tls.authority import Authority

from .servers import Registry, descendants
from .test_starting import PATIENCE, SERVE, TWISTD, environment, eventually, started
from .test_tls import TlsRegistry


def change(registry, **changes):
    """Write other keys of ``http`` and others into the configuration of a running registry."""
    document = yaml.safe_load(registry.configuration.read_text())
    for path, value in changes.items():
        *above, name = path.split("__")
        section = document
        for part in above:
            section = section.setdefault(part, {})
        section[name] = value
    registry.configuration.write_text(yaml.safe_dump(document))


def lines(registry, text):
    return [line for line in registry.log.read_text().splitlines() if text in line]


def reload(registry, text="reloaded "):
    """Send SIGHUP; return the line that says how it went."""
    before = len(lines(registry, text))
    registry.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(lines(registry, text)) > before)
    return lines(registry, text)[-1]


def ask(registry, method="GET", path="/v2/"):
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", registry.port, timeout=PATIENCE)
    ) as connection:
        connection.request(method, path, headers={"Content-Length": "0"})
        answer = connection.getresponse()
        answer.read()
        return answer


class ReloadTests:
    def test_what_can_change_changes_and_the_rest_is_named(self, tmp_path):
        with Registry(tmp_path) as registry:
            assert ask(registry, "POST", "/v2/a/blobs/uploads/").status == 202
            change(
                registry,
                http__headers={"X-Site": ["one"]},
                storage__maintenance={"readonly": {"enabled": True}},
                http__addr="127.0.0.1:1",
                log__formatter="json",
            )
            line = reload(registry)
            assert json.loads(line)["msg"].startswith("reloaded ")
            assert lines(registry, "http.addr has changed, and is taken at the next start")
            assert ask(registry).getheader("X-Site") == "one"
            assert ask(registry, "POST", "/v2/a/blobs/uploads/").status == 405

    def test_access_rules_change(self, tmp_path):
        passwords = tmp_path / "htpasswd"
        passwords.write_bytes(b"keeper:" + bcrypt.hashpw(b"secret", bcrypt.gensalt(5)) + b"\n")
        everybody = [{"anonymous": True, "actions": ["pull"]}]
        auth = {"htpasswd": {"realm": "r", "path": str(passwords)}, "access": everybody}
        manifest = "/v2/a/manifests/b"
        registry = Registry(tmp_path, {"auth": auth})
        registry.check = "/"
        with registry:
            assert ask(registry, path=manifest).status == 404
            everybody[0]["repositories"] = ["public/*"]
            change(registry, auth__access=everybody)
            reload(registry)
            assert ask(registry, path=manifest).status == 401
            assert ask(registry, path="/v2/public/a/manifests/b").status == 404
            assert not lines(registry, "is taken at the next start")

    def test_bad_file_changes_nothing(self, tmp_path):
        with Registry(tmp_path) as registry:
            change(registry, http__headers={"X-Site": ["one"]}, htpp={})
            line = reload(registry, "not reloaded")
            assert "htpp is not a known key; did you mean http?" in line
            assert "level=error" in line
            assert ask(registry).getheader("X-Site") is None
            assert not lines(registry, "Traceback")

    def test_open_connection_goes_on(self, tmp_path):
        with (
            Registry(tmp_path) as registry,
            contextlib.closing(
                http.client.HTTPConnection("127.0.0.1", registry.port, timeout=PATIENCE)
            ) as connection,
        ):
            for value in (None, "one"):
                connection.request("GET", "/v2/")
                answer = connection.getresponse()
                answer.read()
                assert answer.getheader("X-Site") == value
                change(registry, http__headers={"X-Site": ["one"]})
                reload(registry)

    def test_certificate_is_renewed_and_a_bad_one_is_not_taken(self, tmp_path):
        authority = Authority(tmp_path / "authority")
        server = authority.issue("server", "localhost")
        with TlsRegistry(tmp_path, authority, server) as registry:

            def shown():
                with (
                    socket.create_connection(("127.0.0.1", registry.port), PATIENCE) as plain,
                    registry.context().wrap_socket(plain, server_hostname="localhost") as tls,
                ):
                    return int(tls.getpeercert()["serialNumber"], 16)

            assert shown() == server.x509.serial_number
            renewed = authority.issue("server", "localhost")
            assert shown() == server.x509.serial_number
            reload(registry)
            assert shown() == renewed.x509.serial_number
            renewed.key.write_text("no key")
            line = reload(registry, "not reloaded")
            assert "http.tls.key: " in line
            assert "holds no private key that can be read" in line
            assert shown() == renewed.x509.serial_number

    def test_hangup_reloads_under_twistd_too(self, tmp_path):
        registry = Registry(tmp_path)
        registry.command = [*TWISTD, "-n", "--pidfile=", "registry", *registry.command[-2:]]
        with registry:
            change(registry, http__headers={"X-Site": ["one"]})
            reload(registry)
            assert ask(registry).getheader("X-Site") == "one"


#: Does what systemd does between fork and exec: puts descriptors in place and says whom they are for.
PASS = """\
import os, sys
names, files, command = sys.argv[1], [int(each) for each in sys.argv[2].split(",")], sys.argv[3:]
for index, file in enumerate(files):
    os.dup2(file, 60 + index)
for index in range(len(files)):
    os.dup2(60 + index, 3 + index)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(files)), LISTEN_FDNAMES=names)
os.execv(command[0], command)
"""


class SystemdTests:
    @pytest.fixture
    def notified(self, tmp_path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(tmp_path / "notify"))
            listener.settimeout(PATIENCE)
            yield listener

    @pytest.fixture
    def configuration(self, tmp_path):
        path = tmp_path / "registry.yml"
        path.write_text(
            yaml.safe_dump(
                {
                    "version": 0.1,
                    "storage": {"filesystem": {"rootdirectory": str(tmp_path / "storage")}},
                    "http": {"addr": "127.0.0.1:0"},
                }
            )
        )
        return path

    def test_it_is_told_of_each_state(self, tmp_path, notified, configuration):
        variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}

        def told(state):
            while state not in (said := notified.recv(4096).decode().split("\n")):
                assert said == ["WATCHDOG=1"]
            return said

        with started([*SERVE, "--config", configuration], tmp_path, **variables) as process:
            assert told("READY=1")[1].startswith("STATUS=listening on http://127.0.0.1:")
            told("WATCHDOG=1")
            for pid in descendants(process.pid):
                with open(f"/proc/{pid}/environ", "rb") as file:
                    assert b"NOTIFY_SOCKET" not in file.read()
            process.send_signal(signal.SIGHUP)
            assert told("RELOADING=1")[1].startswith("MONOTONIC_USEC=")
            told("READY=1")
            process.terminate()
            told("STOPPING=1")
            assert process.wait(PATIENCE) == 0

    def test_sockets_that_it_passes_are_served_and_kept(self, tmp_path, configuration):
        """A TCP socket and a UNIX socket, which is there for the next start."""
        path = tmp_path / "passed.sock"
        with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
            tcp.bind(("127.0.0.1", 0))
            tcp.listen()
            unix.bind(str(path))
            path.chmod(0o600)
            unix.listen()
            with (
                # It waits in the backlog for who is not started yet.
                socket.create_connection(tcp.getsockname(), PATIENCE) as early,
                self.passed(configuration, ["web.socket", "local"], [tcp, unix]) as process,
            ):
                line = process.stdout.readline()
                assert f"http://127.0.0.1:{tcp.getsockname()[1]}, unix:{path}, storing" in line
                assert self.answer_of(early) == b"HTTP/1.1 200 OK"
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(str(path))
                    assert self.answer_of(client) == b"HTTP/1.1 200 OK"
                process.terminate()
                assert process.wait(PATIENCE) == 0
            assert path.is_socket()
            assert path.stat().st_mode & 0o777 == 0o600

    def test_name_says_that_a_socket_speaks_no_tls(self, tmp_path, configuration):
        authority = Authority(tmp_path / "authority")
        server = authority.issue("server", "localhost")
        document = yaml.safe_load(configuration.read_text())
        document["http"]["tls"] = server.settings
        configuration.write_text(yaml.safe_dump(document))
        with socket.socket() as plain, socket.socket() as encrypted:
            for each in (plain, encrypted):
                each.bind(("127.0.0.1", 0))
                each.listen()
            with self.passed(configuration, ["plain", "x"], [plain, encrypted]) as process:
                process.stdout.readline()
                with socket.create_connection(plain.getsockname(), PATIENCE) as client:
                    assert self.answer_of(client) == b"HTTP/1.1 200 OK"
                context = ssl.create_default_context(cafile=str(authority.file))
                with (
                    socket.create_connection(encrypted.getsockname(), PATIENCE) as client,
                    context.wrap_socket(client, server_hostname="localhost") as tls,
                ):
                    assert self.answer_of(tls) == b"HTTP/1.1 200 OK"

    def test_descriptor_that_does_not_listen_is_one_sentence(self, tmp_path, configuration):
        with socket.socket() as idle, self.passed(configuration, ["idle"], [idle]) as process:
            said, error = process.communicate(timeout=PATIENCE)
            assert said == ""
            assert error == (
                "txregistry: descriptor 3 (idle), which systemd has passed, is not a listening "
                "stream socket; write ListenStream= and no Accept= in its socket unit\n"
            )
            assert process.returncode == 1

    @contextlib.contextmanager
    def passed(self, configuration, names, sockets):
        files = [each.fileno() for each in sockets]
        command = [sys.executable, "-c", PASS, ":".join(names), ",".join(map(str, files))]
        with subprocess.Popen(
            [*command, *SERVE, "--config", str(configuration)],
            env=environment(PYTHONUNBUFFERED="1"),
            pass_fds=files,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def answer_of(self, client):
        client.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return client.recv(65536).partition(b"\r\n")[0]
