# SPDX-License-Identifier: Apache-2.0
"""A driver that this process starts, watches and starts again.

Room: process. The child gets, and nothing else:

    0   a pipe that ends when this process does: the driver exits then
    1 2 pipes whose lines go to our log
    3   the listening socket (the sd_listen_fds convention: LISTEN_FDS=1, LISTEN_PID)
    4   its options as a JSON document, by a sealed memory file (TXREGISTRY_OPTIONS_FD=4)

The listening socket is ours and outlives the child: a connection made while it restarts waits in
the backlog.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import tempfile
from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IProcessTransport, IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from txregistry.process.spec import DriverSpec, StartError

#: More than Twisted's 50, which refused bursts of connects.
BACKLOG = 1024

#: Variables that a driver inherits; everything else (proxies, credentials, PYTHON*, LD_*) is kept
#: from it.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")

#: Seconds until a child that was asked to end is killed.
END_TIMEOUT = 5.0

#: Backoff after deaths before a greeting, in seconds.
BACKOFF = 0.05
BACKOFF_LIMIT = 5.0

_LINE_LIMIT = 4_000
#: The shell sets LISTEN_PID to what becomes the driver's own process id, which is not known before
#: the fork.
_TRAMPOLINE = ("/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh")

_log = Logger()


class Child(ProcessProtocol):
    """One run of the driver program: its lines to the log, its end to whoever asks."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._partial = b""
        self.last_lines: deque[str] = deque(maxlen=5)
        self.ended: Deferred[str] = Deferred()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._say(line)
        if len(self._partial) > _LINE_LIMIT:
            self._say(self._partial)
            self._partial = b""

    def _say(self, line: bytes) -> None:
        text = line[:_LINE_LIMIT].decode("utf-8", "backslashreplace").rstrip()
        if text:
            self.last_lines.append(text)
            _log.info("[{driver}] {line}", driver=self._name, line=text)

    def processEnded(self, reason: Failure) -> None:
        self._say(self._partial)
        self.ended.callback(reason.getErrorMessage())


class ChildDriver:
    """Runs the program of a spec, again whenever it ends.

    Args:
        when_died: called after each death that was not asked for.
        has_greeted: whether the run that just ended ever said hello; asked at each death.

    Attributes:
        path: of the socket to connect to.
        pid: of the present run, or None.
        deaths: how often it ended without being asked to.
    """

    def __init__(
        self,
        spec: DriverSpec,
        reactor: IReactorProcess,
        clock: IReactorTime,
        *,
        when_died: Callable[[], None] = lambda: None,
        greetings: Callable[[], int] = lambda: 0,
    ) -> None:
        assert spec.command is not None
        self._spec = spec
        self._command = spec.command
        self._reactor = reactor
        self._clock = clock
        self._when_died = when_died
        self._greetings = greetings
        self._greeted_before = 0
        self._fruitless = 0
        self._is_stopping = False
        self._later: IDelayedCall | None = None
        self._child: Child | None = None
        self._transport: IProcessTransport | None = None
        self._listener: socket.socket | None = None
        self._directory = ""
        self.path = ""
        self.deaths = 0

    @property
    def pid(self) -> int | None:
        return self._transport.pid if self._transport is not None else None

    @property
    def last_words(self) -> str:
        """The last line that the driver wrote, for an error message."""
        return self._child.last_lines[-1] if self._child is not None and self._child.last_lines else ""

    def start(self) -> None:
        """Start the program; :meth:`bind` comes before."""
        self._spawn()

    def bind(self) -> None:
        """Make the socket, so that its path is known.

        Raises:
            StartError: the program is not there.
        """
        if shutil.which(self._command[0]) is None:
            raise StartError(
                f"the storage driver's program {self._command[0]!r} does not exist or can't be executed:"
                " correct storage.external.command"
            )
        self._directory = tempfile.mkdtemp(prefix="txregistry-", dir=_runtime_directory())
        self.path = os.path.join(self._directory, "driver.sock")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(BACKLOG)

    def _spawn(self) -> None:
        assert self._listener is not None
        child = Child(self._spec.name)
        options = _options_file(self._spec)
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment |= {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "driver", "TXREGISTRY_OPTIONS_FD": "4"}
        command = [*_TRAMPOLINE, *self._command]
        self._greeted_before = self._greetings()
        try:
            self._transport = self._reactor.spawnProcess(
                child,
                command[0],
                command,
                env=environment,
                path="/",
                childFDs={0: "w", 1: "r", 2: "r", 3: self._listener.fileno(), 4: options},
            )
        finally:
            os.close(options)
        self._child = child
        child.ended.addCallback(self._ended, child)

    def _ended(self, reason: str, child: Child) -> None:
        self._transport = None
        if self._is_stopping:
            return
        self.deaths += 1
        has_greeted = self._greetings() > self._greeted_before
        self._fruitless = 0 if has_greeted else self._fruitless + 1
        delay = min(BACKOFF * 2 ** min(self._fruitless, 10), BACKOFF_LIMIT) if self._fruitless else 0.0
        _log.warn(
            "driver {driver} ended ({reason}); it is started again in {delay:g} s",
            driver=self._spec.name,
            reason=reason,
            delay=delay,
        )
        self._later = self._clock.callLater(delay, self._spawn)
        self._when_died()

    def kill(self) -> None:
        """End the present run at once; it is started again."""
        if self._transport is not None and self._transport.pid is not None:
            self._transport.signalProcess("KILL")

    async def stop(self) -> None:
        """Ask the driver to end, kill it if it does not, and remove the socket."""
        self._is_stopping = True
        if self._later is not None and self._later.active():
            self._later.cancel()
        if self._transport is not None and self._child is not None:
            self._transport.signalProcess("TERM")
            late = self._clock.callLater(END_TIMEOUT, self.kill)
            if not self._child.ended.called:
                gone: Deferred[None] = Deferred()
                self._child.ended.addCallback(lambda _: gone.callback(None))
                await gone
            if late.active():
                late.cancel()
        if self._listener is not None:
            self._listener.close()
            shutil.rmtree(self._directory, ignore_errors=True)


def _runtime_directory() -> str | None:
    """Where the socket's private directory is made; None for the system's choice. A socket's path
    holds 107 bytes at most.
    """
    for place in (
        os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0],
        os.environ.get("XDG_RUNTIME_DIR", ""),
    ):
        if place and len(place) < 60 and os.access(place, os.W_OK):
            return place
    return None


def _options_file(spec: DriverSpec) -> int:
    """A sealed memory file with the options as JSON, at offset 0; the caller closes it."""
    try:
        document = json.dumps(dict(spec.options)).encode()
    except (TypeError, ValueError) as error:
        raise StartError(
            f"the options of storage driver {spec.name!r} can't be written as JSON: {error}"
        ) from error
    descriptor = os.memfd_create("driver-options", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, document)
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(
        descriptor,
        fcntl.F_ADD_SEALS,
        fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL,
    )
    return descriptor
