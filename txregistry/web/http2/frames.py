# SPDX-License-Identifier: Apache-2.0
"""What the frames of a client may cost: judged by their heads, before anything parses them.

Room: web. Must not know what frames mean to a request.

    +-----------------------------------------------+
    |                 Length (24)                   |
    +---------------+---------------+---------------+
    |   Type (8)    |   Flags (8)   |
    +-+-------------+---------------+-------------------------------+
    |R|                 Stream Identifier (31)                      |
    +=+=============================================================+
    |                   Frame Payload (0...)                      ...

Source: RFC 9113 sections 4.1 and 3.4.

A frame of nine bytes costs us what a kilobyte of body does, and some are answered by one of ours.
So each costs the client something of an allowance that time and real work refill: bytes of bodies
that moved, in either direction, and requests that were answered. Whoever only makes us work runs
out of it.
"""

from __future__ import annotations

#: The client connection preface. Source: RFC 9113 section 3.4.
PREFACE_LENGTH = 24

#: Length of a frame's head, and the largest payload that a client may send, in bytes: what holds if
#: nothing else was agreed (RFC 9113 section 4.2).
HEAD_LENGTH = 9
LARGEST = 16 * 1024

DATA = 0x0
HEADERS = 0x1
CONTINUATION = 0x9
_END_HEADERS = 0x4

#: What padding and priority may add to a header block, in bytes.
_PADDING = 256 + 6

#: What a client may spend at once and a second, in frames. Arbitrary: a window of a megabyte that
#: is full of frames when its stream ends needs 64.
BURST = 2000
REFILL = 200

#: Bytes of bodies that earn one frame. Arbitrary; frames that carry fewer are a loss.
BYTES_PER_FRAME = 64

#: What an answered request earns: its headers, windows, and the acknowledgements of both.
ANSWERED = 8

#: Bytes of settings and the like that count as one frame more.
_BYTES_PER_EXTRA = 64


class Flood(Exception):
    """The client asks for more work than it may; the reason is its text."""


class Allowance:
    """Something that is spent, and comes back with time.

    Args:
        burst: what there is at most.
        refill: what comes back in a second.
    """

    __slots__ = ("_burst", "_left", "_refill", "_since")

    def __init__(self, burst: float, refill: float, now: float) -> None:
        self._burst = burst
        self._refill = refill
        self._left = burst
        self._since = now

    def spend(self, cost: float, now: float) -> bool:
        """Spend; False if there was not enough, and nothing is left then."""
        self.earn((now - self._since) * self._refill)
        self._since = now
        self._left -= cost
        return self._left >= 0

    def earn(self, gain: float) -> None:
        """Get something back."""
        self._left = min(self._burst, self._left + gain)


class FrameMeter:
    """Follows the frames of one connection.

    Args:
        block_size: of the header block of one request, as it travels, in bytes.

    Attributes:
        unfinished_since: when it began that something other than a body's data stays incomplete;
            None if nothing does.
    """

    def __init__(self, block_size: int, now: float) -> None:
        self._block_limit = block_size + _PADDING
        self._allowance = Allowance(BURST, REFILL, now)
        self._preface_left = PREFACE_LENGTH
        self._head = b""
        self._payload_left = 0
        self._is_data = False
        self._block: int | None = None
        self._finished = 0
        self._finished_then = 0
        self.unfinished_since: float | None = None

    def earn(self, *, moved: int = 0, answered: int = 0) -> None:
        """Real work was done: bytes of bodies were moved, requests were answered."""
        self._allowance.earn(moved / BYTES_PER_FRAME + answered * ANSWERED)

    def excuse(self, now: float) -> None:
        """Nothing is read at present, so nothing can become complete."""
        if self.unfinished_since is not None:
            self.unfinished_since = now

    def take(self, data: bytes, now: float) -> None:
        """Look at what came, before it is parsed.

        Raises:
            Flood: it must not be parsed.
        """
        start = min(self._preface_left, len(data))
        self._preface_left -= start
        while start < len(data):
            if self._payload_left:
                step = min(self._payload_left, len(data) - start)
                self._payload_left -= step
                start += step
                self._note_finished()
                continue
            stop = start + HEAD_LENGTH - len(self._head)
            self._head += data[start:stop]
            start = stop
            if len(self._head) == HEAD_LENGTH:
                head, self._head = self._head, b""
                self._begin_frame(head, now)
                self._note_finished()
        self._note_unfinished(now)

    def _begin_frame(self, head: bytes, now: float) -> None:
        length, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
        if length > LARGEST:
            raise Flood("a frame is too large")
        self._payload_left = length
        self._is_data = kind == DATA
        cost = 1.0
        if kind in (HEADERS, CONTINUATION):
            self._add_to_block(length, is_last=bool(flags & _END_HEADERS))
        elif kind != DATA:
            cost += length / _BYTES_PER_EXTRA
        if not self._allowance.spend(cost, now):
            raise Flood("too many frames for what they bring")

    def _add_to_block(self, length: int, *, is_last: bool) -> None:
        block = (self._block or 0) + length
        if block > self._block_limit:
            raise Flood("the request's head is too large")
        self._block = None if is_last else block

    def _note_finished(self) -> None:
        if not self._payload_left and self._block is None:
            self._finished += 1

    def _note_unfinished(self, now: float) -> None:
        is_between = not self._head and not self._payload_left and self._block is None
        if is_between or (self._payload_left and self._is_data) or self._preface_left:
            self.unfinished_since = None
        elif self.unfinished_since is None or self._finished_then != self._finished:
            self.unfinished_since = now
            self._finished_then = self._finished
