# SPDX-License-Identifier: Apache-2.0
"""An object that is being read by stretches, each of one request.

Drivers: objects. Must not know any vendor; for those whose libraries give bytes rather than a stream.
A slow reader holds no connection, a broken one costs a stretch, and what is closed early was hardly
asked for.
"""

from __future__ import annotations

from collections.abc import Callable

from txregistry.driver import Unavailable
from txregistry_drivers.objects.bucket import ObjectHead, OpenObject

#: Bytes that are asked for at first, and at most: small content costs one request, large content
#: few.
FIRST, _MOST = 256 * 1024, 4 * 1024 * 1024


class StretchedObject:
    """An :class:`~txregistry_drivers.objects.bucket.OpenObject`.

    Args:
        start: what is read first.
        fetch: start, stop -> those bytes, of the version of ``head``; raises a refusal.
        first: the bytes from ``start`` on that are here already, where they came with the head.
    """

    def __init__(
        self, head: ObjectHead, start: int, fetch: Callable[[int, int], bytes], first: bytes = b""
    ) -> None:
        self.head = head
        self._fetch = fetch
        self._position = start + len(first)
        self._stretch = FIRST * 4 if first else FIRST
        self._ahead = memoryview(first)

    def read(self, limit: int) -> bytes:
        """At most ``limit`` next bytes, empty only at the end."""
        if not self._ahead and self._position < self.head.size:
            stop = min(self._position + self._stretch, self.head.size)
            data = self._fetch(self._position, stop)
            if len(data) != stop - self._position:
                raise Unavailable(f"{len(data)} bytes came for {self._position} to {stop}")
            self._position = stop
            self._stretch = min(self._stretch * 4, _MOST)
            self._ahead = memoryview(data)
        chunk = bytes(self._ahead[:limit])
        self._ahead = self._ahead[limit:]
        return chunk

    def close(self) -> None:
        """Drop what was read ahead."""
        self._ahead = memoryview(b"")
        self._position = self.head.size


def read_exactly(opened: OpenObject, size: int) -> bytes:
    """The next ``size`` bytes.

    Raises:
        Unavailable: there are fewer.
    """
    data = bytearray()
    while len(data) < size:
        chunk = opened.read(size - len(data))
        if not chunk:
            raise Unavailable(f"an object ended after {len(data)} of {size} bytes")
        data += chunk
    return bytes(data)
