# SPDX-License-Identifier: Apache-2.0
"""bcrypt in a bounded number of processes, behind a bounded queue.

Room: identify. One check takes from 1 ms (cost 4) to a second (cost 14) of a processor, whoever
asks; so few run at once, they yield to everything else, and who comes when the queue is full is
told to come back. They are processes (``hasher``) since a thread that yields would make the reactor
wait, too: on a busy machine it is not given the processor while it holds Python's lock.

Processes start with the first check. One that ends fails the check that it was at, and another is
started for the next.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from txregistry.identify import hasher
from txregistry.oci.errors import Code, OciError
from txregistry.storage.blocking import Bell

#: Checks at work, and checks that wait. Arbitrary: two leave a processor to the reactor on most
#: hosts; the queue is a few seconds' work at cost 10.
PROCESSES = 2
QUEUE = 64

#: Of the environment only what Python finds its modules by.
_KEPT = ("PYTHONPATH", "PYTHONHOME")

_COMMAND = (sys.executable, "-P", hasher.__file__)

log = Logger()


@frozen(repr=False)
class Check:
    """One password to be compared, and what else is hashed so that it takes as long as any.

    Attributes:
        stored: the hash; a dummy for who is not known.
        padding: dummies that are hashed as well if the password is wrong.
        is_known: False: the answer is no, whatever the comparison says.
    """

    password: bytes
    stored: bytes
    padding: Sequence[bytes] = ()
    is_known: bool = True


@define(repr=False)
class _Job:
    asked: bytes
    done: Deferred[bool] = field(factory=Deferred)


class Hashing:
    """Checks passwords.

    Args:
        reactor: starts the processes.
        queue: checks that may wait.
        command: the program.

    Attributes:
        refused: checks that found no place to wait.
    """

    def __init__(
        self, reactor: Any, *, queue: int = QUEUE, command: Sequence[str] = _COMMAND
    ) -> None:
        self._reactor = reactor
        self._queue = queue
        self._command = command
        self._waiting: deque[_Job] = deque()
        # In the order of their start, so that the same calls always do the same.
        self._hashers: dict[_Hasher, None] = {}
        self._is_stopped = False
        self._gone = Bell()
        self.refused = 0

    @property
    def working(self) -> int:
        """Processes that are at a check."""
        return sum(not each.is_free for each in self._hashers)

    @property
    def waiting(self) -> int:
        """Checks that wait for a process."""
        return len(self._waiting)

    async def stop(self) -> None:
        """End the processes; nothing is checked any more."""
        self._is_stopped = True
        self._give_up()
        for each in self._hashers:
            each.kill()
        while self._hashers:
            await self._gone.rung()

    async def is_right(self, check: Check) -> bool:
        """Compare one password.

        Raises:
            OciError: TOOMANYREQUESTS: too many wait already. UNAVAILABLE: it was stopped, as a
                reload does while requests wait for one another, or the process has died.
        """
        if self._is_stopped:
            raise _unavailable()
        for _ in range(PROCESSES - len(self._hashers)):
            self._start()
        if not self._hashers:
            raise _unavailable()
        if len(self._waiting) >= self._queue and not any(each.is_free for each in self._hashers):
            self.refused += 1
            raise OciError(Code.TOOMANYREQUESTS, "too many logins at once", retry_after=1)
        known = b"1" if check.is_known else b"0"
        job = _Job(hasher.spell([known, check.password, check.stored, *check.padding]))
        self._waiting.append(job)
        self._hand_out()
        # A client that leaves cancels this alone; its check counts until it is done.
        return await job.done

    def _start(self) -> None:
        started = _Hasher(self._hand_out, self._ended)
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        try:
            self._reactor.spawnProcess(
                started, self._command[0], self._command, environment, "/", childFDs=_PIPES
            )
        except OSError as error:
            log.error("a process that compares passwords can't be started: {why}", why=error)
        else:
            self._hashers[started] = None

    def _hand_out(self) -> None:
        for each in self._hashers:
            if not self._waiting:
                return
            if each.is_free:
                each.take(self._waiting.popleft())

    def _ended(self, ended: _Hasher, reason: Failure) -> None:
        self._hashers.pop(ended, None)
        if not self._is_stopped:
            log.error("a process that compares passwords has ended: {why}", why=reason.value)
            if self._waiting:
                self._start()
                self._hand_out()
            if not self._hashers:
                self._give_up()
        self._gone.ring()

    def _give_up(self) -> None:
        while self._waiting:
            self._waiting.popleft().done.errback(_unavailable())


#: It reads checks, writes answers, and says what went wrong with it where we do.
_PIPES = {0: "w", 1: "r", 2: 2}


class _Hasher(ProcessProtocol):
    """One process, which does one check at a time.

    Args:
        freed: is called when it can take another.
        ended: likewise when it has ended.
    """

    transport: Any

    def __init__(
        self, freed: Callable[[], None], ended: Callable[[_Hasher, Failure], None]
    ) -> None:
        self._freed = freed
        self._ended = ended
        self._job: _Job | None = None

    @property
    def is_free(self) -> bool:
        """Whether it can take a check."""
        return self._job is None

    def take(self, job: _Job) -> None:
        """Do a check."""
        self._job = job
        self.transport.write(job.asked)

    def kill(self) -> None:
        """End it, whatever it is at."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def outReceived(self, data: bytes) -> None:
        """It has done a check."""
        job, self._job = self._job, None
        assert job is not None, "it answers what it is asked"
        self._freed()
        job.done.callback(data == b"1")

    def processEnded(self, reason: Failure) -> None:
        """It does nothing more."""
        job, self._job = self._job, None
        self._ended(self, reason)
        if job is not None:
            job.done.errback(_unavailable())


def _unavailable() -> OciError:
    return OciError(Code.UNAVAILABLE, "the password can't be checked now", retry_after=1)


def dummy_hash(cost: int) -> bytes:
    """Return a well-formed hash of that cost which no password has."""
    return b"$2b$%02d$" % cost + b"." * 53
