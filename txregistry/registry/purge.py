# SPDX-License-Identifier: Apache-2.0
"""Removes upload sessions that nobody has touched for long.

Room: registry. Must not know when it runs. What counts is the last activity: the youngest thing in
a session's directory, by the store's clock (or ``startedat``, where a store keeps no times). A
session of which no time is known stays. Ages are large beside the moment between the look and the
removal, and a writer that came in between is fenced, so that its client learns of it. One that a
request of this process is at work on stays, however long nothing has come.

Driver calls: 1 for each directory of the tree, 1 for each 1,000 sessions of a repository, 1 for
each session, 1 more for each that goes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from attrs import define
from twisted.logger import Logger

from txregistry.oci.errors import OciError
from txregistry.oci.names import RepositoryName, UploadId
from txregistry.registry.directories import PAGE, Names
from txregistry.registry.sessions import Place, read_started
from txregistry.registry.tasks import each, if_there
from txregistry.registry.tree import UPLOADS, RepositoryTree
from txregistry.storage import paths
from txregistry.storage.contract import Driver
from txregistry.storage.errors import Missing, StorageError

#: Sessions that are looked at together. Arbitrary, and small: this is nobody's request.
WIDTH = 4

log = Logger()


@define
class PurgeReport:
    """What a purge did.

    Attributes:
        examined: sessions that were looked at.
        removed: those that went, or would have gone.
        freed: bytes that they held.
        failed: those that could not be looked at or removed; the log says why.
    """

    examined: int = 0
    removed: int = 0
    freed: int = 0
    failed: int = 0


async def _nobody(upload_id: UploadId) -> bool:
    return False


async def purge_uploads(
    driver: Driver,
    now: float,
    age: float,
    dry_run: bool = False,
    is_in_use: Callable[[UploadId], Awaitable[bool]] = _nobody,
) -> PurgeReport:
    """Remove the sessions whose last activity is more than ``age`` seconds before ``now``.

    Args:
        now: seconds since the epoch.
        dry_run: remove nothing, report all the same.
        is_in_use: says whether a request is at work on a session; such a one stays.

    Raises:
        StorageError: the tree can't be listed.
    """
    purge = _Purge(driver, now - age, dry_run, is_in_use)
    tree = RepositoryTree(driver)
    while (node := await tree.next()) is not None:
        if UPLOADS in node.markers:
            await purge.repository(node.name)
    return purge.report


class _Purge:
    def __init__(
        self,
        driver: Driver,
        before: float,
        dry_run: bool,
        is_in_use: Callable[[UploadId], Awaitable[bool]],
    ) -> None:
        self.report = PurgeReport()
        self._driver = driver
        self._before = before
        self._dry_run = dry_run
        self._is_in_use = is_in_use

    async def repository(self, name: RepositoryName) -> None:
        """Look at all sessions of a repository."""

        async def session(upload_id: str) -> None:
            place = Place(name, UploadId(upload_id))
            try:
                await self._session(place)
            except Missing:
                pass  # finished meanwhile
            except StorageError as error:
                self.report.failed += 1
                log.warn("upload {path} was not purged: {error}", path=place.directory, error=error)

        sessions = Names(self._driver, paths.uploads(name.text), "", _is_upload_id)
        while found := await if_there(sessions.take(PAGE)):
            await each(session, found, width=WIDTH)

    async def _session(self, place: Place) -> None:
        self.report.examined += 1
        latest, size = await self._look(place)
        if latest is None or latest >= self._before:
            return
        if await self._is_in_use(place.upload_id):
            return
        if not self._dry_run:
            await self._driver.delete(place.directory)
        self.report.removed += 1
        self.report.freed += size
        log.info(
            "upload {path} of {size} bytes {was} purged; its last activity was {latest}",
            path=place.directory,
            size=size,
            was="would be" if self._dry_run else "was",
            latest=datetime.fromtimestamp(latest, UTC).isoformat(timespec="seconds"),
        )

    async def _look(self, place: Place) -> tuple[float | None, int]:
        """Return the last activity (None: not known) and the bytes held."""
        walk = await self._driver.walk(place.directory, limit=PAGE)
        files = {entry.path: entry for entry in walk.entries if not entry.is_directory}
        data = files.get(place.data)
        size = data.size if data else 0
        latest = max((entry.modified for entry in files.values()), default=0)
        if latest:
            return latest / 1e9, size
        started = await if_there(self._driver.get(place.started))
        return read_started(started), size


def _is_upload_id(name: str) -> bool:
    try:
        UploadId.parse(name)
    except OciError:
        return False
    return True
