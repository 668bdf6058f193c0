# SPDX-License-Identifier: Apache-2.0
"""Keeps one connection to a driver, for as long as anybody wants one.

Room: process. Connects, says hello, watches, connects again. It does not care who runs the driver:
``child`` starts one and holds its listening socket, so that a connection made while the driver
restarts simply waits in the backlog.

    CONNECTING --hello--> READY --lost--> CONNECTING
         \\--hello refused--> REFUSED (whoever asks is told why; tried again after RETRY_LIMIT)

While the breaker is open whoever asks is refused at once, with the seconds after which that may be
over; a hello closes it only with the answer to a probe behind it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IReactorUNIX
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from txregistry.ipc import commands
from txregistry.ipc.link import Answer, Link, NoAnswer
from txregistry.ipc.serving import UNREACHABLE
from txregistry.process.breaker import Breaker
from txregistry.process.pulse import Pulse
from txregistry.process.status import State
from txregistry.process.supervision import Supervision
from txregistry.process.waiting import Waiting
from txregistry.storage.errors import StorageError, Unavailable

#: Seconds between two attempts while nobody listens on the socket, doubled up to the second value: a
#: connection to a UNIX socket costs next to nothing, and whoever runs the driver has just started it.
RETRY = 0.05
DIAL_LIMIT = 1.0

#: Seconds until a driver that refused its options, or answers too little, is asked again.
RETRY_LIMIT = 5.0

#: A connection that lived shorter than so many seconds is not followed by the next one at once: a
#: driver that greets and hangs up must not keep this process busy.
SHORT_LIFE = 1.0

#: Seconds that a client is told to wait, at least and at most.
_LATER = (1.0, 30.0)

_REASONS = {
    State.STARTING: "the driver is starting",
    State.READY: "",
    State.UNRESPONSIVE: "the driver does not answer",
    State.RESTARTING: "the driver is being started again",
    State.BROKEN: "the driver does not come up, or answers nothing",
    State.STOPPED: "the driver was stopped",
}

_log = Logger()


def _do_nothing() -> None:
    """For a driver that is not ours."""


class LinkKeeper:
    """``ipc.link.Links`` over a UNIX socket.

    Args:
        path: the socket.
        policy: every limit.
        check_path: called before each connection; raises OSError while the path leads elsewhere.
        ask_to_end, kill: end the driver's process, where it is ours.
        rest_limit: seconds between a connection that came to nothing and the next, at most; the
            policy's where the process is ours, which rests as long.
        jitter: draws a pause between two bounds, seconds.

    Attributes:
        breaker: whether requests may wait, and how long the driver rests.
        last_hello: the newest answer to a hello; empty before the first.
        greetings: how often a driver said hello.
        when_answered: told of commands that were answered (``ipc.link.Link``); may be set.
        when_pinged: told of the connection with each answer to a ping on it.
    """

    def __init__(
        self,
        reactor: IReactorUNIX,
        clock: IReactorTime,
        path: str,
        policy: Supervision,
        *,
        check_path: Callable[[], None] = _do_nothing,
        ask_to_end: Callable[[], None] = _do_nothing,
        kill: Callable[[], None] = _do_nothing,
        rest_limit: float = math.inf,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._path = path
        self._check_path = check_path
        self._policy = policy
        self._ask_to_end = ask_to_end
        self._kill = kill
        self._rest_limit = rest_limit
        self.breaker = Breaker(policy, jitter)
        self._link: Link | None = None
        self._attempts: set[Link] = set()
        self._pulse: Pulse | None = None
        self._stalled_since: float | None = None
        self._is_counted = False
        self._has_counted = False
        self._is_probing = False
        self._greeted_at = 0.0
        self._absent_since: float | None = None
        self._dials = 0
        self._waiting = Waiting(clock)
        self._later: IDelayedCall | None = None
        self._refusal: StorageError | None = None
        self._is_stopped = False
        self.last_hello: Answer = {}
        self.greetings = 0
        self.when_answered: Callable[[str, float], None] | None = None
        self.when_pinged: Callable[[Link, Answer], None] = lambda link, pong: None

    # -- how it is

    @property
    def last_ping(self) -> Answer:
        """The newest answer to a ping on the present connection; empty before the first."""
        return self._pulse.pong if self._pulse is not None else {}

    @property
    def round_trip(self) -> float:
        """Seconds from its question to that answer; 0 before the first."""
        return self._pulse.round_trip if self._pulse is not None else 0.0

    @property
    def answered(self) -> int:
        """Operations that the driver answered on the present connection."""
        return 0 if self._link is None else self._link.answered

    @property
    def state(self) -> State:
        """What can be asked of the driver now."""
        if self._is_stopped:
            return State.STOPPED
        if self._refusal is not None:
            return State.REFUSED
        if self.breaker.is_open:
            return State.BROKEN
        if self._pulse is not None:
            return State.UNRESPONSIVE if self._pulse.is_quiet else State.READY
        return State.RESTARTING if self.greetings else State.STARTING

    @property
    def reason(self) -> str:
        """Why it is not ready, one sentence; empty while it is."""
        if self.state is State.REFUSED:
            return f"the driver refused: {self._refusal}"
        return _REASONS[self.state]

    @property
    def retry_in(self) -> float:
        """Seconds until the next attempt to connect, or to probe; 0 if none is waited for."""
        if self._later is None or not self._later.active():
            return 0.0
        return max(self._later.getTime() - self._clock.seconds(), 0.0)

    # -- asking for the link

    async def link(self) -> Link:
        state = self.state
        if state is State.READY and self._link is not None:
            return self._link
        if state in (State.REFUSED, State.BROKEN, State.STOPPED):
            raise self._not_now()
        try:
            return await self._waiting.wait(self._policy.patience)
        except Unavailable:
            raise
        except StorageError as refusal:  # of a hello: that of an operation is another matter
            raise Unavailable(f"the driver refused: {refusal}") from refusal

    async def greeted(self) -> Answer:
        """Wait, without limit, for the first answer to a hello.

        Raises:
            StorageError: the driver refused it, or does not come up.
        """
        if self._refusal is not None:
            raise self._refusal
        return (self._link or await self._waiting.wait(None)).hello

    def _not_now(self) -> Unavailable:
        least, most = _LATER
        return Unavailable(self.reason, retry_after=min(max(self.retry_in, least), most))

    def _settle(self) -> None:
        """Tell whoever waits what became of it, if that is sure."""
        state = self.state
        if state is State.READY and self._link is not None:
            self._waiting.give(self._link)
        elif state in (State.REFUSED, State.BROKEN, State.STOPPED):
            self._waiting.refuse(self._not_now())

    # -- keeping it

    def start(self) -> None:
        """Begin to connect."""
        Deferred.fromCoroutine(self._connect())

    def stop(self) -> None:
        """End the connection and the attempts; whoever waits is refused."""
        self._is_stopped = True
        self._cancel_later()
        for link in (self._link, *self._attempts):
            if link is not None:
                link.abort()
        self._settle()

    def driver_died(self, *, has_greeted: bool) -> None:
        """The driver's process ended; whichever of this and the end of its connection is noticed
        first, it counts once.

        Args:
            has_greeted: that run of it had said hello.
        """
        had_counted, self._has_counted = self._has_counted, False
        self._stalled_since = None
        if self._pulse is not None:
            self._pulse.stalled_since = None
        if self._link is not None:
            self._judge(self._link)
        elif not has_greeted:
            self._is_counted = True
            if not had_counted:
                self._failed()

    async def _connect(self) -> None:
        self._is_counted = False
        try:
            self._check_path()
            link = await self._dial(self._path)
        except (ConnectError, OSError):
            self._nobody_listens()
            return
        self._absent_since = None
        try:
            await self._greet(link)
        except Unavailable as error:
            if isinstance(error, NoAnswer):
                self._kill()
            link.abort()
            if not self._is_counted:
                self._has_counted = True
                self._failed()
            self._retry(max(RETRY, self._rest()))
        except StorageError as refusal:
            link.abort()
            self._refusal = refusal
            self._retry(RETRY_LIMIT)
            self._waiting.refuse(refusal)  # the driver's own words
        else:
            self._ready(link)
            _log.info(
                "storage driver {name} {version} is ready{again}; isolation: {isolation}",
                name=link.hello["name"],
                version=link.hello["version"],
                again=" again" if self.greetings > 1 else "",
                isolation=link.hello["isolation"] or "none",
            )

    async def _dial(self, path: str) -> Link:
        """Connect.

        Raises:
            ConnectError, OSError: nobody listens.
        """
        endpoint = UNIXClientEndpoint(self._reactor, path)
        factory = Factory.forProtocol(
            lambda: Link(
                self._clock,
                self._lost,
                when_settled=self._settled,
                when_answered=self._tell_answered,
            )
        )
        factory.noisy = False
        link: Link = await endpoint.connect(factory)
        return link

    def _nobody_listens(self) -> None:
        """Somebody else runs the driver, and does not at the moment."""
        now = self._clock.seconds()
        if self._absent_since is None:
            self._absent_since, self._dials = now, 0
        self._dials += 1
        if now - self._absent_since >= self._policy.patience:
            self.breaker.open()
        self._retry(min(RETRY * 2.0 ** min(self._dials, 10), DIAL_LIMIT))
        self._settle()

    async def _greet(self, link: Link) -> None:
        self._attempts.add(link)
        if self._is_stopped:
            link.abort()
        try:
            await link.greet(self._policy.start_timeout)
        finally:
            self._attempts.discard(link)

    def _failed(self) -> None:
        was_open = self.breaker.is_open
        self.breaker.failed(self._clock.seconds())
        if self.breaker.is_open and not was_open:
            _log.error("the driver gets nowhere: requests that need it are refused")
        self._settle()

    def _ready(self, link: Link) -> None:
        self._refusal = None
        self._greeted_at = self._clock.seconds()
        self.greetings += 1
        self.last_hello = link.hello
        self._link = link
        self._pulse = Pulse(
            link,
            self._clock,
            self._policy,
            when_changed=self._settle,
            ask_to_end=self._ask_to_end,
            kill=self._kill,
            stalled_since=self._stalled_since,
            when_pinged=self.when_pinged,
        )
        self._stalled_since = None
        self._pulse.start()
        if self.breaker.is_open:
            self._probe(link)
        self._settle()  # last: whoever waited goes on at once, and may stop all this

    def _rest(self) -> float:
        return min(self.breaker.pause(), self._rest_limit)

    def _retry(self, delay: float) -> None:
        if not self._is_stopped:
            self._later = self._clock.callLater(delay, self.start)

    def _lost(self, link: Link) -> None:
        if link is not self._link:
            return
        self._judge(link)
        self._link = None
        if not self._is_stopped:
            _log.info("the connection to the driver has ended, and is made again")
        self._is_probing = False
        assert self._pulse is not None  # it comes and goes with the connection
        self._pulse.stop()
        self._stalled_since = self._pulse.stalled_since
        self._pulse = None
        self._cancel_later()
        is_short = self._clock.seconds() - self._greeted_at < SHORT_LIFE
        delay = max(RETRY if is_short else 0.0, self._rest())
        if delay:
            self._retry(delay)
        elif not self._is_stopped:
            self.start()

    def _judge(self, link: Link) -> None:
        """A life is over, or its connection: it counts if it came to nothing."""
        if not self._is_counted and link.is_fruitless:
            self._is_counted = True
            self._failed()

    def _cancel_later(self) -> None:
        if self._later is not None and self._later.active():
            self._later.cancel()

    def _tell_answered(self, name: str, seconds: float) -> None:
        if self.when_answered is not None:
            self.when_answered(name, seconds)

    # -- changing over

    async def change_over(self, path: str) -> Link:
        """Connect to another run of the driver, and once it has said hello and reached its storage
        give it all new work.

        Returns:
            The connection that it replaces, retired: what is under way on it is finished there,
            and it is the caller's to end.

        Raises:
            ConnectError, OSError, StorageError: everything is as it was.
        """
        before = self._link
        link = await self._dial(path)
        try:
            await self._greet(link)
            await self._check_storage(link)
            if before is None or self._link is not before or self._is_stopped:
                raise Unavailable("the driver ended before it was replaced")
        except BaseException:
            link.abort()
            raise
        assert self._pulse is not None  # that of the one before
        self._pulse.stop()
        self._cancel_later()  # a probe of the one before
        self._is_counted = self._has_counted = self._is_probing = False
        self._ready(link)
        before.retire()
        return before

    async def _check_storage(self, link: Link) -> None:
        """Make sure that a driver can do more than say hello.

        Raises:
            StorageError: it has not reached its storage, which the one in use has.
        """
        pong = await link.call(commands.Ping, timeout=self._policy.start_timeout)
        if pong["state"] == UNREACHABLE:
            raise Unavailable("the successor can't reach the storage")

    # -- the breaker

    def _settled(self, link: Link, *, is_answered: bool) -> None:
        """An operation was answered in time, or is past its deadline."""
        if link is not self._link or self._is_probing:
            return
        if is_answered:
            self.breaker.answered()
        else:
            self.breaker.unanswered()
            if self.breaker.is_open:
                _log.error("the driver answers too little: requests that need it are refused")
                self._probe_later(link)
                self._settle()

    def _probe_later(self, link: Link) -> None:
        self._is_probing = True
        self._later = self._clock.callLater(RETRY_LIMIT, self._probe, link)

    def _probe(self, link: Link) -> None:
        self._is_probing = True
        Deferred.fromCoroutine(self._try_out(link))

    async def _try_out(self, link: Link) -> None:
        """Ask one small thing while everybody else is refused."""
        refusal: StorageError | None = None
        try:
            await link.call(commands.Stat, timeout=self._policy.deadlines.operation, path="/")
        except StorageError as error:
            refusal = error
        if link is not self._link:  # lost or replaced: the next one is tried out in its turn
            return
        if isinstance(refusal, NoAnswer):  # any other one is an answer
            _log.warn("the driver is still of no use: {error}", error=str(refusal))
            self._probe_later(link)
            return
        self._is_probing = False
        self.breaker.close()
        _log.info("the driver answers: requests are served again")
        self._settle()
