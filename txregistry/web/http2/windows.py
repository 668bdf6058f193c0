# SPDX-License-Identifier: Apache-2.0
"""How much a client may send before it is told to go on.

Room: web. Must not know requests. A stream's window is small until a route reads a large body; the
connection's is always that of all streams, so that one which waits for storage can't hold up
another. Both open again by what a route has taken, also of a stream that the client took back: else
it could have us keep a window more with each stream that it begins and takes back, while storage is
at a standstill. So who has as many of them in that state as it may have streams waits for storage.

Source: RFC 9113 section 5.2.
"""

from __future__ import annotations

from h2.connection import H2Connection

from txregistry.web.http2.stream import Stream
from txregistry.web.ingest import HIGH_WATER
from txregistry.web.room import Room
from txregistry.web.wire import Wire

#: A stream's first window: what holds if nothing is said (RFC 9113 section 6.9.2), in bytes.
WINDOW = 65_535

#: What a stream gets beside that while a large body of it is read: in all, what may wait of a body
#: over HTTP/1.1.
WIDTH = 2 * HIGH_WATER - WINDOW

#: Streams of one connection that may have that at a time. Arbitrary.
WIDE_STREAMS = 4


class Windows:
    """The windows of one connection.

    Args:
        protocol: the library's.
        queues: bytes that arrived and wait to be stored, of all connections.
        buffers: bytes of receive buffers that are larger than usual, likewise.
    """

    def __init__(self, protocol: H2Connection, wire: Wire, queues: Room, buffers: Room) -> None:
        self._protocol = protocol
        self._wire = wire
        self._queues = queues
        self._buffers = buffers
        self._wide: set[int] = set()
        self._widths = 0

    def begin(self, streams: int) -> None:
        """Open the connection's window for so many streams."""
        if streams > 1:
            self._protocol.increment_flow_control_window(WINDOW * (streams - 1))

    def acknowledge(self, number: int, size: int) -> None:
        """Open windows by what came on a stream and was taken."""
        self._protocol.acknowledge_received_data(size, number)

    def widen(self, stream: Stream) -> None:
        """Give a stream, whose large body is read, a larger window, if there is room for one.

        The connection's grows with it, and stays so for the next one.
        """
        if len(self._wide) >= WIDE_STREAMS or self._queues.is_full or stream.is_body_whole:
            return
        self._wide.add(stream.number)
        self._wire.enlarge_buffer(self._buffers)
        self._protocol.increment_flow_control_window(WIDTH, stream.number)
        if len(self._wide) > self._widths:
            self._widths += 1
            self._protocol.increment_flow_control_window(WIDTH)

    def forget(self, stream: Stream) -> None:
        """It is over. Repeatable."""
        self._wide.discard(stream.number)
        if not self._wide:
            self._wire.restore_buffer()
