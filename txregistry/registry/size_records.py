# SPDX-License-Identifier: Apache-2.0
"""How many bytes a blob has, recorded beside it when it was published.

Room: registry. Must not know links. The record is decimal text in ``size`` beside ``data``; the
other registry never looks there. What that one wrote has no record, and a record that is garbage (a
power cut with ``durability: none``) says nothing; such a blob is believed as it stands. A record
that contradicts the stored size means that bytes were lost since: the blob counts as absent, so
that a push heals it.
"""

from __future__ import annotations

from twisted.logger import Logger

from txregistry.oci.digests import Digest
from txregistry.storage import paths
from txregistry.storage.contract import Content
from txregistry.storage.errors import Missing, StorageError

#: Digits of the largest size that is believed to be one: 2^64 has 20.
_DIGITS = 20

log = Logger()


def size_path(digest: Digest) -> str:
    """Return where the recorded size of ``digest`` is."""
    return paths.blob_size(digest.algorithm, digest.encoded)


def size_record(size: int) -> bytes:
    """Return what is recorded."""
    return b"%d" % size


def recorded_size(digest: Digest, record: Content | StorageError) -> int | None:
    """Return how many bytes the data of ``digest`` have to have; None if that was not recorded.

    Args:
        record: what is at :func:`size_path`.

    Raises:
        StorageError: what kept the record from being read.
    """
    if isinstance(record, Missing):
        return None
    if isinstance(record, StorageError):
        raise record
    if not record.data.isdigit() or len(record.data) > _DIGITS:
        log.warn("the recorded size of {digest} is garbage; it is ignored", digest=str(digest))
        return None
    return int(record.data)


def is_as_recorded(digest: Digest, size: int, recorded: int | None) -> bool:
    """Say whether the data of ``digest`` have the size that was recorded, if one was.

    Args:
        size: of the data, bytes.
        recorded: by :func:`recorded_size`.
    """
    if recorded is None or recorded == size:
        return True
    log.error(
        "the data of {digest} have {size} bytes, {recorded} were stored; they count as absent",
        digest=str(digest),
        size=size,
        recorded=recorded,
    )
    return False
