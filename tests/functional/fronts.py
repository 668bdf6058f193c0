# SPDX-License-Identifier: Apache-2.0
"""A registry with several front ends, and ways to choose which of them a request reaches."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from .client import Client
from .servers import START_TIMEOUT, Registry, descendants, free_port


class DebugPort:
    """The debug port as a server that clients talk to."""

    def __init__(self):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"


class Several:
    """What is done to a registry's front ends; a mixin of a server.

    Attributes:
        debug: the client of the debug port.
    """

    def front_ends(self):
        """Number -> process id of those that are there."""
        found = {}
        for pid in descendants(self.process.pid):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"txregistry.front_end" in words:
                    found[int(words[-2])] = pid
        return found

    def until(self, condition):
        """Ask again until something holds that no event tells of."""
        deadline = time.monotonic() + START_TIMEOUT
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()[-4000:]
            time.sleep(0.02)

    @contextlib.contextmanager
    def only(self, number):
        """Have one front end take all connections: the others stand still meanwhile."""
        others = [pid for other, pid in self.front_ends().items() if other != number]
        try:
            for pid in others:
                os.kill(pid, signal.SIGSTOP)
            for pid in others:
                self.until(lambda pid=pid: state_of(pid) == "T")
            yield
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)

    def kill_front_end(self, number):
        """kill -9, and wait for another one in its place."""
        pid = self.front_ends()[number]
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: self.front_ends().get(number, pid) != pid)
        self.until(lambda: self.metrics()["registry_front_ends",] == 2)

    def metrics(self):
        """(name, labels) -> value of everything that is exposed."""
        text = self.debug.get("/metrics").body.decode()
        return {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def state_of(pid):
    """What the kernel says that a process does: R, S, T for stopped..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def several(kind, port):
    """Return the configuration that a server of several front ends has in addition."""
    return {
        "http": {
            "workers": 2,
            "debug": {"addr": f"127.0.0.1:{port}", "prometheus": {"enabled": True}},
            **kind,
        }
    }


class SharedRegistry(Several, Registry):
    """A registry with two front ends."""

    def __init__(self, directory, configuration=None, **http):
        port = DebugPort()
        self.debug = Client(port)
        super().__init__(directory, several(http, port.port))
        self.reconfigure(configuration or {})
