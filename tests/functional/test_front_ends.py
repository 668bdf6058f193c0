# SPDX-License-Identifier: Apache-2.0
"""Several processes serve one registry: clients don't notice, whichever of them a request reaches
and whatever becomes of one.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from tests.tls.authority import Authority

from .client import Client
from .fronts import DebugPort, Several, SharedRegistry, several
from .images import Layout, check_layout
from .repository import OCTET_STREAM, Repository, digest_of, image
from .servers import descendants, need
from .taking import Taker
from .test_tls import TlsRegistry

MIB = 1024 * 1024


class Receiver(Taker):
    """Takes notifications.

    Attributes:
        events: that came, in their order.
    """

    def __init__(self):
        self.events = []
        super().__init__(self._took)

    def _took(self, headers, body):
        self.events += json.loads(body)["events"]

    def pushed(self):
        return {event["target"]["digest"] for event in self.events if event["action"] == "push"}


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def registry(tmp_path_factory, receiver):
    directory = tmp_path_factory.mktemp("several")
    configuration = {
        "log": {"accesslog": {"disabled": False, "formatter": "json"}, "formatter": "json"},
        "notifications": {
            "endpoints": [
                {
                    "name": "all",
                    "url": receiver.url,
                    "headers": {"Authorization": ["Bearer receiver-secret"]},
                    "backoff": "10ms",
                }
            ],
            "queue": {"directory": str(directory / "events")},
        },
    }
    server = SharedRegistry(
        directory, configuration, headers={"X-Version": ["one"]}, limits={"idle": "10m"}
    )
    server.environment = {**os.environ, "AWS_SECRET_ACCESS_KEY": "driver-secret"}
    with server:
        server.until(lambda: server.metrics()["registry_front_ends",] == 2)
        yield server


@pytest.fixture
def repository(registry, request):
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    return Repository(Client(registry), f"several/{name}")


class SharingTests:
    def test_skopeo_pushes_and_pulls(self, registry, tmp_path):
        """What was pushed is what is pulled, byte for byte."""
        layout = Layout(tmp_path / "layout")
        layout.tag(layout.add_image([3 * MIB, 10, 0]), "latest")
        reference = f"docker://{registry.address}/several/skopeo:latest"
        skopeo = (need("skopeo"), "--insecure-policy", "copy", "--preserve-digests")
        there = ("--dest-tls-verify=false", f"oci:{layout.directory}:latest", reference)
        back = ("--src-tls-verify=false", reference, f"oci:{tmp_path}/back:latest")
        for way in (there, back):
            subprocess.run([*skopeo, *way], check=True, timeout=300, capture_output=True)
        assert check_layout(tmp_path / "back") == layout.blobs()

    def test_requests_of_one_upload_reach_any_process(self, registry, repository):
        """Each finds what another one has stored, and counts it no longer when it has ended."""
        client, data = repository.client, os.urandom(3 * MIB)
        with registry.only(1):
            location = client.here(repository.start())
        for number, part in ((2, data[:MIB]), (1, data[MIB : 2 * MIB])):
            with registry.only(number):
                location = client.patch(location, part)
        with registry.only(2):
            answer = repository.close(location, digest_of(data), data[2 * MIB :])
            assert answer.status == 201
        for number in (1, 2):
            with registry.only(number):
                assert client.get(repository.blob(digest_of(data))).body == data
        registry.until(lambda: registry.metrics()["registry_upload_sessions_open",] == 0)

    def test_what_one_process_deletes_or_moves_is_so_in_all(self, registry, repository):
        """Nothing that is kept in memory is believed about what a repository has."""
        client = repository.client
        first, second = repository.push_image("latest", b"one"), image(b"two", b"")
        for number in (1, 2):
            with registry.only(number):
                assert client.get(repository.manifest("latest")).body == first
                assert client.get(repository.manifest(digest_of(first))).status == 200
        repository.push_blob(b"two")
        repository.push_blob(b"")
        with registry.only(1):
            repository.push(second, "latest")
            assert client.delete(repository.manifest(digest_of(first))).status == 202
        with registry.only(2):
            assert client.get(repository.manifest("latest")).body == second
            assert client.get(repository.manifest(digest_of(first))).status == 404

    def test_metrics_are_added_up_and_never_go_back(self, registry, repository):
        key = ("registry_http_requests_total", "404", "get", "manifest")
        before = registry.metrics().get(key, 0)
        for number, count in ((1, 3), (2, 2)):
            with registry.only(number):
                for _ in range(count):
                    assert repository.client.get(repository.manifest("none")).status == 404
        registry.until(lambda: registry.metrics()[key] == before + 5)
        metrics = registry.metrics()
        assert metrics["registry_front_ends",] == 2
        assert metrics["registry_driver_up", "filesystem"] == 1
        deaths = metrics["registry_front_end_deaths_total",]
        registry.kill_front_end(1)
        after = registry.metrics()
        assert after[key] == before + 5
        assert after["registry_front_end_deaths_total",] == deaths + 1

    def test_lines_say_which_process_wrote_them(self, registry, repository):
        for number in (1, 2):
            with registry.only(number):
                assert repository.client.get(repository.manifest(f"by-{number}")).status == 404

        def writers(number):
            return [
                line["process"]
                for line in map(decoded, registry.log.read_text().splitlines())
                if line.get("http.request.uri") == repository.manifest(f"by-{number}")
            ]

        for number in (1, 2):
            registry.until(lambda number=number: writers(number) == [f"front-{number}"])

    def test_no_front_end_has_what_it_does_not_need(self, registry):
        """Neither the environment nor a command line holds a secret; storage is the driver's."""
        for pid in registry.front_ends().values():
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            assert b"driver-secret" not in environment
            assert b"REGISTRY" not in environment
            assert b"secret" not in Path(f"/proc/{pid}/cmdline").read_bytes()

    def test_stacks_of_all_processes_are_shown(self, registry):
        def shown():
            page = registry.debug.get("/debug/stacks").body.decode()
            return page.count("thread MainThread"), page.count("front end ")

        registry.until(lambda: shown() == (3, 2))

    def test_signal_has_all_processes_show_their_stacks(self, registry):
        registry.process.send_signal(signal.SIGQUIT)

        def shown():
            lines = map(decoded, registry.log.read_text().splitlines())
            return {
                line.get("process", "main")
                for line in lines
                if line.get("msg") == "thread MainThread"
            }

        registry.until(lambda: shown() == {"main", "front-1", "front-2"})

    def test_address_that_is_taken_stops_the_start(self, registry, tmp_path):
        other = SharedRegistry(tmp_path / "other")
        other.reconfigure({"http": {"addr": registry.address}})
        done = subprocess.run(
            other.command, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 1
        assert "is in use" in done.stderr.splitlines()[-1]


def decoded(line):
    """A line of the log; what the interpreter itself writes there is none."""
    try:
        return json.loads(line)
    except ValueError:
        return {}


class KillTests:
    def test_clients_of_the_other_process_notice_nothing(self, registry, repository):
        with registry.only(2):
            connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=60)
            connection.request("GET", "/v2/")
            assert connection.getresponse().read() == b"{}"
        with contextlib.closing(connection):
            registry.kill_front_end(1)
            connection.request("GET", "/v2/")
            assert connection.getresponse().read() == b"{}"

    def test_nothing_that_was_acknowledged_is_lost(self, registry, repository, receiver):
        """Under load, with processes killed in the midst of it: what got its 201 is there, and its
        event has arrived.
        """
        done, is_over = [], threading.Event()
        pushers = [
            threading.Thread(target=push_on, args=(repository, index, done, is_over))
            for index in range(3)
        ]
        for pusher in pushers:
            pusher.start()
        try:
            for number in (1, 2, 1):
                count = len(done)
                registry.until(lambda count=count: len(done) >= count + 3)
                registry.kill_front_end(number)
        finally:
            is_over.set()
            for pusher in pushers:
                pusher.join()
        for tag, data in done:
            assert repository.client.get(repository.manifest(tag)).body == data
        wanted = {digest_of(data) for _, data in done}
        registry.until(lambda: wanted <= receiver.pushed())

    def test_upload_goes_on_after_its_process_was_killed(self, registry, repository):
        client, data = repository.client, os.urandom(2 * MIB)
        with registry.only(1):
            location = client.patch(client.here(repository.start()), data[:MIB])
        registry.kill_front_end(1)
        registry.kill_front_end(2)
        assert repository.close(location, digest_of(data), data[MIB:]).status == 201

    def test_driver_that_is_killed_is_noticed_by_no_process(self, registry, repository):
        assert registry.kill_driver()
        for number in (1, 2):
            with registry.only(number):
                repository.push_blob(os.urandom(100_000))


def push_on(repository, index, done, is_over):
    """Push images until it is over; a client whose connection breaks does it again."""
    count = 0
    while not is_over.is_set():
        count += 1
        layer = os.urandom(1000)
        with contextlib.suppress(OSError, http.client.HTTPException):
            data = repository.push_image(f"{index}-{count}", layer)
            done.append((f"{index}-{count}", data))


class ReloadTests:
    def test_all_processes_go_on_with_what_was_changed(self, registry, repository):
        registry.reconfigure({"http": {"headers": {"X-Version": ["two"]}}})
        registry.process.send_signal(signal.SIGHUP)

        def versions():
            found = []
            for number in (1, 2):
                with registry.only(number):
                    found.append(repository.client.get("/v2/").headers["X-Version"])
            return found

        registry.until(lambda: versions() == ["two", "two"])
        registry.kill_front_end(1)
        assert versions() == ["two", "two"]

    def test_configuration_that_can_not_be_used_changes_nothing(self, registry, repository):
        good = registry.configuration.read_text()
        registry.configuration.write_text(good.replace("workers", "wrokers"))
        registry.process.send_signal(signal.SIGHUP)
        registry.wait_for_log("not reloaded, everything stays as it was")
        registry.configuration.write_text(good)
        assert repository.client.get("/v2/").status == 200


class TlsSeveral(Several, TlsRegistry):
    """A registry with two front ends that speaks TLS, and plain HTTP on a UNIX socket."""

    def __init__(self, directory, authority, server):
        port = DebugPort()
        self.debug = Client(port)
        self.path = directory / "plain.sock"
        super().__init__(directory, authority, server)
        http = {"listeners": [f"unix:{self.path}"], "draintimeout": "1m"}
        self.reconfigure(several(http, port.port))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def tls(tmp_path, authority):
    with TlsSeveral(tmp_path, authority, authority.issue("server", "localhost")) as server:
        server.until(lambda: server.metrics()["registry_front_ends",] == 2)
        yield server


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


class EndTests:
    def test_requests_in_progress_are_finished_and_nothing_stays(self, tls):
        """Over TLS and a UNIX socket: SIGTERM to the main process ends all, in good order."""
        data = b"x" * 1000
        digest = digest_of(data)
        plain = UnixConnection(tls.path)
        plain.request("GET", "/v2/")
        assert plain.getresponse().read() == b"{}"
        plain.close()
        connection = tls.connection()
        connection.putrequest("POST", f"/v2/a/blobs/uploads/?digest={digest}")
        connection.putheader("Content-Length", str(len(data)))
        connection.putheader("Content-Type", OCTET_STREAM)
        connection.putheader("Expect", "100-continue")
        connection.endheaders()
        # Its body is waited for, so some process is at work on it.
        assert connection.sock.recv(1024).startswith(b"HTTP/1.1 100")
        processes = tls.tree()
        tls.process.terminate()
        tls.wait_for_lines("stopping: requests in progress", 3)
        connection.send(data)
        assert connection.getresponse().status == 201
        assert tls.process.wait(60) == 0
        tls.until(lambda: not any(is_alive(pid) for pid in processes))
        assert not tls.path.exists()

    def test_nothing_goes_on_listening_without_the_main_process(self, tls):
        """One that was killed can be started again at once."""
        processes = descendants(tls.process.pid)
        tls.kill()
        tls.until(lambda: not any(is_alive(pid) for pid in processes))
        tls.start()
        assert tls.answers()


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
