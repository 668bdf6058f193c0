# SPDX-License-Identifier: Apache-2.0
"""A blob that is being read.

Driver: azure. Asks for one stretch after the other, of one version: a slow reader holds no
connection, a broken one costs a stretch, and what is closed early was hardly asked for. The first
stretch comes with what is known of the blob, by one request.
"""

from __future__ import annotations

from typing import Any

from azure.core import MatchConditions

from txregistry.driver import InvalidOffset, Missing, Unavailable
from txregistry_drivers.azure.refusals import FAILURES, PRECONDITION_FAILED, refusal, status_of
from txregistry_drivers.objects import ObjectHead

#: Bytes that are asked for at first, and at most: small content costs one request, large content
#: few.
_FIRST, _MOST = 256 * 1024, 4 * 1024 * 1024


class AzureObject:
    """Reads a blob.

    Args:
        blob: a client of it.

    Raises:
        Missing: there is none.
        InvalidOffset: ``start`` is beyond its end.
    """

    head: ObjectHead

    def __init__(self, blob: Any, start: int) -> None:
        self._blob = blob
        self._position = start
        self._stretch = _FIRST
        self._ahead = memoryview(b"")
        try:
            stream = blob.download_blob(offset=start, length=_FIRST)
            data = stream.readall()
        except FAILURES as err:
            if status_of(err) != 416:
                raise refusal(err, blob.blob_name, "a read") from err
            self._start_at_end(start)
        else:
            self.head = _whole_of(stream.properties)
            self._take(data, min(start + _FIRST, self.head.size))

    def read(self, limit: int) -> bytes:
        """At most ``limit`` next bytes, empty only at the end."""
        if not self._ahead and self._position < self.head.size:
            self._fetch()
        chunk = bytes(self._ahead[:limit])
        self._ahead = self._ahead[limit:]
        return chunk

    def close(self) -> None:
        """Drop what was read ahead."""
        self._ahead = memoryview(b"")
        self._position = self.head.size

    def _start_at_end(self, start: int) -> None:
        """No byte is there from ``start`` on: only the size tells whether that is the end."""
        try:
            self.head = head_of(self._blob.get_blob_properties())
        except FAILURES as err:
            raise refusal(err, self._blob.blob_name, "a look") from err
        if start != self.head.size:
            raise InvalidOffset(f"{start} is beyond the end", path=self._blob.blob_name)

    def _fetch(self) -> None:
        stop = min(self._position + self._stretch, self.head.size)
        try:
            data = self._blob.download_blob(
                offset=self._position, length=stop - self._position, **matching(self.head.version)
            ).readall()
        except FAILURES as err:
            refused = refusal(err, self._blob.blob_name, "a read")
            if isinstance(refused, Missing) or status_of(err) == PRECONDITION_FAILED:
                raise Unavailable(
                    "the object is another by now", path=self._blob.blob_name
                ) from err
            raise refused from err
        self._take(data, stop)

    def _take(self, data: bytes, stop: int) -> None:
        if len(data) != stop - self._position:
            raise Unavailable("Azure gave fewer bytes than it has", path=self._blob.blob_name)
        self._position = stop
        self._stretch = min(self._stretch * 4, _MOST)
        self._ahead = memoryview(data)


def head_of(properties: Any) -> ObjectHead:
    """What is known of a blob."""
    return _head(properties, int(properties.size))


def _whole_of(properties: Any) -> ObjectHead:
    """The same of one that was read in part: its size there is that of the part."""
    total = str(properties.content_range or "").rpartition("/")[2]
    return _head(properties, int(total) if total.isdigit() else int(properties.size))


def _head(properties: Any, size: int) -> ObjectHead:
    metadata = {name.lower(): value for name, value in (properties.metadata or {}).items()}
    return ObjectHead(size, version_of(properties.etag), modified_of(properties), metadata)


def version_of(etag: str) -> str:
    """An ETag without the quotes that only some answers have."""
    return etag.strip('"')


def matching(version: str) -> dict[str, Any]:
    """The condition that a blob is of a version."""
    return {"etag": f'"{version}"', "match_condition": MatchConditions.IfNotModified}


def modified_of(properties: Any) -> int:
    """Nanoseconds since the epoch, of whole seconds."""
    return int(properties.last_modified.timestamp()) * 10**9 if properties.last_modified else 0
