# SPDX-License-Identifier: Apache-2.0
"""Opens a driver: starts or attaches, waits for its hello, gives the registry a Driver.

Room: process. The one way in for ``service`` and ``cli``.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import AlreadyCalled, ConnectError
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from txregistry.ipc import commands
from txregistry.ipc.admission import Admission
from txregistry.ipc.attempts import Attempts
from txregistry.ipc.budget import ReplayBudget
from txregistry.ipc.link import Answer, Link
from txregistry.ipc.remote import RemoteDriver
from txregistry.process.child import ChildDriver
from txregistry.process.dialing import DIAL_LIMIT
from txregistry.process.keeper import LinkKeeper
from txregistry.process.relief import Elsewhere, Relief, drained
from txregistry.process.spec import DriverSpec, StartError
from txregistry.process.status import DriverStatus, Pong, Windows
from txregistry.process.supervision import Supervision
from txregistry.storage.contract import Driver
from txregistry.storage.errors import StorageError, Unavailable

#: Seconds that one which somebody else runs is waited for before serving begins without it.
ATTACH_TIMEOUT = 2.0

_log = Logger()


class OpenDriver:
    """A driver that is running, or that will be.

    Args:
        jitter: draws pauses between two bounds, seconds.

    Attributes:
        driver: for the registry.
        links: the connection's keeper.
        child: the process, or None for a driver that somebody else runs.
    """

    def __init__(
        self,
        spec: DriverSpec,
        reactor: Any,
        *,
        supervision: Supervision | None = None,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.spec = spec
        policy = supervision or Supervision()
        self._budget = ReplayBudget(policy.replay_budget)
        self._start_timeout = policy.start_timeout
        self._reactor = reactor
        self._greeted: Deferred[Answer] | None = None
        self.child: ChildDriver | None = None
        path = spec.socket
        if spec.command is not None:
            self.child = ChildDriver(
                spec,
                reactor,
                reactor,
                end_timeout=policy.end_timeout,
                when_died=self._died,
                greetings=lambda: self.links.greetings,
                pause=lambda: self.links.breaker.pause(),
            )
            self.child.bind()
            path = self.child.path
        assert path is not None
        self.links = LinkKeeper(
            reactor,
            reactor,
            path,
            policy,
            check_path=self._check_path,
            ask_to_end=self._ask_to_end,
            kill=self._kill,
            rest_limit=math.inf if self.child is not None else DIAL_LIMIT,
            jitter=jitter,
        )
        self.relief: Relief | None = None
        self._is_shared = False
        if self.child is not None:
            self.relief = Relief(self.links, self.child, reactor, policy)
            self.links.when_pinged = self._pinged
            self.child.start()
        self.links.start()
        self.attempts = Attempts(
            self.links, reactor, policy.poison_deaths, Admission(policy.operations, policy.queue)
        )
        self._remote = RemoteDriver(
            reactor,
            reactor,
            self.links,
            self._in_thread,
            self._budget,
            deadlines=policy.deadlines,
            attempts=self.attempts,
        )
        self.driver: Driver = self._remote

    async def decides_conditions(self) -> bool:
        """Whether the conditional puts of its storage hold between hosts.

        Asked anew: a driver whose backend was away when it said hello did not know yet.

        Raises:
            StorageError: it can't be asked.
        """
        hello = await self._remote.ask(
            commands.Hello,
            "/",
            protocol_min=commands.PROTOCOL_MIN,
            protocol_max=commands.PROTOCOL_MAX,
        )
        return commands.LOCAL_CONDITIONS not in hello["features"]

    @property
    def socket(self) -> str:
        """The path at which other processes reach it."""
        path = self.spec.socket if self.child is None else self.child.path
        return path or ""

    @property
    def answered(self) -> int:
        """Operations that it answered to this process, since it was started or replaced."""
        return self.links.answered

    def share(self, elsewhere: Elsewhere) -> None:
        """Other processes are given its socket."""
        self._is_shared = True
        if self.relief is not None:
            self.relief.elsewhere = elsewhere

    async def change_over(self, limit: float) -> None:
        """Go over to the process that has taken the driver's place at its socket.

        Returns when nothing of ours is left with the one before, or after ``limit`` seconds. If it
        is not there any more, or its successor is not, a connection is made as after any death.
        """
        try:
            before = await self.links.change_over(self.socket)
        except (ConnectError, OSError, StorageError) as error:
            _log.info("the driver's place was taken meanwhile: {error}", error=str(error))
            return
        if await drained(before, self._reactor, limit):
            before.abort()

    def time_commands(self, told: Callable[[str, float], None]) -> None:
        """Have ``told`` called with the name of each command that was answered, and its seconds."""
        self.links.when_answered = told

    def status(self) -> DriverStatus:
        """How the driver is now; a value."""
        links, child, budget = self.links, self.child, self._budget
        return DriverStatus(
            name=self.spec.name,
            state=links.state,
            reason=links.reason,
            version=links.last_hello.get("version", ""),
            isolation=_measures(links.last_hello),
            pid=child.pid if child is not None else None,
            deaths=child.deaths if child is not None else 0,
            greetings=links.greetings,
            is_breaker_open=links.breaker.is_open,
            retry_in=links.retry_in,
            pong=_pong(links.last_ping, links.round_trip),
            given_up=self.attempts.given_up,
            refused=self.attempts.admission.refused,
            waiting=self.attempts.admission.waiting,
            windows=Windows(budget.used, budget.total, budget.unprotected),
            replaced=dict(self.relief.counts) if self.relief is not None else {},
        )

    def _in_thread(self, work: Any) -> Any:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)

    def _died(self, *, has_greeted: bool) -> None:
        self.links.driver_died(has_greeted=has_greeted)
        greeted, self._greeted = self._greeted, None
        if greeted is not None:
            greeted.cancel()

    def _pinged(self, link: Link, pong: Answer) -> None:
        if self._is_shared:
            # Ours is connected; others find nobody if the socket was removed, until it is mended.
            with contextlib.suppress(OSError):
                self._check_path()
        if self.relief is not None:
            self.relief.look(link, pong)

    def _check_path(self) -> None:
        if self.child is not None:
            self.child.check_path()

    def _ask_to_end(self) -> None:
        if self.child is not None:
            self.child.terminate()

    def _kill(self) -> None:
        if self.child is not None:
            self.child.kill()

    async def hello(self) -> Answer:
        """Wait for the driver's first hello. What may come later (one that somebody else runs, or
        that was killed, or hangs) is waited for only so long, and the answer is empty.

        Raises:
            StartError: it ended by itself before, refused its options, or speaks no common version.
        """
        self._greeted = greeted = Deferred.fromCoroutine(self.links.greeted())
        limit = self._start_timeout if self.child is not None else ATTACH_TIMEOUT
        timeout = self._reactor.callLater(limit, greeted.cancel)
        try:
            hello = await greeted
        except (CancelledError, Unavailable) as error:
            self._check_hope(error, is_late=not timeout.active())
            return {}
        except StorageError as refusal:
            raise StartError(f"storage driver {self.spec.name!r}: {refusal.message}") from refusal
        finally:
            self._greeted = None
            with contextlib.suppress(AlreadyCalled):
                timeout.cancel()
        return hello

    def _check_hope(self, error: BaseException, *, is_late: bool) -> None:
        """Say that the driver is not there, and that it is waited for.

        Raises:
            StartError: there is no point in that.
        """
        if self.child is None:
            _log.warn("no driver listens on {path} yet", path=self.spec.socket)
            return
        if not is_late and self.child.has_given_up:
            words = self.child.last_words
            raise StartError(
                f"storage driver {self.spec.name!r} ended before it was ready"
                + (f": {words}" if words else "")
                + self._who_it_was()
            ) from error
        _log.error(
            "storage driver {name} {what}: the registry starts without it",
            name=self.spec.name,
            what="does not answer" if is_late else "was killed before it was ready",
        )

    def _who_it_was(self) -> str:
        """What an operator may not think of; empty where that is the user who started us."""
        if self.spec.user is None:
            return ""
        return (
            f" (it ran as the user {self.spec.user} of storage.user, who must be allowed to read and"
            " execute the program, and Python with its packages)"
        )

    async def stop(self) -> None:
        """End the connection and the process."""
        if self.relief is not None:
            self.relief.stop()
        self.links.stop()
        if self.child is not None:
            await self.child.stop()


def _measures(hello: Answer) -> tuple[str, ...]:
    """The isolation of a hello, as measures."""
    told: str = hello.get("isolation") or ""
    return tuple(measure for measure in told.split(",") if measure not in ("", "none"))


def _pong(ping: Answer, round_trip: float) -> Pong | None:
    if not ping:
        return None
    return Pong(
        operations=ping["operations"],
        oldest_ms=ping["oldest_ms"],
        bytes_moved=ping["bytes_moved"],
        resident=ping["resident"],
        descriptors=ping["descriptors"],
        storage=ping["state"],
        round_trip=round_trip,
    )
