# SPDX-License-Identifier: Apache-2.0
"""Manifests: fetched by tag or digest, pushed, deleted.

Room: registry. Must not know HTTP, nor how a document is read (``parse`` is given: it may take long
and runs elsewhere).

A push writes what is pointed at before what points at it, so that a crash leaves at worst something
that nobody refers to; a delete goes the other way round::

    push     data -> subject's list of referrers -> revision link -> tag's history -> tag
    delete   tags -> revision link -> subject's list of referrers    (data are collected later)

From the first write on a departed client stops nothing.

Driver calls of a request ("at once" costs one round trip; with its content cached / not cached):

    fetch    by digest 1 / 2 at once; by tag 1 and then the same
    put      2 at once for each reference (16 references at a time); then 2 writes one after the
             other, 2 more for a tag, 1 more for a subject, 1 for each 50 references if they are
             to be synced
    delete   by tag 1; by digest 1 / 2, 1 for each 1,000 tags, 1 for each tag (16 at a time), 1 for
             each that pointed at it, 1, and 1 more for a subject
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from attrs import frozen

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code, OciError
from txregistry.oci.manifests import MANIFEST_LIMIT, Manifest
from txregistry.oci.names import Reference, RepositoryName, Tag
from txregistry.registry.border import border
from txregistry.registry.links import Links, Member, data_path, manifest_link, tag_link
from txregistry.registry.manifest_reader import ManifestReader, Parse, StoredManifest
from txregistry.registry.observer import Action, Event, Observer
from txregistry.registry.references import References
from txregistry.registry.referrer_index import ReferrerIndex
from txregistry.registry.tags import Tags
from txregistry.registry.tasks import Finishing, each
from txregistry.storage import paths
from txregistry.storage.contract import Driver

#: References that are synced by one driver call. Arbitrary: two paths of each, the longest about
#: 300 bytes, stay well below 64 KiB, the most that a driver in a process of its own is told at
#: once.
SYNC_BATCH = 50


@frozen
class PutResult:
    """What a push made.

    Attributes:
        subject: the digest that it refers to.
        tags: those of ``tags`` that now point at it, each once.
    """

    digest: Digest
    subject: Digest | None
    tags: tuple[Tag, ...]


#: Refuses, by raising OciError, that a tag is made or, if it is there (True), points elsewhere.
CheckTag: TypeAlias = Callable[[Tag, bool], None]


@frozen
class _Guard:
    """What is minded about the tags of one push.

    Attributes:
        fresh: those that were not there when they were checked.
    """

    check: CheckTag | None
    fresh: frozenset[Tag]

    def recheck(self, tag: Tag) -> None:
        """Check a fresh tag that another push has made meanwhile."""
        assert self.check is not None  # else nothing was looked at, and no tag is fresh
        self.check(tag, True)


class Manifests:
    """The manifests of all repositories."""

    def __init__(
        self,
        driver: Driver,
        *,
        links: Links,
        reader: ManifestReader,
        references: References,
        referrers: ReferrerIndex,
        tags: Tags,
        parse: Parse,
        observer: Observer,
        finishing: Finishing,
        sync_references: bool = False,
    ) -> None:
        self._driver = driver
        self._links = links
        self._reader = reader
        self._references = references
        self._referrers = referrers
        self._tags = tags
        self._parse = parse
        self._observer = observer
        self._finishing = finishing
        self._sync_references = sync_references

    async def fetch(
        self,
        repository: RepositoryName,
        reference: Reference,
        *,
        is_known: Callable[[Digest], bool] = lambda digest: False,
    ) -> StoredManifest:
        """Return a manifest.

        Args:
            is_known: whether the client has what is of this digest, so that it is not pulled.

        Raises:
            OciError: MANIFEST_UNKNOWN.

        Source: distribution-spec end-3.
        """
        with border(Code.MANIFEST_UNKNOWN, _unknown_detail(reference)):
            if isinstance(reference, Tag):
                tag, manifest = reference, await self._reader.read_tagged(repository, reference)
            else:
                tag, manifest = None, await self._reader.read(repository, reference)
            if manifest is None:
                raise _unknown(reference)
            await self._observer.told(repository, manifest.digest)
            if not is_known(manifest.digest):
                await self._observer.happened(_event(Action.PULL, repository, manifest, tag))
        return manifest

    async def put(
        self,
        repository: RepositoryName,
        reference: Reference,
        content_type: str | None,
        data: bytes,
        *,
        tags: tuple[Tag, ...] = (),
        check_tag: CheckTag | None = None,
    ) -> PutResult:
        """Take a manifest.

        Args:
            tags: to point at it besides ``reference``, if that is a tag.
            check_tag: refuses, by raising, that a tag is made or comes to point elsewhere. It is
                asked before anything is written, and a tag that was not there then is made only if
                it still isn't. None: nobody minds. One driver call more for each tag.

        Raises:
            OciError: MANIFEST_INVALID, UNSUPPORTED (schema 1); DIGEST_INVALID: ``reference`` is the
                digest of something else; MANIFEST_BLOB_UNKNOWN: what it refers to is missing.

        Source: distribution-spec end-7, end-7a.
        """
        if len(data) > MANIFEST_LIMIT:
            raise OciError(
                Code.MANIFEST_INVALID, f"larger than {MANIFEST_LIMIT} bytes", too_large=True
            )
        digest = _digest(reference, data)
        manifest = await self._parse(data, content_type)
        stored = StoredManifest(digest, manifest.media_type, data)
        extra = tuple(dict.fromkeys(tags))
        every = tuple(dict.fromkeys((reference, *extra))) if isinstance(reference, Tag) else extra
        with border(Code.MANIFEST_BLOB_UNKNOWN):
            guard = await self._check_tags(repository, every, digest, check_tag)
            members = await self._references.check(repository, manifest)
            if self._sync_references:
                await each(self._driver.sync, _batches(members), width=1)
            writing = self._write(repository, stored, manifest, every, guard)
            await self._finishing.run(writing)
            await self._observer.told(repository, digest)
        return PutResult(digest, manifest.subject.digest if manifest.subject else None, extra)

    async def delete(self, repository: RepositoryName, reference: Reference) -> None:
        """Delete a tag, or a manifest with all tags that point at it.

        Raises:
            OciError: MANIFEST_UNKNOWN.

        Source: distribution-spec end-9.
        """
        with border(Code.MANIFEST_UNKNOWN, _unknown_detail(reference)):
            if isinstance(reference, Tag):
                await self._finishing.run(self._delete_tag(repository, reference))
            else:
                await self._finishing.run(self._delete_revision(repository, reference))

    async def _check_tags(
        self,
        repository: RepositoryName,
        tags: tuple[Tag, ...],
        digest: Digest,
        check_tag: CheckTag | None,
    ) -> _Guard:
        """Have the tags checked."""
        if check_tag is None:
            return _Guard(None, frozenset())
        fresh = set()
        for tag in tags:
            current = await self._reader.resolve(repository, tag)
            if current is None:
                fresh.add(tag)
            if current != digest:
                check_tag(tag, current is not None)
        return _Guard(check_tag, frozenset(fresh))

    async def _write(
        self,
        repository: RepositoryName,
        stored: StoredManifest,
        manifest: Manifest,
        tags: tuple[Tag, ...],
        guard: _Guard,
    ) -> None:
        """Write a manifest whose references were checked, in the order that a crash does not
        mind.
        """
        digest = stored.digest
        # Written again where it is there already: that heals it, and makes it durable whoever wrote
        # it.
        await self._driver.put(data_path(digest), stored.data)
        if manifest.subject is not None:
            descriptor = manifest.as_referrer(digest, len(stored.data))
            await self._referrers.add(repository, manifest.subject.digest, descriptor)
        await self._links.write(manifest_link(repository, digest), digest)
        self._reader.keep(stored)

        async def record(tag: Tag) -> None:
            link = paths.tag_index_link(repository.text, tag.text, digest.algorithm, digest.encoded)
            await self._links.write(link, digest)

        async def point(tag: Tag) -> None:
            link = tag_link(repository, tag)
            if tag in guard.fresh:
                if await self._links.create(link, digest):
                    return
                guard.recheck(tag)
            await self._links.write(link, digest)

        await each(record, tags)
        await each(point, tags)
        for tag in tags or (None,):
            await self._observer.happened(_event(Action.PUSH, repository, stored, tag))

    async def _delete_tag(self, repository: RepositoryName, tag: Tag) -> None:
        """Remove a tag with its history, even one that points nowhere."""
        await self._tags.remove(repository, tag)
        await self._observer.happened(Event(Action.DELETE, repository, tag=tag))

    async def _delete_revision(self, repository: RepositoryName, digest: Digest) -> None:
        link = manifest_link(repository, digest)
        if await self._links.read(link) is None:
            raise _unknown(digest)
        # What can't be read any more has no subject to be found under; its record is passed over.
        examined = await self._reader.examine(repository, digest)
        await self._tags.remove_pointing_at(repository, digest)
        directory = paths.revision_directory(repository.text, digest.algorithm, digest.encoded)
        await self._links.remove(link, directory=directory)
        if examined is not None and examined[1].subject is not None:
            await self._referrers.remove(repository, examined[1].subject.digest, digest)
        await self._observer.happened(Event(Action.DELETE, repository, digest))


def _batches(members: tuple[Member, ...]) -> list[list[str]]:
    """Return what must be synced so that ``members`` are durable: their data, and the names of
    these.
    """
    return [
        [
            path
            for member in members[start : start + SYNC_BATCH]
            for path in (member.data_path, member.data_path.rpartition("/")[0])
        ]
        for start in range(0, len(members), SYNC_BATCH)
    ]


def _digest(reference: Reference, data: bytes) -> Digest:
    """Return the digest of ``data``, which is ``reference`` if that is one."""
    if isinstance(reference, Tag):
        return Digest.of(data)
    if not reference.matches(data):
        raise OciError(Code.DIGEST_INVALID, str(reference))
    return reference


def _event(
    action: Action, repository: RepositoryName, manifest: StoredManifest, tag: Tag | None
) -> Event:
    return Event(
        action,
        repository,
        manifest.digest,
        manifest.media_type,
        len(manifest.data),
        tag,
        manifest=manifest.data,
    )


def _unknown(reference: Reference) -> OciError:
    return OciError(Code.MANIFEST_UNKNOWN, _unknown_detail(reference))


def _unknown_detail(reference: Reference) -> str:
    kind = "tag" if isinstance(reference, Tag) else "digest"
    return f"unknown {kind}={reference}"
