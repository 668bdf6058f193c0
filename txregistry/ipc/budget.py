# SPDX-License-Identifier: Apache-2.0
"""The memory that all replay windows share.

Room: ipc. An upload whose bytes no longer fit goes on without replay, and is counted: a driver's
death then costs its client a 503 and a resume from the true offset, never the server its memory.
"""

from __future__ import annotations

#: Default for all windows of one process, in bytes: 50 uploads with a full window to
#: files, 8 to an object store. Arbitrary; nothing is taken before it is needed.
REPLAY_BUDGET = 256 * 1024 * 1024


class ReplayBudget:
    """Counts bytes; never blocks.

    Attributes:
        unprotected: uploads that went on without replay since the start.
    """

    def __init__(self, total: int = REPLAY_BUDGET) -> None:
        self._free = total
        self.total = total
        self.unprotected = 0

    @property
    def used(self) -> int:
        return self.total - self._free

    def take(self, count: int) -> bool:
        """Reserve ``count`` bytes if that many are free."""
        if count > self._free:
            return False
        self._free -= count
        return True

    def give(self, count: int) -> None:
        """Return bytes that were taken."""
        self._free += count

    def count_unprotected(self) -> None:
        self.unprotected += 1
