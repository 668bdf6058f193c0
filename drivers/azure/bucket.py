# SPDX-License-Identifier: Apache-2.0
"""A container of Azure Blob Storage.

Driver: azure. What each method promises is said in ``txregistry_drivers.objects.bucket``. A version
is an ETag, which every write makes anew. What is written here are block blobs; what registry:3 left
are append blobs, which read alike and are replaced whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from txregistry.driver import Changed, Exists, Missing
from txregistry_drivers.azure.composing import CONTENT, Composer
from txregistry_drivers.azure.listing import Lister
from txregistry_drivers.azure.reading import head_of, matching, open_blob, version_of
from txregistry_drivers.azure.refusals import (
    BLOB_EXISTS,
    FAILURES,
    PRECONDITION_FAILED,
    code_of,
    refusal,
    status_of,
    translated,
)
from txregistry_drivers.azure.signing import Signer
from txregistry_drivers.objects import Capabilities, KeyPage, ObjectHead, Piece
from txregistry_drivers.objects.stretches import StretchedObject

_MIB = 1024 * 1024

#: Blocks that are made side by side, of all compositions.
_THREADS = 16

#: Requests that one batch takes.
_BATCH = 256


class AzureBucket:
    """Blobs of one container.

    Args:
        service: a client of the account, closed with this.
        container: a client of the container.
    """

    name = "azure"

    #: Source: Microsoft's "Scalability targets for Blob Storage", "Copy Blob From URL".
    capabilities = Capabilities(
        copy_limit=256 * _MIB, smallest_piece=1, most_pieces=50_000, good_piece=64 * _MIB
    )

    def __init__(self, service: Any, container: Any, signer: Signer) -> None:
        self._service = service
        self._container = container
        self._signer = signer
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="azure")
        self._composer = Composer(container, signer, self._threads)
        self._lister = Lister(container)

    def head(self, key: str) -> ObjectHead:
        with translated(key, "a look"):
            return head_of(self._blob(key).get_blob_properties())

    def open(self, key: str, start: int = 0) -> StretchedObject:
        return open_blob(self._blob(key), start)

    def put(
        self,
        key: str,
        data: bytes,
        *,
        metadata: Mapping[str, str],
        if_absent: bool = False,
        if_version: str | None = None,
    ) -> str:
        condition = {} if if_version is None else matching(if_version)
        try:
            answer = self._blob(key).upload_blob(
                data,
                length=len(data),
                metadata=dict(metadata) or None,
                content_settings=CONTENT,
                overwrite=not if_absent,
                **condition,
            )
        except FAILURES as err:
            if if_absent and code_of(err) == BLOB_EXISTS:
                raise Exists(path=key) from err
            refused = refusal(err, key, "a write")
            if if_version is not None and (
                status_of(err) == PRECONDITION_FAILED or isinstance(refused, Missing)
            ):
                raise Changed(path=key) from err
            raise refused from err
        return version_of(answer["etag"])

    def delete(self, key: str, *, if_version: str | None = None) -> None:
        condition = {} if if_version is None else matching(if_version)
        try:
            self._blob(key).delete_blob(delete_snapshots="include", **condition)
        except FAILURES as err:
            if status_of(err) == PRECONDITION_FAILED:
                raise Changed(path=key) from err
            refused = refusal(err, key, "a delete")
            if not isinstance(refused, Missing):
                raise refused from err

    def delete_many(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _BATCH):
            group = keys[start : start + _BATCH]
            with translated(group[0], "a delete"):
                answers = self._container.delete_blobs(
                    *group, delete_snapshots="include", raise_on_any_failure=False
                )
                statuses = [answer.status_code for answer in answers]
            if len(statuses) != len(group) or not {202, 404}.issuperset(statuses):
                for key in group:  # again, or with a refusal
                    self.delete(key)

    def copy(self, source: str, destination: str) -> None:
        self._composer.copy(source, destination)

    def compose(
        self, key: str, pieces: Sequence[Piece | bytes], note: Callable[[str], None]
    ) -> None:
        self._composer.compose(key, pieces)

    def undo(self, note: str) -> None:
        """Nothing is ever noted."""

    def list(self, prefix: str, *, after: str, limit: int, is_deep: bool) -> KeyPage:
        return self._lister.page(prefix, after, limit, is_deep=is_deep)

    def presign(self, key: str, method: str, expires_in: int) -> str | None:
        return self._signer.link(self._blob(key), expires_in)

    def close(self) -> None:
        self._threads.shutdown()
        self._service.close()

    def _blob(self, key: str) -> Any:
        return self._container.get_blob_client(key)
