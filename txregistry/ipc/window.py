# SPDX-License-Identifier: Apache-2.0
"""What the front end keeps of an upload until the driver has stored it.

Room: ipc. Pure: bytes and offsets; knows no lane and waits for nobody.

         base        stored            sent               offset
           |  confirmed |  on the lane   |   not yet sent    |
           +------------+----------------+-------------------+
                        [---------- window ------------------]     kept here, bounded

Whole chunks are kept, so ``base`` may lie before ``stored``. After a driver's death everything from
its stored size on is sent again. An upload for which the budget has no room goes on without that:
then nothing is kept that is on the lane.
"""

from __future__ import annotations

from collections import deque

from txregistry.ipc.budget import ReplayBudget

#: Bytes of one upload that may wait for confirmation here, unless the driver asks for more room.
#: Arbitrary: two batches in the driver, one on the lane, one arriving.
WINDOW = 4 * 1024 * 1024

#: Beside those that the driver says it may hold: what is on the lane, and what is arriving.
ON_THE_WAY = 2 * 1024 * 1024


class ReplayWindow:
    """The window of one upload.

    Args:
        budget: the memory that all windows share.
        offset: where the upload begins, all before it is stored.

    Attributes:
        stored, sent, offset: as drawn above.
        is_kept: what is on the lane can be sent again.
    """

    def __init__(self, budget: ReplayBudget, offset: int) -> None:
        self._budget = budget
        self._base = self.stored = self.sent = self.offset = offset
        self._chunks: deque[bytes] = deque()
        self._limit = WINDOW
        self.is_kept = True

    @property
    def is_full(self) -> bool:
        """Whether the next bytes have to wait: for a confirmation, or without replay until the last
        ones are on the lane.
        """
        if self.is_kept:
            return self.offset - self.stored > self._limit
        return self.sent < self.offset

    def make_room(self, driver_window: int) -> None:
        """The driver may hold so many bytes without confirming them."""
        self._limit = max(WINDOW, driver_window + ON_THE_WAY)

    def add(self, data: bytes) -> None:
        """Take what has arrived; it is not empty."""
        self._chunks.append(data)
        self.offset += len(data)
        if self.is_kept and not self._budget.take(len(data)):
            self.is_kept = False
            self._budget.give(self.offset - self._base - len(data))
            self._budget.count_unprotected()
            self._forget_before(self.sent)

    def unsent(self, limit: int) -> list[bytes | memoryview]:
        """Up to ``limit`` buffers from ``sent`` on; none is empty."""
        start = self._base
        buffers: list[bytes | memoryview] = []
        for chunk in self._chunks:
            stop = start + len(chunk)
            if stop > self.sent:
                buffers.append(
                    memoryview(chunk)[self.sent - start :] if start < self.sent else chunk
                )
                if len(buffers) == limit:
                    break
            start = stop
        return buffers

    def went_out(self, count: int) -> None:
        """``count`` more bytes are on the lane."""
        self.sent += count
        if not self.is_kept:
            self._forget_before(self.sent)

    def advance(self, stored: int) -> bool:
        """The driver has stored everything before ``stored``; whether that is news."""
        if stored <= self.stored:
            return False
        self.stored = stored
        self._forget_before(stored)
        return True

    def holds(self, stored: int) -> bool:
        """Whether the upload can go on from ``stored``."""
        return self._base <= stored <= self.offset

    def send_again_from(self, stored: int) -> bool:
        """A fresh writer begins at ``stored``, which the window holds; whether more is stored than
        was known.
        """
        self.sent = stored
        return self.advance(stored)

    def clear(self) -> None:
        """Free everything: nothing will be sent any more."""
        self._forget_before(self.offset)

    def __str__(self) -> str:
        return f"{self._base} to {self.offset}"

    def _forget_before(self, offset: int) -> None:
        freed = 0
        while self._chunks and self._base + len(self._chunks[0]) <= offset:
            size = len(self._chunks.popleft())
            self._base += size
            freed += size
        if self.is_kept:
            self._budget.give(freed)
