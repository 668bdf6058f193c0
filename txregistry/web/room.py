# SPDX-License-Identifier: Apache-2.0
"""How much of all requests' bodies is in memory at once.

Room: web. Must not know bodies. Each connection has a bound of its own; this one holds for all of
them together, so that many clients before a slow storage cost no more than a few.
"""

from __future__ import annotations


class Room:
    """Counts bytes against a size.

    Attributes:
        size: bytes that should not be exceeded.
        used: bytes that are taken.
    """

    __slots__ = ("size", "used")

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0

    def share(self, most: int) -> int:
        """Bytes for one of those that come: at most ``most``, and less the fewer there are."""
        return max(0, min(most, (self.size - self.used) // 4))

    @property
    def is_full(self) -> bool:
        """Nothing more should be taken."""
        return self.used >= self.size
