# SPDX-License-Identifier: Apache-2.0
"""Starting and stopping, as an operator sees it: what is printed, the status, and what is left
behind.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from .servers import Registry, descendants, free_port

SERVE = [sys.executable, "-m", "txregistry.cli", "serve"]
TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]

#: Seconds that something may take on a busy machine.
PATIENCE = 60


def environment(**variables):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    return {**clean, **variables}


def run(command, directory, **variables):
    return subprocess.run(
        [str(part) for part in command],
        cwd=directory,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def eventually(condition):
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < deadline, f"{condition} is still not so"
        time.sleep(0.02)
    return result


@pytest.fixture
def write(tmp_path):
    """Write a configuration; what is not said is fine."""

    def write_one(text="", **sections):
        path = tmp_path / "registry.yml"
        document = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(tmp_path / "storage")}},
            "http": {"addr": "127.0.0.1:0"},
            **sections,
        }
        path.write_text(yaml.safe_dump(document) + text)
        return path

    return write_one


@pytest.fixture
def taken():
    """A port that somebody else listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def external(*command, **options):
    return {"external": {"command": list(command), **({"options": options} if options else {})}}


#: What is wrong -> (sections of the configuration, parts of the sentence).
FAILURES = {
    "a misspelt key": (
        {"htpp": {}},
        ["registry.yml, line ", ": htpp is not a known key; did you mean http?"],
    ),
    "passwords": (
        {"auth": {"htpasswd": {"realm": "r", "path": "/nowhere/passwords"}}},
        ["/nowhere/passwords can't be read", "name a file that this user may read"],
    ),
    "a directory that can't be written": (
        {"storage": {"filesystem": {"rootdirectory": "/proc/registry"}}},
        ["rootdirectory /proc/registry can't be created"],
    ),
    "a directory that is a file": (
        {"storage": {"filesystem": {"rootdirectory": "/dev/null"}}},
        ["rootdirectory /dev/null is not a directory"],
    ),
    "a driver program that is not there": (
        {"storage": external("/nowhere/driver")},
        ["/nowhere/driver", "does not exist"],
    ),
    "a driver program that ends at once": (
        {"storage": external("/bin/false")},
        ["ended before it was ready"],
    ),
    "options that the driver refuses": (
        {"storage": external(sys.executable, "-m", "txregistry_drivers.memory", depth=3)},
        ["depth"],
    ),
}


@pytest.mark.parametrize("wrong", FAILURES)
class FailureTests:
    def test_serve_says_one_sentence_and_ends_with_status_1(self, write, tmp_path, wrong):
        sections, parts = FAILURES[wrong]
        done = run([*SERVE, "--config", write(**sections)], tmp_path)
        sentence = [line for line in done.stderr.splitlines() if not line.startswith("time=")]
        assert len(sentence) == 1, done.stderr
        assert sentence[0].startswith("txregistry: ")
        assert all(part in sentence[0] for part in parts), sentence
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
        assert done.returncode == 1

    def test_twistd_says_why_and_ends_with_status_1(self, write, tmp_path, wrong):
        sections, parts = FAILURES[wrong]
        done = run(
            [*TWISTD, "-n", "--pidfile=", "registry", "--config", write(**sections)], tmp_path
        )
        said = done.stdout + done.stderr
        assert all(part in said.replace('\\"', '"') for part in parts), said
        assert "Traceback" not in said
        assert done.returncode == 1


class PortTests:
    def test_port_in_use_is_one_sentence(self, write, tmp_path, taken):
        path = write(http={"addr": f"127.0.0.1:{taken}"})
        done = run([*SERVE, "--config", path], tmp_path)
        assert done.stderr == (
            f"txregistry: http.addr: 127.0.0.1:{taken} is in use; stop the other program, or choose another "
            "address\n"
        )
        assert (done.returncode, done.stdout) == (1, "")

    def test_port_in_use_ends_twistd_too(self, write, tmp_path, taken):
        """Twisted's own service would log it and go on without a port."""
        path = write(http={"addr": f"127.0.0.1:{taken}"})
        done = run([*TWISTD, "-n", "--pidfile=", "registry", "--config", path], tmp_path)
        assert f"127.0.0.1:{taken} is in use" in done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        assert done.returncode == 1

    def test_nothing_is_stored_when_the_port_is_taken(self, write, tmp_path, taken):
        run([*SERVE, "--config", write(http={"addr": f"127.0.0.1:{taken}"})], tmp_path)
        assert not (tmp_path / "storage").exists()


@contextlib.contextmanager
def started(command, directory, **variables):
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=directory,
        env=environment(PYTHONUNBUFFERED="1", **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


class ServeTests:
    def test_without_a_file_it_says_where_it_listens_and_stores(self, tmp_path):
        port = free_port()
        with started([*SERVE, "--addr", f"127.0.0.1:{port}"], tmp_path) as process:
            line = process.stdout.readline()
            assert line.endswith(
                f": listening on http://127.0.0.1:{port}, storing in filesystem {tmp_path}/registry-data\n"
            )
            assert line.startswith("txregistry ")
            with contextlib.closing(
                http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            ) as client:
                client.request("GET", "/v2/")
                assert client.getresponse().status == 200

    def test_it_is_said_once_to_who_reads_both_streams(self, tmp_path):
        """In a terminal, and in the journal; standard output alone has it for scripts."""
        path = tmp_path / "out"
        with path.open("wb") as out:
            command = [*SERVE, "--addr", "127.0.0.1:0"]
            process = subprocess.Popen(
                command, cwd=tmp_path, env=environment(), stdout=out, stderr=out
            )
        try:
            eventually(lambda: "listening on" in path.read_text())
        finally:
            process.terminate()
            process.wait(PATIENCE)
        assert path.read_text().count("listening on") == 1

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_signal_ends_it_and_all_that_it_started(self, tmp_path, number):
        runtime = tmp_path / "run"
        runtime.mkdir()
        with started(
            [*SERVE, "--addr", "127.0.0.1:0"], tmp_path, XDG_RUNTIME_DIR=str(runtime)
        ) as process:
            process.stdout.readline()
            below = descendants(process.pid)
            assert below
            process.send_signal(number)
            assert process.wait(PATIENCE) == 0
            eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below))
            assert list(runtime.iterdir()) == []

    def test_variables_are_taken(self, write, tmp_path):
        variables = {
            "REGISTRY_STORAGE": "inmemory",
            "REGISTRY_LOG_FORMATTER": "json",
            "REGISTRY_PORT": "tcp://x",
        }
        with started([*SERVE, "--config", write()], tmp_path, **variables) as process:
            assert process.stdout.readline().endswith(", storing in inmemory\n")
            assert (
                '"msg": "environment variable REGISTRY_PORT names no known key'
                in process.stderr.readline()
            )

    def test_unix_socket_is_served_and_a_stale_one_replaced(self, write, tmp_path):
        path = tmp_path / "r.sock"
        configuration = write(http={"net": "unix", "addr": str(path)})
        for _ in range(2):  # the first one is killed and leaves its socket
            with started([*SERVE, "--config", configuration], tmp_path) as process:
                assert f"listening on unix:{path}, " in process.stdout.readline()
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(PATIENCE)
                    client.connect(str(path))
                    client.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    assert client.recv(12) == b"HTTP/1.1 200"
                process.kill()
                process.wait()
            assert path.is_socket()

    def test_driver_on_a_socket_that_is_not_there_yet_is_waited_for(self, write, tmp_path):
        """Reads are refused with 503 and the registry stays."""
        port = free_port()
        path = write(
            storage={
                "external": {"socket": str(tmp_path / "later.sock")},
                "supervision": {"patience": "1s"},
            },
            http={"addr": f"127.0.0.1:{port}"},
        )
        with started([*SERVE, "--config", path], tmp_path) as process:
            assert "the driver at " in process.stdout.readline()
            with contextlib.closing(
                http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            ) as client:
                client.request("GET", "/v2/a/manifests/b")
                answer = client.getresponse()
                assert answer.status == 503
                assert answer.getheader("Retry-After")
            assert process.poll() is None


class DrainTests:
    """Told to stop, the registry keeps its word to who is being served."""

    @pytest.fixture
    def registry(self, tmp_path):
        with Registry(tmp_path, {"http": {"draintimeout": "20s"}}) as registry:
            yield registry

    def half_an_upload(self, registry):
        """A connection on which five of ten bytes were sent to a request that is being answered."""
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", registry.port, timeout=PATIENCE)
        ) as first:
            first.request("POST", "/v2/a/blobs/uploads/", headers={"Content-Length": "0"})
            location = first.getresponse().getheader("Location")
        client = socket.create_connection(("127.0.0.1", registry.port), timeout=PATIENCE)
        head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"
        client.sendall(head.encode())
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        client.sendall(b"12345")
        return client

    def test_request_in_progress_is_finished(self, registry):
        with self.half_an_upload(registry) as client:
            registry.process.terminate()
            eventually(lambda: not is_listening(registry.port))
            assert registry.process.poll() is None
            client.sendall(b"67890")
            assert client.recv(100).startswith(b"HTTP/1.1 202")
        assert registry.process.wait(PATIENCE) == 0

    def test_idle_connection_does_not_delay_the_end(self, registry):
        with socket.create_connection(("127.0.0.1", registry.port), timeout=PATIENCE) as idle:
            idle.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
            idle.recv(1)
            begun = time.monotonic()
            registry.process.terminate()
            assert registry.process.wait(PATIENCE) == 0
            assert time.monotonic() - begun < 15

    def test_client_that_does_not_finish_is_cut_in_the_end(self, tmp_path):
        """What it sent is kept: it can come back and go on."""
        with (
            Registry(tmp_path, {"http": {"draintimeout": "500ms"}}) as registry,
            self.half_an_upload(registry),
        ):
            registry.process.terminate()
            assert registry.process.wait(PATIENCE) == 0
            assert [path.read_bytes() for path in registry.root.rglob("data")] == [b"12345"]
            # The driver was there until the end of that was stored, with its hash state.
            assert "could not be stored" not in registry.log.read_text()
            assert len(list(registry.root.rglob("hashstates/sha256/5"))) == 1


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class TwistdTests:
    def test_daemon_starts_logs_and_stops(self, write, tmp_path):
        port = free_port()
        path = write(http={"addr": f"127.0.0.1:{port}"})
        done = run([*TWISTD, "registry", "--config", path], tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        pid = int((tmp_path / "twistd.pid").read_text())
        try:
            eventually(lambda: "listening on" in (tmp_path / "twistd.log").read_text())
            with contextlib.closing(
                http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            ) as client:
                client.request("GET", "/v2/")
                client.getresponse().read()
            eventually(lambda: '"GET /v2/ HTTP/1.1" 200 2' in (tmp_path / "twistd.log").read_text())
        finally:
            os.kill(pid, signal.SIGTERM)
        eventually(lambda: not (tmp_path / "twistd.pid").exists())
        assert "level=fatal" not in (tmp_path / "twistd.log").read_text()

    def test_signal_ends_it_and_all_that_it_started(self, write, tmp_path):
        """twistd passes the signal on to itself in the end, which systemd takes for a clean
        stop.
        """
        with started(
            [*TWISTD, "-n", "--pidfile=", "registry", "--config", write()], tmp_path
        ) as process:
            for line in process.stderr:
                if "listening on" in line:
                    break
            below = descendants(process.pid)
            assert below
            process.terminate()
            assert process.wait(PATIENCE) == -signal.SIGTERM
            eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below))


def test_uploads_that_were_left_behind_are_purged(tmp_path):
    purging = {"age": "100ms", "interval": "200ms"}
    with Registry(tmp_path, {"storage": {"maintenance": {"uploadpurging": purging}}}) as registry:
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", registry.port, timeout=PATIENCE)
        ) as client:
            client.request("POST", "/v2/a/blobs/uploads/", headers={"Content-Length": "0"})
            location = client.getresponse().getheader("Location")
        uploads = registry.root / "docker/registry/v2/repositories/a/_uploads"
        assert location
        eventually(lambda: uploads.exists() and not any(uploads.iterdir()))
