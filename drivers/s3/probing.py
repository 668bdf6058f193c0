# SPDX-License-Identifier: Apache-2.0
"""What a server is found to do, by trying it at the start with one small object.

Driver: s3. Conditional writes came late to S3, and to servers like it one by one; some take the
condition and do not mind it. So each is tried with a condition that does not hold.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from typing import Any

from attrs import frozen
from botocore.exceptions import BotoCoreError, ClientError

from txregistry.driver import BadOptions, Denied, StorageError, Unavailable
from txregistry_drivers.s3.refusals import code_of, refusal, status_of

#: What is put: long enough for the framing of checksums to show.
_SAMPLE = b"txregistry was here " * 8

#: Answers that say that the bucket or the credentials are wrong, and always will be.
_HOPELESS = {
    "NoSuchBucket": "bucket {bucket!r} does not exist: create it, or correct bucket or region",
    "InvalidBucketName": "bucket {bucket!r} is no name of a bucket: correct it",
    "InvalidAccessKeyId": "accesskey is not known to the server: correct it",
    "SignatureDoesNotMatch": "secretkey is wrong: correct it",
    "AuthorizationHeaderMalformed": "region {region!r} is not that of bucket {bucket!r}: correct it",
    "PermanentRedirect": "region {region!r} is not that of bucket {bucket!r}: correct it",
    "IllegalLocationConstraintException": "region {region!r} is not that of bucket {bucket!r}: correct it",
    "KMS.NotFoundException": "keyid names no key of KMS: correct it",
}


@frozen
class Findings:
    """What was found.

    Attributes:
        has_checksums: what is put with a checksum comes back as it was.
        is_writable: anything can be put at all.
    """

    has_checksums: bool
    is_writable: bool
    if_absent: bool = False
    if_version: bool = False
    delete_if_version: bool = False

    def sentence(self) -> str:
        """For the log."""
        if not self.is_writable:
            return "the bucket can be read, not written to"
        said = {
            "checksums": self.has_checksums,
            "put if absent": self.if_absent,
            "put if unchanged": self.if_version,
            "delete if unchanged": self.delete_if_version,
        }
        found = [name for name, holds in said.items() if holds]
        lacking = [name for name, holds in said.items() if not holds]
        parts = [f"the bucket has {', '.join(found)}"] if found else []
        parts += [f"it lacks {', '.join(lacking)}"] if lacking else []
        return "; ".join(parts)


class Probe:
    """Tries a bucket.

    Args:
        with_checksums, without: clients; the second one is used if the first can't be.
        key: of an object that nobody else has.
    """

    def __init__(
        self, with_checksums: Any, without: Any, bucket: str, region: str, key: str, created: Any
    ) -> None:
        self._clients = (with_checksums, without)
        self._names = {"bucket": bucket, "region": region}
        self._where = {"Bucket": bucket, "Key": key}
        self._created = created

    def run(self, *, needs_checksums: bool) -> Findings:
        """Find out.

        Raises:
            BadOptions: the bucket can't be used with these options.
            Unavailable: it can't be reached.
        """
        with_checksums, without = self._clients
        try:
            has_checksums = self._comes_back(with_checksums)
            if not has_checksums and needs_checksums:
                raise BadOptions(
                    "the server does not keep what is sent with a checksum: set checksum: auto"
                )
            client = with_checksums if has_checksums else without
            if not has_checksums:
                self._put(without)
        except Denied:
            self._read(without)
            return Findings(has_checksums=False, is_writable=False)
        try:
            return Findings(
                has_checksums,
                is_writable=True,
                if_absent=self._refuses(lambda: self._put(client, IfNoneMatch="*")),
                if_version=self._refuses(lambda: self._put(client, IfMatch='"0"')),
                delete_if_version=self._refuses(
                    lambda: client.delete_object(IfMatch='"0"', **self._where)
                ),
            )
        finally:
            with contextlib.suppress(ClientError, BotoCoreError):
                client.delete_object(**self._where)

    def _comes_back(self, client: Any) -> bool:
        """Whether what is put with a checksum is what is there then."""
        try:
            self._put(client)
            return bool(client.get_object(**self._where)["Body"].read() == _SAMPLE)
        except ClientError as err:
            if (
                400 <= status_of(err) < 500
                and code_of(err) not in _HOPELESS
                and status_of(err) != 403
            ):
                return False
            raise self._meaning(err) from err
        except BotoCoreError as err:
            raise self._meaning(err) from err

    def _put(self, client: Any, **condition: str) -> None:
        client.put_object(Body=_SAMPLE, **self._where, **self._created, **condition)

    def _read(self, client: Any) -> None:
        """See whether the bucket can be listed at least."""
        try:
            client.list_objects_v2(Bucket=self._where["Bucket"], MaxKeys=1)
        except (ClientError, BotoCoreError) as err:
            raise self._meaning(err) from err

    def _refuses(self, call: Callable[[], object]) -> bool:
        """Whether a condition that does not hold is refused as one."""
        try:
            call()
        except ClientError as err:
            return status_of(err) == 412
        except BotoCoreError as err:
            raise self._meaning(err) from err
        return False

    def _meaning(self, error: ClientError | BotoCoreError) -> StorageError:
        if isinstance(error, ClientError):
            sentence = _HOPELESS.get(code_of(error))
            if sentence is not None:
                return BadOptions(sentence.format(**self._names))
        refused = refusal(error, "")
        if isinstance(refused, Denied) and not isinstance(error, ClientError):
            return BadOptions(refused.message)
        if isinstance(refused, Denied | Unavailable):
            return refused
        return Unavailable(refused.message)


def probe_key(root: str) -> str:
    """A key that no path has."""
    return f"{root}~probe/{secrets.token_hex(8)}"
