# SPDX-License-Identifier: Apache-2.0
"""What the errors of Microsoft's library mean.

Driver: azure. The one place that turns its exceptions into refusals. Messages name the operation,
the status and Azure's code for it, never what was sent.

Source: Microsoft's "Status and error codes" and "Blob Storage error codes".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from txregistry.driver import (
    Denied,
    InvalidOffset,
    Missing,
    StorageError,
    Throttled,
    TooLarge,
    Unavailable,
)

#: Everything that a call may raise because of the other side.
FAILURES = (AzureError,)

BAD_REQUEST = 400
PRECONDITION_FAILED = 412
BLOB_EXISTS = "BlobAlreadyExists"
INVALID_BLOB_TYPE = "InvalidBlobType"
INVALID_BLOCK_LIST = "InvalidBlockList"
NO_CONTAINER = "ContainerNotFound"

_CODES: dict[str, type[StorageError]] = {
    NO_CONTAINER: Unavailable,
    "ServerBusy": Throttled,
    "OperationTimedOut": Unavailable,
}

_STATUSES: dict[int, type[StorageError]] = {
    401: Denied,
    403: Denied,
    404: Missing,
    413: TooLarge,
    416: InvalidOffset,
    429: Throttled,
}


@contextmanager
def translated(key: str, doing: str) -> Iterator[None]:
    """Turn exceptions about a blob into refusals.

    Args:
        doing: what was tried, for the message.
    """
    try:
        yield
    except FAILURES as err:
        raise refusal(err, key, doing) from err


def status_of(error: BaseException) -> int:
    """The HTTP status of an answer; 0 if there was none."""
    status = getattr(error, "status_code", None) if isinstance(error, HttpResponseError) else None
    return status if isinstance(status, int) else 0


def code_of(error: BaseException) -> str:
    """Azure's word for what is wrong; empty if it said none."""
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def refusal(error: BaseException, key: str, doing: str) -> StorageError:
    """The refusal that an exception means."""
    status, code = status_of(error), code_of(error)
    if not status:
        if isinstance(error, ClientAuthenticationError):
            return Denied("Azure gives no token for these credentials", path=key)
        return Unavailable(f"Azure can't be reached for {doing}: {type(error).__name__}", path=key)
    kind = _CODES.get(code) or _STATUSES.get(status, Unavailable)
    if kind is Throttled:
        return Throttled(f"Azure asked for patience at {doing}", path=key, retry_after=1.0)
    return kind(f"Azure answered {doing} with {status} {code}".rstrip(), path=key)
