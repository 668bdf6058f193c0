# SPDX-License-Identifier: Apache-2.0
"""Whether a driver that is connected still lives.

Room: process. Two ways of not living are told apart:

    dead     its reactor answers no ping
    stuck    pings are answered, but some operation is past its deadline, and nothing has been
             answered and no byte has moved for ``stuck_after`` seconds, whatever became of the
             connection in that time

and one escalation follows, counted in intervals between pings and not in time on the clock: when
this very process was held up, it has heard nothing, and that is no fault of the driver.

    SOUND --ping_misses--> QUIET (no new work) --terminate_after--> ASKED --kill_after--> KILLED
      ^---- an answer ---------'                                      ^
      '------------------------ stuck --------------------------------'
"""

from __future__ import annotations

import math
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txregistry.ipc import commands
from txregistry.ipc.link import Answer, Link
from txregistry.process.supervision import Supervision
from txregistry.storage.errors import StorageError

_log = Logger()


class Pulse:
    """Pings one connection until it is lost or stopped.

    Args:
        when_changed: the driver went quiet, or is sound again.
        ask_to_end, kill: end its process, politely or not.
        when_pinged: told of each answer, unless the driver is stuck.
        stalled_since: of the connection before this one, to the same process.

    Attributes:
        stalled_since: some operation was past its deadline and nothing has moved since then; None
            while that is not so, or is acted upon.
        pong: the newest answer; empty before the first.
        round_trip: seconds from its question to it.
        is_quiet: it gets no new work.
    """

    def __init__(
        self,
        link: Link,
        clock: IReactorTime,
        policy: Supervision,
        *,
        when_changed: Callable[[], None],
        ask_to_end: Callable[[], None],
        kill: Callable[[], None],
        when_pinged: Callable[[Link, Answer], None],
        stalled_since: float | None = None,
    ) -> None:
        self._link = link
        self._clock = clock
        self._interval = policy.ping_interval
        self._stuck_after = policy.stuck_after
        self._quiet_at = policy.ping_misses
        self._ask_at = self._quiet_at + self._intervals(policy.terminate_after)
        self._kill_at = self._ask_at + self._intervals(policy.kill_after)
        self._when_changed = when_changed
        self._ask_to_end = ask_to_end
        self._kill = kill
        self._when_pinged = when_pinged
        self._later: IDelayedCall | None = None
        self._missed = 0
        self._is_waiting = False
        self._is_stuck = False
        self._is_stopped = False
        self._seen: tuple[int, int] | None = None
        self._seen_at = clock.seconds()
        self.stalled_since = stalled_since
        self.pong: Answer = {}
        self.round_trip = 0.0
        self.is_quiet = False

    def start(self) -> None:
        """Send the first ping an interval from now."""
        self._later = self._clock.callLater(self._interval, self._beat)

    def stop(self) -> None:
        """Send no more, and do nothing about an answer that still comes; repeatable."""
        self._is_stopped = True
        if self._later is not None and self._later.active():
            self._later.cancel()

    def _intervals(self, seconds: float) -> int:
        return math.ceil(seconds / self._interval)

    def _beat(self) -> None:
        self._later = self._clock.callLater(self._interval, self._beat)
        if self._is_waiting or self._is_stuck:
            self._missed += 1
            self._escalate()
        else:
            self._is_waiting = True
            Deferred.fromCoroutine(self._ping())

    async def _ping(self) -> None:
        asked = self._clock.seconds()
        try:
            # It ends with the connection, at the latest when that is aborted.
            pong = await self._link.call(commands.Ping, timeout=math.inf)
        except StorageError as error:
            if not self._link.is_lost and not self._is_stopped:
                _log.error("the driver's answer to a ping: {error}", error=str(error))
                self._kill()
                self._link.abort()
            return
        if self._is_stopped:
            return
        self._is_waiting = False
        self.round_trip = self._clock.seconds() - asked
        self.pong = pong
        self._missed = 0
        if self.is_quiet:
            _log.info("the driver answers pings again")
            self.is_quiet = False
            self._when_changed()
        self._look_for_progress(pong)
        if not self._is_stuck:
            self._when_pinged(self._link, pong)

    def _look_for_progress(self, pong: Answer) -> None:
        now = self._clock.seconds()
        overdue = self._link.overdue()
        seen = (self._link.answered, pong["bytes_moved"])
        has_moved = self._link.answered > 0 if self._seen is None else seen != self._seen
        self._seen = seen
        if has_moved or not (overdue or self.stalled_since is not None):
            self._seen_at, self.stalled_since = now, None
            return
        if self.stalled_since is None:
            self.stalled_since = self._seen_at
        if now - self.stalled_since >= self._stuck_after:
            _log.error(
                "the driver answers pings, but nothing has moved for {seconds:g} s and operations"
                " are past their deadline{names}",
                seconds=now - self.stalled_since,
                names=f", here {len(overdue)}, the first of them {overdue[0]}" if overdue else "",
            )
            self.stalled_since = None
            self._is_stuck = True
            self._missed = self._ask_at
            self._escalate()

    def _escalate(self) -> None:
        if self._missed >= self._quiet_at and not self.is_quiet:
            _log.warn("the driver does not answer: it gets no new work")
            self.is_quiet = True
            self._when_changed()
        if self._missed == self._ask_at:
            _log.warn("the driver still does not answer: it is asked to end")
            self._ask_to_end()
        elif self._missed >= self._kill_at:
            _log.error("the driver does not end: it is killed")
            self.stop()
            self._kill()
            self._link.abort()
