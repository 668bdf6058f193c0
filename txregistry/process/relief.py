# SPDX-License-Identifier: Apache-2.0
"""Replaces a worn driver by a fresh process, without any client noticing.

Room: process.

    SERVING --worn--> RELIEVING  a successor is started beside it, on a socket of its own
       ^                 | \\--no hello, no storage, or the driver ends first--> SERVING (as before)
       |                 v hello, and its storage is reached
       |              DRAINING   new work goes to the successor; what the old one is at is finished
       |                 |       there, its uploads are closed and go on with the successor
       '---------- nothing is left, or DRAIN_LIMIT: the old one is ended

A descriptor that was handed over outlives all of this. What still runs at the limit meets a death
of the driver, which nobody notices either.

Two kinds are not relieved so. One that keeps its content in memory is never replaced. One that
decides conditions by itself must not be there twice: it is asked to end, and its next run takes
over as after any death.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from txregistry.ipc.commands import LOCAL_CONDITIONS, VOLATILE
from txregistry.ipc.link import Answer, Link
from txregistry.process.child import ChildDriver
from txregistry.process.keeper import LinkKeeper
from txregistry.process.run import Run
from txregistry.process.supervision import Supervision
from txregistry.process.wear import REASONS, RESIDENT, Wear
from txregistry.storage.errors import StorageError

#: Seconds that the old process has for what it is at: a commit of some gigabytes that are hashed
#: again, or the rest of a read by lane.
DRAIN_LIMIT = 60.0

#: Seconds between two looks whether something is left.
_LOOK_INTERVAL = 0.5

#: What may come between: processes that end, or can't be had. All else is a fault of ours.
_EXPECTED = (ConnectError, OSError, StorageError)

_log = Logger()


class Elsewhere(Protocol):
    """Other processes that share the driver: they have connections of their own to it."""

    @property
    def answered(self) -> int:
        """Operations that it answered to them."""

    async def change_over(self, limit: float) -> None:
        """Have their new work go to whoever listens at the driver's path now; return when nothing of
        theirs is left with the one before, or after ``limit`` seconds.
        """


class Nobody:
    """No other process shares the driver."""

    answered = 0

    async def change_over(self, limit: float) -> None:
        """There is nothing to change."""


class Relief:
    """Watches one driver that this process started.

    Attributes:
        counts: replacements since the start, by reason.
        elsewhere: who else shares it; may be set.
    """

    def __init__(
        self, links: LinkKeeper, child: ChildDriver, clock: IReactorTime, policy: Supervision
    ) -> None:
        self._links = links
        self._child = child
        self._clock = clock
        self._wear = Wear(policy)
        self._task: Deferred[None] | None = None
        self.counts = dict.fromkeys(REASONS, 0)
        self.elsewhere: Elsewhere = Nobody()

    def look(self, link: Link, pong: Answer) -> None:
        """A ping was answered: replace the driver if that is due."""
        resident = pong["resident"]
        operations = link.answered + self.elsewhere.answered
        reason = self._wear.reason(
            resident=resident, operations=operations, now=self._clock.seconds()
        )
        if reason is None or self._task is not None or VOLATILE in link.hello["features"]:
            return
        if reason == RESIDENT and self._wear.is_in_vain:
            _log.warn(
                "the driver is beyond storage.supervision.recycleresident soon after each replacement:"
                " if its work needs so much, raise that"
            )
        self._wear.replaced(self._clock.seconds())
        _log.info(
            "the driver is replaced by a fresh process ({reason}: {resident} bytes resident,"
            " {operations} operations answered)",
            reason=reason,
            resident="unknown" if resident is None else resident,
            operations=operations,
        )
        self._task = task = Deferred.fromCoroutine(self._relieve(reason, link))
        if task.called:  # it came to nothing at once
            self._task = None

    def stop(self) -> None:
        """Begin nothing more; what is under way ends with the driver. Repeatable."""
        if self._task is not None:
            self._task.cancel()

    async def _relieve(self, reason: str, link: Link) -> None:
        try:
            # Asked anew: one whose backend was away at its hello did not know its kind yet.
            await link.greet()
            if LOCAL_CONDITIONS in link.hello["features"]:
                self.counts[reason] += 1
                self._child.terminate()
                return
            old = await self._change_over(reason)
            if old is not None:
                await self._drain_and_end(*old)
        except CancelledError:
            pass  # the registry stops, and ends all runs
        except Exception as error:  # the owner of the task; the driver is gone, or about to be
            _say_failed(error)
        finally:
            self._task = None

    async def _change_over(self, reason: str) -> tuple[Link, Run | None] | None:
        """Put a successor in the driver's place; returns what it had: its connection and its run."""
        try:
            successor = self._child.launch_successor()
        except OSError as error:
            _say_failed(error)
            return None
        link = None
        try:
            link = await self._links.change_over(self._child.next_path)
            before = self._child.promote(successor)
        except CancelledError:
            raise
        except Exception as error:  # whatever it was, no process is left over
            _say_failed(error)
            if link is not None:  # whoever connects again reaches the one before
                link.abort()
            await self._child.dismiss(successor)
            return None
        self.counts[reason] += 1
        return link, before

    async def _drain_and_end(self, link: Link, run: Run | None) -> None:
        others = Deferred.fromCoroutine(self._change_others())
        is_at_work = not await drained(link, self._clock)
        await others
        if is_at_work:
            _log.warn("the driver that was replaced is killed at its work, which is done again")
        else:
            link.abort()
        if run is not None:
            await self._child.dismiss(run, is_at_once=is_at_work)
        link.abort()  # not before: until it is dead it may still be writing what is done again
        _log.info("the driver was replaced; it is now process {pid}", pid=self._child.pid)

    async def _change_others(self) -> None:
        try:
            await self.elsewhere.change_over(DRAIN_LIMIT)
        except CancelledError:
            raise
        except Exception:  # what is theirs ends with the process, and is asked again
            _log.failure("other processes could not be asked to change over")


def _say_failed(error: Exception) -> None:
    sentence = "the driver could not be replaced, and goes on: {error}"
    if isinstance(error, _EXPECTED):
        _log.error(sentence, error=str(error))
    else:
        _log.failure(sentence, Failure(error), error=repr(error))


async def drained(link: Link, clock: IReactorTime, limit: float = DRAIN_LIMIT) -> bool:
    """Return whether what is under way on a connection was finished within ``limit`` seconds."""
    deadline = clock.seconds() + limit
    while not (link.is_lost or link.is_idle) and clock.seconds() < deadline:
        await deferLater(clock, _LOOK_INTERVAL)
    return link.is_lost or link.is_idle
