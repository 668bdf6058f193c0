# SPDX-License-Identifier: Apache-2.0
"""How many operations a driver is given at once, and how many may wait for that.

Room: ipc. What makes durable (commits, puts, deletions) may take half of the places only, so that
a look at something small never waits for them all.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred

from txregistry.storage.errors import Unavailable

#: Defaults: more than any driver has threads, and as many requests as the front end takes.
OPERATIONS = 256
QUEUE = 4096


class Gate:
    """Lets ``places`` in at a time; the others wait in their order, at most ``queue`` of them."""

    def __init__(self, places: int, queue: int) -> None:
        self._free = places
        self._queue = queue
        self._waiting: deque[Deferred[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def enter(self) -> None:
        """Wait for a place; whoever got one gives it back by :meth:`leave`.

        Raises:
            Unavailable: too many wait already.
        """
        if self._free:
            self._free -= 1
            return
        if len(self._waiting) >= self._queue:
            raise Unavailable("too many operations wait for the driver")
        waiter: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiter)
        await waiter

    def leave(self) -> None:
        """Give a place back."""
        if self._waiting:
            self._waiting.popleft().callback(None)
        else:
            self._free += 1


class Admission:
    """The places of one driver.

    Attributes:
        refused: operations for which there was no place to wait, since the start.
    """

    def __init__(self, operations: int = OPERATIONS, queue: int = QUEUE) -> None:
        self._all = Gate(operations, queue)
        self._durable = Gate(max(operations // 2, 1), queue)
        self.refused = 0

    @property
    def waiting(self) -> int:
        """Operations that wait for a place."""
        return self._durable.waiting + self._all.waiting

    async def enter(self, *, is_durable: bool) -> None:
        """Wait for a place; whoever got one calls :meth:`leave` with the same argument.

        Raises:
            Unavailable: too many wait already.
        """
        try:
            if is_durable:
                await self._durable.enter()
            await self._enter_all(is_durable=is_durable)
        except Unavailable:
            self.refused += 1
            raise

    async def _enter_all(self, *, is_durable: bool) -> None:
        try:
            await self._all.enter()
        except BaseException:
            if is_durable:
                self._durable.leave()
            raise

    def leave(self, *, is_durable: bool) -> None:
        """Give a place back."""
        self._all.leave()
        if is_durable:
            self._durable.leave()
