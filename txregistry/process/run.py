# SPDX-License-Identifier: Apache-2.0
"""One run of a driver's program, from its start to its end.

Room: process. Its lines go to our log (``words``); it can be asked to end and be killed, and one that
hangs in the kernel is not waited for.
"""

from __future__ import annotations

import contextlib
import os
import socket

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import (
    IDelayedCall,
    IProcessTransport,
    IReactorProcess,
    IReactorTime,
)
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from txregistry.process import inheritance
from txregistry.process.endings import how_it_ended
from txregistry.process.spec import DriverSpec
from txregistry.process.words import Words

#: Seconds after a kill for which its end is waited for. A process that is not gone by then hangs in
#: the kernel (a dead disk or mount), and another one takes its place.
REAP_TIMEOUT = 5.0

#: Seconds for which the output of a process that is gone is waited for: whatever it has started may
#: hold its pipes open for ever.
LAST_WORDS_TIMEOUT = 1.0

#: The shell sets LISTEN_PID to what becomes the driver's own process id, which is not known before
#: the fork. What it ignores stays ignored. The empty line tells that it runs.
_TRAMPOLINE = (
    "/bin/sh",
    "-c",
    "echo; trap '' INT; LISTEN_PID=$$; export LISTEN_PID; exec \"$@\"",
    "sh",
)


class Run(ProcessProtocol):
    """A process of the driver's program.

    Between fork and exec the process is a copy of this one, with our own answers to signals, and
    what it is asked then it forgets at the exec. So nothing is asked of it before it has written
    its first byte; to kill it works at any time.

        FORKED --first byte--> BEGUN --exit--> OVER

    Args:
        name: of the driver, for the log.
        listener: the socket that it is given.

    Attributes:
        was_killed: a signal ended it.
        ended: fires with how it ended, in words, once it is gone and its last lines are here.
        is_over: that has happened.
    """

    def __init__(self, name: str, listener: socket.socket, clock: IReactorTime) -> None:
        self._clock = clock
        self._words = Words(name, clock)
        self._late: IDelayedCall | None = None
        self._process: IProcessTransport | None = None
        self._has_begun = False
        self._is_asked = False
        self.listener = listener
        self.was_killed = False
        self.is_over = False
        self.ended: Deferred[str] = Deferred()

    def start(
        self, reactor: IReactorProcess, spec: DriverSpec, command: tuple[str, ...], document: bytes
    ) -> None:
        """Start the process.

        Raises:
            OSError: no process, memory or descriptor is left for it.
        """
        options = inheritance.options_file(document)
        try:
            self._process = reactor.spawnProcess(
                self,
                _TRAMPOLINE[0],
                [*_TRAMPOLINE, *command],
                env=inheritance.environment(spec),
                path="/",
                uid=spec.user,
                gid=spec.group,
                childFDs={
                    **{0: "w", 1: "r", 2: "r"},
                    inheritance.SOCKET_FD: self.listener.fileno(),
                    inheritance.OPTIONS_FD: options,
                },
            )
        finally:
            os.close(options)

    @property
    def last_words(self) -> str:
        """The newest line that it wrote; empty before the first."""
        return self._words.last[-1] if self._words.last else ""

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def ask_to_end(self) -> None:
        """Send it SIGTERM, as soon as that is heard."""
        if self._has_begun:
            self._signal("TERM")
        else:
            self._is_asked = True

    def kill(self) -> None:
        """Send it SIGKILL."""
        self._signal("KILL")

    def _signal(self, name: str) -> None:
        if self._process is not None and not self.is_over:
            with contextlib.suppress(ProcessExitedAlready):
                self._process.signalProcess(name)

    async def end(self, timeout: float) -> None:
        """Ask it to end, kill it after ``timeout`` seconds, and wait for that a little."""
        if self.is_over:
            return
        gone: Deferred[None] = Deferred()

        def settle(_: object = None) -> None:
            if not gone.called:
                gone.callback(None)

        self.ask_to_end()
        late = self._clock.callLater(timeout, self.kill)
        too_late = self._clock.callLater(timeout + REAP_TIMEOUT, settle)
        self.ended.addBoth(_and_pass, settle)
        await gone
        for call in (late, too_late):
            if call.active():
                call.cancel()

    # -- what Twisted tells

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self._begin()
        self._words.take(childFD, data)

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            if self._is_asked:
                self.ask_to_end()

    def processExited(self, reason: Failure) -> None:
        assert self.transport is not None
        self._late = self._clock.callLater(LAST_WORDS_TIMEOUT, self.transport.loseConnection)

    def processEnded(self, reason: Failure) -> None:
        if self._late is not None and self._late.active():
            self._late.cancel()
        self._words.end()
        self.was_killed = getattr(reason.value, "signal", None) is not None
        self.is_over = True
        self.ended.callback(how_it_ended(reason.value))


def _and_pass(result: str, tell: object) -> str:
    assert callable(tell)
    tell()
    return result
