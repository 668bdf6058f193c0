# SPDX-License-Identifier: Apache-2.0
"""What all connections of one driver share.

Room: ipc. Must not know commands: ``responder`` answers them.
"""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorFDSet, IReactorTime

from txregistry.ipc.commands import LOCAL_CONDITIONS, VOLATILE
from txregistry.storage.contract import Driver
from txregistry.storage.errors import StorageError

#: The state of a storage whose backend the driver has not reached yet.
UNREACHABLE = "unreachable"


@define(eq=False)
class Serving:
    """What all connections of one driver share.

    Attributes:
        driver: answers; or the refusal that everything gets instead: that its options are no good,
            or, for the time being, that its backend can't be reached.
        name, version: for Hello.
        isolation: the level reached, for Hello.
    """

    driver: Driver | StorageError
    name: str
    version: str
    reactor: IReactorFDSet
    clock: IReactorTime
    isolation: str = "none"
    bytes_moved: int = 0
    started: dict[int, float] = field(factory=dict)
    _next: int = 0
    _closings: set[Deferred[None]] = field(factory=set)

    def check(self) -> None:
        """Refuse to say hello for a driver that will never be of use.

        Raises:
            StorageError: why. What may pass is refused to each operation instead, so that the
                registry can start and wait for it.
        """
        if isinstance(self.driver, StorageError) and not self.driver.is_retryable:
            raise self.driver.with_traceback(None)

    def features(self) -> list[str]:
        """What Hello says that the driver can do besides what it must, or can't do."""
        features = ["get-several", "records"]
        if getattr(self.driver, "has_redirects", True):
            features.append("redirects")
        if getattr(self.driver, "has_local_conditions", False):
            features.append(LOCAL_CONDITIONS)
        if getattr(self.driver, "is_volatile", False):
            features.append(VOLATILE)
        return features

    def storage_state(self) -> str | None:
        """What a ping tells of the storage; None if the driver does not say."""
        if isinstance(self.driver, StorageError):
            return UNREACHABLE
        return getattr(self.driver, "state", None)

    def begin(self) -> int:
        """Note an operation; returns its number for :meth:`end`."""
        self._next += 1
        self.started[self._next] = self.clock.seconds()
        return self._next

    def end(self, number: int) -> None:
        del self.started[number]

    def track(self, closing: Deferred[None]) -> None:
        """Keep a writer's end, which nobody waits for, until it is done."""
        self._closings.add(closing)
        closing.addBoth(lambda _: self._closings.discard(closing))

    def settled(self) -> Deferred[list[tuple[bool, None]]]:
        """Fires when every writer without a connection has stored what it had."""
        return DeferredList(list(self._closings), consumeErrors=True)

    def oldest_ms(self) -> int:
        """Age of the oldest operation, in milliseconds."""
        if not self.started:
            return 0
        return int(1000 * (self.clock.seconds() - min(self.started.values())))
