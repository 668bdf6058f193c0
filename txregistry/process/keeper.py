# SPDX-License-Identifier: Apache-2.0
"""Keeps one connection to a driver, for as long as anybody wants one.

Room: process. Connects, says hello, watches, connects again. It does not care who runs the driver:
``child`` starts one and holds its listening socket, so that a connection made while the driver
restarts simply waits in the backlog. Its parts: ``dialing`` connects, ``lives`` says what counts
against the driver, ``tenure`` is the connection in use with what watches it.

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
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IReactorUNIX
from twisted.logger import Logger

from txregistry.ipc.link import Answer, Link, NoAnswer
from txregistry.process.breaker import Breaker
from txregistry.process.dialing import RETRY, Absence, Dialer
from txregistry.process.lives import Event, Lives
from txregistry.process.pulse import Pulse
from txregistry.process.status import REASONS, State
from txregistry.process.supervision import Supervision
from txregistry.process.tenure import Tenure
from txregistry.process.trial import Trial
from txregistry.process.waiting import Waiting
from txregistry.storage.errors import StorageError, Unavailable

#: Seconds until a driver that refused its options is asked again, or one to which connecting failed
#: by a fault of ours.
RETRY_LIMIT = 5.0

#: Seconds that a client is told to wait, at least and at most.
_LATER = (1.0, 30.0)

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
        self._clock = clock
        self._path = path
        self._check_path = check_path
        self._policy = policy
        self._ask_to_end = ask_to_end
        self._kill = kill
        self._rest_limit = rest_limit
        self.breaker = Breaker(policy, jitter)
        self._dialer = Dialer(reactor, self._new_link, policy.start_timeout)
        self._absence = Absence()
        self._lives = Lives()
        self._tenure: Tenure | None = None
        self._stalled_since: float | None = None
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
        return self._tenure.pulse.pong if self._tenure is not None else {}

    @property
    def round_trip(self) -> float:
        """Seconds from its question to that answer; 0 before the first."""
        return self._tenure.pulse.round_trip if self._tenure is not None else 0.0

    @property
    def answered(self) -> int:
        """Operations that the driver answered on the present connection."""
        return self._tenure.link.answered if self._tenure is not None else 0

    @property
    def state(self) -> State:
        """What can be asked of the driver now."""
        if self._is_stopped:
            return State.STOPPED
        if self._refusal is not None:
            return State.REFUSED
        if self.breaker.is_open:
            return State.BROKEN
        if self._tenure is not None:
            return State.UNRESPONSIVE if self._tenure.pulse.is_quiet else State.READY
        return State.RESTARTING if self.greetings else State.STARTING

    @property
    def reason(self) -> str:
        """Why it is not ready, one sentence; empty while it is."""
        if self.state is State.REFUSED:
            return f"the driver refused: {self._refusal}"
        return REASONS[self.state]

    @property
    def retry_in(self) -> float:
        """Seconds until the next attempt to connect, or to probe; 0 if none is waited for."""
        later = self._tenure.trial.pause if self._tenure is not None else self._later
        if later is None or not later.active():
            return 0.0
        return max(later.getTime() - self._clock.seconds(), 0.0)

    # -- asking for the link

    async def link(self) -> Link:
        state = self.state
        if state is State.READY and self._tenure is not None:
            return self._tenure.link
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
        link = self._tenure.link if self._tenure is not None else await self._waiting.wait(None)
        return link.hello

    def _not_now(self) -> Unavailable:
        least, most = _LATER
        return Unavailable(self.reason, retry_after=min(max(self.retry_in, least), most))

    def _settle(self) -> None:
        """Tell whoever waits what became of it, if that is sure."""
        state = self.state
        if state is State.READY and self._tenure is not None:
            self._waiting.give(self._tenure.link)
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
        if self._tenure is not None:
            self._tenure.link.abort()
        self._dialer.stop()
        self._settle()

    def driver_died(self, *, has_greeted: bool) -> None:
        """The driver's process ended; whichever of this and the end of its connection is noticed
        first, it counts once.

        Args:
            has_greeted: that run of it had said hello.
        """
        self._stalled_since = None
        if self._tenure is not None:
            self._tenure.pulse.stalled_since = None
            is_fruitless = self._tenure.link.is_fruitless
            self._take_note(Event.DIED_FRUITLESS if is_fruitless else Event.DIED)
        else:
            self._take_note(Event.DIED if has_greeted else Event.DIED_UNGREETED)

    async def _connect(self) -> None:
        try:
            await self._try_to_connect()
        except Exception:  # the owner of the task: whatever ended this try, the next one is due
            _log.failure("connecting to the driver failed by a fault of the registry's own")
            if self._tenure is None:
                self._retry(RETRY_LIMIT)

    async def _try_to_connect(self) -> None:
        self._take_note(Event.DIALED)
        try:
            self._check_path()
            link = await self._dialer.dial(self._path)
        except (ConnectError, OSError):
            self._nobody_listens()
            return
        self._absence.over()
        try:
            await self._dialer.greet(link)
            self._ready(link)
        except Unavailable as error:
            if isinstance(error, NoAnswer):
                self._kill()
            link.abort()
            self._take_note(Event.UNGREETED)
            self._retry(max(RETRY, self._rest()))
        except StorageError as refusal:
            link.abort()
            self._refusal = refusal
            self._retry(RETRY_LIMIT)
            self._waiting.refuse(refusal)  # the driver's own words
        except BaseException:
            link.abort()
            raise
        else:
            _log.info(
                "storage driver {name} {version} is ready{again}; isolation: {isolation}",
                name=link.hello["name"],
                version=link.hello["version"],
                again=" again" if self.greetings > 1 else "",
                isolation=link.hello["isolation"] or "none",
            )

    def _new_link(self) -> Link:
        return Link(
            self._clock,
            self._lost,
            when_settled=self._settled,
            when_answered=self._tell_answered,
        )

    def _nobody_listens(self) -> None:
        if self._absence.dialed(self._clock.seconds()) >= self._policy.patience:
            self.breaker.open()
        self._retry(self._absence.pause())
        self._settle()

    def _take_note(self, event: Event) -> None:
        if not self._lives.counts(event):
            return
        was_open = self.breaker.is_open
        self.breaker.failed(self._clock.seconds())
        if self.breaker.is_open and not was_open:
            _log.error("the driver gets nowhere: requests that need it are refused")
        self._settle()

    def _ready(self, link: Link) -> None:
        pulse = Pulse(
            link,
            self._clock,
            self._policy,
            when_changed=self._settle,
            ask_to_end=self._ask_to_end,
            kill=self._kill,
            stalled_since=self._stalled_since,
            when_pinged=self.when_pinged,
        )
        operation = self._policy.deadlines.operation
        trial = Trial(link, self._clock, self.breaker, operation, self._settle)
        self._take_note(Event.GREETED)
        self._refusal = self._stalled_since = None
        self.greetings += 1
        self.last_hello = link.hello
        self._tenure = Tenure(link, self._clock, self.breaker, pulse, trial)
        self._tenure.start()
        self._settle()  # last: whoever waited goes on at once, and may stop all this

    def _rest(self) -> float:
        return min(self.breaker.pause(), self._rest_limit)

    def _retry(self, delay: float) -> None:
        self._cancel_later()
        if not self._is_stopped:
            self._later = self._clock.callLater(delay, self.start)

    def _cancel_later(self) -> None:
        if self._later is not None and self._later.active():
            self._later.cancel()

    def _lost(self, link: Link) -> None:
        tenure = self._tenure
        if tenure is None or link is not tenure.link:
            return
        self._take_note(Event.LOST_FRUITLESS if link.is_fruitless else Event.LOST)
        self._tenure = None
        if not self._is_stopped:
            _log.info("the connection to the driver has ended, and is made again")
        tenure.stop()
        self._stalled_since = tenure.pulse.stalled_since
        delay = max(RETRY if tenure.is_short else 0.0, self._rest())
        if delay:
            self._retry(delay)
        elif not self._is_stopped:
            self.start()

    def _settled(self, link: Link, *, is_answered: bool) -> None:
        tenure = self._tenure
        if tenure is not None and link is tenure.link and tenure.settled(is_answered=is_answered):
            self._settle()

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
        before = self._tenure
        link = await self._dialer.successor(path)
        if before is None or self._tenure is not before or self._is_stopped:
            link.abort()
            raise Unavailable("the driver ended before it was replaced")
        before.stop()
        self._take_note(Event.REPLACED)
        self._ready(link)
        before.link.retire()
        return before.link
