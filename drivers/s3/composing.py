# SPDX-License-Identifier: Apache-2.0
"""Multipart uploads: an object made of pieces, which are copied side by side.

Driver: s3.

::

    CreateMultipartUpload -> note -> UploadPart, UploadPartCopy (many at a time) -> Complete

An upload id is never looked for: the note has it until the upload is completed or aborted.

Bytes that are sent carry their MD5, which every server checks. A part with a CRC would want an upload
that was created for that CRC, whose completion then wants that of each part, copied ones included;
not every server tells those.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from txregistry.driver import Missing, Unsupported
from txregistry_drivers.objects import Piece
from txregistry_drivers.objects.side_by_side import side_by_side
from txregistry_drivers.s3.refusals import code_of, status_of, translated

#: Pieces at a time whose bytes go through this process, since the server copies none. Arbitrary: all
#: of each are in memory.
_CARRIED = 2


class Composer:
    """Composes objects of one bucket.

    Args:
        client: one that adds no checksums by itself.
        create: what a new object is created with, by key.
        read: the bytes of a piece, where the server copies none.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        create: Callable[[str], dict[str, Any]],
        read: Callable[[Piece], bytes],
        concurrency: int,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._create = create
        self._read = read
        self._copies = True
        self._carrying = threading.Semaphore(_CARRIED)
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="pieces")

    def compose(
        self, key: str, pieces: Sequence[Piece | bytes], note: Callable[[str], None]
    ) -> None:
        """As :meth:`Bucket.compose <txregistry_drivers.objects.Bucket.compose>`."""
        with translated(key):
            answer = self._client.create_multipart_upload(
                Bucket=self._bucket, Key=key, **self._create(key)
            )
        upload = answer["UploadId"]
        note(json.dumps({"key": key, "upload": upload}))
        etags = side_by_side(
            self._threads,
            (
                partial(self._part, key, upload, number, piece)
                for number, piece in enumerate(pieces, 1)
            ),
        )
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        size = sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in pieces)
        self._complete(key, upload, parts, size)

    def undo(self, note: str) -> None:
        """As :meth:`Bucket.undo <txregistry_drivers.objects.Bucket.undo>`."""
        try:
            upload = json.loads(note)
            key, number = str(upload["key"]), str(upload["upload"])
        except (ValueError, KeyError, TypeError):
            return  # a note that was cut short by no fault of ours says nothing
        try:
            with translated(key):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=number)
        except Missing:
            return

    def close(self) -> None:
        self._threads.shutdown()

    def _part(self, key: str, upload: str, number: int, piece: Piece | bytes) -> str:
        if isinstance(piece, bytes):
            return self._upload(key, upload, number, piece)
        if self._copies:
            try:
                return self._copy(key, upload, number, piece)
            except Unsupported:
                self._copies = False
        with self._carrying:
            return self._upload(key, upload, number, self._read(piece))

    def _upload(self, key: str, upload: str, number: int, data: bytes) -> str:
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        with translated(key):
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload,
                PartNumber=number,
                Body=data,
                ContentMD5=base64.b64encode(digest).decode("ascii"),
            )
        return str(answer["ETag"])

    def _copy(self, key: str, upload: str, number: int, piece: Piece) -> str:
        # Of a small object no range can be copied, only all of it.
        ranged = (
            {} if piece.is_whole else {"CopySourceRange": f"bytes={piece.start}-{piece.stop - 1}"}
        )
        with translated(piece.key):
            answer = self._client.upload_part_copy(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload,
                PartNumber=number,
                CopySource={"Bucket": self._bucket, "Key": piece.key},
                **ranged,
            )
        return str(answer["CopyPartResult"]["ETag"])

    def _complete(self, key: str, upload: str, parts: list[dict[str, Any]], size: int) -> None:
        with translated(key):
            try:
                self._client.complete_multipart_upload(
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=upload,
                    MultipartUpload={"Parts": parts},
                )
            except (BotoCoreError, ClientError) as err:
                if not _leaves_doubt(err) or not self._is_there(key, size):
                    raise

    def _is_there(self, key: str, size: int) -> bool:
        try:
            head = self._client.head_object(Bucket=self._bucket, Key=key)
        except (BotoCoreError, ClientError):
            return False
        return int(head["ContentLength"]) == size


def _leaves_doubt(error: BotoCoreError | ClientError) -> bool:
    """Whether an upload may have been completed all the same: by a request whose answer was lost, or
    took longer than we waited, so that the next one met it.
    """
    if isinstance(error, ClientError):
        return code_of(error) == "NoSuchUpload" or status_of(error) >= 500
    return True
