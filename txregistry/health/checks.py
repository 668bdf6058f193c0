# SPDX-License-Identifier: Apache-2.0
"""One check that runs by itself.

Room: health. Must not know what is probed. A failure counts once there were ``threshold`` in a row
(0 and 1: the first counts); a success forgets them.

Source: registry:3's health package; there the first run comes after one interval, so that a fresh
process passes for healthy, here it comes at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txregistry.upkeep import Repeated

#: Seconds that a probe may take if nothing else was configured. Arbitrary.
PROBE_TIMEOUT = 10.0

Probe: TypeAlias = Callable[[], Awaitable[object]]

_log = Logger()


class Unhealthy(Exception):
    """What a probe found, in words for those who run the registry."""


class Check:
    """Runs a probe again and again.

    Args:
        probe: raises :class:`Unhealthy` if what it looks at is not as it should be.
        interval: seconds from the end of a run to the next.
        threshold: failures in a row that count.
        timeout: seconds after which a run has failed.

    Attributes:
        name, kind: see ``board.Problem``.
        problem: what is wrong, empty for nothing.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        probe: Probe,
        clock: IReactorTime,
        *,
        interval: float,
        threshold: int = 0,
        timeout: float = PROBE_TIMEOUT,
    ) -> None:
        self.name = name
        self.kind = kind
        self.problem = ""
        self._probe = probe
        self._clock = clock
        self._interval = interval
        self._threshold = threshold
        self._timeout = timeout
        self._failures = 0
        self._repeated: Repeated | None = None

    def start(self) -> None:
        """Run now, and from now on."""
        self._repeated = Repeated(
            f"the health check {self.name}",
            self.run,
            self._clock,
            interval=self._interval,
            first_after=0.0,
        )

    def stop(self) -> None:
        """Run no more; repeatable."""
        if self._repeated is not None:
            self._repeated.stop()

    async def run(self) -> None:
        """Probe once."""
        running: Deferred[None] = Deferred.fromCoroutine(self._probe_once())
        running.addTimeout(self._timeout, self._clock)
        try:
            await running
        except Unhealthy as error:
            self._failed(str(error) or "it fails")
        except TimeoutError:
            self._failed(f"there was no answer within {self._timeout:g} s")
        except CancelledError:
            raise
        except Exception as error:
            # A probe that is broken must not pass for one that is content.
            _log.failure("the health check {name} is broken", name=self.name)
            self._failed(f"the check itself failed: {type(error).__name__}")
        else:
            self._passed()

    async def _probe_once(self) -> None:
        await self._probe()

    def _failed(self, text: str) -> None:
        self._failures += 1
        if self._failures < self._threshold:
            return
        if not self.problem:
            _log.warn("health check {name} fails: {problem}", name=self.name, problem=text)
        self.problem = text

    def _passed(self) -> None:
        self._failures = 0
        if self.problem:
            _log.info("health check {name} passes again", name=self.name)
        self.problem = ""
