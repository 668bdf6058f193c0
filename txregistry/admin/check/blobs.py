# SPDX-License-Identifier: Apache-2.0
"""The blobs: data, and the sizes that were recorded beside them.

Room: admin. Must not know who uses a blob. Every one is put into the run's table, from which the
rest of the run answers whether data are there without asking the driver.
"""

from __future__ import annotations

import hashlib
import re

from attrs import frozen

from txregistry.admin.check.area import Area, Known
from txregistry.admin.check.findings import (
    BLOB_CORRUPT,
    BLOB_EMPTY,
    BLOB_SIZE,
    SIZE_RECORD,
    Finding,
    Kind,
    movable,
)
from txregistry.admin.check.inspection import DAMAGED, Inspection, Progress, Verdict
from txregistry.admin.check.layout import in_blobs
from txregistry.oci.digests import CANONICAL, Digest
from txregistry.registry.links import data_path
from txregistry.registry.size_records import size_path
from txregistry.registry.tasks import if_there, together
from txregistry.storage import paths
from txregistry.storage.contract import Content

#: Blobs whose data are read at once. Arbitrary, and few: disks like it.
READERS = 2

#: Bytes that are hashed at once, so that a computation is worth its trip to a thread. Arbitrary.
PIECE = 1024 * 1024

#: A size as it is recorded.
_SIZE = re.compile(rb"[0-9]{1,20}")


@frozen
class _Blob:
    """What a walk saw of a blob.

    Attributes:
        size: of its data; None: there are none.
        has_record: whether a size was recorded.
    """

    digest: Digest
    size: int | None = None
    has_record: bool = False


async def check_blobs(inspection: Inspection) -> None:
    """Check every blob and fill the run's table."""
    area = Area(inspection, paths.BLOBS, in_blobs)
    last: _Blob | None = None
    while (page := await area.page()) is not None:
        blobs = _grouped(page, last)
        last = blobs.pop() if blobs else None
        await _check_page(inspection, blobs)
    await _check_page(inspection, [last] if last else [])


async def held(inspection: Inspection, digest: Digest) -> int | None:
    """Return the size of the data of ``digest``; None if they are missing or damaged.

    No driver call, unless the blob came later than the walk.
    """
    size = inspection.blobs.get(digest)
    if size is not None:
        return None if inspection.is_damaged(digest) else size
    entry = await if_there(inspection.driver.stat(data_path(digest)))
    if entry is None or entry.is_directory or (entry.size == 0 and not digest.matches(b"")):
        return None
    return entry.size


async def fault(
    inspection: Inspection, digest: Digest, kind: Kind = BLOB_CORRUPT
) -> Finding | None:
    """Read the data of a blob and return what is wrong with them.

    Raises:
        Missing: there are none.
    """
    found = await hash_of(inspection, digest)
    if found == digest.encoded:
        return None
    return damage(kind, digest, f"is not what its digest says, but {digest.algorithm}:{found}")


def damage(kind: Kind, digest: Digest, why: str) -> Finding:
    """Return the finding that the data of ``digest`` don't count."""
    directory = paths.blob_directory(digest.algorithm, digest.encoded)
    return movable(kind, data_path(digest), why, directory, digest)


async def hash_of(inspection: Inspection, digest: Digest, algorithm: str = "") -> str:
    """Compute the digest of a blob's data, under its own or another algorithm.

    Raises:
        Missing: there are none.
    """
    running = hashlib.new(algorithm or digest.algorithm)

    async def take(pieces: list[bytes]) -> None:
        await inspection.compute(lambda: running.update(b"".join(pieces)))

    reading = await inspection.driver.read(data_path(digest))
    try:
        pieces: list[bytes] = []
        waiting = 0
        async for chunk in reading:
            pieces.append(chunk)
            waiting += len(chunk)
            if waiting >= PIECE:
                await take(pieces)
                pieces, waiting = [], 0
        await take(pieces)
    finally:
        await reading.aclose()
    inspection.totals.bytes_read += reading.size
    return running.hexdigest()


async def _check_page(inspection: Inspection, blobs: list[_Blob]) -> None:
    if not blobs:
        return
    reads = inspection.options.read_data

    async def look(blob: _Blob) -> Verdict[int]:
        return await _look(inspection, blob)

    async def refresh(blob: _Blob) -> _Blob | None:
        return await _refreshed(inspection, blob)

    verdicts = await inspection.examine(
        blobs,
        look,
        path=lambda blob: data_path(blob.digest),
        refresh=refresh,
        **({"width": READERS} if reads else {}),
    )
    for blob, verdict in zip(blobs, verdicts, strict=True):
        if verdict.value is not None:
            inspection.blobs.add(blob.digest, verdict.value)
        elif any(finding.damages is not None for finding in verdict.findings):
            inspection.blobs.add(blob.digest, blob.size or 0, DAMAGED)
        inspection.totals.blobs += blob.size is not None
        inspection.totals.bytes += blob.size or 0
    last = blobs[-1].digest
    fraction = int(last.encoded[:6], 16) / 0x1000000 if last.algorithm == CANONICAL else None
    inspection.reporter.progressed(Progress("blobs", inspection.totals.blobs, fraction))


async def _look(inspection: Inspection, blob: _Blob) -> Verdict[int]:
    digest, size = blob.digest, blob.size
    recorded = await if_there(inspection.driver.get(size_path(digest))) if blob.has_record else None
    if size is None:
        if recorded is None:
            return Verdict()
        return Verdict(
            (movable(SIZE_RECORD, size_path(digest), "is the size of data that are not there"),)
        )
    if size == 0 and not digest.matches(b""):
        return Verdict(
            (damage(BLOB_EMPTY, digest, "is empty although its digest is not that of nothing"),)
        )
    findings: list[Finding] = []
    expected = _recorded_size(recorded)
    if recorded is not None and expected is None:
        findings.append(movable(SIZE_RECORD, size_path(digest), "does not hold a size"))
    if expected not in (None, size):
        wrong = await fault(inspection, digest)
        if wrong is not None:
            return Verdict(
                (damage(BLOB_SIZE, digest, f"has {size} bytes where {expected} were recorded"),)
            )
        why = f"says {expected}, but the data have {size} bytes and are right"
        findings.append(movable(SIZE_RECORD, size_path(digest), why))
    elif inspection.options.read_data:
        wrong = await fault(inspection, digest)
        if wrong is not None:
            return Verdict((wrong,))
    return Verdict(tuple(findings), size)


async def _refreshed(inspection: Inspection, blob: _Blob) -> _Blob | None:
    entry, record = await together(
        if_there(inspection.driver.stat(data_path(blob.digest))),
        if_there(inspection.driver.stat(size_path(blob.digest))),
    )
    size = None if entry is None or entry.is_directory else entry.size
    return _Blob(blob.digest, size, record is not None)


def _grouped(page: list[Known], last: _Blob | None) -> list[_Blob]:
    """Return the blobs of a page; ``last`` is the one that the page before ended in."""
    blobs = [] if last is None else [last]
    for one in page:
        if len(one.parts) < 4:
            continue
        digest = Digest(one.parts[0], one.parts[2])
        if not blobs or blobs[-1].digest != digest:
            blobs.append(_Blob(digest))
        is_data = one.parts[3] == "data"
        size = one.entry.size if is_data else blobs[-1].size
        blobs[-1] = _Blob(digest, size, blobs[-1].has_record or not is_data)
    return blobs


def _recorded_size(record: Content | None) -> int | None:
    if record is None or not _SIZE.fullmatch(record.data):
        return None
    return int(record.data)
