# SPDX-License-Identifier: Apache-2.0
"""A driver that somebody outside of the project wrote, in an environment of its own.

``outside_driver/`` is that driver: a distribution that keeps everything in one SQLite file and
knows ``txregistry.driver`` only. It is installed as its users would do it, except that libraries
are borrowed from the environment of the tests, so that nothing is downloaded.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

import pytest

from .client import Client
from .images import Layout, check_layout
from .servers import Registry, need
from .test_clients import MIB, copy
from .test_go_driver import await_socket, driver_test
from .test_starting import PATIENCE, eventually

SOURCE = Path(__file__).with_name("outside_driver")

#: What a driver without descriptors and redirects is not asked for, and what takes large data.
NOT_OFFERED = {
    "a redirect is a url",
    "a descriptor holds the whole object",
    "states are saved on the way",
}

#: How long the registry is told to wait for a driver that is not there, and the seconds within which
#: a client is to be told: that, and some for a busy machine.
SHORT_PATIENCE = "1s"
REFUSAL_TIMEOUT = 20


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of a virtual environment in which the driver is installed."""
    directory = tmp_path_factory.mktemp("outside")
    checkout = directory / "checkout"
    shutil.copytree(
        SOURCE, checkout, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    )
    venv.create(directory / "venv", symlinks=True)
    interpreter = directory / "venv/bin/python"
    own = call(interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    libraries = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    lines = [f"import site; site.addsitedir({library!r})\n" for library in libraries]
    Path(own, "borrowed.pth").write_text("".join(lines))
    pip = [sys.executable, "-m", "pip", "--python", interpreter, "--disable-pip-version-check"]
    call(*pip, "install", "--no-build-isolation", "--no-deps", "--no-index", checkout)
    return interpreter


def call(*command):
    done = subprocess.run(
        [str(part) for part in command],
        cwd="/",
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture
def file(tmp_path):
    return tmp_path / "registry.sqlite"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    layout = Layout(tmp_path_factory.mktemp("image") / "layout")
    layout.tag(layout.add_image([3 * MIB, 10, 0]), "latest")
    return layout


def push(layout, registry, repository="team/app"):
    copy(f"oci:{layout.directory}:latest", f"docker://{registry.address}/{repository}:latest")


def check_pull(layout, registry, directory, repository="team/app"):
    copy(f"docker://{registry.address}/{repository}:latest", f"oci:{directory}:latest")
    assert check_layout(directory) == layout.blobs()


class DistributionTests:
    def test_it_imports_the_facade_and_the_standard_library_only(self):
        own = {*sys.stdlib_module_names, "outside_driver"}
        for path in (SOURCE / "outside_driver").glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) else []
                for name in names:
                    assert name == "txregistry.driver" or name.partition(".")[0] in own, path

    def test_it_is_installed(self, python):
        code = "import outside_driver; print(outside_driver.__file__)"
        assert str(python.parent.parent) in call(python, "-I", "-c", code)

    def test_it_keeps_every_promise(self, python, file):
        report = driver_test(
            "--option", f"file={file}", "--command", python, "-m", "outside_driver"
        )
        print(report.stdout)
        assert report.returncode == 0, report.stdout
        assert (
            set(re.findall(r"^not offered  ([^:]*):", report.stdout, re.MULTILINE)) == NOT_OFFERED
        )
        assert " 0 failed, " in report.stdout.splitlines()[-1]
        with contextlib.closing(sqlite3.connect(file)) as database:
            assert database.execute("SELECT count(*) FROM chunk").fetchone() == (0,), (
                "garbage is left"
            )

    @pytest.mark.parametrize(
        ("option", "sentence"),
        [
            ("fil=/x", "there is no option 'fil'; did you mean file?"),
            ("file=registry.sqlite", "file is to be an absolute path, not 'registry.sqlite'"),
            (
                "file={0}/nowhere/x",
                "file {0}/nowhere/x can't be used (unable to open database file)",
            ),
            (
                "file={0}/text",
                "file {0}/text can't be used (file is not a database): name another one",
            ),
        ],
    )
    def test_option_that_it_refuses_is_one_sentence(self, python, tmp_path, option, sentence):
        (tmp_path / "text").write_text("This is a text and not a database.\n" * 100)
        option, sentence = option.format(tmp_path), sentence.format(tmp_path)
        report = driver_test("--option", option, "--command", python, "-m", "outside_driver")
        assert report.returncode == 1
        assert report.stdout.startswith("txregistry: ")
        assert sentence in report.stdout
        assert report.stdout.count("\n") == 1
        assert [path.name for path in tmp_path.iterdir()] == ["text"]


class StartedTests:
    """The registry starts it: by the command of another environment, or by its name."""

    @pytest.fixture
    def registry(self, python, file, tmp_path):
        command = [str(python), "-m", "outside_driver"]
        with Registry(
            tmp_path, storage={"external": {"command": command, "options": {"file": str(file)}}}
        ) as server:
            yield server

    def test_image_goes_in_and_comes_out(self, registry, image, tmp_path):
        push(image, registry)
        check_pull(image, registry, tmp_path / "pulled")

    def test_image_is_there_after_a_restart(self, registry, image, tmp_path):
        push(image, registry)
        registry.stop()
        registry.start()
        check_pull(image, registry, tmp_path / "pulled")

    def test_push_survives_the_driver(self, registry, file, tmp_path):
        """kill -9 at three points of a push; the client notices nothing."""
        layout = Layout(tmp_path / "layout")
        layout.tag(layout.add_image([48 * MIB, 48 * MIB]), "latest")
        reference = f"docker://{registry.address}/team/app:latest"
        options = ("--insecure-policy", "copy", "--preserve-digests", "--dest-tls-verify=false")
        pusher = subprocess.Popen(
            [need("skopeo"), *options, f"oci:{layout.directory}:latest", reference],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            for size in (2 * MIB, 16 * MIB, 32 * MIB):
                eventually(lambda size=size: stored(file) > size or pusher.poll() is not None)
                registry.strike()
                assert pusher.poll() is None, f"the push ended too early: {pusher.stdout.read()}"
            output, _ = pusher.communicate(timeout=PATIENCE)
            assert pusher.returncode == 0, output
        finally:
            pusher.kill()
            pusher.wait()
        check_pull(layout, registry, tmp_path / "pulled")

    def test_pull_survives_the_driver(self, registry):
        """kill -9 twice while a blob is read: its stream is opened again where it broke."""
        data = os.urandom(48 * MIB)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        Client(registry).push_blob("team/app", data, digest)
        connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", f"/v2/team/app/blobs/{digest}")
            response = connection.getresponse()
            running = hashlib.sha256()
            for _ in range(2):
                running.update(response.read(MIB))  # far more is on its way than buffers hold
                registry.strike()
            while piece := response.read(MIB):
                running.update(piece)
        assert f"sha256:{running.hexdigest()}" == digest

    def test_it_has_a_name_where_it_is_installed_beside_the_registry(self, python, file, tmp_path):
        registry = Registry(tmp_path, storage={"sqlite": {"file": str(file)}})
        registry.command[0] = str(python)
        with registry:
            blob, digest = b"abc", f"sha256:{hashlib.sha256(b'abc').hexdigest()}"
            Client(registry).push_blob("team/app", blob, digest)
            assert Client(registry).get(f"/v2/team/app/blobs/{digest}").body == blob


def stored(file):
    """Bytes in the database and its log."""
    size = 0
    for path in file.parent.glob(f"{file.name}*"):
        with contextlib.suppress(FileNotFoundError):  # a log that was merged goes
            size += path.stat().st_size
    return size


class ByHand:
    """The driver as an operator runs it, on a socket of its own or on one that is inherited."""

    def __init__(self, python, directory, file):
        self.socket = directory / "driver.sock"
        self.log = directory / "driver.log"
        options = directory / "options.json"
        options.write_text(json.dumps({"file": str(file)}))
        self.command = [str(python), "-m", "outside_driver", "--options", str(options)]
        self.process = None

    def start(self):
        self._start([*self.command, "--socket", str(self.socket)])
        await_socket(self.socket, self.process)

    def start_on(self, listener):
        """As systemd does: the socket is descriptor 3, which the variables say."""
        command = ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *self.command]
        self._start(
            command,
            env=os.environ | {"LISTEN_FDS": "1"},
            pass_fds=(3,),
            preexec_fn=lambda: os.dup2(listener.fileno(), 3),
        )

    def _start(self, command, **arguments):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **arguments
            )

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self.log.read_text()[-4000:]


@pytest.fixture
def by_hand(python, tmp_path, file):
    driver = ByHand(python, tmp_path, file)
    yield driver
    if driver.process is not None:
        driver.process.kill()
        driver.process.wait()


def check_refused(registry, path="/v2/team/app/manifests/latest"):
    """The registry says soon enough, and honestly, that it can't know now."""
    begun = time.monotonic()
    answer = Client(registry).get(path)
    assert (answer.status, bool(answer.headers["Retry-After"])) == (503, True), answer
    assert time.monotonic() - begun < REFUSAL_TIMEOUT


def await_status(registry, expected, path="/v2/team/app/manifests/latest"):
    eventually(lambda: Client(registry).get(path).status == expected)


class AttachedTests:
    """Somebody else runs the driver; the registry finds it by its socket."""

    @pytest.fixture
    def attach(self, by_hand, tmp_path):
        """Makes a registry that waits for its driver as its configuration says."""
        servers = []

        def attach(**supervision):
            external = {"socket": str(by_hand.socket)}
            storage = {"external": external, "supervision": supervision}
            servers.append(Registry(tmp_path, storage=storage))
            return servers[-1]

        yield attach
        for server in servers:
            server.stop()

    @pytest.fixture
    def registry(self, attach):
        return attach(patience=SHORT_PATIENCE)

    def test_registry_outlives_its_driver(self, by_hand, registry, image, tmp_path):
        """Stopped, the driver is missed with 503; started again, it is found without any help."""
        by_hand.start()
        registry.start()
        push(image, registry)
        by_hand.stop()
        assert not by_hand.socket.exists()
        check_refused(registry)
        by_hand.start()
        await_status(registry, 200)
        check_pull(image, registry, tmp_path / "pulled")
        push(image, registry, "team/other")
        check_pull(image, registry, tmp_path / "other", "team/other")

    def test_registry_may_be_first(self, by_hand, registry, image, tmp_path):
        """Started before the driver's socket is there, the registry serves 503 until it is."""
        registry.start()
        check_refused(registry)
        by_hand.start()
        await_status(registry, 404)
        eventually(lambda: Client(registry).post("/v2/team/app/blobs/uploads/").status == 202)
        push(image, registry)
        check_pull(image, registry, tmp_path / "pulled")

    def test_driver_that_was_killed_leaves_its_socket_and_takes_it_again(self, by_hand, registry):
        """Whoever runs it starts it again; the registry is on it within seconds."""
        by_hand.start()
        registry.start()
        await_status(registry, 404)
        by_hand.process.kill()
        by_hand.process.wait()
        assert by_hand.socket.exists()
        by_hand.start()
        await_status(registry, 404)

    def test_requests_wait_while_a_driver_on_systemd_s_socket_is_upgraded(
        self, by_hand, attach, image
    ):
        """The socket stays while the driver is stopped: nobody is refused."""
        registry = attach()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(by_hand.socket))
            by_hand.socket.chmod(0o660)
            listener.listen(100)
            by_hand.start_on(listener)
            registry.start()
            push(image, registry)
            by_hand.stop()
            waiting = subprocess.Popen(
                [sys.executable, "-c", ASK, registry.url], stdout=subprocess.PIPE, text=True
            )
            try:
                assert waiting.stdout.readline() == "asked\n"
                by_hand.start_on(listener)
                assert waiting.communicate(timeout=PATIENCE)[0] == "200\n"
            finally:
                waiting.kill()
                waiting.wait()
            assert by_hand.socket.stat().st_mode & 0o777 == 0o660


#: A client that says when its request is on its way.
ASK = """
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1].removeprefix("http://"), timeout=60)
connection.request("HEAD", "/v2/team/app/manifests/latest",
                   headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
print("asked", flush=True)
print(connection.getresponse().status)
"""
