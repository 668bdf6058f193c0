# SPDX-License-Identifier: Apache-2.0
"""How many wrong passwords are taken, from one address and for one name.

Room: identify. Must not know passwords. For each there is a bucket: full at first, a failure takes
one out, and it fills again within a minute. Whose bucket is empty is told to come back before
anything is hashed. Attempts that are hashed at the same time may take out more than there is, which
has to flow in again as well: else guessing in bursts would be allowed more than one by one.

Who was let in lately is not asked here at all, so guessing at somebody's password does not lock out
where that one works.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import ceil

from txregistry.oci.errors import Code, OciError

#: Seconds in which an empty bucket is full again.
REFILL = 60.0
#: Buckets that are kept, the latest. Arbitrary; a forgotten one is a full one.
BUCKETS = 20_000


class Failures:
    """Counts failures under one kind of key.

    Args:
        limit: failures in a minute; 0 for no limit.
        seconds: the clock.
    """

    def __init__(self, limit: int, seconds: Callable[[], float]) -> None:
        self._limit = limit
        self._seconds = seconds
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, key: str) -> None:
        """Return if another attempt is allowed.

        Raises:
            OciError: TOOMANYREQUESTS, with when to come back.
        """
        left = self._left(key)
        if left < 1.0:
            wait = ceil((1.0 - left) * REFILL / self._limit)
            raise OciError(Code.TOOMANYREQUESTS, "too many failed logins", retry_after=wait)

    def count(self, key: str) -> None:
        """Note a failure."""
        if not self._limit or not key:
            return
        self._buckets[key] = (self._left(key) - 1.0, self._seconds())
        self._buckets.move_to_end(key)
        if len(self._buckets) > BUCKETS:
            self._buckets.popitem(last=False)

    def _left(self, key: str) -> float:
        if not self._limit or key not in self._buckets:
            return float(max(self._limit, 1))
        left, since = self._buckets[key]
        filled = (self._seconds() - since) * self._limit / REFILL
        return min(left + filled, float(self._limit))
