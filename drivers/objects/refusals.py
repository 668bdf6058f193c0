# SPDX-License-Identifier: Apache-2.0
"""What the answers of a vendor's server mean, once its library was asked for their status.

Drivers: objects. Must not know any vendor's library. Messages name the operation and what the server
answered, never what was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

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

#: What an HTTP status means, whoever runs the server; any other: that it is out of order.
STATUSES: Mapping[int, type[StorageError]] = {
    401: Denied,
    403: Denied,
    404: Missing,
    413: TooLarge,
    416: InvalidOffset,
    429: Throttled,
    507: NoSpace,
}


#: Seconds to wait if the server names none, and at most.
_PATIENCE, _LONGEST_PATIENCE = 1.0, 3600.0


def patience(headers: Mapping[str, str]) -> float:
    """Seconds that an answer asks to wait for, by its ``Retry-After``; a date there counts as none."""
    for name, text in headers.items():
        if name.lower() == "retry-after" and text.isascii() and text.isdigit():
            return min(float(text), _LONGEST_PATIENCE)
    return _PATIENCE


def answered(
    server: str,
    error: BaseException,
    *,
    key: str,
    doing: str,
    status: int,
    code: str = "",
    headers: Mapping[str, str] | None = None,
    kind: type[StorageError] | None = None,
) -> StorageError:
    """The refusal that an answer means, or that there was none.

    Args:
        server: its name, for the message.
        error: the library's.
        key: what was asked for.
        doing: what was tried, for the message.
        status: of HTTP; 0 if there was no answer.
        code: the vendor's word for what is wrong.
        headers: of the answer, if the library tells them; names in any case.
        kind: what it means, if not what others mean by this status.
    """
    if not status:
        reason = type(error).__name__
        return Unavailable(f"{server} can't be reached for {doing}: {reason}", path=key)
    kind = kind or STATUSES.get(status, Unavailable)
    if kind is Throttled:
        message = f"{server} asked for patience at {doing}"
        return Throttled(message, path=key, retry_after=patience(headers or {}))
    return kind(f"{server} answered {doing} with {status} {code}".rstrip(), path=key)


def translating(
    failures: tuple[type[BaseException], ...],
    refusal: Callable[[BaseException, str, str], StorageError],
) -> Callable[[str, str], AbstractContextManager[None]]:
    """Return a context, of a key and what is tried with it, that raises refusals for a library's
    exceptions.

    Args:
        failures: those exceptions.
        refusal: what one of them means, with the key and what was tried.
    """

    @contextmanager
    def translated(key: str, doing: str) -> Iterator[None]:
        try:
            yield
        except failures as err:
            raise refusal(err, key, doing) from err

    return translated
