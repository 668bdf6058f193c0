# SPDX-License-Identifier: Apache-2.0
"""The end of an upload: bytes become a blob of a repository.

Room: registry. Must not know requests. What is called here is never cancelled half-way
(``tasks.Finishing``), and every step may be repeated::

    staged bytes  --commit-->  blobs/...  --link-->  _layers/...  --clear-->  no session
                               size, data

The session keeps its bytes until the link is written, so a crash in between loses nothing.
"""

from __future__ import annotations

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code, OciError
from txregistry.oci.media_types import OCTET_STREAM
from txregistry.oci.names import RepositoryName
from txregistry.registry.links import Links, blob_link, data_path
from txregistry.registry.observer import Action, Event, Observer
from txregistry.registry.sessions import Place, Sessions
from txregistry.registry.size_records import size_path, size_record
from txregistry.storage.contract import Driver
from txregistry.storage.errors import Mismatch, Missing, Unsupported


class Publication:
    """Publishes blobs, from a session or from memory."""

    def __init__(
        self, driver: Driver, links: Links, sessions: Sessions, observer: Observer
    ) -> None:
        self._driver = driver
        self._links = links
        self._sessions = sessions
        self._observer = observer

    async def from_session(self, place: Place, digest: Digest, size: int) -> None:
        """Publish what a session holds and end it. Three driver calls.

        Args:
            size: bytes that it holds.

        Raises:
            OciError: DIGEST_INVALID: the bytes are others; nothing is published, the session stays.
            Missing: the session has gone.
        """
        if size == 0:
            # Where nothing came nothing may be staged.
            if not digest.matches(b""):
                raise OciError(Code.DIGEST_INVALID)
            await self._put(digest, b"")
        else:
            await self._commit(place, digest, size)
        await self._link(place.repository, digest, size)
        await self._end(place, digest, size)

    async def from_memory(self, repository: RepositoryName, digest: Digest, data: bytes) -> None:
        """Publish bytes that were verified. Two driver calls."""
        await self._put(digest, data)
        await self._link(repository, digest, len(data))

    async def in_place_of_session(self, place: Place, digest: Digest, data: bytes) -> None:
        """Publish verified bytes that never were in their session, and end it. Three driver
        calls.
        """
        await self.from_memory(place.repository, digest, data)
        await self._end(place, digest, len(data))

    async def is_repeated(self, place: Place, digest: Digest, held: int | None) -> bool:
        """Say whether the repository has the blob that a session would become, and end it if so.

        That it was pushed is told again: whoever did it the first time may have died before.

        Args:
            held: bytes that the session holds, None if it has gone.
        """
        member = await self._links.find_blob(place.repository, digest)
        if member is None or held not in (None, member.size):
            return False
        await self._pushed(place.repository, digest, member.size)
        await self._end(place, digest, member.size, is_open=held is not None)
        return True

    async def _commit(self, place: Place, digest: Digest, size: int) -> None:
        try:
            await self._driver.commit(
                place.data,
                data_path(digest),
                size=size,
                digest=str(digest),
                record=(size_path(digest), size_record(size)),
                states=place.states,
            )
        except (Mismatch, Unsupported) as error:
            raise OciError(Code.DIGEST_INVALID) from error
        except Missing:
            # A twin of this request may have come first and ended the session.
            if await self._links.find_blob(place.repository, digest) is None:
                raise

    async def _put(self, digest: Digest, data: bytes) -> None:
        """Publish bytes at once, with the record of how many they are."""
        record = (size_path(digest), size_record(len(data)))
        await self._driver.put(data_path(digest), data, record=record)

    async def _link(self, repository: RepositoryName, digest: Digest, size: int) -> None:
        """Make published bytes a blob of the repository."""
        await self._links.write(blob_link(repository, digest), digest)
        await self._pushed(repository, digest, size)

    async def _pushed(self, repository: RepositoryName, digest: Digest, size: int) -> None:
        await self._observer.happened(Event(Action.PUSH, repository, digest, OCTET_STREAM, size))

    async def _end(self, place: Place, digest: Digest, size: int, *, is_open: bool = True) -> None:
        """End a session that became a blob; one that was ended before is only told of."""
        if is_open:
            await self._sessions.clear(place)
        await self._observer.happened(
            Event(
                Action.FINISH, place.repository, digest, OCTET_STREAM, size, upload=place.upload_id
            )
        )
