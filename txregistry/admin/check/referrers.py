# SPDX-License-Identifier: Apache-2.0
"""The recorded referrers of a repository's manifests: each entry must be of a manifest that is
there.

Room: admin. Must not know tags. That a manifest has an entry is looked at with the manifest.
"""

from __future__ import annotations

import json

from attrs import frozen

from txregistry.admin.check.area import Area
from txregistry.admin.check.findings import REFERRER_STALE, movable
from txregistry.admin.check.inspection import Inspection, Verdict
from txregistry.admin.check.layout import digest_at, in_referrers
from txregistry.admin.check.revisions import Revisions
from txregistry.oci.digests import Digest
from txregistry.oci.names import RepositoryName
from txregistry.storage import paths


@frozen
class _Entry:
    path: str
    subject: Digest
    referrer: Digest


async def check_referrers(
    inspection: Inspection, name: RepositoryName, revisions: Revisions
) -> None:
    """Check all entries of a repository."""
    area = Area(inspection, paths.all_referrers(name.text), in_referrers)

    async def look(entry: _Entry) -> Verdict[None]:
        record = (await inspection.driver.get(entry.path)).data
        why = await _fault(name, revisions, entry, record)
        if not why:
            return Verdict()
        return Verdict((movable(REFERRER_STALE, entry.path, why, entry.path.rpartition("/")[0]),))

    while (page := await area.page()) is not None:
        entries = [
            _Entry(one.entry.path, digest_at(one.parts, 0), digest_at(one.parts, 2))
            for one in page
            if len(one.parts) == 5
        ]
        await inspection.examine(entries, look, path=lambda entry: entry.path)


async def _fault(name: RepositoryName, revisions: Revisions, entry: _Entry, record: bytes) -> str:
    """Return what is wrong with an entry; nothing if it is right."""
    examined = None
    if await revisions.size_of(entry.referrer) is not None:
        examined = await revisions.reader.examine(name, entry.referrer)
    if examined is None:
        return "is of a manifest that is missing or damaged"
    stored, manifest = examined
    if manifest.subject is None or manifest.subject.digest != entry.subject:
        return f"is of a manifest that does not refer to {entry.subject}"
    descriptor = manifest.as_referrer(entry.referrer, len(stored.data))
    try:
        is_right = json.loads(record) == descriptor.to_json_object()
    except ValueError:
        is_right = False
    return "" if is_right else "does not describe its manifest"
