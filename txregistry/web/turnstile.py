# SPDX-License-Identifier: Apache-2.0
"""What becomes of a connection over the caps.

Room: web. Must not know why it is one too many.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from txregistry.web.wire import Wire

#: Connections that are told why at a time; others are dropped. Arbitrary: a flood is not worth an
#: answer to each.
MOST = 64

#: Seconds that a refused connection has to read why.
PATIENCE = 2.0


class Turnstile:
    """Turns connections away.

    Args:
        clock: of the patience.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._count = 0

    def turn_away(self, answer: Callable[[], bytes]) -> Protocol:
        """Return what closes one more connection.

        Args:
            answer: makes the answer that it is told, if it is told one.
        """
        self._count += 1
        return _Refuser(answer() if self._count <= MOST else b"", self._clock, self._gone)

    def _gone(self) -> None:
        self._count -= 1


class _Refuser(Protocol):
    """Says why, if there is something to say, and closes the connection."""

    transport: Any

    def __init__(self, told: bytes, clock: Any, gone: Callable[[], None]) -> None:
        self._told = told
        self._clock = clock
        self._gone = gone
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        if not self._told:
            self.transport.abortConnection()
            return
        self._deadline = self._clock.callLater(PATIENCE, self.transport.abortConnection)
        self.transport.write(self._told)
        # With a request unread, closing outright would take our answer back.
        if Wire(self.transport).is_plain:
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._gone()
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
