# SPDX-License-Identifier: Apache-2.0
"""Whether a store takes writes at present, judged by what it refused.

Room: storage. Must not know stores or threads: it takes refusals and the time, and gives decisions.
What is full stays full for a while, so whoever asks meanwhile is refused at once, without a trip to
the disk; now and then one probe finds out whether that is over::

                 NoSpace      ReadOnly     SyncFailed   a probe passed
    OK           NO_SPACE     READ_ONLY    SUSPECT      -
    NO_SPACE     -            READ_ONLY    SUSPECT      OK
    READ_ONLY    NO_SPACE     -            SUSPECT      OK
    SUSPECT      -            -            -            -

After a failed sync nobody knows what of earlier writes is on the disk, and a later sync that passes
says nothing: SUSPECT ends with the process, which an operator starts again when a check has found the
storage clean.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from twisted.logger import Logger

from txregistry.storage.errors import NoSpace, ReadOnly, StorageError, SyncFailed

#: Seconds between two probes. Arbitrary: soon enough for an operator who has just made room.
PROBE_INTERVAL = 10.0

log = Logger()


class Condition(enum.Enum):
    """How a store is off; the values are those of Ping."""

    OK = "ok"
    NO_SPACE = "no-space"
    READ_ONLY = "read-only"
    SUSPECT = "suspect"


class Writability:
    """The state of one store.

    Args:
        now: the clock, seconds; only differences count.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.condition = Condition.OK
        self._now = now
        self._reason = ""
        self._probe_at = 0.0

    def refused(self, error: StorageError) -> None:
        """Take notice of what the store refused, whatever was asked."""
        condition = _meaning(error)
        if condition is None or self.condition is Condition.SUSPECT:
            return
        self._probe_at = self._now() + PROBE_INTERVAL
        self._reason = error.message
        self._become(condition)

    def passed(self) -> None:
        """Take notice that a probe was written."""
        if self.condition is not Condition.SUSPECT:
            self._become(Condition.OK)

    def takes_probe(self) -> bool:
        """Whether it is time to probe; true once in each interval."""
        if (
            self.condition not in (Condition.NO_SPACE, Condition.READ_ONLY)
            or self._now() < self._probe_at
        ):
            return False
        self._probe_at = self._now() + PROBE_INTERVAL
        return True

    def check_write(self, path: str) -> None:
        """Refuse what would need room.

        Raises:
            NoSpace: there was none.
            ReadOnly: nothing can be written.
        """
        self.check_change(path)
        if self.condition is Condition.NO_SPACE:
            raise NoSpace(self._reason, path=path)
        if self.condition is Condition.READ_ONLY:
            raise ReadOnly(self._reason, path=path)

    def check_change(self, path: str) -> None:
        """Refuse to promise that anything is durable which can't be any more.

        Raises:
            ReadOnly: a sync has failed.
        """
        if self.condition is Condition.SUSPECT:
            raise ReadOnly(f"a sync failed before ({self._reason}): check the storage", path=path)

    def _become(self, condition: Condition) -> None:
        if condition is self.condition:
            return
        self.condition = condition
        if condition is Condition.OK:
            log.info("the storage takes writes again")
        elif condition is Condition.SUSPECT:
            log.error(
                "a sync of the storage failed ({reason}): nothing is written any more; look after the disk,"
                " run a check, then start the driver again",
                reason=self._reason,
            )
        else:
            log.error(
                "the storage takes no writes ({condition}): {reason}; reads and deletes go on",
                condition=condition.value,
                reason=self._reason,
            )


def _meaning(error: StorageError) -> Condition | None:
    """What a refusal says about the store; None: nothing."""
    if isinstance(error, NoSpace):
        return Condition.NO_SPACE
    if isinstance(error, ReadOnly):
        return Condition.READ_ONLY
    if isinstance(error, SyncFailed):
        return Condition.SUSPECT
    return None
