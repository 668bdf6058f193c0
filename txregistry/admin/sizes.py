# SPDX-License-Identifier: Apache-2.0
"""Sizes as people read them.

Room: admin. Must not know what has that size.
"""

from __future__ import annotations

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def size_text(size: int) -> str:
    """Return a size in the unit that fits: ``5 bytes``, ``1.5 MiB``."""
    if size < 1024:
        return f"{size} bytes"
    number, unit = size / 1024, 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.1f} {_UNITS[unit]}"
