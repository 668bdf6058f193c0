# SPDX-License-Identifier: Apache-2.0
"""Programs of the product that start in milliseconds: each is forked off a process that has
imported it already, and is from there on what it would have been.

Thousands of drivers are started by a campaign that kills them. What they import touches no store,
so that it is imported once takes nothing from what is judged; ``test_kills`` and all functional
tests start them as anybody does.

    Warm          the lab's end: a program, and its runs
    nursery.py    the process that has imported it, and forks
    nursling.py   what a registry starts in the program's place: hands over its descriptors, ends as
                  the fork does
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.functional.servers import Registry, descendants

_HERE = Path(__file__).parent


class Warm:
    """One program that is kept imported. Use as a context.

    Args:
        module: is run as ``python -m`` would.
        imports: what is imported beforehand, besides.
        environment: of the process that imports, besides this one's.
    """

    def __init__(self, module, imports, environment=None):
        self.module = module
        self._directory = tempfile.TemporaryDirectory(prefix="faults-")
        self._path = os.path.join(self._directory.name, "nursery")
        command = [sys.executable, "-I", _HERE / "nursery.py", self._path, module, *imports]
        self._process = subprocess.Popen(
            [str(part) for part in command],
            env=os.environ | (environment or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout.readline() == b"ready\n", "the nursery does not come up"

    @property
    def command(self):
        """What starts the program, in place of ``python -m``."""
        return [sys.executable, "-I", "-S", str(_HERE / "nursling.py"), self._path]

    def pids(self):
        """Of all runs that have not ended."""
        return descendants(self._process.pid)

    def launch(self, arguments, output):
        """Start a run from here; its output goes to a file."""
        return WarmProcess(self._path, arguments, output)

    def close(self):
        self._process.kill()
        self._process.communicate()
        self._directory.cleanup()


def front_program():
    """That of the front end, to be closed."""
    return Warm("txregistry.cli", ["txregistry.cli"])


def driver_program(environment=None):
    """That of the filesystem driver, to be closed."""
    imports = ["txregistry.driver", "txregistry_drivers.filesystem"]
    return Warm("txregistry_drivers.filesystem", imports, environment)


class WarmProcess:
    """A run as ``subprocess.Popen`` would show it."""

    def __init__(self, path, arguments, output):
        self.returncode = None
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._line.connect(path)
        with open(os.devnull, "rb") as nothing:
            words = "\0".join([str(len(arguments)), *arguments, *_environment()])
            descriptors = [nothing.fileno(), output.fileno(), output.fileno()]
            socket.send_fds(self._line, [words.encode()], descriptors)
        self.pid = int(self._line.recv(64))

    def poll(self):
        if self.returncode is None:
            self._line.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                self._take()
        return self.returncode

    def wait(self, timeout=None):
        if self.returncode is None:
            self._line.settimeout(timeout)
            try:
                self._take()
            except TimeoutError as late:
                raise subprocess.TimeoutExpired(str(self.pid), timeout) from late
        return self.returncode

    def _take(self):
        status = self._line.recv(64)
        self.returncode = os.waitstatus_to_exitcode(int(status)) if status else -signal.SIGKILL
        self._line.close()

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)


class WarmRegistry(Registry):
    """A registry of which both programs are kept warm.

    Args:
        front, driver: the programs.
        storage: the section, whose driver is started by ``driver.command``.
    """

    def __init__(self, directory, front, driver, storage):
        super().__init__(directory, storage=storage)
        self._front = front
        self._driver = driver

    def launch(self):
        with self.log.open("ab") as log:
            arguments = ["serve", "--config", str(self.configuration)]
            self.process = self._front.launch(arguments, log)

    def tree(self):
        return [*super().tree(), *self._driver.pids()]

    def driver(self):
        return next(iter(self._driver.pids()), None)


def _environment():
    return [f"{name}={value}" for name, value in os.environ.items()]
