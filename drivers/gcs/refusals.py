# SPDX-License-Identifier: Apache-2.0
"""What the errors of Google's library mean.

Driver: gcs. The one place that turns its exceptions into refusals. Messages name the operation and
the status, never what was sent.
"""

from __future__ import annotations

from google.api_core.exceptions import GoogleAPIError, RetryError
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from requests.exceptions import RequestException

from txregistry.driver import Denied, StorageError
from txregistry_drivers.objects.refusals import answered, translating

#: Everything that a call may raise because of the other side.
FAILURES = (GoogleAPIError, GoogleAuthError, InvalidResponse, DataCorruption, RequestException)

PRECONDITION_FAILED = 412


def status_of(error: BaseException) -> int:
    """The HTTP status of an answer; 0 if there was none."""
    error = _cause(error)
    if isinstance(error, InvalidResponse):
        return int(error.response.status_code)
    code = getattr(error, "code", None)
    return int(code) if isinstance(code, int) else 0


def _cause(error: BaseException) -> BaseException:
    """What the last try met, if there were several."""
    while isinstance(error, RetryError) and error.cause is not None:
        error = error.cause
    return error


def refusal(error: BaseException, key: str, doing: str) -> StorageError:
    """The refusal that an exception means."""
    if isinstance(error, DefaultCredentialsError):
        return Denied("no credentials for GCS were found: give keyfile, or a service account")
    if isinstance(error, GoogleAuthError) and not isinstance(error, TransportError):
        return Denied(f"GCS gives no token for these credentials: {type(error).__name__}", path=key)
    headers = getattr(getattr(_cause(error), "response", None), "headers", None)
    return answered("GCS", error, key=key, doing=doing, status=status_of(error), headers=headers)


#: A context around calls about an object.
translated = translating(FAILURES, refusal)
