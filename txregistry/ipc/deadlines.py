# SPDX-License-Identifier: Apache-2.0
"""How long an operation of a driver may take, from its first issue to its answer.

Room: ipc. An operation that is issued again after a driver's death has what is left of its time.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class Deadlines:
    """Seconds until the caller of an operation is told that there was no answer.

    Attributes:
        operation: what moves little: a look, a small read, the opening of a lane.
        page: a page of a walk, which may look into many directories.
        durable: what ends with a sync of the disk.
        commit, commit_rate: a commit, move or delete; besides it one second for each so many bytes
            of a commit.
        close: the end of an upload: what is on the lane is stored and synced.
    """

    operation: float = 30.0
    page: float = 60.0
    durable: float = 60.0
    commit: float = 60.0
    commit_rate: int = 20_000_000
    close: float = 300.0

    def commit_of(self, size: int) -> float:
        """Seconds for a commit of ``size`` bytes, which may have to be hashed again."""
        return self.commit + size / self.commit_rate
