# SPDX-License-Identifier: Apache-2.0
"""The only place where a refusal becomes a status, and an unexpected exception a 500.

Room: web. Must not know why something was refused. ``STATUSES`` is the whole mapping; a size that
is over a limit is 413 and a malformed request 400 whatever their code.

What nobody expected is logged with its traceback under an incident id; the client is told the id
and nothing else. What storage said that led to a 503 is logged now and then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from secrets import token_hex
from typing import Protocol

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from txregistry.errand import Errand
from txregistry.oci.errors import Code, OciError, render
from txregistry.registry.body import BodyCut
from txregistry.storage.errors import StorageError
from txregistry.web.answer import Answer, Header
from txregistry.web.outlets import ClientGone

log = Logger()

JSON_TYPE: Header = ("Content-Type", "application/json")

#: code -> status. Source: distribution-spec "Error Codes", and what registry:3 answers.
STATUSES = {
    Code.BLOB_UNKNOWN: 404,
    Code.BLOB_UPLOAD_INVALID: 404,
    Code.BLOB_UPLOAD_UNKNOWN: 404,
    Code.DIGEST_INVALID: 400,
    Code.MANIFEST_BLOB_UNKNOWN: 400,
    Code.MANIFEST_INVALID: 400,
    Code.MANIFEST_UNKNOWN: 404,
    Code.NAME_INVALID: 400,
    Code.NAME_UNKNOWN: 404,
    Code.SIZE_INVALID: 400,
    Code.UNAUTHORIZED: 401,
    Code.DENIED: 403,
    Code.UNSUPPORTED: 405,
    Code.TOOMANYREQUESTS: 429,
    Code.MANIFEST_UNVERIFIED: 400,
    Code.PAGINATION_NUMBER_INVALID: 400,
    Code.RANGE_INVALID: 416,
    Code.TAG_INVALID: 400,
    Code.UNAVAILABLE: 503,
    Code.UNKNOWN: 500,
}

#: Seconds between two complaints about the same kind of trouble with storage. Arbitrary.
COMPLAINT_PAUSE = 10.0

#: Answers that tell when to come back, and what they say if the refusal does not, in seconds.
#: Arbitrary; clients with a back-off of their own take it as a least.
RETRY_AFTER = {429: 1, 503: 1}


def status_of(error: OciError) -> int:
    """Return the status of the first of what ``error`` holds."""
    if error.too_large:
        return 413
    if error.malformed:
        return 400
    return STATUSES[error.code]


def refusal(error: OciError, *, status: int | None = None) -> Answer:
    """Return the answer that tells a client of a refusal.

    Args:
        status: in place of the code's own, for refusals that HTTP has a status of its own for.

    Source: distribution-spec, "Error Codes"; RFC 9110 section 10.2.3.
    """
    status = status_of(error) if status is None else status
    headers: tuple[Header, ...] = (JSON_TYPE,)
    if status in RETRY_AFTER:
        seconds = RETRY_AFTER[status] if error.retry_after is None else max(error.retry_after, 1)
        headers += (("Retry-After", str(seconds)),)
    return Answer(status, headers, render(error))


class Asked(Protocol):
    """What is said of a request in the log, and done to one that can't be answered.

    Attributes:
        status: of the answer, 0 before it was sent.
    """

    status: int
    method: bytes
    path: bytes

    @property
    def errand(self) -> Errand:
        """What is known of it."""

    def abort(self) -> None:
        """Break the connection."""


class Faults:
    """Answers what requests raise.

    Args:
        seconds: the clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._complained: dict[str, float] = {}

    async def guarded(
        self, work: Awaitable[None], request: Asked, send: Callable[[Answer], None]
    ) -> None:
        """Do ``work``, which answers ``request``; if it raises, answer that.

        Args:
            send: sends an answer whose body is in memory.
        """
        try:
            await work
        except (BodyCut, ClientGone, CancelledError):
            # Nobody is left to be answered.
            request.abort()
        except Exception as error:
            request.errand.error = (
                error.code if isinstance(error, OciError) else Code.UNKNOWN
            ).value
            if request.status:
                _break_off(request, error)
            elif isinstance(error, OciError) and status_of(error) != 500:
                self._complain(error)
                send(refusal(error))
            else:
                send(_incident(request, error))

    def _complain(self, error: OciError) -> None:
        """Log what storage said that made us refuse something, each kind once in a while."""
        cause = error.__cause__
        if cause is None or status_of(error) < 500:
            return
        now, kind = self._seconds(), type(cause).__name__
        if now - self._complained.get(kind, -COMPLAINT_PAUSE) >= COMPLAINT_PAUSE:
            self._complained[kind] = now
            log.warn("requests are refused: {reason}", reason=_reason(error))


def _incident(request: Asked, error: Exception) -> Answer:
    """Log what nobody expected and return the 500 that names the log entry."""
    number = token_hex(8)
    what, reason = _what(request), _reason(error)
    log.failure("incident {incident}: {what}: {reason}", incident=number, what=what, reason=reason)
    return refusal(OciError(Code.UNKNOWN, {"incident": number}))


def _break_off(request: Asked, error: Exception) -> None:
    """The head has left, so nothing can be said any more; the client must see that it has not
    all. That storage was lost on the way is no fault of ours, so that has no traceback.
    """
    is_passing = isinstance(error, StorageError) and error.is_retryable
    tell = log.warn if is_passing else log.failure
    tell("answer broken off: {what}: {reason}", what=_what(request), reason=_reason(error))
    request.abort()


def _what(request: Asked) -> str:
    return f"{request.method.decode('ascii')} {request.path.decode('ascii')}"


def _reason(error: Exception) -> str:
    """Return what happened, for the log; of a refusal that storage is behind, what that said."""
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {cause}"
