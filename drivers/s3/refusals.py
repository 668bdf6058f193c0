# SPDX-License-Identifier: Apache-2.0
"""What S3's errors mean.

Driver: s3. The one place that turns an exception of botocore into a refusal. Messages name the
operation, the code and the request, by which whoever runs the server finds it; never what was sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
)

from txregistry.driver import (
    Denied,
    InvalidOffset,
    Missing,
    NoSpace,
    StorageError,
    Throttled,
    TooLarge,
    Unavailable,
    Unsupported,
)
from txregistry_drivers.objects.refusals import STATUSES as ANYBODYS
from txregistry_drivers.objects.refusals import patience

_NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    NoAuthTokenError,
    SSOError,
)

#: Codes of S3 and of servers like it.
CODES: dict[str, type[StorageError]] = {
    "NoSuchKey": Missing,
    "NoSuchUpload": Missing,
    "NotFound": Missing,
    "404": Missing,
    "InvalidRange": InvalidOffset,
    "416": InvalidOffset,
    "EntityTooLarge": TooLarge,
    "QuotaExceeded": NoSpace,
    "XMinioStorageFull": NoSpace,
    "XMinioAdminBucketQuotaExceeded": NoSpace,
    "InsufficientCapacity": NoSpace,
    "NotImplemented": Unsupported,
    "MethodNotAllowed": Unsupported,
    "MissingContentMD5": Unsupported,
    "NoSuchBucket": Unavailable,
    "SlowDown": Throttled,
    "Throttling": Throttled,
    "ThrottlingException": Throttled,
    "RequestThrottled": Throttled,
    "RequestLimitExceeded": Throttled,
    "BandwidthLimitExceeded": Throttled,
    "TooManyRequests": Throttled,
    "XMinioServerNotInitialized": Unavailable,
    "InvalidObjectState": Denied,
    "RequestTimeTooSkewed": Denied,
    "ExpiredToken": Denied,
    "InvalidToken": Denied,
}

#: For what has no known code.
STATUSES: dict[int, type[StorageError]] = {**ANYBODYS, 501: Unsupported}

#: What to say beside the code where an operator can do something about it.
_HINTS = {
    "RequestTimeTooSkewed": "set this host's clock",
    "ExpiredToken": "renew the credentials",
    "InvalidObjectState": "the object is archived: restore it",
    "NoSuchBucket": "create the bucket",
}


@contextmanager
def translated(key: str) -> Iterator[None]:
    """Turn botocore's exceptions about an object into refusals."""
    try:
        yield
    except (ClientError, BotoCoreError) as err:
        raise refusal(err, key) from err


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def refusal(error: ClientError | BotoCoreError, key: str) -> StorageError:
    """The refusal that an exception of botocore means."""
    if isinstance(error, _NO_CREDENTIALS):
        return Denied(
            "no credentials for S3 were found: give accesskey and secretkey, a profile, or a role"
        )
    if not isinstance(error, ClientError):  # could not be reached, broke off, took too long
        return Unavailable(f"S3 can't be reached: {type(error).__name__}", path=key)
    code, status = code_of(error), status_of(error)
    kind = CODES.get(code) or STATUSES.get(status) or Unavailable
    hint = f"; {_HINTS[code]}" if code in _HINTS else ""
    metadata = error.response.get("ResponseMetadata", {})
    request = metadata.get("RequestId", "")
    message = f"S3 answered {error.operation_name} with {code or status}{hint}"
    message += f" (request {request})" if request else ""
    if kind is Throttled:
        return Throttled(message, path=key, retry_after=patience(metadata.get("HTTPHeaders", {})))
    return kind(message, path=key)
