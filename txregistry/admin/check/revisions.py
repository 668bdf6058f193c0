# SPDX-License-Identifier: Apache-2.0
"""The manifests of a repository: their links, their data, and what they refer to.

Room: admin. Must not know tags. Manifests are small, so their data are always read and verified.
What an index lists is looked for when all other manifests are known: a child that turned out
damaged makes its index incomplete, and that may be a child, too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from attrs import frozen

from txregistry.admin.check.area import Area
from txregistry.admin.check.blobs import damage
from txregistry.admin.check.digest_table import DigestTable
from txregistry.admin.check.findings import (
    BLOB_CORRUPT,
    BLOB_EMPTY,
    MANIFEST_DANGLING,
    MANIFEST_INCOMPLETE,
    MANIFEST_UNPARSABLE,
    MANIFEST_UNSUPPORTED,
    REFERRER_MISSING,
    Finding,
    Write,
    movable,
)
from txregistry.admin.check.inspection import DAMAGED, LINKED, Inspection, Verdict
from txregistry.admin.check.layout import digest_at, in_revisions
from txregistry.admin.check.links import Link, follow
from txregistry.admin.check.references import Lack, References
from txregistry.oci.digests import Digest
from txregistry.oci.errors import OciError
from txregistry.oci.manifests import Manifest, stored_media_type
from txregistry.oci.names import RepositoryName, fallback_tag
from txregistry.oci.strict_json import JsonInvalid, read_stored
from txregistry.registry.contents import Contents
from txregistry.registry.links import Links, data_path, manifest_link
from txregistry.registry.manifest_reader import ManifestReader
from txregistry.registry.tasks import if_there
from txregistry.storage import paths
from txregistry.storage.errors import Missing, TooLarge

#: Bytes of manifests that are kept for the parts of one repository's check that read them again.
#: Arbitrary.
_CACHE = 8 * 1024 * 1024


@frozen
class _Revision:
    """A manifest that is in order as far as it was looked at.

    Attributes:
        target: under which its data are.
        size: of them.
    """

    target: Digest
    size: int
    is_index: bool = False


class Revisions:
    """The manifests of one repository.

    Args:
        layers: its blobs, with the sizes of their data.

    Attributes:
        reader: reads what they say.
    """

    def __init__(self, inspection: Inspection, name: RepositoryName, layers: DigestTable) -> None:
        links = Links(inspection.driver)
        self.reader = ManifestReader(
            Contents(inspection.driver), links, inspection.parse, cache_limit=_CACHE
        )
        self._inspection = inspection
        self._name = name
        self._links = links
        self._known = DigestTable()
        self._references = References(inspection, name, layers, self.size_of, links)

    async def check(self) -> None:
        """Check all of them."""
        area = Area(self._inspection, paths.revisions(self._name.text), in_revisions)
        indexes: list[Digest] = []
        while (page := await area.page()) is not None:
            links = [
                Link(one.entry.path, digest_at(one.parts, 0)) for one in page if len(one.parts) == 3
            ]
            verdicts = await self._inspection.examine(
                links, self._look, path=lambda link: link.path
            )
            for link, verdict in zip(links, verdicts, strict=True):
                self._note(link.named, verdict)
                if verdict.value is not None and verdict.value.is_index:
                    indexes.append(link.named)
            self._inspection.totals.links += len(links)
            self._inspection.totals.manifests += len(links)
        await self._check_indexes(indexes)

    async def size_of(self, digest: Digest) -> int | None:
        """Return the size of a manifest; None if it is missing or damaged."""
        size = self._known.get(digest)
        if size is not None:
            return None if self._known.is_marked(digest, DAMAGED) else size
        member = await self._links.find_manifest(self._name, digest)
        return None if member is None else member.size

    def _note(self, digest: Digest, verdict: Verdict[_Revision]) -> None:
        if verdict.value is not None:
            self._known.add(digest, verdict.value.size)
            self._inspection.blobs.mark(verdict.value.target, LINKED)
        elif verdict.findings:
            self._known.add(digest, 0, DAMAGED)

    async def _look(self, link: Link) -> Verdict[_Revision]:
        followed = await follow(self._inspection, link)
        if followed.value is None:
            return Verdict(followed.findings)
        verdict = await self._look_at_data(link, followed.value)
        return Verdict((*followed.findings, *verdict.findings), verdict.value)

    async def _look_at_data(self, link: Link, target: Digest) -> Verdict[_Revision]:
        try:
            data = (await self._inspection.driver.get(data_path(target))).data
        except Missing:
            return Verdict(
                (movable(MANIFEST_DANGLING, link.path, f"is for {target}, which is missing"),)
            )
        except TooLarge:
            return Verdict(
                (movable(MANIFEST_UNPARSABLE, link.path, f"is for {target}, which is too large"),)
            )
        self._inspection.totals.bytes_read += len(data)
        if self._inspection.is_damaged(target) or not target.matches(data):
            kind, why = (
                BLOB_CORRUPT,
                f"is not what its digest says, but {Digest.of(data, target.algorithm)}",
            )
            if not data:
                kind, why = BLOB_EMPTY, "is empty although its digest is not that of nothing"
            found = damage(kind, target, why)
            return Verdict(
                (found, movable(MANIFEST_DANGLING, link.path, f"is for {target}, which is damaged"))
            )
        try:
            manifest = await self._inspection.parse(data, stored_media_type(data))
        except OciError as error:
            return _unread(link, target, data, error)
        return await self._look_at_manifest(
            link, _Revision(target, len(data), manifest.is_index), manifest
        )

    async def _look_at_manifest(
        self, link: Link, revision: _Revision, manifest: Manifest
    ) -> Verdict[_Revision]:
        lacks = await self._references.blobs(manifest)
        if lacks:
            return Verdict(_incomplete(link, lacks))
        if manifest.subject is None:
            return Verdict((), revision)
        descriptor = manifest.as_referrer(link.named, revision.size)
        text = json.dumps(descriptor.to_json_object(), separators=(",", ":"))
        finding = await self._unlisted(manifest.subject.digest, link.named, text.encode("ascii"))
        return Verdict(finding, revision)

    async def _unlisted(
        self, subject: Digest, digest: Digest, record: bytes
    ) -> tuple[Finding, ...]:
        """Return what is wrong if a manifest is in no list of its subject's referrers."""
        path = paths.referrer_descriptor(
            self._name.text,
            (subject.algorithm, subject.encoded),
            (digest.algorithm, digest.encoded),
        )
        if await if_there(self._inspection.driver.stat(path)) is not None:
            return ()
        listing = await self.reader.resolve(self._name, fallback_tag(subject))
        examined = None if listing is None else await self.reader.examine(self._name, listing)
        if examined is not None and digest in {child.digest for child in examined[1].children}:
            return ()
        why = f"is missing, although the manifest {digest} refers to {subject}"
        return (Finding(REFERRER_MISSING, path, why, Write(path, record)),)

    async def _check_indexes(self, digests: list[Digest]) -> None:
        """Look for the children of indexes, again if some of these turned out damaged."""

        async def look(digest: Digest) -> Verdict[Digest]:
            examined = await self.reader.examine(self._name, digest)
            lacks = [] if examined is None else await self._references.children(examined[1])
            link = Link(manifest_link(self._name, digest), digest)
            return Verdict(_incomplete(link, lacks) if lacks else (), digest)

        while digests:
            verdicts = await self._inspection.examine(
                digests, look, path=lambda digest: manifest_link(self._name, digest)
            )
            whole = [one.value for one in verdicts if one.value is not None and not one.findings]
            for digest, verdict in zip(digests, verdicts, strict=True):
                if verdict.findings:
                    self._known.mark(digest, DAMAGED)
            if len(whole) == len(digests):
                return
            digests = whole


def _incomplete(link: Link, lacks: Sequence[Lack]) -> tuple[Finding, ...]:
    more = f", and {len(lacks) - 1} more" if len(lacks) > 1 else ""
    damages = tuple(lack.damage for lack in lacks if lack.damage is not None)
    return (*damages, movable(MANIFEST_INCOMPLETE, link.path, f"lacks {lacks[0].what}{more}"))


def _unread(link: Link, target: Digest, data: bytes, error: OciError) -> Verdict[_Revision]:
    """Return what it means that a manifest can't be read: is it one at all?"""
    try:
        is_document = isinstance(read_stored(data), dict)
    except JsonInvalid:
        is_document = False
    if not is_document:
        return Verdict(
            (movable(MANIFEST_UNPARSABLE, link.path, f"is for {target}, which is no manifest"),)
        )
    why = f"is for a manifest that could not be checked: {error.detail or error.message}"
    return Verdict((Finding(MANIFEST_UNSUPPORTED, link.path, why),), _Revision(target, len(data)))
