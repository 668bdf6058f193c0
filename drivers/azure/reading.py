# SPDX-License-Identifier: Apache-2.0
"""A blob that is being read, by stretches, of one version.

Driver: azure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azure.core import MatchConditions

from txregistry.driver import InvalidOffset, Missing, Unavailable
from txregistry_drivers.azure.refusals import (
    FAILURES,
    PRECONDITION_FAILED,
    refusal,
    status_of,
    translated,
)
from txregistry_drivers.objects import ObjectHead
from txregistry_drivers.objects.stretches import FIRST, StretchedObject


def open_blob(blob: Any, start: int) -> StretchedObject:
    """Open a blob for reading from ``start`` on; the first stretch comes with what is known of it.

    Args:
        blob: a client of it.

    Raises:
        Missing: there is none.
        InvalidOffset: ``start`` is beyond its end.
    """
    try:
        stream = blob.download_blob(offset=start, length=FIRST)
        data = stream.readall()
    except FAILURES as err:
        if status_of(err) != 416:
            raise refusal(err, blob.blob_name, "a read") from err
        return _at_end(blob, start)
    head = _whole_of(stream.properties)
    if len(data) != min(FIRST, head.size - start):
        raise Unavailable("Azure gave fewer bytes than it has", path=blob.blob_name)
    return StretchedObject(head, start, _fetching(blob, head.version), data)


def _at_end(blob: Any, start: int) -> StretchedObject:
    """No byte is there from ``start`` on: only the size tells whether that is the end."""
    with translated(blob.blob_name, "a look"):
        head = head_of(blob.get_blob_properties())
    if start != head.size:
        raise InvalidOffset(f"{start} is beyond the end", path=blob.blob_name)
    return StretchedObject(head, start, _fetching(blob, head.version))


def _fetching(blob: Any, version: str) -> Callable[[int, int], bytes]:
    def fetch(start: int, stop: int) -> bytes:
        try:
            data: bytes = blob.download_blob(
                offset=start, length=stop - start, **matching(version)
            ).readall()
        except FAILURES as err:
            refused = refusal(err, blob.blob_name, "a read")
            if isinstance(refused, Missing) or status_of(err) == PRECONDITION_FAILED:
                raise Unavailable("the object is another by now", path=blob.blob_name) from err
            raise refused from err
        return data

    return fetch


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
