# SPDX-License-Identifier: Apache-2.0
"""An object that is being read.

Driver: gcs. Asks for one stretch after the other, of one generation: a slow reader holds no
connection, a broken one costs a stretch, and what is closed early was hardly asked for.
"""

from __future__ import annotations

from typing import Any

from txregistry.driver import Unavailable
from txregistry_drivers.gcs.refusals import FAILURES, PRECONDITION_FAILED, refusal, status_of
from txregistry_drivers.objects import ObjectHead

#: Bytes that are asked for at first, and at most: small content costs one request, large content
#: few.
_FIRST, _MOST = 256 * 1024, 4 * 1024 * 1024


class GcsObject:
    """Reads a blob of Google's library.

    Args:
        more: keyword arguments for every call (timeouts, retries).
    """

    def __init__(self, blob: Any, head: ObjectHead, start: int, more: dict[str, Any]) -> None:
        self.head = head
        self._blob = blob
        self._more = more
        self._position = start
        self._stretch = _FIRST
        self._ahead = memoryview(b"")

    def read(self, limit: int) -> bytes:
        """At most ``limit`` next bytes, empty only at the end."""
        if not self._ahead and self._position < self.head.size:
            self._fetch()
        chunk = bytes(self._ahead[:limit])
        self._ahead = self._ahead[limit:]
        return chunk

    def _fetch(self) -> None:
        stop = min(self._position + self._stretch, self.head.size)
        try:
            data = self._blob.download_as_bytes(
                start=self._position,
                end=stop - 1,
                raw_download=True,
                if_generation_match=int(self.head.version),
                **self._more,
            )
        except FAILURES as err:
            if status_of(err) in (404, PRECONDITION_FAILED):
                raise Unavailable("the object is another by now", path=self._blob.name) from err
            raise refusal(err, self._blob.name, "a read") from err
        if len(data) != stop - self._position:
            raise Unavailable("GCS gave fewer bytes than it has", path=self._blob.name)
        self._position = stop
        self._stretch = min(self._stretch * 4, _MOST)
        self._ahead = memoryview(data)

    def close(self) -> None:
        """Drop what was read ahead."""
        self._ahead = memoryview(b"")
        self._position = self.head.size
