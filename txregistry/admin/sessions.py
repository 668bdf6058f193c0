# SPDX-License-Identifier: Apache-2.0
"""Upload sessions as they lie in the tree.

Room: admin. Must not know what is done about them. Times are of the store's clock.
"""

from __future__ import annotations

from attrs import frozen

from txregistry.oci.errors import OciError
from txregistry.oci.names import RepositoryName, UploadId
from txregistry.registry.directories import PAGE, Names
from txregistry.registry.sessions import Place, read_started
from txregistry.registry.tasks import if_there, together
from txregistry.storage import paths
from txregistry.storage.contract import Driver, Entry


@frozen
class Session:
    """What there is of a session.

    Attributes:
        size: bytes that it holds; None: it has no data.
        started: when it began, in seconds since the epoch; None: that is not known.
        active: the last change of anything in it, likewise.
        files: paths below its directory.
    """

    place: Place
    size: int | None
    started: float | None
    active: float | None
    files: tuple[str, ...]

    @property
    def last_seen(self) -> float | None:
        """When it was last known to live."""
        return self.active if self.active is not None else self.started


class SessionsOf:
    """The sessions of one repository, page by page."""

    def __init__(self, driver: Driver, name: RepositoryName) -> None:
        self._name = name
        self._names = Names(driver, paths.uploads(name.text), "", _is_upload_id)

    async def page(self) -> list[Place]:
        """Return where the next sessions are; none at the end."""
        found = await if_there(self._names.take(PAGE))
        return [Place(self._name, UploadId(upload_id)) for upload_id in found or ()]


async def read_session(driver: Driver, place: Place) -> Session | None:
    """Look at one session; None if nothing is in it.

    The data are looked at last: what a saved state says of them was true before.

    Raises:
        Missing: it is not there.
    """
    entries = await _files(driver, place.directory)
    if not entries:
        return None
    started, data = await together(
        if_there(driver.get(place.started)), if_there(driver.stat(place.data))
    )
    changes = [entry.modified for entry in (*entries, *((data,) if data else ()))]
    return Session(
        place,
        size=None if data is None or data.is_directory else data.size,
        started=read_started(started),
        active=max(changes) / 1e9 if any(changes) else None,
        files=tuple(entry.path for entry in entries),
    )


async def _files(driver: Driver, directory: str) -> list[Entry]:
    found: list[Entry] = []
    after, has_more = "", True
    while has_more:
        walk = await driver.walk(directory, after=after)
        found += (entry for entry in walk.entries if not entry.is_directory)
        has_more = walk.has_more
        after = walk.entries[-1].path if has_more else ""
    return found


def _is_upload_id(name: str) -> bool:
    try:
        UploadId.parse(name)
    except OciError:
        return False
    return True
