# SPDX-License-Identifier: Apache-2.0
"""Who waits for a connection to the driver.

Room: process. Each waits for so long at most, is told once, and may leave before.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from txregistry.ipc.link import Link
from txregistry.storage.errors import StorageError, Unavailable


class Waiting:
    """Those who wait, in their order."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiters: list[Deferred[Link]] = []

    def wait(self, patience: float | None) -> Deferred[Link]:
        """Fires with the next connection, or with why there is none.

        Args:
            patience: seconds until it fails; None for no limit.
        """
        waiter: Deferred[Link] = Deferred(lambda _: None)
        self._waiters.append(waiter)
        if patience is not None:
            late = self._clock.callLater(patience, self._give_up, waiter)
            waiter.addBoth(_cancel_and_pass, late)
        return waiter

    def give(self, link: Link) -> None:
        """Here it is; whoever waited goes on at once."""
        for waiter in self._take():
            if not waiter.called:  # else it has left
                waiter.callback(link)

    def refuse(self, refusal: StorageError) -> None:
        """There is none."""
        for waiter in self._take():
            if not waiter.called:
                waiter.errback(refusal)

    def _take(self) -> list[Deferred[Link]]:
        waiters, self._waiters = self._waiters, []
        return waiters

    def _give_up(self, waiter: Deferred[Link]) -> None:
        self._waiters.remove(waiter)  # else it was told, or has left, and this was called off
        waiter.errback(Unavailable("the driver did not come back in time"))


def _cancel_and_pass(result: Any, late: IDelayedCall) -> Any:
    if late.active():
        late.cancel()
    return result
