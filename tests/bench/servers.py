# SPDX-License-Identifier: Apache-2.0
"""One registry, of either kind, for the length of a ``with``: configured, started, ready; in the
end gone.

Knows both command lines and configuration files, which are the same but for what only one of them
has. Nothing of the caller's environment reaches the configuration (``REGISTRY_...`` would), and
only what was started here is ever ended, by pid.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from .failures import BenchError
from .processes import Process, find_process, find_tree
from .wire import Connection

_READY_WITHIN = 30.0
_GONE_WITHIN = 20.0
_POLL = 0.05

# The cache is in the file that Debian ships. Purging would begin at a random time within the first
# hour.
_CONFIGURATION = """\
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {root}
  cache:
    blobdescriptor: inmemory
  maintenance:
    uploadpurging:
      enabled: false
http:
  addr: 127.0.0.1:{port}
"""

# A load test is one client that never leaves; the defaults would turn it away now and then.
_LIMITS = """\
  limits:
    requestsperconnection: 1000000000
"""


@frozen
class Kind:
    """A registry that can be started.

    Attributes:
        command: its command line, to which the configuration file is added.
        configuration: the file, with ``{root}`` and ``{port}`` left open.
        durability: what a 201 means there, for the report.
    """

    name: str
    command: tuple[str, ...]
    configuration: str
    durability: str


PEER = Kind(
    name="peer",
    command=("docker-registry", "serve"),
    configuration=_CONFIGURATION,
    durability="syncs each file, no directory; small files are overwritten in place",
)
OURS = Kind(
    name="ours",
    command=(sys.executable, "-m", "txregistry.cli", "serve", "--config"),
    configuration=_CONFIGURATION + _LIMITS,
    durability="strict (the default): syncs files, then their directories, before a 201",
)


@frozen
class Server:
    """A registry that runs.

    Attributes:
        port: where it listens, on 127.0.0.1.
    """

    kind: Kind
    port: int
    pid: int

    def tree(self) -> list[Process]:
        """Its processes now.

        Raises:
            BenchError: it has ended.
        """
        tree = find_tree(self.pid)
        if not tree:
            raise BenchError(f"{self.kind.name} ended during the bench")
        return tree


@contextmanager
def running(kind: Kind, directory: Path) -> Iterator[Server]:
    """Start a registry with an empty storage in a new directory below ``directory``; end it and
    remove that.

    Raises:
        BenchError: it did not start, it failed meanwhile, or it left a process behind.
    """
    place = Path(tempfile.mkdtemp(prefix=f"bench-{kind.name}-", dir=directory))
    try:
        with (place / "log").open("wb") as log:
            port = _free_port()
            file = place / "config.yml"
            file.write_text(kind.configuration.format(root=place / "storage", port=port))
            process = subprocess.Popen(
                [*kind.command, str(file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the bench, which then ends its server
            )
        tree: list[Process] = []
        try:
            _wait_until_ready(process, port)
            tree = find_tree(process.pid)
            yield Server(kind, port, process.pid)
        except BenchError as error:
            raise BenchError(f"{error}{_tail(place / 'log')}") from error
        finally:
            _end(process, tree)
    finally:
        shutil.rmtree(place)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"{_shown(process)} ended with status {process.returncode}")
        try:
            with Connection(port, timeout=1.0) as connection:
                connection.ask("GET", "/v2/", 200)
                return
        except (OSError, BenchError):
            time.sleep(_POLL)
    raise BenchError(
        f"{_shown(process)} did not answer GET /v2/ within {_READY_WITHIN:.0f} seconds"
    )


def _end(process: subprocess.Popen[bytes], tree: list[Process]) -> None:
    """Ask a server to end, and see that it and all that it had started are gone."""
    tree = find_tree(process.pid) or tree
    process.terminate()
    is_gone = _wait_until(lambda: process.poll() is not None)
    if not is_gone:
        process.kill()
        process.wait()
    left = [member for member in tree if member.pid != process.pid]
    is_clean = _wait_until(lambda: not any(_is_alive(member) for member in left))
    for member in filter(_is_alive, left):
        os.kill(member.pid, signal.SIGKILL)
    if not (is_gone and is_clean) and sys.exception() is None:
        raise BenchError(
            f"{_shown(process)} did not end within {_GONE_WITHIN:.0f} seconds and was killed"
        )


def _is_alive(process: Process) -> bool:
    now = find_process(process.pid)
    return now is not None and now.started == process.started


def _wait_until(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _GONE_WITHIN
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def _shown(process: subprocess.Popen[bytes]) -> str:
    """The command line without the configuration file, which is removed with the rest."""
    assert isinstance(process.args, list)
    return " ".join(process.args[:-1])


def _tail(log: Path) -> str:
    """The last lines that a server wrote."""
    lines = log.read_text(errors="replace").splitlines()[-8:]
    return "\nit wrote:\n  " + "\n  ".join(lines) if lines else ""
