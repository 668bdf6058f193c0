# SPDX-License-Identifier: Apache-2.0
"""A driver that keeps everything in its own memory, to try things out: gone when the driver
ends.
"""

from __future__ import annotations

from collections.abc import Mapping

from txregistry.driver import BadOptions, MemoryStore, Store


def create(options: Mapping[str, object]) -> Store:
    """The store; it has no options.

    Raises:
        BadOptions: there are some.
    """
    if options:
        name = sorted(options)[0]
        raise BadOptions(f"storage.memory has no option {name!r}: remove it")
    return MemoryStore()
