# SPDX-License-Identifier: Apache-2.0
"""Takes connections from a listening socket that belongs to somebody else.

Room: process. Twisted's own port won't do for a socket that was handed over: when it ends it
removes the path, so that nobody would find the next run of the driver, and when it begins it opens
the path to everybody and cuts the backlog to 50.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

#: Connections taken in one turn of the reactor; the others wait for the next one.
_AT_ONCE = 100

#: Seconds until the next try when no descriptor was left.
PAUSE = 1.0

_log = Logger()


@implementer(IReadDescriptor)
class Acceptor:
    """Gives each connection to a factory's protocol.

    Args:
        reactor: IReactorFDSet, IReactorSocket and IReactorTime.
        listener: bound and listening; owned from here on, its path is not.
    """

    def __init__(self, reactor: Any, listener: socket.socket, factory: Factory[Any]) -> None:
        self._reactor = reactor
        self._listener: socket.socket | None = listener
        self._factory = factory
        self._later: IDelayedCall | None = None

    def start(self) -> None:
        """Begin to accept."""
        assert self._listener is not None
        self._listener.setblocking(False)  # the other holders of the socket see this too
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Accept no more; what waits in the backlog waits for the next run. Repeatable."""
        if self._later is not None and self._later.active():
            self._later.cancel()
        if self._listener is not None:
            self._reactor.removeReader(self)
            self._listener.close()
            self._listener = None

    def fileno(self) -> int:
        return self._listener.fileno() if self._listener is not None else -1

    def logPrefix(self) -> str:
        return "acceptor"

    def doRead(self) -> None:
        for _ in range(_AT_ONCE):
            if self._listener is None:
                return
            try:
                connection, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._pause(error)
                return
            self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        with connection:
            connection.setblocking(False)
            try:
                self._reactor.adoptStreamConnection(
                    connection.fileno(), socket.AF_UNIX, self._factory
                )
            except OSError as error:  # no descriptor for it, or it is over already
                _log.warn("a connection was dropped: {error}", error=str(error))

    def _pause(self, error: OSError) -> None:
        if error.errno == errno.ECONNABORTED:
            return
        _log.error(
            "no connection can be accepted for {pause:g} s: {error}", pause=PAUSE, error=str(error)
        )
        self._reactor.removeReader(self)
        self._later = self._reactor.callLater(PAUSE, self._reactor.addReader, self)

    def connectionLost(self, reason: Failure) -> None:
        self.stop()
