# SPDX-License-Identifier: Apache-2.0
"""The answer to several reads at once, coded by hand.

Room: ipc. On the wire this is AMP's list of boxes, nothing else; but AMP's own code takes each key
and value through its parser of streams, which cost more than everything else about a small read.

    item  = 1*(length key length value) %x00 %x00       each length two bytes, big-endian
    keys: content, size, version; or error, description
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from twisted.protocols import amp

_LENGTH = struct.Struct(">H")
_END = b"\0\0"

Item = dict[bytes, bytes]


class MalformedItems(ValueError):
    """The value is not a list of boxes."""


class ItemList(amp.Argument):
    """A list of boxes whose keys and values stay bytes."""

    def toString(self, inObject: Sequence[Mapping[bytes, bytes]]) -> bytes:
        pack = _LENGTH.pack
        pieces: list[bytes] = []
        for item in inObject:
            for key, value in item.items():
                pieces += (pack(len(key)), key, pack(len(value)), value)
            pieces.append(_END)
        return b"".join(pieces)

    def fromString(self, inString: bytes) -> list[Item]:
        items = []
        position, stop = 0, len(inString)
        try:
            while position < stop:
                item, position = _read_item(inString, position)
                items.append(item)
        except (IndexError, struct.error) as error:
            raise MalformedItems("the list of boxes ends in the middle of one") from error
        return items


def _read_item(data: bytes, position: int) -> tuple[Item, int]:
    unpack = _LENGTH.unpack_from
    item: Item = {}
    while True:
        (length,) = unpack(data, position)
        position += 2
        if not length:
            return item, position
        key = data[position : position + length]
        position += length
        (length,) = unpack(data, position)
        position += 2 + length
        if length > 0xFFFF or position > len(data):
            raise IndexError
        item[key] = data[position - length : position]
