# SPDX-License-Identifier: Apache-2.0
"""Durations as Go writes them: "10s", "168h", "1h30m", "1.5s", "-2m"; a bare number is nanoseconds.

Room: config.

Grammar (Go's ``time.ParseDuration``)::

    duration = [ "+" | "-" ] ( "0" | { number unit } )
    number   = digits [ "." [ digits ] ] | "." digits
    unit     = "ns" | "us" | "µs" | "μs" | "ms" | "s" | "m" | "h"
"""

from __future__ import annotations

import re
from decimal import Decimal

_NANOSECONDS = {
    "ns": Decimal(1),
    "us": Decimal(10) ** 3,
    "\u00b5s": Decimal(10) ** 3,  # the micro sign
    "\u03bcs": Decimal(10) ** 3,  # the Greek letter
    "ms": Decimal(10) ** 6,
    "s": Decimal(10) ** 9,
    "m": Decimal(60) * 10**9,
    "h": Decimal(3600) * 10**9,
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_WHOLE = re.compile(rf"[+-]?(?:0|(?:{_PART.pattern})+)")


def parse_duration(text: str) -> float:
    """Read a duration of Go's form.

    Returns:
        Seconds.

    Raises:
        ValueError: it is of another form.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"not a duration: {text!r}")
    total = sum(
        (Decimal(number) * _NANOSECONDS[unit] for number, unit in _PART.findall(text)), Decimal(0)
    )
    return from_nanoseconds(-total if text.startswith("-") else total)


def from_nanoseconds(count: Decimal | int) -> float:
    """Nanoseconds as seconds."""
    return float(Decimal(count) / Decimal(10) ** 9)


def render_duration(seconds: float) -> str:
    """Seconds in the shortest form with one unit, for messages: ``3600`` is ``1h``, ``90`` is
    ``90s``.
    """
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:g}s"
