# SPDX-License-Identifier: Apache-2.0
"""Keeps one connection to a driver, for as long as anybody wants one.

Room: process. Connects, says hello, pings, connects again. It does not care who runs the driver:
``child`` starts one and holds its listening socket, so that a connection made while the driver
restarts simply waits in the backlog.

    CONNECTING --hello--> READY --lost--> CONNECTING
         \\--hello refused--> REFUSED (whoever asks is told why; tried again after RETRY_LIMIT)

What counts against a driver is a connection, or a life, without a greeting. Five in a row open the
breaker: whoever asks is refused at once until a greeting succeeds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IReactorUNIX
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from txregistry.ipc import commands
from txregistry.ipc.link import Answer, Link, NoAnswer
from txregistry.process.status import State
from txregistry.storage.errors import StorageError, Unavailable

#: Seconds that a request waits for a driver that restarts.
PATIENCE = 30.0

#: Seconds between two attempts while nobody listens on the socket, doubled up to the second value.
RETRY = 0.05
RETRY_LIMIT = 5.0

#: Seconds between two pings, and until an unanswered one ends the connection.
PING_INTERVAL = 1.0
PING_TIMEOUT = 8.0

#: Connections without a greeting, in a row, after which nobody waits any more.
FRUITLESS_LIMIT = 5

#: A connection that lived shorter than so many seconds is not followed by the next one at once: a
#: driver that greets and hangs up must not keep this process busy.
SHORT_LIFE = 1.0

_REASONS = {
    State.STARTING: "the driver is starting",
    State.READY: "",
    State.RESTARTING: "the driver is being started again",
    State.BROKEN: "the driver does not come up",
    State.STOPPED: "the driver was stopped",
}

_log = Logger()


class LinkKeeper:
    """``ipc.link.Links`` over a UNIX socket.

    Args:
        path: the socket.
        when_stuck: called when the driver answers neither hello nor pings any more; may kill it.
        patience: seconds that a request waits for the next connection.

    Attributes:
        last_ping: the newest answer to a ping on the present connection; empty before the first.
        last_hello: the newest answer to a hello; empty before the first.
        greetings: how often a driver said hello.
    """

    def __init__(
        self,
        reactor: IReactorUNIX,
        clock: IReactorTime,
        path: str,
        *,
        when_stuck: Callable[[], None] = lambda: None,
        patience: float = PATIENCE,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._path = path
        self._when_stuck = when_stuck
        self._patience = patience
        self._link: Link | None = None
        self._attempt: Link | None = None
        self._is_counted = False
        self._greeted_at = 0.0
        self._waiting: list[Deferred[Link]] = []
        self._later: IDelayedCall | None = None
        self._fruitless = 0
        self._refusal: StorageError | None = None
        self._is_stopped = False
        self.last_ping: Answer = {}
        self.last_hello: Answer = {}
        self.greetings = 0

    # -- how it is

    @property
    def is_breaker_open(self) -> bool:
        """Whoever asks is refused at once."""
        return self._fruitless > FRUITLESS_LIMIT

    @property
    def state(self) -> State:
        """What can be asked of the driver now."""
        if self._is_stopped:
            return State.STOPPED
        if self._link is not None:
            return State.READY
        if self._refusal is not None:
            return State.REFUSED
        if self.is_breaker_open:
            return State.BROKEN
        return State.RESTARTING if self.greetings else State.STARTING

    @property
    def reason(self) -> str:
        """Why it is not ready, one sentence; empty while it is."""
        if self.state is State.REFUSED:
            return f"the driver refused: {self._refusal}"
        return _REASONS[self.state]

    @property
    def retry_in(self) -> float:
        """Seconds until the next attempt to connect; 0 if there is a connection, or one is being
        made.
        """
        if self._link is not None or self._later is None or not self._later.active():
            return 0.0
        return max(self._later.getTime() - self._clock.seconds(), 0.0)

    # -- asking for the link

    async def link(self) -> Link:
        if self._link is not None:
            return self._link
        if self._refusal is not None:
            raise Unavailable(f"the driver refused: {self._refusal}")
        if self._is_stopped or self.is_breaker_open:
            raise Unavailable(self.reason)
        try:
            return await self._next_link(self._patience)
        except Unavailable:
            raise
        except StorageError as refusal:  # of a hello: that of an operation is another matter
            raise Unavailable(f"the driver refused: {refusal}") from refusal

    async def greeted(self) -> Answer:
        """Wait, without limit, for the first answer to a hello.

        Raises:
            StorageError: the driver refused it.
        """
        if self._refusal is not None:
            raise self._refusal
        return (self._link or await self._next_link(None)).hello

    def _next_link(self, patience: float | None) -> Deferred[Link]:
        waiter: Deferred[Link] = Deferred(lambda _: None)
        self._waiting.append(waiter)
        if patience is not None:
            late = self._clock.callLater(patience, self._give_up, waiter)
            waiter.addBoth(_cancel_and_pass, late)
        return waiter

    def _give_up(self, waiter: Deferred[Link]) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            waiter.errback(Unavailable("the driver did not come back in time"))

    def _settle(self, result: Link | StorageError) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if waiter.called:
                continue
            if isinstance(result, Link):
                waiter.callback(result)
            else:
                waiter.errback(result)

    # -- keeping it

    def start(self) -> None:
        """Begin to connect."""
        Deferred.fromCoroutine(self._connect())

    def stop(self) -> None:
        """End the connection and the attempts; whoever waits is refused."""
        self._is_stopped = True
        self._cancel_later()
        for link in (self._link, self._attempt):
            if link is not None:
                link.abort()
        self._settle(Unavailable(self.reason))

    def driver_died(self) -> None:
        """The driver's process ended. If that was before a greeting, it counts, and the connection
        that ends with it does not count once more.
        """
        if self._link is None:
            self._is_counted = True
            self._count_fruitless()

    def _count_fruitless(self) -> None:
        self._fruitless += 1
        if self.is_breaker_open:
            self._settle(Unavailable(_REASONS[State.BROKEN]))

    async def _connect(self) -> None:
        self._is_counted = False
        endpoint = UNIXClientEndpoint(self._reactor, self._path)
        factory = Factory.forProtocol(lambda: Link(self._clock, self._lost))
        factory.noisy = False
        try:
            link = await endpoint.connect(factory)
        except (ConnectError, OSError):
            self._failed()
            return
        try:
            await self._greet(link)
        except Unavailable as error:
            if isinstance(error, NoAnswer):
                self._when_stuck()
            link.abort()
            self._failed()
        except StorageError as refusal:
            link.abort()
            self._refusal = refusal
            self._retry(RETRY_LIMIT)
            self._settle(refusal)
        else:
            self._ready(link)

    async def _greet(self, link: Link) -> None:
        self._attempt = link
        if self._is_stopped:
            link.abort()
        try:
            await link.greet()
        finally:
            self._attempt = None

    def _failed(self) -> None:
        self._retry(min(RETRY * 2 ** min(self._fruitless, 10), RETRY_LIMIT))
        if not self._is_counted:
            self._count_fruitless()

    def _ready(self, link: Link) -> None:
        self._refusal = None
        self._fruitless = 0
        self._greeted_at = self._clock.seconds()
        self.greetings += 1
        self.last_hello = link.hello
        self._link = link
        self._ping_later(link)
        self._settle(link)  # last: whoever waited goes on at once, and may stop all this

    def _retry(self, delay: float) -> None:
        if not self._is_stopped:
            self._later = self._clock.callLater(delay, self.start)

    def _lost(self, link: Link) -> None:
        if link is not self._link:
            return
        self._link = None
        self.last_ping = {}
        self._cancel_later()
        if self._clock.seconds() - self._greeted_at < SHORT_LIFE:
            self._retry(RETRY)
        elif not self._is_stopped:
            self.start()

    def _cancel_later(self) -> None:
        if self._later is not None and self._later.active():
            self._later.cancel()

    # -- liveness

    def _ping_later(self, link: Link) -> None:
        self._later = self._clock.callLater(
            PING_INTERVAL, lambda: Deferred.fromCoroutine(self._ping(link))
        )

    async def _ping(self, link: Link) -> None:
        try:
            self.last_ping = await link.call(commands.Ping, timeout=PING_TIMEOUT)
        except StorageError as error:
            if not link.is_lost:
                _log.warn(
                    "the driver does not answer a ping ({error}): its connection is ended",
                    error=str(error),
                )
                self._when_stuck()
                link.abort()
        else:
            self._ping_later(link)


def _cancel_and_pass(result: Any, late: IDelayedCall) -> Any:
    if late.active():
        late.cancel()
    return result
