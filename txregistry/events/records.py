# SPDX-License-Identifier: Apache-2.0
"""Lines of the queue: one event each, with a checksum, so that a line that a crash tore is known
for one.

Room: events. Must not know files. The queue is text, so that an operator can look at it::

    record = checksum SP stamp SP event LF
    checksum = 8 hexadecimal digits        CRC-32 of "stamp SP event"
    stamp    = digits                      milliseconds since the epoch, when it was queued
    event    = JSON on one line
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from attrs import frozen

#: Longest line, in bytes. Arbitrary: an event with the references of a very large image.
LINE_LIMIT = 1024 * 1024

_RECORD = re.compile(rb"([0-9a-f]{8}) (([0-9]{1,16}) (\{.*\}))")


@frozen
class Record:
    """One event of the queue.

    Attributes:
        stamp: when it was queued, seconds since the epoch.
        event: as registry:3 spells it.
        length: bytes of its line.
    """

    stamp: float
    event: Mapping[str, Any]
    length: int


def encode(stamp: float, event: Mapping[str, Any]) -> bytes:
    """Return the line of an event.

    Args:
        stamp: seconds since the epoch.
    """
    text = json.dumps(event, separators=(",", ":")).encode("ascii")
    checked = b"%d %s" % (stamp * 1000, text)
    return b"%08x %s\n" % (crc32(checked), checked)


def decode(line: bytes) -> Record | None:
    """Return what a line holds, None if it is not whole.

    Args:
        line: without its line feed.
    """
    found = _RECORD.fullmatch(line)
    if found is None or int(found[1], 16) != crc32(found[2]):
        return None
    return Record(int(found[3]) / 1000, json.loads(found[4]), len(line) + 1)
