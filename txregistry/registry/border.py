# SPDX-License-Identifier: Apache-2.0
"""The border at which what storage refused becomes what the API refuses.

Room: registry. Must not know HTTP statuses. Every public method of this room does its driver calls
within :func:`border`, so no ``StorageError`` gets out; what a driver said stays in the
``__cause__`` for the log and is never told to a client.

``ANSWERS`` is the whole mapping. Missing alone depends on what was looked for.
"""

from __future__ import annotations

import math
from types import TracebackType

from attrs import frozen

from txregistry.oci.errors import Code, OciError
from txregistry.storage import errors
from txregistry.storage.errors import StorageError, Throttled, Unavailable, WrongOffset


@frozen
class Answer:
    """How one of a driver's refusals is told.

    Attributes:
        code: None for the one that the caller names.
        retry_after: seconds.
    """

    code: Code | None
    retry_after: int | None = None


#: A backend that is full or takes no writes needs its operator, one that can't be reached its
#: restart; the seconds are arbitrary.
_LATER = Answer(Code.UNAVAILABLE, retry_after=1)
_MUCH_LATER = Answer(Code.UNAVAILABLE, retry_after=30)
_FAULT = Answer(Code.UNKNOWN)

#: Refusals that are about the request are translated where the request is known; as they stand here
#: they met a request that could not have caused them, or lost a race that a repetition may win.
ANSWERS: dict[type[StorageError], Answer] = {
    errors.Missing: Answer(None),
    errors.Exists: _LATER,
    errors.Changed: _LATER,
    errors.WrongOffset: Answer(Code.RANGE_INVALID),
    errors.InvalidOffset: Answer(Code.RANGE_INVALID),
    errors.InvalidPath: _FAULT,
    errors.Fenced: _LATER,
    errors.Closed: _FAULT,
    errors.Mismatch: Answer(Code.DIGEST_INVALID),
    errors.TooLarge: _FAULT,
    errors.NoSpace: _MUCH_LATER,
    errors.ReadOnly: _MUCH_LATER,
    errors.Throttled: _LATER,
    errors.Denied: _FAULT,
    errors.Unavailable: _LATER,
    errors.Corrupt: _FAULT,
    errors.Unsupported: _FAULT,
    errors.BadOptions: _FAULT,
    errors.Internal: _FAULT,
}


def translate(error: StorageError, missing: Code, detail: object = None) -> OciError:
    """Return what a client is told of ``error``.

    Args:
        missing: what it means that something is missing, and ``detail`` what it is.
    """
    # By kind, not by type: a lost or silent connection is a kind of Unavailable.
    answer = next((ANSWERS[kind] for kind in type(error).__mro__ if kind in ANSWERS), _FAULT)
    retry_after = answer.retry_after
    if isinstance(error, Throttled | Unavailable):
        retry_after = max(1, math.ceil(error.retry_after))
    return OciError(
        answer.code or missing,
        detail if answer.code is None else None,
        retry_after=retry_after,
        offset=error.actual if isinstance(error, WrongOffset) else None,
    )


class _Border:
    """A context; a class because every request enters one, and a generator takes thrice the time."""

    __slots__ = ("_detail", "_missing")

    def __init__(self, missing: Code, detail: object) -> None:
        self._missing = missing
        self._detail = detail

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, StorageError):
            raise translate(error, self._missing, self._detail) from error


def border(missing: Code, detail: object = None) -> _Border:
    """Translate every ``StorageError`` that is raised within.

    Raises:
        OciError: see ``ANSWERS``.
    """
    return _Border(missing, detail)
