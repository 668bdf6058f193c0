# SPDX-License-Identifier: Apache-2.0
"""A driver that this process starts, watches and starts again.

Room: process. The child gets, and nothing else:

    0   a pipe that ends when this process does: the driver exits then
    1 2 pipes whose lines go to our log
    3   the listening socket (the sd_listen_fds convention: LISTEN_FDS=1, LISTEN_PID)
    4   its options as a JSON document, by a sealed memory file (TXREGISTRY_OPTIONS_FD=4)

The listening socket is ours and outlives the child: a connection made while it restarts waits in
the backlog. The interrupt of a terminal, which goes to all its processes, does not reach the child:
the registry ends it after the last request.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import (
    IDelayedCall,
    IProcessTransport,
    IReactorProcess,
    IReactorTime,
)
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from txregistry.process.spec import ISOLATION, DriverSpec, StartError
from txregistry.process.supervision import Supervision

#: More than Twisted's 50, which refused bursts of connects.
BACKLOG = 1024

#: Variables that every driver inherits; everything else (PYTHON*, LD_*, and proxies and credentials
#: but for the drivers that want them) is kept from it.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")

#: Seconds after a kill for which its end is waited for. A process that is not gone by then hangs in
#: the kernel (a dead disk or mount), and another one takes its place.
REAP_TIMEOUT = 5.0

#: Processes that may hang so before no other one is started.
HANGING_LIMIT = 2

#: Seconds for which the output of a child that is gone is waited for: whatever it has started may
#: hold its pipes open for ever.
LAST_WORDS_TIMEOUT = 1.0

_LINE_LIMIT = 4_000
#: The shell sets LISTEN_PID to what becomes the driver's own process id, which is not known before
#: the fork. What it ignores stays ignored.
_TRAMPOLINE = ("/bin/sh", "-c", "trap '' INT; LISTEN_PID=$$; export LISTEN_PID; exec \"$@\"", "sh")

_PREFIX = "txregistry-"
_SOCKET = "driver.sock"
#: Seconds after which a directory whose socket nobody listens on is taken to be left over.
_SWEEP_AGE = 60.0

_log = Logger()


class WhenDied(Protocol):
    """Told of each death that was not asked for."""

    def __call__(self, *, has_greeted: bool) -> None:
        """``has_greeted``: that run of the driver had said hello."""


class Child(ProcessProtocol):
    """One run of the driver program: its lines to the log, its end to whoever asks.

    Attributes:
        was_killed: a signal ended it.
        ended: fires with the reason, in words, once it is gone and its last lines are here.
    """

    def __init__(self, name: str, clock: IReactorTime) -> None:
        self._name = name
        self._clock = clock
        self._partial = {1: b"", 2: b""}
        self._late: IDelayedCall | None = None
        self.last_lines: deque[str] = deque(maxlen=5)
        self.was_killed = False
        self.ended: Deferred[str] = Deferred()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        *lines, partial = (self._partial[childFD] + data).split(b"\n")
        for line in lines:
            self._say(line)
        if len(partial) > _LINE_LIMIT:
            self._say(partial)
            partial = b""
        self._partial[childFD] = partial

    def _say(self, line: bytes) -> None:
        text = line[:_LINE_LIMIT].decode("utf-8", "backslashreplace").rstrip()
        if text:
            self.last_lines.append(text)
            _log.info("[{driver}] {line}", driver=self._name, line=text)

    def processExited(self, reason: Failure) -> None:
        assert self.transport is not None
        self._late = self._clock.callLater(LAST_WORDS_TIMEOUT, self.transport.loseConnection)

    def processEnded(self, reason: Failure) -> None:
        if self._late is not None and self._late.active():
            self._late.cancel()
        for partial in self._partial.values():
            self._say(partial)
        self.was_killed = getattr(reason.value, "signal", None) is not None
        self.ended.callback(reason.getErrorMessage())


class ChildDriver:
    """Runs the program of a spec, again whenever it ends.

    Args:
        end_timeout: seconds until a child that was asked to end for good is killed.
        when_died: called after each death that was not asked for, before the next start is thought
            of.
        greetings: how often a driver has said hello.
        pause: seconds until the next start.

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
        end_timeout: float = Supervision().end_timeout,
        when_died: WhenDied = lambda *, has_greeted: None,
        greetings: Callable[[], int] = lambda: 0,
        pause: Callable[[], float] = lambda: 0.0,
    ) -> None:
        assert spec.command is not None
        self._spec = spec
        self._command = spec.command
        self._document = b""
        self._reactor = reactor
        self._clock = clock
        self._end_timeout = end_timeout
        self._when_died = when_died
        self._greetings = greetings
        self._pause = pause
        self._greeted_before = 0
        self._is_stopping = False
        self._later: IDelayedCall | None = None
        self._reaping: IDelayedCall | None = None
        self._child: Child | None = None
        self._hanging: set[Child] = set()
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
        return (
            self._child.last_lines[-1] if self._child is not None and self._child.last_lines else ""
        )

    @property
    def has_given_up(self) -> bool:
        """The last run ended by itself, which the next one is likely to do as well."""
        return self.deaths > 0 and self._child is not None and not self._child.was_killed

    def bind(self) -> None:
        """Make the socket, so that its path is known.

        Raises:
            StartError: the program is not there, its options can't be passed, or there is no place
                for the socket.
        """
        program = shutil.which(self._command[0])
        if program is None:
            raise StartError(
                f"the storage driver's program {self._command[0]!r} does not exist or can't be executed:"
                " correct storage.external.command"
            )
        # It is started in another directory.
        self._command = (os.path.abspath(program), *self._command[1:])
        self._document = _document(self._spec)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._directory = _make_directory()
            self.path = os.path.join(self._directory, _SOCKET)
            listener.bind(self.path)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            self._remove_directory()
            raise StartError(
                f"the socket of storage driver {self._spec.name!r} can't be made"
                f" at {self.path or tempfile.gettempdir()}: {error}; XDG_RUNTIME_DIR or TMPDIR may name"
                " another directory"
            ) from error
        self._listener = listener

    def start(self) -> None:
        """Start the program; :meth:`bind` comes before."""
        assert self._listener is not None
        child = Child(self._spec.name, self._clock)
        self._greeted_before = self._greetings()
        try:
            self._transport = self._spawn(child, self._listener)
        except OSError as error:  # no process, memory or descriptor left for it
            self._died(str(error))
            return
        self._child = child
        child.ended.addCallback(self._ended, child)

    def _spawn(self, child: Child, listener: socket.socket) -> IProcessTransport:
        options = _options_file(self._document)
        environment = _inherited(self._spec.environment)
        environment |= {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "driver", "TXREGISTRY_OPTIONS_FD": "4"}
        environment[ISOLATION] = self._spec.isolation
        command = [*_TRAMPOLINE, *self._command]
        try:
            return self._reactor.spawnProcess(
                child,
                command[0],
                command,
                env=environment,
                path="/",
                uid=self._spec.user,
                gid=self._spec.group,
                childFDs={0: "w", 1: "r", 2: "r", 3: listener.fileno(), 4: options},
            )
        finally:
            os.close(options)

    def _ended(self, reason: str, child: Child) -> None:
        if child in self._hanging:
            self._hanging.remove(child)
            _log.warn("driver {driver} ended at last ({reason})", **self._words(reason))
            if self._transport is None and len(self._hanging) == HANGING_LIMIT - 1:
                self._start_later()
            return
        self._stop_reaping()
        self._died(reason)

    def _died(self, reason: str) -> None:
        self._transport = None
        if self._is_stopping:
            return
        self.deaths += 1
        self._when_died(has_greeted=self._greetings() > self._greeted_before)
        _log.warn("driver {driver} ended ({reason})", **self._words(reason))
        if len(self._hanging) < HANGING_LIMIT:
            self._start_later()
        else:
            _log.error(
                "driver {driver}: {count} of its processes were killed and are not gone, so no"
                " other one is started; look after its disk",
                driver=self._spec.name,
                count=len(self._hanging),
            )

    def _start_later(self) -> None:
        if not self._is_stopping and (self._later is None or not self._later.active()):
            delay = self._pause()
            _log.info(
                "driver {driver} is started again in {delay:.2g} s",
                driver=self._spec.name,
                delay=delay,
            )
            self._later = self._clock.callLater(delay, self.start)

    def _words(self, reason: str) -> dict[str, str]:
        return {"driver": self._spec.name, "reason": reason}

    def terminate(self) -> None:
        """Ask the present run to end; it is started again."""
        self._signal("TERM")

    def kill(self) -> None:
        """End the present run at once; it is started again."""
        self._signal("KILL")
        if self._transport is not None and self._reaping is None:
            self._reaping = self._clock.callLater(REAP_TIMEOUT, self._give_up)

    def _give_up(self) -> None:
        """The present run was killed and is not gone: leave it to the kernel."""
        self._reaping = None
        child = self._child
        if child is None or self._is_stopping:
            return
        self._hanging.add(child)
        child.was_killed = True
        self._died("not even when it was killed: it hangs in the kernel")

    def _stop_reaping(self) -> None:
        reaping, self._reaping = self._reaping, None
        if reaping is not None and reaping.active():
            reaping.cancel()

    def _signal(self, name: str) -> None:
        if self._transport is not None:
            with contextlib.suppress(ProcessExitedAlready):
                self._transport.signalProcess(name)

    async def stop(self) -> None:
        """Ask the driver to end, kill it if it does not, and remove the socket."""
        self._is_stopping = True
        self._stop_reaping()
        if self._later is not None and self._later.active():
            self._later.cancel()
        if self._transport is not None and self._child is not None:
            await self._end(self._child)
        if self._listener is not None:
            self._listener.close()
            self._remove_directory()

    async def _end(self, child: Child) -> None:
        gone: Deferred[None] = Deferred()

        def settle(_: object = None) -> None:
            if not gone.called:
                gone.callback(None)

        self._signal("TERM")
        late = self._clock.callLater(self._end_timeout, self._signal, "KILL")
        too_late = self._clock.callLater(self._end_timeout + REAP_TIMEOUT, settle)
        child.ended.addCallback(settle)
        await gone
        for call in (late, too_late):
            if call.active():
                call.cancel()

    def _remove_directory(self) -> None:
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)


def _make_directory() -> str:
    """A private directory for the socket, whose path may have 107 bytes at most."""
    place = tempfile.gettempdir()
    for wanted in (
        os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0],
        os.environ.get("XDG_RUNTIME_DIR", ""),
    ):
        if wanted and len(os.fsencode(wanted)) < 60 and os.access(wanted, os.W_OK):
            place = wanted
            break
    directory = tempfile.mkdtemp(prefix=_PREFIX, dir=place)
    _sweep(place, os.stat(directory))
    return directory


def _sweep(place: str, fresh: os.stat_result) -> None:
    """Remove our directories whose registry was killed: nobody listens on their sockets any
    more.
    """
    for name in os.listdir(place):
        directory = os.path.join(place, name)
        if not name.startswith(_PREFIX):
            continue
        with contextlib.suppress(OSError):  # somebody else removes it
            status = os.lstat(directory)
            is_old = fresh.st_mtime - status.st_mtime > _SWEEP_AGE  # else it may just be coming up
            if (
                status.st_uid == fresh.st_uid
                and is_old
                and _is_deserted(os.path.join(directory, _SOCKET))
            ):
                shutil.rmtree(directory, ignore_errors=True)


def _is_deserted(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) == errno.ECONNREFUSED


def _document(spec: DriverSpec) -> bytes:
    try:
        return json.dumps(dict(spec.options)).encode()
    except (TypeError, ValueError) as error:
        raise StartError(
            f"the options of storage driver {spec.name!r} can't be written as JSON: {error}"
        ) from error


def _inherited(wanted: Sequence[str]) -> dict[str, str]:
    """Our variables that a driver gets."""
    beginnings = tuple(name for name in wanted if name.endswith("_"))
    return {
        name: value
        for name, value in os.environ.items()
        if name in (*INHERITED, *wanted) or (beginnings and name.startswith(beginnings))
    }


def _options_file(document: bytes) -> int:
    """A sealed memory file with the options, at offset 0; the caller closes it."""
    descriptor = os.memfd_create("driver-options", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, document)
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(
        descriptor,
        fcntl.F_ADD_SEALS,
        fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL,
    )
    return descriptor
