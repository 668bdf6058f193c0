# SPDX-License-Identifier: Apache-2.0
"""One connection in use, from its hello until it is lost or replaced, and what watches it.

Room: process. Its pings (``pulse``) and the trial that it may be on (``trial``) come and go with
it; why the next one is made is ``keeper``'s business.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txregistry.ipc.link import Link
from txregistry.process.breaker import Breaker
from txregistry.process.pulse import Pulse
from txregistry.process.trial import Trial

#: A connection that lived shorter than so many seconds is not followed by the next one at once: a
#: driver that greets and hangs up must not keep this process busy.
SHORT_LIFE = 1.0

_log = Logger()


class Tenure:
    """A connection whose driver has said hello.

    Attributes:
        link, pulse, trial: its parts.
    """

    def __init__(
        self, link: Link, clock: IReactorTime, breaker: Breaker, pulse: Pulse, trial: Trial
    ) -> None:
        self.link = link
        self.pulse = pulse
        self.trial = trial
        self._clock = clock
        self._breaker = breaker
        self._began = clock.seconds()

    @property
    def is_short(self) -> bool:
        """It has lived too shortly for the next one to follow at once."""
        return self._clock.seconds() - self._began < SHORT_LIFE

    def start(self) -> None:
        """Watch it, and try it out first while the breaker is open."""
        self.pulse.start()
        if self._breaker.is_open:
            self.trial.begin()

    def stop(self) -> None:
        """Watch it no more; repeatable."""
        self.pulse.stop()
        self.trial.stop()

    def settled(self, *, is_answered: bool) -> bool:
        """An operation was answered in time, or is past its deadline; returns whether that opened
        the breaker.
        """
        if self.trial.is_on:
            return False
        if is_answered:
            self._breaker.answered()
            return False
        self._breaker.unanswered()
        if not self._breaker.is_open:
            return False
        _log.error("the driver answers too little: requests that need it are refused")
        self.trial.begin_later()
        return True
