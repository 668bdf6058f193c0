# SPDX-License-Identifier: Apache-2.0
"""What the storage tree records of an upload session, besides its bytes.

Room: registry. Must not know tokens or rules.

    _uploads/<id>/data         the bytes so far; not there before the first of them
                  startedat    when it began: UTC, RFC 3339, whole seconds
                  meta         ours: {"algorithm":"sha512","owner":"alice"}, each only where it is
                               not sha256, or nobody's
                  hashstates/  the driver's

A session that another registry began has no ``meta``, one whose ``startedat`` was lost is a session
as long as it holds bytes.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import datetime

from attrs import frozen
from twisted.logger import Logger

from txregistry.oci.digests import ALGORITHMS, CANONICAL
from txregistry.oci.names import RepositoryName, UploadId
from txregistry.registry.tasks import if_there, together
from txregistry.storage import paths
from txregistry.storage.contract import Content, Driver
from txregistry.storage.errors import Missing, StorageError

#: date-time = full-date "T" full-time    (RFC 3339 section 5.6; an offset as Go writes it)
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")

log = Logger()


@frozen
class Place:
    """Which session, and where it is."""

    repository: RepositoryName
    upload_id: UploadId

    @property
    def directory(self) -> str:
        """All of it."""
        return paths.upload_directory(self.repository.text, self.upload_id.text)

    @property
    def data(self) -> str:
        """The bytes so far."""
        return paths.upload_data(self.repository.text, self.upload_id.text)

    @property
    def started(self) -> str:
        """When it began."""
        return paths.upload_started(self.repository.text, self.upload_id.text)

    @property
    def meta(self) -> str:
        """Our own record."""
        return paths.upload_meta(self.repository.text, self.upload_id.text)

    @property
    def states(self) -> str:
        """The driver's running hashes."""
        return paths.upload_hash_states(self.repository.text, self.upload_id.text)


@frozen
class Record:
    """A session as it stands.

    Attributes:
        offset: bytes that it holds.
        started_at: RFC 3339.
        algorithm: that it was announced with.
        owner: who began it; empty for nobody in particular.
    """

    offset: int
    started_at: str
    algorithm: str
    owner: str = ""


def rfc3339(seconds: float) -> str:
    """Return a time since the epoch in UTC, whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Sessions:
    """Reads and writes these records.

    Args:
        now: the clock, seconds since the epoch.
    """

    def __init__(self, driver: Driver, *, now: Callable[[], float]) -> None:
        self._driver = driver
        self._now = now

    async def create(self, place: Place, algorithm: str = CANONICAL, owner: str = "") -> Record:
        """Begin a session. One driver call; one more before it for another algorithm than sha256,
        or if it is somebody's.
        """
        record = Record(0, rfc3339(self._now()), algorithm, owner)
        members = {} if algorithm == CANONICAL else {"algorithm": algorithm}
        if owner:
            members["owner"] = owner
        if members:
            text = json.dumps(members, separators=(",", ":"))
            await self._driver.put(place.meta, text.encode("ascii"))
        await self._driver.put(place.started, record.started_at.encode("ascii"))
        return record

    async def held(self, place: Place, *, is_new: bool = False) -> int | None:
        """Return the bytes that a session holds, None if there is none.

        One driver call where bytes are there. For one that may hold none, two: at once if the
        caller expects that (``is_new``), else one after the other.
        """
        if is_new:
            entry, started = await together(
                if_there(self._driver.stat(place.data)), if_there(self._driver.stat(place.started))
            )
        else:
            entry = await if_there(self._driver.stat(place.data))
            started = None if entry else await if_there(self._driver.stat(place.started))
        if entry is not None:
            return entry.size
        return None if started is None else 0

    async def recall(self, place: Place) -> Record | None:
        """Return all that is recorded, None if there is no session. Three driver calls at once."""
        entry, started, meta = await together(
            if_there(self._driver.stat(place.data)),
            if_there(self._driver.get(place.started)),
            if_there(self._driver.get(place.meta)),
        )
        if entry is None and started is None:
            return None
        started_at = _text(started)
        if not _DATE_TIME.fullmatch(started_at):
            # Unknown or garbage; when its bytes last changed is not before it began.
            started_at = rfc3339(entry.modified / 1e9 if entry else self._now())
        algorithm, owner = _meta(meta)
        return Record(entry.size if entry else 0, started_at, algorithm, owner)

    async def remove(self, place: Place) -> None:
        """End a session: all of it goes, and a writer that is at it is fenced. One driver call.

        Raises:
            Missing: there is none.
        """
        await self._driver.delete(place.directory)

    async def clear(self, place: Place) -> None:
        """Remove what a finished session left; what remains is found by the purge."""
        try:
            await self.remove(place)
        except Missing:
            pass
        except StorageError as error:
            log.warn(
                "upload {upload_id} was left behind: {error}",
                upload_id=place.upload_id,
                error=error,
            )


def read_started(started: Content | None) -> float | None:
    """Return when a session began, in seconds since the epoch; None if its record is garbage."""
    return moment_of(_text(started))


def moment_of(text: str) -> float | None:
    """Return an RFC 3339 time in seconds since the epoch; None if it is none."""
    if not _DATE_TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _text(content: Content | None) -> str:
    return content.data.decode("latin-1") if content else ""


def _meta(meta: Content | None) -> tuple[str, str]:
    """Return the recorded algorithm, and owner. The former is a hint for the driver, so anything
    unreadable is sha256.
    """
    try:
        members = json.loads(meta.data) if meta else None
    except ValueError:
        members = None
    found = members if isinstance(members, dict) else {}
    algorithm, owner = found.get("algorithm"), found.get("owner")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        algorithm = CANONICAL
    return algorithm, (owner if isinstance(owner, str) else "")
