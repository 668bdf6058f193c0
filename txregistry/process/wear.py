# SPDX-License-Identifier: Apache-2.0
"""Whether a driver has served long enough to be replaced by a fresh process.

Room: process. Pure: it is told how the driver is, and when. What a driver leaks (memory, or
whatever else grows with its work) is given back by its end, and nobody has to wait for the day on
which the kernel ends it.
"""

from __future__ import annotations

from txregistry.process.supervision import Supervision

#: Reasons for a replacement, as metrics have them.
RESIDENT, OPERATIONS = REASONS = ("resident", "operations")


class Wear:
    """Judges the runs of one driver.

    Two replacements are never closer together than the policy's interval: a driver that needs more
    memory than it is allowed at work is not to be replaced all day.

    Attributes:
        is_in_vain: the present run was beyond its memory before it might be replaced, as a fresh
            process will be again: it is the bound that is wrong.
    """

    def __init__(self, policy: Supervision) -> None:
        self._policy = policy
        self._since: float | None = None
        self.is_in_vain = False

    def reason(self, *, resident: int | None, operations: int, now: float) -> str | None:
        """Why it is to be replaced now; None if it is not.

        Args:
            resident: its memory in bytes; None if it does not tell.
            operations: that it has answered.
        """
        policy = self._policy
        is_large = bool(policy.recycle_resident) and (resident or 0) > policy.recycle_resident
        if self._since is not None and now - self._since < policy.recycle_interval:
            self.is_in_vain |= is_large
            return None
        if is_large:
            return RESIDENT
        if policy.recycle_operations and operations >= policy.recycle_operations:
            return OPERATIONS
        return None

    def replaced(self, now: float) -> None:
        """It was replaced, or that was tried."""
        self._since = now
        self.is_in_vain = False
