# SPDX-License-Identifier: Apache-2.0
"""What a driver found, as it travels.

Room: ipc. Values only: no connection, no driver.
"""

from __future__ import annotations

import os
from typing import Any

from txregistry.ipc import commands
from txregistry.ipc.commands import encode_refusal
from txregistry.ipc.items import Item
from txregistry.storage.contract import Content, Entry
from txregistry.storage.errors import StorageError

Answer = dict[str, Any]

#: What an entry of a page costs besides its strings, at most: the lengths, the keys, two numbers of
#: 20 digits, a boolean.
ENTRY_OVERHEAD = 112


def item_of(found: Content | StorageError) -> Item:
    """One of several contents, as it travels."""
    if isinstance(found, StorageError):
        refusal = encode_refusal(found)
        return {b"error": refusal.code.encode(), b"description": str(refusal).encode()}
    item = {b"size": b"%d" % len(found.data), b"version": found.version.encode()}
    if len(found.data) <= commands.INLINE_LIMIT:
        item[b"content"] = found.data
    return item


def record_of(path: str | None, record: bytes | None) -> tuple[str, bytes] | None:
    """A record, if all of it has come."""
    return None if path is None or record is None else (path, record)


def small(content: Content) -> Answer:
    answer: Answer = {"size": len(content.data), "version": content.version}
    if len(content.data) <= commands.INLINE_LIMIT:
        answer["content"] = content.data
    return answer


def plain(entry: Entry) -> Answer:
    return {
        "path": entry.path,
        "is_directory": entry.is_directory,
        "size": entry.size,
        "modified": entry.modified,
        "version": entry.version,
    }


def fitting_count(sizes: list[int]) -> int:
    """How many of the items fit one AMP value; at least one, if there is one."""
    room = commands.PAGE_BYTES
    for count, size in enumerate(sizes):
        room -= size
        if room < 0:
            return max(count, 1)
    return len(sizes)


def resident() -> int | None:
    """Resident memory of this process in bytes; None if no descriptor is left to look with."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def descriptors() -> int | None:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return None
