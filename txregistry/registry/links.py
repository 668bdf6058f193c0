# SPDX-License-Identifier: Apache-2.0
"""Links: the small files that say which content a repository has, and what its tags point at.

Room: registry. Must not know what is done with the content. A digest alone opens nothing: whoever
wants content of a repository asks here first.

A link holds the text of a digest, as a rule the one in its own path. registry:3 writes aliases,
too: a blob that was pushed under its sha512 has a sha512 link that holds its sha256 digest, where
the data are; they are followed. A link that is empty or garbage (the other registry left such
behind after a crash) is as good as none; writing it again heals it.

Links are read at the store each time, unless the storage is declared exclusive to this process:
then what was read here is believed until it is changed here.
"""

from __future__ import annotations

from attrs import frozen
from twisted.logger import Logger

from txregistry.oci.digests import Digest
from txregistry.oci.errors import OciError
from txregistry.oci.names import RepositoryName, Tag
from txregistry.registry.cache import BoundedCache
from txregistry.registry.size_records import is_as_recorded, recorded_size, size_path
from txregistry.registry.tasks import if_there, together
from txregistry.storage import paths
from txregistry.storage.contract import Content, Driver, Entry
from txregistry.storage.errors import Exists, Missing, StorageError

#: Bytes of a link that are kept in the exclusive cache: its path and digest, roughly.
_LINK_SIZE = 512

log = Logger()


@frozen
class Member:
    """Content that a repository has.

    Attributes:
        digest: under which it was asked for.
        target: under which its data are; the same but for an alias.
        size: bytes of the data.
    """

    digest: Digest
    target: Digest
    size: int

    @property
    def data_path(self) -> str:
        """Where the data are."""
        return data_path(self.target)


def data_path(digest: Digest) -> str:
    """Return where the data of ``digest`` are."""
    return paths.blob_data(digest.algorithm, digest.encoded)


def blob_link(repository: RepositoryName, digest: Digest) -> str:
    """Return the link by which ``repository`` has a blob."""
    return paths.layer_link(repository.text, digest.algorithm, digest.encoded)


def manifest_link(repository: RepositoryName, digest: Digest) -> str:
    """Return the link by which ``repository`` has a manifest."""
    return paths.revision_link(repository.text, digest.algorithm, digest.encoded)


def tag_link(repository: RepositoryName, tag: Tag) -> str:
    """Return the link that says what ``tag`` points at."""
    return paths.tag_link(repository.text, tag.text)


class Links:
    """Reads and writes links.

    Args:
        cache_limit: bytes of links that are believed without looking; 0 unless no other process
            writes to the storage.
    """

    def __init__(self, driver: Driver, *, cache_limit: int = 0) -> None:
        self._driver = driver
        self.cache: BoundedCache[str, Digest] | None = None
        if cache_limit:
            self.cache = BoundedCache(cache_limit)
        #: Counts changes, so that a read which one overtook is not believed.
        self._changes = 0

    async def read(self, link: str) -> Digest | None:
        """Return what ``link`` holds, None if it is not there or garbage. One driver call."""
        known = self.cache.get(link) if self.cache is not None else None
        if known is not None:
            return known
        changes = self._changes
        content = await if_there(self._driver.get(link))
        digest = None if content is None else _parse(link, content)
        if digest is not None and self.cache is not None and changes == self._changes:
            self.cache.put(link, digest, _LINK_SIZE)
        return digest

    async def read_both(self, one: str, other: str) -> tuple[Digest | None, Digest | None]:
        """Return what two links hold at the same time, as :meth:`read` does. One driver call."""
        if self.cache is not None:
            return await together(self.read(one), self.read(other))
        found = await self._driver.get_several((one, other))
        first, second = (_found(*pair) for pair in zip((one, other), found, strict=True))
        return first, second

    async def write(self, link: str, digest: Digest) -> None:
        """Make ``link`` hold ``digest``, durably. One driver call."""
        self._forget(link)
        try:
            await self._driver.put(link, str(digest).encode("ascii"))
        finally:
            self._forget(link)

    async def create(self, link: str, digest: Digest) -> bool:
        """Make ``link`` hold ``digest``, durably, unless it is there.

        One driver call, another one if it is.

        Returns:
            Whether it holds ``digest`` now.
        """
        self._forget(link)
        try:
            await self._driver.put(link, str(digest).encode("ascii"), if_absent=True)
        except Exists:
            return await self.read(link) == digest
        finally:
            self._forget(link)
        return True

    async def remove(self, link: str, *, directory: str | None = None) -> None:
        """Remove ``link``, or ``directory`` in which it is with all else there. One driver call.

        Raises:
            Missing: nothing is there.
        """
        self._forget(link)
        try:
            await self._driver.delete(directory or link)
        finally:
            self._forget(link)

    async def find_blob(self, repository: RepositoryName, digest: Digest) -> Member | None:
        """Look for a blob of ``repository``, of the size that was recorded when it was published.

        Two driver calls at once, the link and the record together in one; as many more for an
        alias.
        """
        (target, record), entry = await together(
            self._read_recorded(blob_link(repository, digest), digest),
            if_there(self._driver.stat(data_path(digest))),
        )
        return await self._found_blob(digest, target, record, entry)

    async def find_blob_to_open(self, repository: RepositoryName, digest: Digest) -> Member | None:
        """Look for a blob of ``repository`` whose data are opened next.

        Where their size was recorded they are not looked at: whoever opens them learns whether they
        are there, and has to see that they are of that size.

        One driver call, the link and the record together; another one if no size was recorded, and
        two at once for an alias.
        """
        target, record = await self._read_recorded(blob_link(repository, digest), digest)
        if target is None:
            return None
        if target != digest:
            return await self._found_blob(digest, target, record, None)
        size = recorded_size(digest, record)
        if size is not None:
            return Member(digest, target, size)
        return _member(digest, target, await if_there(self._driver.stat(data_path(digest))))

    async def _found_blob(
        self,
        digest: Digest,
        target: Digest | None,
        record: Content | StorageError,
        entry: Entry | None,
    ) -> Member | None:
        """Return what was found, of its recorded size; an alias is followed.

        Args:
            target: what the link of ``digest`` holds.
            record: the recorded size of ``digest``.
            entry: its data.
        """
        if target is not None and target != digest:
            (record,), entry = await together(
                self._driver.get_several((size_path(target),)),
                if_there(self._driver.stat(data_path(target))),
            )
        member = _member(digest, target, entry)
        if member is None:
            return None
        recorded = recorded_size(member.target, record)
        return member if is_as_recorded(member.target, member.size, recorded) else None

    async def find_manifest(self, repository: RepositoryName, digest: Digest) -> Member | None:
        """Look for a manifest of ``repository``, whose bytes are verified when they are read.

        Two driver calls at once; one more for an alias.
        """
        link = manifest_link(repository, digest)
        target, entry = await together(
            self.read(link), if_there(self._driver.stat(data_path(digest)))
        )
        if target is not None and target != digest:
            entry = await if_there(self._driver.stat(data_path(target)))
        return _member(digest, target, entry)

    async def _read_recorded(
        self, link: str, digest: Digest
    ) -> tuple[Digest | None, Content | StorageError]:
        """Return what ``link`` holds, and the recorded size of ``digest``. One driver call."""
        if self.cache is not None:
            target, (record,) = await together(
                self.read(link), self._driver.get_several((size_path(digest),))
            )
            return target, record
        found, record = await self._driver.get_several((link, size_path(digest)))
        return _found(link, found), record

    def _forget(self, link: str) -> None:
        self._changes += 1
        if self.cache is not None:
            self.cache.drop(link)


def _member(digest: Digest, target: Digest | None, entry: Entry | None) -> Member | None:
    """Return what was found, None if that is nothing or makes no sense."""
    if target is None or entry is None or entry.is_directory:
        return None
    if entry.size == 0 and not target.matches(b""):
        log.error("the data of {digest} are empty; they count as absent", digest=str(target))
        return None
    return Member(digest, target, entry.size)


def _parse(link: str, content: Content) -> Digest | None:
    """Return the digest in a link, None if it is garbage."""
    try:
        return Digest.parse(content.data.decode("latin-1"))
    except OciError:
        log.warn("the link {link} is not a digest; it counts as absent", link=link)
        return None


def _found(link: str, found: Content | StorageError) -> Digest | None:
    """Return the digest of one of several links; what kept it from being read is raised."""
    if isinstance(found, Content):
        return _parse(link, found)
    if isinstance(found, Missing):
        return None
    raise found
