# SPDX-License-Identifier: Apache-2.0
"""Walks one area of the tree, gives what belongs there and tells of what does not.

Room: admin. Must not know what things mean; ``layout`` says where they belong. Below something
foreign nothing is looked at: it is one finding.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from txregistry.admin.check.findings import FOREIGN, TEMP, movable
from txregistry.admin.check.inspection import Inspection, Verdict
from txregistry.admin.check.layout import Grammar, Parts, Spot, is_leftover
from txregistry.registry.tasks import if_there
from txregistry.storage.contract import Entry

#: Entries of one page. Arbitrary: what a driver gives at once fits a message of 64 KiB anyway.
PAGE = 1000


@frozen
class Known:
    """An entry that belongs where it is.

    Attributes:
        parts: of its path below the area.
    """

    parts: Parts
    entry: Entry


@frozen
class Stray:
    """Something that does not belong where it is."""

    path: str
    is_directory: bool
    expected: Spot = Spot.NOTHING


class Area:
    """One walk."""

    def __init__(self, inspection: Inspection, root: str, grammar: Grammar) -> None:
        self._inspection = inspection
        self._root = root
        self._grammar = grammar
        self._after: str | None = ""
        #: A directory below which nothing is looked at.
        self._passed = ""

    async def page(self) -> list[Known] | None:
        """Return the next entries that belong here, None at the end. They may be none."""
        if self._after is None:
            return None
        walk = await if_there(
            self._inspection.driver.walk(
                self._root,
                after=self._after,
                skip_subtree=bool(self._after) and self._after == self._passed,
                limit=PAGE,
            )
        )
        if walk is None:
            self._after = None
            return None
        strays: list[Stray] = []
        known = [one for entry in walk.entries if (one := self._known(entry, strays)) is not None]
        self._after = self._next(walk.entries[-1].path) if walk.has_more else None
        await tell_strays(self._inspection, strays)
        return known

    def _known(self, entry: Entry, strays: list[Stray]) -> Known | None:
        if self._passed and entry.path.startswith(self._passed + "/"):
            return None
        parts = tuple(entry.path.removeprefix(self._root + "/").split("/"))
        spot = self._grammar(parts)
        if spot is (Spot.DIRECTORY if entry.is_directory else Spot.FILE):
            return Known(parts, entry)
        if entry.is_directory:
            self._passed = entry.path
        if spot is not Spot.LEFT_ALONE:
            strays.append(Stray(entry.path, entry.is_directory, spot))
        return None

    def _next(self, last: str) -> str:
        return self._passed if last.startswith(self._passed + "/") and self._passed else last


async def tell_strays(inspection: Inspection, strays: Sequence[Stray]) -> None:
    """Look at each stray, and report those that stay."""

    async def look(stray: Stray) -> Verdict[None]:
        await inspection.driver.stat(stray.path)
        name = stray.path.rpartition("/")[2]
        if not stray.is_directory and is_leftover(name):
            return Verdict((movable(TEMP, stray.path, "is a temporary file that was left behind"),))
        what = "a directory" if stray.is_directory else "a file"
        why = f"is {what} that does not belong there"
        if stray.expected in (Spot.DIRECTORY, Spot.FILE):
            why = f"is {what} where {stray.expected.value} belongs"
        return Verdict((movable(FOREIGN, stray.path, why),))

    await inspection.examine(strays, look, path=lambda stray: stray.path)
