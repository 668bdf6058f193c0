# SPDX-License-Identifier: Apache-2.0
"""What was found out at some cost and holds for a while: a bounded table of values that expire.

Room: identify. Must not know what is kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Values by key, the latest ``limit`` of them.

    Args:
        seconds: the clock.
    """

    def __init__(self, limit: int, seconds: Callable[[], float]) -> None:
        self._limit = limit
        self._seconds = seconds
        self._values: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return what is kept and has not expired."""
        found = self._values.get(key)
        if found is None:
            return None
        expires, value = found
        if self._seconds() >= expires:
            del self._values[key]
            return None
        self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V, duration: float) -> None:
        """Keep a value for so many seconds."""
        self._values[key] = (self._seconds() + duration, value)
        self._values.move_to_end(key)
        if len(self._values) > self._limit:
            self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
