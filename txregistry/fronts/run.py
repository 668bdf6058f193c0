# SPDX-License-Identifier: Apache-2.0
"""One process of a front end, from its start to its end.

Room: fronts.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.python.failure import Failure

from txregistry.fronts.assignment import (
    ASSIGNMENT_FD,
    CHANNEL_FD,
    FIRST_SOCKET_FD,
    Assignment,
    Entry,
)
from txregistry.fronts.channel import Channel, Hears
from txregistry.process.endings import how_it_ended
from txregistry.process.inheritance import inherited as inherited_variables
from txregistry.process.inheritance import options_file

#: Takes a line that a front end has written, without its end.
Outlet: TypeAlias = Callable[[bytes], None]

#: Variables that a front end inherits beside the harmless ones: by these clients of a network find
#: their way. REGISTRY_* and the vendors' own hold secrets of drivers.
ENVIRONMENT = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_RUNTIME_DIR", "RUNTIME_DIRECTORY", "OTEL_"),
)

#: The program; the number behind it is for people who look at a list of processes.
COMMAND = (sys.executable, "-I", "-m", "txregistry.front_end")

_LINE_LIMIT = 256 * 1024


class FrontRun(ProcessProtocol):
    """A process that serves.

    Args:
        hears: is told each word that it says.
        outlet: takes its lines; None: it writes to where this process does.

    Attributes:
        channel: to it.
        ended: fires with the reason, in words, once it is gone.
    """

    def __init__(self, hears: Hears, outlet: Outlet | None) -> None:
        self._outlet = outlet
        self._partial = {1: b"", 2: b""}
        self._process: IProcessTransport | None = None
        self._is_over = False
        self.channel = Channel(hears, lambda: None)
        self.ended: Deferred[str] = Deferred()

    def start(self, reactor: Any, assignment: Assignment, command: Sequence[str]) -> None:
        """Start the process.

        Raises:
            OSError: no process, memory or descriptor is left for it.
        """
        descriptors = [entry.descriptor for entry in assignment.entries]
        inherited = tuple(
            Entry(FIRST_SOCKET_FD + index, entry.name)
            for index, entry in enumerate(assignment.entries)
        )
        written = attrs.evolve(assignment, entries=inherited).written()
        ours, theirs = socket.socketpair()
        with ours, theirs, open(os.devnull, "rb") as nothing:
            document = options_file(written)
            try:
                self._process = reactor.spawnProcess(
                    self,
                    command[0],
                    [*command, str(assignment.number)],
                    env=inherited_variables(ENVIRONMENT),
                    childFDs={
                        0: nothing.fileno(),
                        1: 1 if self._outlet is None else "r",
                        2: 2 if self._outlet is None else "r",
                        CHANNEL_FD: theirs.fileno(),
                        ASSIGNMENT_FD: document,
                        **{FIRST_SOCKET_FD + index: fd for index, fd in enumerate(descriptors)},
                    },
                )
            finally:
                os.close(document)
            ours.setblocking(False)
            factory = Factory.forProtocol(lambda: self.channel)
            factory.noisy = False
            reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, factory)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and not self._is_over else None

    def signal(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        if self._process is not None and not self._is_over:
            with contextlib.suppress(ProcessExitedAlready):
                self._process.signalProcess(number)

    # -- what Twisted tells

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        assert self._outlet is not None
        *lines, partial = (self._partial[childFD] + data).split(b"\n")
        if len(partial) > _LINE_LIMIT:
            lines.append(partial)
            partial = b""
        self._partial[childFD] = partial
        for line in lines:
            self._outlet(line)

    def processExited(self, reason: Failure) -> None:
        self._is_over = True
        self.channel.close()
        self.ended.callback(how_it_ended(reason.value))

    def processEnded(self, reason: Failure) -> None:
        if self._outlet is not None:
            for partial in filter(None, self._partial.values()):
                self._outlet(partial)
