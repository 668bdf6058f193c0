# SPDX-License-Identifier: Apache-2.0
"""Names of directories, page by page.

Room: registry. Must not know what the directories are. Names in the tree are ASCII, so the order of
their text is byte order, which is the driver's.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from txregistry.storage.contract import Driver

#: Most names that one driver call is asked for. Arbitrary: a page of the longest tags is 128 KiB.
PAGE = 1000

#: Characters of a name in the tree; what a client asks to start after may have others.
_SAFE = re.compile(r"[A-Za-z0-9._-]{0,255}")


def safe_start(last: str) -> str:
    """Return a name that a driver takes and that sorts no later than ``last``: its first part."""
    match = _SAFE.match(last)
    assert match is not None  # it may be empty
    return match[0]


class Names:
    """Names of the directories directly below ``path``, in byte order.

    Args:
        last: any text; only names after it are given.
        is_wanted: whether a name is one; others are passed over, as are files.
    """

    def __init__(
        self, driver: Driver, path: str, last: str, is_wanted: Callable[[str], bool]
    ) -> None:
        self._driver = driver
        self._path = path
        self._last = last
        self._is_wanted = is_wanted
        self._after = safe_start(last)
        self._has_more = True

    async def take(self, count: int | None) -> list[str]:
        """Return the next names, fewer than ``count`` only at the end; all of them for None.

        Raises:
            Missing: there is no such directory.
        """
        names: list[str] = []
        while self._has_more and (count is None or len(names) < count):
            limit = PAGE if count is None else min(count - len(names), PAGE)
            listing = await self._driver.list(self._path, after=self._after, limit=limit)
            for child in listing.children:
                self._after = child.name
                if child.is_directory and child.name > self._last and self._is_wanted(child.name):
                    names.append(child.name)
            self._has_more = listing.has_more
        return names
