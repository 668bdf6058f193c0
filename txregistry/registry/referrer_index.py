# SPDX-License-Identifier: Apache-2.0
"""What is recorded of the referrers of a subject, in two places that are united.

Room: registry. Must not know pages or filters.

- Ours, a descriptor for each referrer, written when it is pushed and removed when it is deleted::

      _manifests/referrers/<subject>/<algorithm>/<hex>/descriptor

- The index that clients keep by themselves, under a tag made of the subject's digest, where a
registry
  has no referrers API. It says where to look; what counts is what those manifests say themselves.

Both only name candidates: a referrer is one while it is a manifest of the repository. What is
recorded nowhere is not found, what is recorded and gone is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from twisted.logger import Logger

from txregistry.oci.descriptors import Descriptor
from txregistry.oci.digests import ALGORITHMS, Digest
from txregistry.oci.errors import OciError
from txregistry.oci.names import RepositoryName, fallback_tag
from txregistry.registry.directories import Names
from txregistry.registry.links import Links, manifest_link
from txregistry.registry.manifest_reader import ManifestReader
from txregistry.registry.tasks import if_there, together
from txregistry.storage import paths
from txregistry.storage.contract import Content, Driver

log = Logger()


class Candidates:
    """Digests of what may be referrers, in byte order, each once.

    Args:
        recorded: where our own record lists them, by algorithm in order.
        listed: those of the clients' index, in order.
    """

    def __init__(self, recorded: list[tuple[str, Names]], listed: list[Digest]) -> None:
        self._recorded = recorded
        self._listed = listed
        self._ours: list[Digest] = []

    async def take(self, count: int) -> list[Digest]:
        """Return the next ones, fewer than ``count`` only at the end."""
        while self._recorded and len(self._ours) < count:
            algorithm, names = self._recorded[0]
            missing = count - len(self._ours)
            found = await names.take(missing)
            self._ours += [Digest(algorithm, encoded) for encoded in found]
            if len(found) < missing:
                del self._recorded[0]
        taken = sorted({*self._ours[:count], *self._listed[:count]})[:count]
        if taken:
            self._ours = [digest for digest in self._ours if digest > taken[-1]]
            self._listed = [digest for digest in self._listed if digest > taken[-1]]
        return taken


class ReferrerIndex:
    """Reads and writes these records."""

    def __init__(self, driver: Driver, links: Links, reader: ManifestReader) -> None:
        self._driver = driver
        self._links = links
        self._reader = reader

    async def add(self, repository: RepositoryName, subject: Digest, referrer: Descriptor) -> None:
        """Record a referrer. One driver call."""
        text = json.dumps(referrer.to_json_object(), separators=(",", ":"))
        await self._driver.put(_path(repository, subject, referrer.digest), text.encode("ascii"))

    async def remove(self, repository: RepositoryName, subject: Digest, referrer: Digest) -> None:
        """Forget a referrer, if it was recorded. One driver call."""
        directory, _, _ = _path(repository, subject, referrer).rpartition("/")
        await if_there(self._driver.delete(directory))

    async def candidates(
        self, repository: RepositoryName, subject: Digest, last: str
    ) -> Candidates:
        """Look for what may refer to ``subject``, its digest sorting after the text ``last``."""
        recorded, listed = await together(
            self._recorded(repository, subject, last), self._listed(repository, subject)
        )
        return Candidates(recorded, sorted({digest for digest in listed if str(digest) > last}))

    async def describe(
        self, repository: RepositoryName, subject: Digest, referrer: Digest
    ) -> Descriptor | None:
        """Return the descriptor of a referrer, None if it is none. Two driver calls at once.

        One that only the clients' index lists is read, too.
        """
        target, record = await together(
            self._links.read(manifest_link(repository, referrer)),
            if_there(self._driver.get(_path(repository, subject, referrer))),
        )
        if target is None:
            return None
        recorded = _read_record(record, referrer)
        if recorded is not None:
            return recorded
        examined = await self._reader.examine(repository, referrer)
        if examined is None:
            return None
        stored, manifest = examined
        is_referrer = manifest.subject is not None and manifest.subject.digest == subject
        return manifest.as_referrer(referrer, len(stored.data)) if is_referrer else None

    async def _recorded(
        self, repository: RepositoryName, subject: Digest, last: str
    ) -> list[tuple[str, Names]]:
        """Return where our own record goes on after ``last``, by algorithm."""
        root = paths.referrers(repository.text, subject.algorithm, subject.encoded)
        listing = await if_there(self._driver.list(root, limit=len(ALGORITHMS)))
        recorded = []
        for child in listing.children if listing else ():
            prefix = child.name + ":"
            after = last.removeprefix(prefix) if last.startswith(prefix) else ""
            if child.name in ALGORITHMS and (after or last <= prefix):
                names = Names(self._driver, f"{root}/{child.name}", after, _is_encoded(child.name))
                recorded.append((child.name, names))
        return recorded

    async def _listed(self, repository: RepositoryName, subject: Digest) -> set[Digest]:
        """Return what the clients' index lists."""
        digest = await self._reader.resolve(repository, fallback_tag(subject))
        examined = None if digest is None else await self._reader.examine(repository, digest)
        return set() if examined is None else {child.digest for child in examined[1].children}


def _path(repository: RepositoryName, subject: Digest, referrer: Digest) -> str:
    return paths.referrer_descriptor(
        repository.text,
        (subject.algorithm, subject.encoded),
        (referrer.algorithm, referrer.encoded),
    )


def _read_record(record: Content | None, referrer: Digest) -> Descriptor | None:
    """Return the recorded descriptor; None if there is none or it is garbage."""
    if record is None:
        return None
    try:
        descriptor = Descriptor.from_json_object(json.loads(record.data))
    except (ValueError, KeyError, TypeError, AttributeError, OciError):
        log.warn("the record of the referrer {digest} is garbage", digest=str(referrer))
        return None
    return descriptor if descriptor.digest == referrer else None


def _is_encoded(algorithm: str) -> Callable[[str], bool]:
    """Return a test for names that are digests of ``algorithm``."""

    def is_encoded(name: str) -> bool:
        try:
            Digest.parse(f"{algorithm}:{name}")
        except OciError:
            return False
        return True

    return is_encoded
