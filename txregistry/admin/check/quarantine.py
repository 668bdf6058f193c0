# SPDX-License-Identifier: Apache-2.0
"""Where repairs put what is damaged: nothing is ever deleted.

Room: admin. Must not know why something goes there. A run that repairs has a directory of its own,
below which everything lies under the path that it had::

    /docker/registry/v2/_txregistry/quarantine/20250131T102030Z/
        record-000001.json                     what was moved, from where, and why; 1,000 each
        docker/registry/v2/blobs/sha256/...

so that moving it back is dropping the front of its path. Nothing there is ever replaced: where
something is already (a file, and later in the same run the directory that it was in), the run takes
another directory.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from txregistry.admin.check.findings import Finding, Write
from txregistry.registry.tasks import if_there
from txregistry.storage import paths
from txregistry.storage.contract import Driver
from txregistry.storage.errors import Exists, Missing

#: Moves in one record. Arbitrary: a page of text, well below what a driver puts at once.
_BATCH = 1000


class Quarantine:
    """The directories of one run, one as a rule; made when something is put there.

    Args:
        now: the clock, seconds since the epoch.

    Attributes:
        directories: their paths.
    """

    def __init__(self, driver: Driver, now: Callable[[], float]) -> None:
        self.directories: list[str] = []
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
        destination = await self._destination(repair.path)
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
        path = f"{self.directories[-1]}/record-{self._records:06}.json"
        await self._driver.put(path, text.encode("ascii"))

    async def _destination(self, path: str) -> str:
        """Return where ``path`` is to go: to where nothing is."""
        is_free = False
        if self.directories:
            entry = await if_there(self._driver.stat(self.directories[-1] + path))
            is_free = entry is None
        if not is_free:
            await self.close()
            self.directories.append(await self._claim())
        return self.directories[-1] + path

    async def _claim(self) -> str:
        """Make a directory that no other run has."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._now()))
        directory, number = f"{paths.QUARANTINE}/{stamp}", 1
        while not await self._is_new(directory):
            number += 1
            directory = f"{paths.QUARANTINE}/{stamp}.{number}"
        return directory

    async def _is_new(self, directory: str) -> bool:
        try:
            await self._driver.put(f"{directory}/record-000000.json", b"{}", if_absent=True)
        except Exists:
            return False
        return True
