# SPDX-License-Identifier: Apache-2.0
"""An object that is being read.

Driver: swift. Asks for one stretch after the other, of one ETag: a slow reader holds no connection, a
broken one costs a stretch, and what is closed early was hardly asked for. The first stretch comes
with what is known of the object.
"""

from __future__ import annotations

from collections.abc import Callable

from txregistry.driver import Unavailable
from txregistry_drivers.objects import ObjectHead

#: Bytes that are asked for at first, and at most: small content costs one request, large content
#: few.
FIRST = 256 * 1024
_MOST = 4 * 1024 * 1024


class SwiftObject:
    """Reads by stretches.

    Args:
        first: the bytes from ``start`` on that are here already.
        fetch: start, stop -> those bytes.
    """

    def __init__(
        self, head: ObjectHead, start: int, first: bytes, fetch: Callable[[int, int], bytes]
    ) -> None:
        self.head = head
        self._fetch = fetch
        self._position = start + len(first)
        self._stretch = FIRST * 4
        self._ahead = memoryview(first)

    def read(self, limit: int) -> bytes:
        """At most ``limit`` next bytes, empty only at the end."""
        if not self._ahead and self._position < self.head.size:
            stop = min(self._position + self._stretch, self.head.size)
            data = self._fetch(self._position, stop)
            if len(data) != stop - self._position:
                raise Unavailable("Swift gave fewer bytes than it has")
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
