# SPDX-License-Identifier: Apache-2.0
"""Issues one operation until it is answered, its deadline has passed, or it is poison.

Room: ipc. An operation that was in flight when the driver died may be what it died of. From its
second death on it is issued again only while no other such suspect is, so that the guilty one dies
alone and the others get their answers; at the limit it is given up. What was given up once is
issued a single time when somebody asks for it again, until it is answered.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import frozen
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txregistry.ipc.admission import Admission
from txregistry.ipc.link import Link, LinkLost, Links
from txregistry.storage.errors import StorageError, Unavailable

T = TypeVar("T")

#: Deaths in flight at which an operation is given up, unless it is configured.
POISON_DEATHS = 5

#: Deaths in flight from which on an operation is a suspect.
SUSPECT_DEATHS = 2

#: Operations that were given up and are remembered. Arbitrary.
_REMEMBERED = 1000

#: Seconds after which a client may ask again for what was given up.
_MUCH_LATER = 30.0

_log = Logger()


class GivenUp(Unavailable):
    """The operation was in flight at too many deaths of the driver."""


class Repeated(StorageError):
    """A refusal of an attempt that was not the first: the first one may be its reason."""

    def __init__(self, refusal: StorageError) -> None:
        super().__init__(refusal.message, path=refusal.path)
        self.refusal = refusal


@frozen
class Operation:
    """What is asked, for the log and to know it again.

    Attributes:
        name: of the command.
        path: what it is about.
        timeout: seconds until its deadline.
        is_durable: it ends with a sync.
        deaths: at which it is given up; None for the configured number.
    """

    name: str
    path: str
    timeout: float
    is_durable: bool = False
    deaths: int | None = None

    @property
    def fingerprint(self) -> str:
        """The same for the same command on the same path."""
        return hashlib.sha256(f"{self.name} {self.path}".encode()).hexdigest()[:12]


class Attempts:
    """Issues operations over whatever link there is.

    Args:
        poison_deaths: in flight at so many deaths, an operation is given up.

    Attributes:
        given_up: operations that were poison, since the start.
        admission: the driver's places.
    """

    def __init__(
        self, links: Links, clock: IReactorTime, poison_deaths: int, admission: Admission
    ) -> None:
        self._links = links
        self._clock = clock
        self.poison_deaths = poison_deaths
        self._suspects = DeferredLock()
        self._poison: OrderedDict[str, None] = OrderedDict()
        self.admission = admission
        self.given_up = 0

    async def issue(
        self, operation: Operation, attempt: Callable[[Link, float], Awaitable[T]]
    ) -> T:
        """Make attempts, each of which is given the link and the seconds that are left; a wait for
        a place counts.

        Raises:
            Repeated: refused, after an earlier attempt that may have been carried out.
            GivenUp: it is poison.
            StorageError: refused at the first attempt, or Unavailable.
        """
        deadline = self._clock.seconds() + operation.timeout
        await self.admission.enter(is_durable=operation.is_durable)
        try:
            return await self._until_answered(operation, deadline, attempt)
        finally:
            self.admission.leave(is_durable=operation.is_durable)

    async def _until_answered(
        self,
        operation: Operation,
        deadline: float,
        attempt: Callable[[Link, float], Awaitable[T]],
    ) -> T:
        is_poison = bool(self._poison) and operation.fingerprint in self._poison
        limit = 1 if is_poison else operation.deaths or self.poison_deaths
        deaths = 0
        while True:
            try:
                if is_poison or deaths >= SUSPECT_DEATHS:
                    answer = await self._alone(deadline, attempt)
                else:
                    answer = await self._once(deadline, attempt)
            except LinkLost as lost:
                deaths += lost.was_in_flight
                if deaths >= limit:
                    raise self._refused(operation, deaths) from lost
            except StorageError as refusal:
                if deaths and not isinstance(refusal, Unavailable):
                    raise Repeated(refusal) from refusal
                raise
            else:
                if is_poison:
                    self._poison.pop(operation.fingerprint, None)
                return answer

    async def _once(self, deadline: float, attempt: Callable[[Link, float], Awaitable[T]]) -> T:
        link = await self._links.link()
        left = deadline - self._clock.seconds()
        if left <= 0:
            raise Unavailable("the driver did not come back before the operation's deadline")
        return await attempt(link, left)

    async def _alone(self, deadline: float, attempt: Callable[[Link, float], Awaitable[T]]) -> T:
        await self._suspects.acquire()
        try:
            return await self._once(deadline, attempt)
        finally:
            self._suspects.release()

    def _refused(self, operation: Operation, deaths: int) -> GivenUp:
        if operation.deaths is not None:  # it will be tried in another way
            return GivenUp("the driver ended again and again", path=operation.path)
        self._poison[operation.fingerprint] = None
        if len(self._poison) > _REMEMBERED:
            self._poison.popitem(last=False)
        return self.give_up(operation, deaths)

    def give_up(self, operation: Operation, deaths: int) -> GivenUp:
        """Note an operation that is not tried any more; returns what its caller is told."""
        self.given_up += 1
        _log.error(
            "{operation} of {path} was in flight at {deaths} deaths of the driver and is given up"
            " (fingerprint {fingerprint})",
            operation=operation.name,
            path=operation.path,
            deaths=deaths,
            fingerprint=operation.fingerprint,
        )
        return GivenUp(
            f"the driver ended {deaths} times during this operation",
            path=operation.path,
            retry_after=_MUCH_LATER,
        )
