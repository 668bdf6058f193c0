# SPDX-License-Identifier: Apache-2.0
"""What the errors of Google's library mean.

Driver: gcs. The one place that turns its exceptions into refusals. Messages name the operation and
the status, never what was sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from google.api_core.exceptions import GoogleAPIError, RetryError
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from requests.exceptions import RequestException

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
FAILURES = (GoogleAPIError, GoogleAuthError, InvalidResponse, DataCorruption, RequestException)

PRECONDITION_FAILED = 412

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
    """Turn exceptions about an object into refusals.

    Args:
        doing: what was tried, for the message.
    """
    try:
        yield
    except FAILURES as err:
        raise refusal(err, key, doing) from err


def status_of(error: BaseException) -> int:
    """The HTTP status of an answer; 0 if there was none."""
    if isinstance(error, RetryError) and error.cause is not None:
        return status_of(error.cause)
    if isinstance(error, InvalidResponse):
        return int(error.response.status_code)
    code = getattr(error, "code", None)
    return int(code) if isinstance(code, int) else 0


def refusal(error: BaseException, key: str, doing: str) -> StorageError:
    """The refusal that an exception means."""
    if isinstance(error, DefaultCredentialsError):
        return Denied("no credentials for GCS were found: give keyfile, or a service account")
    status = status_of(error)
    if isinstance(error, GoogleAuthError) and not isinstance(error, TransportError):
        return Denied(f"GCS gives no token for these credentials: {type(error).__name__}", path=key)
    kind = _STATUSES.get(status, Unavailable)
    if kind is Throttled:
        return Throttled(f"GCS asked for patience at {doing}", path=key, retry_after=1.0)
    if status:
        return kind(f"GCS answered {doing} with {status}", path=key)
    return Unavailable(f"GCS can't be reached for {doing}: {type(error).__name__}", path=key)
