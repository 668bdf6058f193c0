# SPDX-License-Identifier: Apache-2.0
"""Whether requests may wait for a driver, and how long it rests before its next start.

Room: process. Pure: it is told what happens and when.

What counts against a driver is a life without progress: one that ended before its hello, or in
which nothing that was asked of it was answered. One that answered something and was killed comes
back at once, however often that happens.

    CLOSED --so many lives without progress within the window------.
      ^    --most of the last operations past their deadline-------+--> OPEN
      '----a probe was answered-----------------------------------------'
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from txregistry.process.supervision import Supervision

#: Operations over which unanswered ones are counted, and how many of these open the breaker.
#: Arbitrary: more than half.
_LOOKED_AT = 20
_UNANSWERED = 11

#: Doublings of the pause: past these every sensible limit is reached.
_DOUBLINGS = 20


class Breaker:
    """Counts the lives of one driver.

    Args:
        jitter: draws the pause between two bounds, seconds.
    """

    def __init__(self, policy: Supervision, jitter: Callable[[float, float], float]) -> None:
        self._policy = policy
        self._jitter = jitter
        self._failures: deque[float] = deque(maxlen=policy.breaker_deaths)
        self._in_a_row = 0
        self._outcomes: deque[bool] = deque(maxlen=_LOOKED_AT)
        self.is_open = False

    def failed(self, now: float) -> None:
        """A life without progress has ended."""
        window = self._policy.breaker_window
        if not self.is_open and self._failures and now - self._failures[-1] > window:
            self._in_a_row = 0
        self._in_a_row += 1
        self._failures.append(now)
        if len(self._failures) == self._policy.breaker_deaths and now - self._failures[0] <= window:
            self.is_open = True

    def open(self) -> None:
        """Nobody has listened for longer than anybody waits."""
        self.is_open = True

    def answered(self) -> None:
        """An operation was answered, whatever the answer was."""
        self._outcomes.append(True)
        self._failures.clear()
        self._in_a_row = 0

    def unanswered(self) -> None:
        """An operation is past its deadline."""
        self._outcomes.append(False)
        if self._outcomes.count(False) >= _UNANSWERED:
            self.is_open = True

    def close(self) -> None:
        """A probe was answered."""
        self.answered()
        self._outcomes.clear()
        self.is_open = False

    def pause(self) -> float:
        """Seconds before the next start, or the next probe."""
        if not self._in_a_row:
            return 0.0
        bound = min(
            self._policy.backoff * 2.0 ** min(self._in_a_row, _DOUBLINGS),
            self._policy.backoff_limit,
        )
        return self._jitter(bound / 2, bound)
