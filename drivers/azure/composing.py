# SPDX-License-Identifier: Apache-2.0
"""One blob of many, made on the server: blocks, each copied from a URL, then the list of them.

Driver: azure.

::

    Put Block From URL, Put Block (many at a time)  ->  Put Block List

Blocks that no list names are seen by nobody and go after a week, so nothing is noted. They belong to
the key: another composition or a put of the same key takes them away, and then they are made again.
Where the server can't read its own URLs (an emulator, a firewall) bytes go through this process, a
few at a time.

Source: Microsoft's "Put Block From URL", "Put Block List", "Copy Blob From URL".
"""

from __future__ import annotations

import secrets
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any

from azure.storage.blob import BlobBlock, ContentSettings

from txregistry.driver import Unavailable
from txregistry_drivers.azure.reading import open_blob
from txregistry_drivers.azure.refusals import (
    FAILURES,
    INVALID_BLOB_TYPE,
    INVALID_BLOCK_LIST,
    code_of,
    refusal,
    status_of,
    translated,
)
from txregistry_drivers.azure.signing import Signer
from txregistry_drivers.objects import Piece
from txregistry_drivers.objects.side_by_side import side_by_side
from txregistry_drivers.objects.stretches import read_exactly

#: What a blob is whose bytes nobody is to interpret.
CONTENT = ContentSettings(content_type="application/octet-stream")

#: Times that a composition is begun anew.
_TRIES = 5

#: Bytes of a block that goes through this process, and how many of them do at a time.
_THROUGH = 4 * 1024 * 1024
_CARRIED = 4

_BLOCK, _COPY = "Put Block From URL", "Copy Blob From URL"


class Composer:
    """Makes blobs of one container.

    Args:
        container: a client of it.
        threads: stage blocks.
    """

    def __init__(self, container: Any, signer: Signer, threads: Executor) -> None:
        self._container = container
        self._signer = signer
        self._threads = threads
        self._lacking: set[str] = set()
        self._carrying = threading.Semaphore(_CARRIED)

    def copy(self, source: str, destination: str) -> None:
        """As :meth:`Bucket.copy <txregistry_drivers.objects.Bucket.copy>`."""
        origin = self._container.get_blob_client(source)
        if _COPY not in self._lacking:
            try:
                self._container.get_blob_client(destination).start_copy_from_url(
                    **self._signer.source(origin), requires_sync=True
                )
                return
            except FAILURES as err:
                if not self._is_lacking(_COPY, err) and code_of(err) != INVALID_BLOB_TYPE:
                    raise refusal(err, source, "a copy") from err
        # Of a blob of another kind, or onto one, there is no such copy.
        with translated(source, "a copy"):
            known = origin.get_blob_properties()
        self.compose(destination, [Piece(source, 0, int(known.size))], known.metadata)

    def compose(
        self, key: str, pieces: Sequence[Piece | bytes], metadata: Mapping[str, str] | None = None
    ) -> None:
        """As :meth:`Bucket.compose <txregistry_drivers.objects.Bucket.compose>`."""
        blob = self._container.get_blob_client(key)
        for _ in range(_TRIES):
            try:
                blocks = [BlobBlock(name) for name in self._stage_all(blob, pieces)]
                blob.commit_block_list(
                    blocks, content_settings=CONTENT, metadata=dict(metadata or {}) or None
                )
                return
            except FAILURES as err:
                code = code_of(err)
                if code == INVALID_BLOB_TYPE:
                    # What registry:3 appended to has no blocks. Until it is replaced nothing is there.
                    with translated(key, "a delete"):
                        blob.delete_blob(delete_snapshots="include")
                elif code != INVALID_BLOCK_LIST:
                    raise refusal(err, key, "a composition") from err
        raise Unavailable("others write the same object again and again", path=key)

    def _stage_all(self, blob: Any, pieces: Sequence[Piece | bytes]) -> list[str]:
        """Make all blocks, many at a time; returns their names in order."""
        token = secrets.token_hex(8)
        staged = side_by_side(
            self._threads,
            (
                partial(self._stage, blob, f"{token}-{index:05}", piece)
                for index, piece in enumerate(pieces)
            ),
        )
        return [name for names in staged for name in names]

    def _stage(self, blob: Any, name: str, piece: Piece | bytes) -> list[str]:
        """Make blocks of a piece; returns their names, which are equally long."""
        first = f"{name}-{0:06}"
        if isinstance(piece, bytes):
            blob.stage_block(first, piece)
            return [first]
        origin = self._container.get_blob_client(piece.key)
        if _BLOCK not in self._lacking:
            try:
                blob.stage_block_from_url(
                    first,
                    source_offset=piece.start,
                    source_length=piece.size,
                    **self._signer.source(origin),
                )
                return [first]
            except FAILURES as err:
                if code_of(err) == INVALID_BLOB_TYPE:
                    raise
                if not self._is_lacking(_BLOCK, err):
                    raise refusal(err, piece.key, "a copy") from err
        return self._carry(blob, name, origin, piece)

    def _carry(self, blob: Any, name: str, origin: Any, piece: Piece) -> list[str]:
        """Make blocks of a piece whose bytes go through this process."""
        left = piece.size
        names: list[str] = []
        with self._carrying:
            opened = open_blob(origin, piece.start)
            while left:
                data = read_exactly(opened, min(left, _THROUGH))
                names.append(f"{name}-{len(names):06}")
                blob.stage_block(names[-1], data)
                left -= len(data)
        return names

    def _is_lacking(self, operation: str, error: BaseException) -> bool:
        """Whether a copy failed because the server can't read its own URLs; told once.

        Firewalls that let this process through do not let Azure through.
        """
        is_lacking = status_of(error) == 501 or (
            status_of(error) in (401, 403) and code_of(error) == "CannotVerifyCopySource"
        )
        if is_lacking and operation not in self._lacking:
            self._lacking.add(operation)
            sys.stderr.write(
                f"the server refuses {operation}: what is copied goes through this process\n"
            )
        return is_lacking
