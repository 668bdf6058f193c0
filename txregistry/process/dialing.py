# SPDX-License-Identifier: Apache-2.0
"""Makes connections to a driver's socket, and says hello on them.

Room: process. Which of them is used, and when the next one is made, is ``keeper``'s business.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IReactorUNIX
from twisted.internet.protocol import Factory

from txregistry.ipc import commands
from txregistry.ipc.link import Link
from txregistry.ipc.serving import UNREACHABLE
from txregistry.storage.errors import Unavailable

#: Seconds between two attempts while nobody listens on the socket, doubled up to the second value: a
#: connection to a UNIX socket costs next to nothing, and whoever runs the driver has just started it.
RETRY = 0.05
DIAL_LIMIT = 1.0

#: Doublings of it: past these the limit is reached.
_DOUBLINGS = 10


class Absence:
    """How long nobody has listened. Pure: it is told what happens and when."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._dials = 0

    def over(self) -> None:
        """Somebody listens."""
        self._since = None

    def dialed(self, now: float) -> float:
        """Somebody else runs the driver, and does not at the moment; returns for how many seconds
        that has been so.
        """
        if self._since is None:
            self._since, self._dials = now, 0
        self._dials += 1
        return now - self._since

    def pause(self) -> float:
        """Seconds until the next attempt."""
        return min(RETRY * 2.0 ** min(self._dials, _DOUBLINGS), DIAL_LIMIT)


class Dialer:
    """Connects to one driver.

    Args:
        new_link: makes the protocol of each connection.
        patience: seconds for the answer to a hello.
    """

    def __init__(
        self, reactor: IReactorUNIX, new_link: Callable[[], Link], patience: float
    ) -> None:
        self._reactor = reactor
        self._factory = Factory.forProtocol(new_link)
        self._factory.noisy = False
        self._patience = patience
        self._greeting: set[Link] = set()
        self._is_stopped = False

    async def dial(self, path: str) -> Link:
        """Connect.

        Raises:
            ConnectError, OSError: nobody listens.
        """
        link: Link = await UNIXClientEndpoint(self._reactor, path).connect(self._factory)
        return link

    async def greet(self, link: Link) -> None:
        """Say hello and wait for the answer; as ``Link.greet``, also in what it raises."""
        self._greeting.add(link)
        if self._is_stopped:
            link.abort()
        try:
            await link.greet(self._patience)
        finally:
            self._greeting.discard(link)

    async def successor(self, path: str) -> Link:
        """Connect to a driver that can do more than say hello.

        Raises:
            ConnectError, OSError: nobody listens.
            StorageError: it refuses, or has not reached its storage, which the one in use has.
        """
        link = await self.dial(path)
        try:
            await self.greet(link)
            pong = await link.call(commands.Ping, timeout=self._patience)
            if pong["state"] == UNREACHABLE:
                raise Unavailable("the successor can't reach the storage")
        except BaseException:
            link.abort()
            raise
        return link

    def stop(self) -> None:
        """End the connections that wait for a hello, and those that still come; repeatable."""
        self._is_stopped = True
        for link in tuple(self._greeting):
            link.abort()
