# SPDX-License-Identifier: Apache-2.0
"""What Swift's errors mean.

Driver: swift. The one place that turns an exception of swiftclient into a refusal. Messages name the
operation and the status, never what was sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from keystoneauth1.exceptions import ClientException as KeystoneError
from requests.exceptions import RequestException
from swiftclient.exceptions import ClientException

from txregistry.driver import (
    Denied,
    InvalidOffset,
    Missing,
    NoSpace,
    StorageError,
    Throttled,
    TooLarge,
    Unavailable,
)

#: Everything that a call may raise because of the other side.
FAILURES = (ClientException, KeystoneError, RequestException, OSError)

_STATUSES: dict[int, type[StorageError]] = {
    401: Denied,
    403: Denied,
    404: Missing,
    413: TooLarge,
    416: InvalidOffset,
    429: Throttled,
    498: Throttled,
    507: NoSpace,
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
    return getattr(error, "http_status", 0) or 0


def refusal(error: BaseException, key: str, doing: str) -> StorageError:
    """The refusal that an exception means."""
    status = status_of(error)
    if not status:
        return Unavailable(f"Swift can't be reached for {doing}: {type(error).__name__}", path=key)
    kind = _STATUSES.get(status, Unavailable)
    if kind is Throttled:
        return Throttled(f"Swift asked for patience at {doing}", path=key, retry_after=1.0)
    return kind(f"Swift answered {doing} with {status}", path=key)
