# SPDX-License-Identifier: Apache-2.0
"""Sizes and counts as people read them.

Room: admin. Must not know what has that size.
"""

from __future__ import annotations

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def count_text(count: int, noun: str, plural: str = "") -> str:
    """Return how many there are: ``1 blob``, ``2 blobs``.

    Args:
        plural: of the noun, if that is not the noun with an s.
    """
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def size_text(size: int) -> str:
    """Return a size in the unit that fits: ``5 bytes``, ``1.5 MiB``."""
    if size < 1024:
        return count_text(size, "byte")
    number, unit = size / 1024, 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.1f} {_UNITS[unit]}"
