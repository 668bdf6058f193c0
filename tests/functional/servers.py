# SPDX-License-Identifier: Apache-2.0
"""Real server processes for the functional tests: ours, and Debian's ``docker-registry`` as the
peer.

They listen on 127.0.0.1, end with the test, and are awaited by what they print or answer, never by
a sleep of hope.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import yaml

#: Seconds for a server to come up on a busy machine.
START_TIMEOUT = 60.0

SECRET = "a secret that both registries are given"


#: Ports that were given lately: whoever has one may not listen yet, or not at the moment.
_GIVEN = deque(maxlen=100)


def free_port():
    """A port that no outgoing connection is given, so that a server can come back to it."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(min(20_000, first // 2), first)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _GIVEN:
                _GIVEN.append(port)
                return port


def need(program):
    """The path of a program; a missing one is a failure of the set-up, not a reason to skip."""
    path = shutil.which(program)
    assert path, f"{program} is not installed: run .ci/run once, or apt-get install {program}"
    return path


class Server:
    """One server process and everything below it.

    Attributes:
        check: the path of its version check.
    """

    check = "/v2/"

    def __init__(self, directory, command, environment=None):
        self.directory = Path(directory)
        self.command = command
        self.environment = environment
        self.process = None
        self.port = free_port()
        self.log = self.directory / f"{Path(command[0]).name}-{self.port}.log"

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def url(self):
        return f"http://{self.address}"

    def start(self):
        self.launch()
        self.wait_ready()
        return self

    def launch(self):
        """Start the process without waiting for it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment
            )

    def wait_ready(self):
        deadline = time.monotonic() + START_TIMEOUT
        while not self.answers():
            assert self.process.poll() is None, f"the server ended:\n{self.log.read_text()[-4000:]}"
            assert time.monotonic() < deadline, (
                f"the server does not answer:\n{self.log.read_text()[-4000:]}"
            )
            time.sleep(0.02)

    def answers(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", self.check)
            return connection.getresponse().status in (200, 401)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def wait_for_log(self, text):
        """Wait until the server has logged something."""
        deadline = time.monotonic() + START_TIMEOUT
        while text not in self.log.read_text():
            assert time.monotonic() < deadline, f"{text!r} is not in:\n{self.log.read_text()}"
            time.sleep(0.02)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        self.process = None

    def kill(self):
        """kill -9 of the server; what it started ends by itself."""
        self.process.kill()
        self.process.wait()

    def tree(self):
        """Process ids of the server and all below it, by what the kernel says now."""
        return [self.process.pid, *descendants(self.process.pid)]

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Registry(Server):
    """Ours, with a driver in its own process."""

    def __init__(self, directory, configuration=None, storage=None):
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.configuration = directory / "config.yml"
        super().__init__(
            directory,
            [sys.executable, "-m", "txregistry.cli", "serve", "--config", str(self.configuration)],
        )
        self.root = directory / "storage"
        self.document = {
            "version": 0.1,
            "storage": storage
            or {"filesystem": {"rootdirectory": str(self.root)}, "delete": {"enabled": True}},
            "http": {"addr": self.address, "secret": SECRET},
            "log": {"accesslog": {"disabled": True}},
        }
        self.reconfigure(configuration or {})

    def reconfigure(self, changes):
        """Write the configuration again, with other keys; it is read at the next start."""
        merge(self.document, changes)
        self.check = self.document["http"].get("prefix", "/") + "v2/"
        self.configuration.write_text(yaml.safe_dump(self.document))

    def driver(self):
        """Process id of the driver, or None while there is none."""
        for pid in descendants(self.process.pid):
            with contextlib.suppress(OSError):
                environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                if b"TXREGISTRY_OPTIONS_FD=4" in environment:
                    return pid
        return None

    def kill_driver(self):
        """kill -9 of the driver; returns whether there was one."""
        pid = self.driver()
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def strike(self):
        """kill -9 of a driver that works; an earlier one's successor is waited for, however fast
        the machine, or slow.
        """
        deadline = time.monotonic() + START_TIMEOUT
        while not (self._reaches_driver() and self.kill_driver()):
            assert time.monotonic() < deadline, "there is no driver that works"
            time.sleep(0.02)

    def _reaches_driver(self):
        """Whether what only a driver can tell is answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_TIMEOUT)
        try:
            connection.request("GET", f"{self.check}nothing/manifests/nothing")
            return connection.getresponse().status == 404
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class Peer(Server):
    """Debian's docker-registry."""

    def __init__(self, directory, root=None):
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.configuration = directory / "peer.yml"
        super().__init__(directory, [need("docker-registry"), "serve", str(self.configuration)])
        self.root = Path(root) if root else directory / "storage"
        document = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.root)},
                "delete": {"enabled": True},
            },
            "http": {"addr": self.address, "secret": SECRET},
        }
        self.configuration.write_text(yaml.safe_dump(document))


def merge(document, changes):
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(document.get(key), dict):
            merge(document[key], value)
        else:
            document[key] = value


def descendants(pid):
    children = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            children += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return children + [below for child in children for below in descendants(child)]


def peak_resident(pid):
    """Peak resident memory in bytes of a living process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no VmHWM")
