# SPDX-License-Identifier: Apache-2.0
"""What the errors of Microsoft's library mean.

Driver: azure. The one place that turns its exceptions into refusals. Messages name the operation,
the status and Azure's code for it, never what was sent.

Source: Microsoft's "Status and error codes" and "Blob Storage error codes".
"""

from __future__ import annotations

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from txregistry.driver import Denied, StorageError, Throttled, Unavailable
from txregistry_drivers.objects.refusals import answered, translating

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
    if not status and isinstance(error, ClientAuthenticationError):
        return Denied("Azure gives no token for these credentials", path=key)
    return answered(
        "Azure",
        error,
        key=key,
        doing=doing,
        status=status,
        code=code,
        headers=getattr(getattr(error, "response", None), "headers", None),
        kind=_CODES.get(code),
    )


#: A context around calls about a blob.
translated = translating(FAILURES, refusal)
