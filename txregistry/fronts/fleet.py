# SPDX-License-Identifier: Apache-2.0
"""All front ends of a registry: started, started again, asked, ended.

Room: fronts. Each of them goes this way by itself::

    STARTING --ready--> SERVING --its process ends--> RESTING --(at once, or backing off)--> STARTING
        \\--its process ends-------------------------^

The registry has started once every one was SERVING; one that says before why it can't ends the
start. From then on a process that ends is started again, however often: at once if it served for a
while, else after a pause that grows. One that answers nothing for long shows its stacks and is
killed.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from txregistry.fronts.assignment import Assignment
from txregistry.fronts.channel import Gone, Members
from txregistry.fronts.run import COMMAND, FrontRun, Outlet
from txregistry.process.breaker import Breaker
from txregistry.process.supervision import Supervision

#: Seconds between two looks whether a front end answers, and how many in a row find that it does not
#: before it is killed. Arbitrary: nothing that it does on its reactor takes a second. Looks are
#: counted, not seconds, because a clock may jump.
LOOK_EVERY = 5.0
LOOKS = 12

#: Seconds from the request for its stacks to the kill.
LAST_WORDS = 1.0

#: A front end that served for shorter rests before it is started again.
SHORT_LIFE = 5.0

#: Seconds that front ends are given beyond the time that requests have, when all ends.
GRACE = 5.0

_log = Logger()


class Words(Protocol):
    """Takes what a front end says."""

    def __call__(self, number: int, word: str, members: Members) -> None: ...


class Post:
    """The place of one front end, whichever process fills it now.

    Attributes:
        number: from 1.
        is_ready: it serves.
        deaths: processes that ended without being asked to.
        pong: its newest answer to a ping; empty before the first.
    """

    def __init__(self, fleet: Fleet, number: int, reactor: Any) -> None:
        self._fleet = fleet
        self._reactor = reactor
        self._breaker = Breaker(Supervision(), random.uniform)
        self._run: FrontRun | None = None
        self._later: IDelayedCall | None = None
        self._since = 0.0
        self._quiet_looks = 0
        self.number = number
        self.is_ready = False
        self.deaths = 0
        self.pong: Members = {}

    @property
    def pid(self) -> int | None:
        return self._run.pid if self._run is not None else None

    @property
    def is_hopeless(self) -> bool:
        """Its processes end again and again before they serve."""
        return self._breaker.is_open

    def start(self) -> None:
        """Start a process."""
        self._later = None
        self._since = self._reactor.seconds()
        self._quiet_looks = 0
        run = FrontRun(self._hear, self._fleet.outlet)
        try:
            run.start(self._reactor, self._fleet.assign(self.number), self._fleet.command)
        except OSError as error:  # no process, memory or descriptor left for it
            self._died(str(error))
            return
        self._run = run
        run.ended.addCallback(self._died)

    def _hear(self, word: str, members: Members) -> Members | None:
        self._quiet_looks = 0
        if word == "ready":
            self.is_ready, self._since = True, self._reactor.seconds()
        self._fleet.hear(self, word, members)
        return None

    def _died(self, reason: str) -> None:
        now = self._reactor.seconds()
        if self.is_ready and now - self._since >= SHORT_LIFE:
            self._breaker.close()
        else:
            self._breaker.failed(now)
        self.is_ready, self._run, self.pong = False, None, {}
        self._fleet.lost(self, reason)

    def start_later(self) -> None:
        """Start the next process when that is due."""
        delay = self._breaker.pause()
        _log.info(
            "front end {number} is started again{when}",
            number=self.number,
            when=f" in {delay:.2g} s" if delay else "",
        )
        self._later = self._reactor.callLater(delay, self.start)

    # -- what is said to it

    def say(self, word: str, **members: Any) -> None:
        """Tell it, if it is there."""
        if self._run is not None:
            self._run.channel.say(word, **members)

    async def ask(self, word: str, timeout: float, **members: Any) -> Members | None:
        """Return its answer; None if there is none in time."""
        if self._run is None:
            return None
        answer = self._run.channel.ask(word, **members)
        late = self._reactor.callLater(timeout, answer.cancel)
        try:
            told = await answer
        except (Gone, CancelledError):
            return None
        finally:
            if late.active():
                late.cancel()
        self._quiet_looks = 0
        return told

    def signal(self, number: int) -> None:
        """Send its process a signal."""
        if self._run is not None:
            self._run.signal(number)

    def look(self) -> None:
        """See to it that it answers, or is killed."""
        if self._run is None:
            return
        self._quiet_looks += 1
        if self._quiet_looks < LOOKS:
            Deferred.fromCoroutine(self._ping())
        elif self._quiet_looks == LOOKS:
            _log.error(
                "front end {number} (process {pid}) answers nothing: it shows what it is at, and is"
                " killed",
                number=self.number,
                pid=self.pid,
            )
            self.signal(signal.SIGQUIT)
            self._reactor.callLater(LAST_WORDS, self._run.signal, signal.SIGKILL)

    async def _ping(self) -> None:
        self.pong = await self.ask("ping", LOOK_EVERY) or self.pong

    async def end(self, timeout: float) -> None:
        """End its process: ask, wait for ``timeout`` seconds, kill."""
        if self._later is not None and self._later.active():
            self._later.cancel()
        run = self._run
        if run is None:
            return
        run.signal(signal.SIGTERM)
        late = self._reactor.callLater(timeout, run.signal, signal.SIGKILL)
        gone: Deferred[None] = Deferred()
        run.ended.addCallback(lambda _: gone.callback(None))
        await gone
        if late.active():
            late.cancel()


class Fleet:
    """The front ends of one registry.

    Args:
        count: of them.
        assign: says what each is to do, at each of its starts.
        hears: is told what they say.
        when_up: called once all serve for the first time.
        when_failed: told a sentence if they will not.
        when_lost: told the number of one whose process has ended.
        outlet: takes their lines; None: they write to where this process does.
        command: that starts one.
    """

    def __init__(
        self,
        count: int,
        reactor: Any,
        *,
        assign: Callable[[int], Assignment],
        hears: Words,
        when_up: Callable[[], None],
        when_failed: Callable[[str], None],
        when_lost: Callable[[int], None] = lambda number: None,
        outlet: Outlet | None = None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._reactor = reactor
        self._hears = hears
        self._when_up = when_up
        self._when_failed = when_failed
        self._when_lost = when_lost
        self._is_up = self._is_ending = False
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self.assign = assign
        self.outlet = outlet
        self.command = command
        self.posts = [Post(self, number, reactor) for number in range(1, count + 1)]

    def start(self) -> None:
        """Start all."""
        for post in self.posts:
            post.start()
        self._looking.start(LOOK_EVERY, now=False)

    def _look(self) -> None:
        for post in self.posts:
            post.look()

    # -- what posts tell

    def hear(self, post: Post, word: str, members: Members) -> None:
        """A front end has said something."""
        if word == "ready":
            _log.info("front end {number} serves (process {pid})", number=post.number, pid=post.pid)
            if not self._is_up and all(each.is_ready for each in self.posts):
                self._is_up = True
                self._when_up()
        elif word == "failed":
            self._fail(post, str(members["sentence"]))
        else:
            self._hears(post.number, word, members)

    def _fail(self, post: Post, sentence: str) -> None:
        if not self._is_up and not self._is_ending:
            self._is_ending = True
            self._when_failed(sentence)
        elif not self._is_ending:
            _log.error(
                "front end {number} can't be started again: {sentence}",
                number=post.number,
                sentence=sentence,
            )

    def lost(self, post: Post, reason: str) -> None:
        """The process of a front end has ended."""
        self._when_lost(post.number)
        if self._is_ending:
            return
        post.deaths += 1
        _log.warn("front end {number} ended ({reason})", number=post.number, reason=reason)
        if post.is_hopeless and not self._is_up:
            self._fail(post, "front ends can't be started: they end before they serve; see the log")
            return
        post.start_later()

    # -- what all are told

    def say(self, word: str, *, but: int = 0, **members: Any) -> None:
        """Tell all, or all but one."""
        for post in self.posts:
            if post.number != but:
                post.say(word, **members)

    async def ask(self, word: str, timeout: float, **members: Any) -> dict[int, Members]:
        """Ask all; returns what those say that answer in time, by their numbers."""
        asked = [Deferred.fromCoroutine(post.ask(word, timeout, **members)) for post in self.posts]
        answers = [await answer for answer in asked]
        return {
            post.number: answer
            for post, answer in zip(self.posts, answers, strict=True)
            if answer is not None
        }

    def signal(self, number: int) -> None:
        """Send a signal to all that serve; who is starting does not heed it yet, and would end."""
        for post in self.posts:
            if post.is_ready:
                post.signal(number)

    async def drain(self, timeout: float) -> None:
        """End all; requests in progress have ``timeout`` seconds."""
        self._is_ending = True
        if self._looking.running:
            self._looking.stop()
        await DeferredList(
            [Deferred.fromCoroutine(post.end(timeout + GRACE)) for post in self.posts]
        )
