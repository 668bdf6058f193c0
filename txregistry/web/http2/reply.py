# SPDX-License-Identifier: Apache-2.0
"""What waits to leave of one stream, in the order in which it leaves.

Room: web. Must not know requests, nor whose turn it is::

    [ 100 ]  fields  chunk*  [ END_STREAM ]
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from txregistry.web.http2.heads import Field


class Sender(Protocol):
    """What is asked of the library's protocol."""

    max_outbound_frame_size: int

    def send_headers(self, number: int, fields: list[Field], end_stream: bool = False) -> None: ...
    def send_data(self, number: int, data: memoryview, end_stream: bool = False) -> None: ...
    def end_stream(self, number: int) -> None: ...
    def local_flow_control_window(self, number: int) -> int: ...


class Reply:
    """An answer on its way out.

    Args:
        number: of the stream.

    Attributes:
        waiting: bytes of its body that have not left.
        sent: those that have.
        is_blocked: the client's windows have no room for us.
        has_left: all of it has, its end too.
    """

    def __init__(self, number: int) -> None:
        self.waiting = 0
        self.sent = 0
        self.is_blocked = False
        self.has_left = False
        self._number = number
        self._says_continue = False
        self._fields: list[Field] | None = None
        self._chunks: deque[memoryview] = deque()
        self._has_begun = False
        self._is_whole = False

    def say_continue(self) -> None:
        """Tell the client that its body is wanted, before all else."""
        self._says_continue = True

    def begin(self, fields: list[Field]) -> None:
        """Keep what stands before the body."""
        self._fields = fields
        self._has_begun = True

    def add(self, data: bytes) -> None:
        """Keep more of the body."""
        if data:
            self._chunks.append(memoryview(data))
            self.waiting += len(data)

    def end(self) -> None:
        """Nothing more will be kept."""
        self._is_whole = True

    def clear(self) -> None:
        """Drop what waits: nobody will take it."""
        self._chunks.clear()
        self.waiting = 0

    @property
    def is_missing(self) -> bool:
        """It has ended, and there never was an answer."""
        return self._is_whole and not self._has_begun

    @property
    def is_hungry(self) -> bool:
        """There is something that the client would take."""
        if self._says_continue or self._fields is not None:
            return True
        return not self.is_blocked if self._chunks else self._is_whole

    def advance(self, protocol: Sender, turn: int) -> int:
        """Send up to ``turn`` bytes of the body; returns how many that were."""
        if self._says_continue:
            self._says_continue = False
            protocol.send_headers(self._number, [(b":status", b"100")])
        if self._fields is not None:
            fields, self._fields = self._fields, None
            self.has_left = self._is_whole and not self._chunks
            protocol.send_headers(self._number, fields, end_stream=self.has_left)
        sent = self._send_chunks(protocol, turn)
        if self._is_whole and not self._chunks and not self.has_left:
            if not sent:
                protocol.end_stream(self._number)
            self.has_left = True
        return sent

    def _send_chunks(self, protocol: Sender, turn: int) -> int:
        sent = 0
        while self._chunks and sent < turn:
            window = protocol.local_flow_control_window(self._number)
            if window <= 0:
                self.is_blocked = True
                break
            chunk = self._chunks[0]
            size = min(len(chunk), window, protocol.max_outbound_frame_size)
            self.waiting -= size
            if size == len(chunk):
                self._chunks.popleft()
            else:
                self._chunks[0] = chunk[size:]
            is_last = self._is_whole and not self._chunks
            protocol.send_data(self._number, chunk[:size], end_stream=is_last)
            sent += size
        self.sent += sent
        return sent
