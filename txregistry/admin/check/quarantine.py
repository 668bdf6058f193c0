# SPDX-License-Identifier: Apache-2.0
"""Where repairs put what is damaged: nothing is ever deleted.

Room: admin. Must not know why something goes there. A run that repairs has a directory of its own, below
which everything lies under the path that it had::

    /docker/registry/v2/_txregistry/quarantine/20250131T102030Z/
        record-000001.json                     what was moved, from where, and why; 1,000 each
        docker/registry/v2/blobs/sha256/...

so that moving it back is dropping the front of its path.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable

from txregistry.admin.check.findings import Finding, Write
from txregistry.storage import paths
from txregistry.storage.contract import Driver
from txregistry.storage.errors import Exists, Missing

#: Moves in one record. Arbitrary: a page of text, well below what a driver puts at once.
_BATCH = 1000


class Quarantine:
    """The directory of one run; it is made when something is put there.

    Args:
        now: the clock, seconds since the epoch.

    Attributes:
        directory: its path; None while there is none.
    """

    def __init__(self, driver: Driver, now: Callable[[], float]) -> None:
        self.directory: str | None = None
        self._driver = driver
        self._now = now
        self._records = 0
        self._moved: list[dict[str, str]] = []

    async def mend(self, finding: Finding) -> str | None:
        """Carry out a finding's repair.

        Returns:
            Where it was moved to or what was written; None if nothing is there any more.
        """
        repair = finding.repair
        assert repair is not None
        if isinstance(repair, Write):
            await self._driver.put(repair.path, repair.data)
            return repair.path
        if self.directory is None:
            self.directory = await self._claim()
        destination = self.directory + repair.path
        try:
            await self._driver.move(repair.path, destination)
        except Missing:
            return None
        self._moved.append({"from": repair.path, "class": finding.kind.name, "why": finding.why})
        if len(self._moved) >= _BATCH:
            await self.close()
        return destination

    async def close(self) -> None:
        """Write down what was moved since the last time."""
        if not self._moved:
            return
        moved, self._moved = self._moved, []
        self._records += 1
        text = json.dumps({"moved": moved}, indent=1)
        await self._driver.put(f"{self.directory}/record-{self._records:06}.json", text.encode("ascii"))

    async def _claim(self) -> str:
        """Make a directory that no other run has."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._now()))
        for number in itertools.count(1):
            directory = f"{paths.QUARANTINE}/{stamp}" + (f".{number}" if number > 1 else "")
            try:
                await self._driver.put(f"{directory}/record-000000.json", b"{}", if_absent=True)
            except Exists:
                continue
            return directory
        raise AssertionError
