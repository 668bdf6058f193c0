# SPDX-License-Identifier: Apache-2.0
"""The upload sessions of a repository: what must be there, and whether saved hash states can be
used.

Room: admin. Must not know uploads' rules. A session without data is one that has just begun; only
if it is idle for long, or had bytes once, something is wrong with it.

A hash state is Go's: four bytes of magic, the state, and in the last eight bytes how many bytes
went in, which is also its name.
"""

from __future__ import annotations

from txregistry.admin.check.area import Area
from txregistry.admin.check.findings import (
    UPLOAD_NO_DATA,
    UPLOAD_NO_START,
    UPLOAD_STATE,
    Finding,
    movable,
)
from txregistry.admin.check.inspection import Inspection, Verdict
from txregistry.admin.check.layout import Spot, in_uploads
from txregistry.admin.sessions import Session, read_session
from txregistry.oci.names import RepositoryName, UploadId
from txregistry.registry.sessions import Place
from txregistry.registry.tasks import if_there
from txregistry.storage import paths

#: How a saved state begins and how long it is, by algorithm.
_STATES = {"sha256": (b"sha\x03", 108), "sha384": (b"sha\x04", 204), "sha512": (b"sha\x07", 204)}


async def check_sessions(inspection: Inspection, name: RepositoryName) -> None:
    """Check all sessions of a repository."""
    area = Area(inspection, paths.uploads(name.text), in_uploads)

    async def look(place: Place) -> Verdict[None]:
        session = await read_session(inspection.driver, place)
        return Verdict() if session is None else await _look(inspection, session)

    while (page := await area.page()) is not None:
        places = [Place(name, UploadId(one.parts[0])) for one in page if len(one.parts) == 1]
        await inspection.examine(places, look, path=lambda place: place.directory)
        inspection.totals.uploads += len(places)


async def _look(inspection: Inspection, session: Session) -> Verdict[None]:
    place = session.place
    if session.started is None:
        why = "is missing" if place.started not in session.files else "does not hold a time"
        return Verdict((movable(UPLOAD_NO_START, place.started, why, place.directory),))
    states = [path for path in session.files if _is_state(place, path)]
    if session.size is None:
        idle = inspection.now() - (session.last_seen or session.started)
        if any(_offset(path) for path in states):
            why = "is missing, although bytes were hashed"
        elif idle > inspection.options.upload_age:
            why = f"is missing, and nothing was done for {idle / 3600:.0f} hours"
        else:
            return Verdict()
        return Verdict((movable(UPLOAD_NO_DATA, place.data, why, place.directory),))
    found = [await _look_at_state(inspection, path, session.size) for path in states]
    return Verdict(tuple(finding for finding in found if finding is not None))


async def _look_at_state(inspection: Inspection, path: str, size: int) -> Finding | None:
    if _offset(path) > size:
        return movable(
            UPLOAD_STATE, path, f"is of more than the {size} bytes that the upload holds"
        )
    state = await if_there(inspection.driver.get(path))
    magic, length = _STATES[path.split("/")[-2]]
    if state is None:
        return None
    if len(state.data) != length or not state.data.startswith(magic):
        return movable(UPLOAD_STATE, path, "is not a hash state")
    if int.from_bytes(state.data[-8:]) != _offset(path):
        return movable(UPLOAD_STATE, path, "is the state of another offset")
    return None


def _is_state(place: Place, path: str) -> bool:
    parts = path.removeprefix(paths.uploads(place.repository.text) + "/").split("/")
    return path.startswith(place.states + "/") and in_uploads(tuple(parts)) is Spot.FILE


def _offset(path: str) -> int:
    return int(path.rpartition("/")[2])
