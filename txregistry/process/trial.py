# SPDX-License-Identifier: Apache-2.0
"""Tries out a driver while its breaker is open and everybody else is refused.

Room: process. One small question on one connection, again until it is answered.

    OFF --begin--> ASKING --an answer, whatever it is--> OFF, the breaker is closed
     |              |  ^
     |    no answer |  | PROBE_PAUSE
     |              v  |
     '-begin_later-> PAUSING
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from txregistry.ipc import commands
from txregistry.ipc.link import Link, NoAnswer
from txregistry.process.breaker import Breaker
from txregistry.storage.errors import StorageError
from txregistry.upkeep import end_quietly

#: Seconds until a driver that answers too little is asked again.
PROBE_PAUSE = 5.0

_log = Logger()


class Trial:
    """The trial of the driver behind one connection.

    Args:
        patience: seconds that the driver has for its answer.
        when_passed: called once the breaker is closed.

    Attributes:
        pause: what ends it while the trial is PAUSING.
    """

    def __init__(
        self,
        link: Link,
        clock: IReactorTime,
        breaker: Breaker,
        patience: float,
        when_passed: Callable[[], None],
    ) -> None:
        self._link = link
        self._clock = clock
        self._breaker = breaker
        self._patience = patience
        self._when_passed = when_passed
        self._asking: Deferred[None] | None = None
        self.pause: IDelayedCall | None = None

    @property
    def is_on(self) -> bool:
        """What is asked of the driver now is no news of it but by the trial."""
        return self._asking is not None or self.pause is not None

    def begin(self) -> None:
        """Ask now."""
        self.pause = None
        self._asking = asking = Deferred.fromCoroutine(self._ask())
        if asking.called:  # answered at once
            self._asking = None

    def begin_later(self) -> None:
        """Ask after a pause."""
        self._asking = None
        self.pause = self._clock.callLater(PROBE_PAUSE, self.begin)

    def stop(self) -> None:
        """The connection is lost or replaced: the next one is tried out in its turn. Repeatable."""
        pause, self.pause = self.pause, None
        if pause is not None:
            pause.cancel()
        asking, self._asking = self._asking, None
        if asking is not None:
            end_quietly(asking)

    async def _ask(self) -> None:
        try:
            await self._link.call(commands.Stat, timeout=self._patience, path="/")
        except NoAnswer as error:
            _log.warn("the driver is still of no use: {error}", error=str(error))
            self.begin_later()
            return
        except StorageError:
            pass  # any other one is an answer
        except CancelledError:
            raise
        except Exception:  # the owner of the task: nobody else would ever close the breaker
            _log.failure("the driver can't be tried out, and is in {pause:g} s", pause=PROBE_PAUSE)
            self.begin_later()
            return
        self._asking = None
        self._breaker.close()
        _log.info("the driver answers: requests are served again")
        self._when_passed()
