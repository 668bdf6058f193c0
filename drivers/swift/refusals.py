# SPDX-License-Identifier: Apache-2.0
"""What Swift's errors mean.

Driver: swift. The one place that turns an exception of swiftclient into a refusal. Messages name the
operation and the status, never what was sent.
"""

from __future__ import annotations

from keystoneauth1.exceptions import ClientException as KeystoneError
from requests.exceptions import RequestException
from swiftclient.exceptions import ClientException

from txregistry.driver import StorageError, Throttled
from txregistry_drivers.objects.refusals import answered, translating

#: Everything that a call may raise because of the other side.
FAILURES = (ClientException, KeystoneError, RequestException, OSError)

#: Swift's own status for clients that ask too often.
_RATE_LIMITED = 498


def status_of(error: BaseException) -> int:
    """The HTTP status of an answer; 0 if there was none."""
    return getattr(error, "http_status", 0) or 0


def refusal(error: BaseException, key: str, doing: str) -> StorageError:
    """The refusal that an exception means."""
    status = status_of(error)
    kind = Throttled if status == _RATE_LIMITED else None
    headers = getattr(error, "http_response_headers", None)
    return answered("Swift", error, key=key, doing=doing, status=status, headers=headers, kind=kind)


#: A context around calls about an object.
translated = translating(FAILURES, refusal)
