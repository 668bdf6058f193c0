# SPDX-License-Identifier: Apache-2.0
"""Lists the upload sessions of all repositories, for people and for programs.

Room: admin. Must not know what they are listed for; ``registry.purge`` removes them.
``docs/operate/uploads.md`` describes the document; members are only added to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from txregistry.admin.json_items import JsonItems
from txregistry.admin.sessions import Session, SessionsOf, read_session
from txregistry.admin.sizes import count_text, size_text
from txregistry.registry.sessions import Place, rfc3339
from txregistry.registry.tasks import each, if_there
from txregistry.registry.tree import UPLOADS, RepositoryTree
from txregistry.storage.contract import Driver

#: Name and version of the document's form.
SCHEMA = "txregistry.uploads/1"

#: Sessions that are looked at together. Arbitrary, and small: this is nobody's request.
WIDTH = 8

_ROW = "{:20}  {:20}  {:>12}  {:36}  {}"


async def list_uploads(
    driver: Driver,
    take: Callable[[Session], None],
    is_wanted: Callable[[Session], bool] = lambda session: True,
) -> None:
    """Look at every session and give those that are wanted to ``take``, by repository and id.

    Raises:
        StorageError: storage can't be read.
    """

    async def look(place: Place) -> Session | None:
        return await if_there(read_session(driver, place))

    tree = RepositoryTree(driver)
    while (node := await tree.next()) is not None:
        if UPLOADS not in node.markers:
            continue
        sessions = SessionsOf(driver, node.name)
        while places := await sessions.page():
            for session in await each(look, places, width=WIDTH):
                if session is not None and is_wanted(session):
                    take(session)


class TextUploads:
    """The list for people.

    Args:
        write: takes a line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._count = self._bytes = 0

    def begin(self) -> None:
        """Nothing comes first: there may be none."""

    def add(self, session: Session) -> None:
        """Write one."""
        if not self._count:
            self._write(_ROW.format("STARTED", "LAST ACTIVITY", "SIZE", "ID", "REPOSITORY"))
        size = session.size or 0
        self._count, self._bytes = self._count + 1, self._bytes + size
        times = [_time(session.started) or "unknown", _time(session.last_seen) or "unknown"]
        place = session.place
        self._write(
            _ROW.format(*times, size_text(size), place.upload_id.text, place.repository.text)
        )

    def end(self, members: Mapping[str, Any]) -> None:
        """Write what there were, and what became of them if anything did."""
        if not members:
            verb = "holds" if self._count == 1 else "hold"
            uploads = count_text(self._count, "upload")
            self._write(f"{uploads} that {verb} {size_text(self._bytes)}")
            return
        done = "would be removed" if members["dry_run"] else "removed"
        freed = size_text(members["freed"])
        line = f"{count_text(members['examined'], 'upload')}, {members['removed']} {done}, {freed} freed"
        self._write(f"{line}, {members['failed']} failed" if members["failed"] else line)


class JsonUploads:
    """The list for programs.

    Args:
        write: takes a line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._items = JsonItems(write, SCHEMA, "uploads")

    def begin(self) -> None:
        """Write what comes before them."""
        self._items.begin()

    def add(self, session: Session) -> None:
        """Write one."""
        self._items.add(
            {
                "repository": session.place.repository.text,
                "id": session.place.upload_id.text,
                "size": session.size or 0,
                "started": _time(session.started),
                "last_activity": _time(session.last_seen),
            }
        )

    def end(self, members: Mapping[str, Any]) -> None:
        """Write what became of them."""
        self._items.end(members)


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)
