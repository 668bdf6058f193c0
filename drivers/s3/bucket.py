# SPDX-License-Identifier: Apache-2.0
"""A bucket of S3, as ``txregistry_drivers.objects.Bucket`` wants it.

Driver: s3. Retries are botocore's, which have a budget; nothing is retried here but conflicts of
conditional puts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from txregistry.driver import (
    Changed,
    Exists,
    InvalidOffset,
    Missing,
    StorageError,
    Unavailable,
    Unsupported,
)
from txregistry_drivers.objects import Capabilities, KeyPage, ListedObject, ObjectHead, Piece
from txregistry_drivers.objects.keys import BEHIND, MARK
from txregistry_drivers.objects.stretches import read_exactly
from txregistry_drivers.s3.composing import Composer
from txregistry_drivers.s3.options import S3Options
from txregistry_drivers.s3.reading import S3Object
from txregistry_drivers.s3.refusals import CODES, code_of, refusal, status_of, translated

#: Keys that one request removes at most.
_DELETE_LIMIT = 1000

#: Tries of a conditional put that meets another one. Arbitrary.
_CONFLICTS = 5

#: Storage classes that are the bucket's only one, so that everything has to have it.
_CLASSES_OF_BUCKETS = ("OUTPOSTS", "EXPRESS_ONEZONE")

_NANOSECONDS = 10**9


class S3Bucket:
    """A :class:`~txregistry_drivers.objects.Bucket`.

    Args:
        client: boto3's, of any endpoint.
        plain: the same, and adds no checksums by itself; both are closed with this.
    """

    name = "s3"

    def __init__(
        self, client: Any, plain: Any, options: S3Options, capabilities: Capabilities
    ) -> None:
        self.capabilities = capabilities
        self._client = client
        self._plain = plain
        self._bucket = options.bucket
        self._options = options
        self._deletes_many = True
        self._composer = Composer(
            plain, options.bucket, self._created, self._read, options.multipartcopymaxconcurrency
        )

    def head(self, key: str) -> ObjectHead:
        with translated(key):
            return _head(self._client.head_object(Bucket=self._bucket, Key=key))

    def open(self, key: str, start: int = 0) -> S3Object:
        try:
            with translated(key):
                answer = self._get(key, start)
        except InvalidOffset:
            head = self.head(key)
            if start != head.size:
                raise
            return S3Object(head, None, start, lambda position: None)
        head = _head(answer)
        return S3Object(head, answer["Body"], start, self._reopening(key, head.version))

    def put(
        self,
        key: str,
        data: bytes,
        *,
        metadata: Mapping[str, str],
        if_absent: bool = False,
        if_version: str | None = None,
    ) -> str:
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        if if_version is not None:
            condition = {"IfMatch": f'"{if_version}"'}
        for _ in range(_CONFLICTS):
            try:
                answer = self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=data,
                    Metadata=dict(metadata),
                    **condition,
                    **self._created(key),
                )
            except BotoCoreError as err:
                raise refusal(err, key) from err
            except ClientError as err:
                if condition and code_of(err) == "ConditionalRequestConflict":
                    continue
                if condition and status_of(err) == 412:
                    raise (Exists if if_absent else Changed)(path=key) from err
                if if_version is not None and code_of(err) == "NoSuchKey":
                    raise Changed(path=key) from err
                raise refusal(err, key) from err
            return _version(answer)
        raise (Exists if if_absent else Changed)(path=key)

    def delete(self, key: str, *, if_version: str | None = None) -> None:
        condition = {} if if_version is None else {"IfMatch": f'"{if_version}"'}
        try:
            with translated(key):
                self._client.delete_object(Bucket=self._bucket, Key=key, **condition)
        except Missing:
            return
        except StorageError as err:
            if isinstance(err.__cause__, ClientError) and status_of(err.__cause__) in (409, 412):
                raise Changed(path=key) from err
            raise

    def delete_many(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _DELETE_LIMIT):
            self._delete_batch(keys[start : start + _DELETE_LIMIT])

    def copy(self, source: str, destination: str) -> None:
        with translated(source):
            self._client.copy_object(
                Bucket=self._bucket,
                Key=destination,
                CopySource={"Bucket": self._bucket, "Key": source},
                **self._created(destination),
            )

    def compose(
        self, key: str, pieces: Sequence[Piece | bytes], note: Callable[[str], None]
    ) -> None:
        self._composer.compose(key, pieces, note)

    def undo(self, note: str) -> None:
        self._composer.undo(note)

    def list(self, prefix: str, *, after: str, limit: int, is_deep: bool) -> KeyPage:
        grouping = {} if is_deep else {"Delimiter": "/"}
        start = {"StartAfter": after} if after else {}
        with translated(prefix):
            page = self._client.list_objects_v2(
                Bucket=self._bucket, Prefix=prefix, MaxKeys=min(limit, 1000), **grouping, **start
            )
        objects = tuple(
            ListedObject(one["Key"], one["Size"], _version(one), _modified(one))
            for one in page.get("Contents", ())
        )
        prefixes = tuple(one["Prefix"] for one in page.get("CommonPrefixes", ()))
        last = ""
        if page.get("IsTruncated"):
            last = max((one.key for one in objects), default="")
            if prefixes and prefixes[-1] > last:
                last = prefixes[-1] + BEHIND
        return KeyPage(objects, prefixes, last)

    def presign(self, key: str, method: str, expires_in: int) -> str | None:
        operation = {"GET": "get_object", "HEAD": "head_object"}.get(method)
        if operation is None:
            return None
        with translated(key):
            return str(
                self._client.generate_presigned_url(
                    operation,
                    Params={"Bucket": self._bucket, "Key": key},
                    ExpiresIn=max(1, expires_in),
                )
            )

    def close(self) -> None:
        self._composer.close()
        self._client.close()
        self._plain.close()

    # --- parts of these -------------------------------------------------------------------------

    def _created(self, key: str) -> dict[str, Any]:
        return created_with(self._options, key)

    def _get(self, key: str, start: int, condition: Mapping[str, str] | None = None) -> Any:
        ranged = {"Range": f"bytes={start}-"} if start else {}
        return self._client.get_object(Bucket=self._bucket, Key=key, **ranged, **(condition or {}))

    def _reopening(self, key: str, version: str) -> Callable[[int], Any]:
        def reopen(position: int) -> Any:
            try:
                with translated(key):
                    return self._get(key, position, {"IfMatch": f'"{version}"'})["Body"]
            except Missing as err:
                raise Unavailable("the object is gone, and so is the connection to it") from err

        return reopen

    def _read(self, piece: Piece) -> bytes:
        opened = self.open(piece.key, piece.start)
        try:
            return read_exactly(opened, piece.size)
        finally:
            opened.close()

    def _delete_batch(self, keys: Sequence[str]) -> None:
        if self._deletes_many and len(keys) > 1:
            try:
                with translated(keys[0]):
                    answer = self._client.delete_objects(
                        Bucket=self._bucket,
                        Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
                    )
            except Unsupported:
                self._deletes_many = False
            else:
                _check_deleted(answer)
                return
        for key in keys:
            self.delete(key)


def created_with(options: S3Options, key: str) -> dict[str, Any]:
    """What every new object gets: by put, copy and multipart upload alike."""
    more: dict[str, Any] = {"ContentType": "application/octet-stream"}
    if options.encrypt:
        more["ServerSideEncryption"] = "aws:kms" if options.keyid else "AES256"
        if options.keyid:
            more["SSEKMSKeyId"] = options.keyid
    # What is staged lives for hours; most classes are paid for by the month.
    is_staged = f"{MARK}/" in key and options.storageclass not in _CLASSES_OF_BUCKETS
    if options.storageclass not in ("NONE", "STANDARD") and not is_staged:
        more["StorageClass"] = options.storageclass
    if options.objectacl != "private":  # which it is without a word, and buckets may forbid words
        more["ACL"] = options.objectacl
    return more


def _check_deleted(answer: Any) -> None:
    for error in answer.get("Errors", ()):
        code = str(error.get("Code", ""))
        if code != "NoSuchKey":
            kind = CODES.get(code, Unavailable)
            raise kind(f"S3 did not delete an object: {code}", path=str(error.get("Key", "")))


def _head(answer: Any) -> ObjectHead:
    size = int(answer["ContentLength"])
    if "ContentRange" in answer:
        size = int(answer["ContentRange"].rpartition("/")[2])
    # Names of headers have no case, and servers give them any.
    metadata = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
    return ObjectHead(size, _version(answer), _modified(answer), metadata)


def _version(answer: Any) -> str:
    return str(answer["ETag"]).strip('"')


def _modified(answer: Any) -> int:
    return int(answer["LastModified"].timestamp()) * _NANOSECONDS
