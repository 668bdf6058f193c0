# SPDX-License-Identifier: Apache-2.0
"""Blobs: what layers and configs are to a repository.

Room: registry. Must not know HTTP. A blob is in a repository if a link below ``_layers`` says so; a
digest alone opens nothing, and a manifest is not a blob: its digest is found here only if somebody
uploaded the same bytes as a blob, too.

Driver calls of a request ("at once" costs one round trip):

    stat      2 at once: link with recorded size, size
    open      of a cached blob 1: link; else 1: link with recorded size, and 1 for the content of a
              small one; 1 more between them where no size was recorded
    read      1
    mount     3: link with recorded size and size at once, then the new link
    delete    2: link, delete
    redirect  none without redirects, else 3: the URL, then link and size at once
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from attrs import field, frozen

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code, OciError
from txregistry.oci.media_types import OCTET_STREAM
from txregistry.oci.names import RepositoryName
from txregistry.registry.border import border
from txregistry.registry.cache import BoundedCache
from txregistry.registry.contents import Contents
from txregistry.registry.links import Links, Member, blob_link, data_path
from txregistry.registry.observer import Action, Event, Observer
from txregistry.registry.size_records import is_as_recorded
from txregistry.registry.tasks import Finishing
from txregistry.storage import paths
from txregistry.storage.contract import Driver, Reading
from txregistry.storage.errors import InvalidOffset, TooLarge

#: Largest blob, in bytes, that is given whole and kept in the cache: configs and small layers.
#: Arbitrary: for more than that a descriptor is cheaper than a copy.
SMALL = 64 * 1024


class Pulled:
    """Tells of a pull, once, before the first byte leaves."""

    def __init__(self, tell: Callable[[], Awaitable[None]]) -> None:
        self._tell = tell
        self._is_told = False

    async def __call__(self) -> None:
        if not self._is_told:
            self._is_told = True
            await self._tell()


@frozen
class BlobContent:
    """A blob that was opened.

    Attributes:
        digest: as it was asked for.
        size: bytes.
        data: all of it, if it is small; None else.
    """

    digest: Digest
    size: int
    data: bytes | None = field(repr=False)
    _driver: Driver = field(repr=False, eq=False)
    _path: str
    _pulled: Pulled = field(repr=False, eq=False)

    async def read(self, start: int, stop: int) -> Reading:
        """Open a read of ``[start, stop)``, whether it is small or not. The caller closes it.

        Of a blob that is not small this shows first whether its data are there.

        Raises:
            OciError: BLOB_UNKNOWN: they are not, or not of the blob's size.
        """
        with border(Code.BLOB_UNKNOWN, str(self.digest)):
            try:
                reading = await self._driver.read(self._path, start, stop)
            except InvalidOffset as err:
                raise _unknown(self.digest) from err  # they are shorter
            try:
                if not is_as_recorded(self.digest, reading.size, self.size):
                    raise _unknown(self.digest)
                await self._pulled()
            except BaseException:
                await reading.aclose()
                raise
        return reading


class Blobs:
    """The blobs of all repositories.

    Args:
        cache_limit: bytes of small blobs that are kept in memory.
        redirect_seconds: how long a URL to which a client is sent works; 0: they are not sent away.

    Attributes:
        cache: the small blobs.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        links: Links,
        contents: Contents,
        observer: Observer,
        finishing: Finishing,
        cache_limit: int = 0,
        redirect_seconds: int = 0,
    ) -> None:
        self._driver = driver
        self._links = links
        self._observer = observer
        self._finishing = finishing
        self._contents = contents
        self.cache: BoundedCache[Digest, bytes] = BoundedCache(cache_limit)
        self._redirect_seconds = redirect_seconds

    async def stat(self, repository: RepositoryName, digest: Digest) -> int:
        """Return the size in bytes.

        Raises:
            OciError: BLOB_UNKNOWN.

        Source: distribution-spec end-2 (HEAD).
        """
        with border(Code.BLOB_UNKNOWN, str(digest)):
            member = await self._find(repository, digest)
            await self._pulled(repository, digest, member.size)
        return member.size

    async def open(self, repository: RepositoryName, digest: Digest) -> BlobContent:
        """Open a blob; a small one is given whole.

        Raises:
            OciError: BLOB_UNKNOWN.

        Source: distribution-spec end-2.
        """
        with border(Code.BLOB_UNKNOWN, str(digest)):
            content = await self._cached(repository, digest)
            return content or await self._opened(repository, digest)

    async def delete(self, repository: RepositoryName, digest: Digest) -> None:
        """Take a blob out of a repository. Its data stay until they are collected.

        Raises:
            OciError: BLOB_UNKNOWN.

        Source: distribution-spec end-10.
        """
        with border(Code.BLOB_UNKNOWN, str(digest)):
            link = blob_link(repository, digest)
            if await self._links.read(link) is None:
                raise _unknown(digest)
            await self._finishing.run(self._delete(repository, digest, link))

    async def mount(
        self,
        repository: RepositoryName,
        digest: Digest,
        source: RepositoryName | None,
        *,
        may_read: Callable[[RepositoryName], bool],
    ) -> bool:
        """Make a blob of ``source`` a blob of ``repository``, if that is possible.

        Without a source only ``repository`` itself is looked at: to search everything that a client
        may read costs more than its upload. Even there the client must be one that may pull: else
        who may only push could ask for any digest whether it is there.

        Args:
            may_read: whether the client may pull from a repository.

        Returns:
            Whether the repository has it now. If not, nothing is said of why.

        Source: distribution-spec end-11.
        """
        source = source or repository
        if not may_read(source):
            return False
        with border(Code.BLOB_UNKNOWN, str(digest)):
            member = await self._links.find_blob(source, digest)
            if member is None:
                return False
            if source != repository:
                await self._finishing.run(self._mount(repository, member, source))
            await self._observer.told(repository, digest)
        return True

    async def redirect(
        self, repository: RepositoryName, digest: Digest, method: str, *, client: str = ""
    ) -> str | None:
        """Return a URL at which a client may have a blob, None if it is to be served from here.

        Args:
            client: the client's address, for drivers whose URLs depend on it.

        Raises:
            OciError: BLOB_UNKNOWN.
        """
        if not self._redirect_seconds:
            return None
        with border(Code.BLOB_UNKNOWN, str(digest)):
            # The URL first: most drivers have none, and know it without being asked.
            url = await self._url(data_path(digest), method, client)
            if url is None:
                return None
            member = await self._find(repository, digest)
            if member.target != digest:
                url = await self._url(member.data_path, method, client)
            await self._pulled(repository, digest, member.size)
        return url

    async def _url(self, path: str, method: str, client: str) -> str | None:
        return await self._driver.redirect_url(path, method, self._redirect_seconds, client=client)

    async def _find(self, repository: RepositoryName, digest: Digest) -> Member:
        member = await self._links.find_blob(repository, digest)
        if member is None:
            raise _unknown(digest)
        return member

    async def _cached(self, repository: RepositoryName, digest: Digest) -> BlobContent | None:
        """Return a blob whose content is at hand, None if it is not, after asking for its link."""
        data = self.cache.get(digest)
        if data is None:
            return None
        if await self._links.read(blob_link(repository, digest)) is None:
            raise _unknown(digest)
        return await self._whole(repository, digest, data, data_path(digest))

    async def _opened(self, repository: RepositoryName, digest: Digest) -> BlobContent:
        member = await self._links.find_blob_to_open(repository, digest)
        if member is None:
            raise _unknown(digest)
        if member.size > SMALL:
            told = Pulled(partial(self._pulled, repository, digest, member.size))
            return BlobContent(digest, member.size, None, self._driver, member.data_path, told)
        try:
            data = await self._contents.read(digest, member.data_path)
        except TooLarge:  # what was recorded is not the size of these data
            data = None
        if data is None:
            raise _unknown(digest)
        if member.target == digest:
            self.cache.put(digest, data, len(data))
        return await self._whole(repository, digest, data, member.data_path)

    async def _whole(
        self, repository: RepositoryName, digest: Digest, data: bytes, path: str
    ) -> BlobContent:
        """Return a small blob."""
        told = Pulled(partial(self._pulled, repository, digest, len(data)))
        await told()
        return BlobContent(digest, len(data), data, self._driver, path, told)

    async def _delete(self, repository: RepositoryName, digest: Digest, link: str) -> None:
        directory = paths.layer_directory(repository.text, digest.algorithm, digest.encoded)
        await self._links.remove(link, directory=directory)
        await self._observer.happened(Event(Action.DELETE, repository, digest))

    async def _mount(
        self, repository: RepositoryName, member: Member, source: RepositoryName
    ) -> None:
        await self._links.write(blob_link(repository, member.digest), member.target)
        await self._observer.happened(
            Event(Action.MOUNT, repository, member.digest, OCTET_STREAM, member.size, source=source)
        )

    async def _pulled(self, repository: RepositoryName, digest: Digest, size: int) -> None:
        await self._observer.told(repository, digest)
        await self._observer.happened(Event(Action.PULL, repository, digest, OCTET_STREAM, size))


def _unknown(digest: Digest) -> OciError:
    return OciError(Code.BLOB_UNKNOWN, str(digest))
