# SPDX-License-Identifier: Apache-2.0
"""The API's error codes, the one exception that carries them, and their JSON.

Room: oci. Must not know HTTP statuses (``web`` has that table) nor what storage refused
(``registry`` translates it).

The wire form, which clients parse::

    {"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to
    registry","detail":"sha256:..."}]}\\n

``detail`` is left out when there is none. The messages are those that registry:2 and registry:3
send, since some clients match on them; what is particular to one request goes into ``detail``.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from typing import Any

#: How much of a hostile text goes into a detail, in characters. Arbitrary: a whole name (255) or
#: digest (135) fits.
EXCERPT_LIMIT = 256


class Code(enum.Enum):
    """An error code: its value, and name, is the text on the wire; ``message`` is what is said of
    it.

    Source: distribution-spec, "Error Codes"; the last six rows are registry:2's additions.
    """

    BLOB_UNKNOWN = ("BLOB_UNKNOWN", "blob unknown to registry")
    BLOB_UPLOAD_INVALID = ("BLOB_UPLOAD_INVALID", "blob upload invalid")
    BLOB_UPLOAD_UNKNOWN = ("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    DIGEST_INVALID = ("DIGEST_INVALID", "provided digest did not match uploaded content")
    MANIFEST_BLOB_UNKNOWN = ("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry")
    MANIFEST_INVALID = ("MANIFEST_INVALID", "manifest invalid")
    MANIFEST_UNKNOWN = ("MANIFEST_UNKNOWN", "manifest unknown")
    NAME_INVALID = ("NAME_INVALID", "invalid repository name")
    NAME_UNKNOWN = ("NAME_UNKNOWN", "repository name not known to registry")
    SIZE_INVALID = ("SIZE_INVALID", "provided length did not match content length")
    UNAUTHORIZED = ("UNAUTHORIZED", "authentication required")
    DENIED = ("DENIED", "requested access to the resource is denied")
    UNSUPPORTED = ("UNSUPPORTED", "The operation is unsupported.")
    TOOMANYREQUESTS = ("TOOMANYREQUESTS", "too many requests")
    MANIFEST_UNVERIFIED = ("MANIFEST_UNVERIFIED", "manifest failed signature verification")
    PAGINATION_NUMBER_INVALID = ("PAGINATION_NUMBER_INVALID", "invalid number of results requested")
    RANGE_INVALID = ("RANGE_INVALID", "invalid content range")
    TAG_INVALID = ("TAG_INVALID", "manifest tag did not match URI")
    UNAVAILABLE = ("UNAVAILABLE", "service unavailable")
    UNKNOWN = ("UNKNOWN", "unknown error")

    message: str

    def __new__(cls, text: str, message: str) -> Code:
        row = object.__new__(cls)
        row._value_ = text
        row.message = message
        return row


class OciError(Exception):
    """A refusal that the client is told about.

    Args:
        code: which refusal.
        detail: what is particular to this one; anything that JSON can hold. Never a secret, a path
            or a driver's words.
        message: in place of the code's own message.
        retry_after: seconds after which the same request may succeed.
        offset: bytes that an upload truly holds, where the refusal is about its offset.
        too_large: the refusal is about size: what was sent is over a limit.
        malformed: what was sent is at fault, although the code is usually about what the registry
            can do (UNSUPPORTED for a schema 1 manifest).
        errors: all of them where there are several (see :func:`several`).
    """

    def __init__(
        self,
        code: Code,
        detail: object = None,
        *,
        message: str | None = None,
        retry_after: int | None = None,
        offset: int | None = None,
        too_large: bool = False,
        malformed: bool = False,
        errors: tuple[OciError, ...] = (),
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.message = code.message if message is None else message
        self.retry_after = retry_after
        self.offset = offset
        self.too_large = too_large
        self.malformed = malformed
        self.errors = errors

    def __str__(self) -> str:
        told = f"{self.code.value}: {self.message}"
        return f"{told} ({self.detail})" if _is_told(self.detail) else told

    def to_plain(self) -> dict[str, Any]:
        """Return a form that JSON can carry between processes; :meth:`from_plain` takes it back."""
        return {
            "code": self.code.value,
            "detail": self.detail,
            "message": self.message,
            "retry_after": self.retry_after,
            "offset": self.offset,
            "too_large": self.too_large,
            "malformed": self.malformed,
            "errors": [error.to_plain() for error in self.errors],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> OciError:
        """Return the error that :meth:`to_plain` was called on."""
        rest = {key: value for key, value in plain.items() if key not in ("code", "errors")}
        errors = tuple(cls.from_plain(error) for error in plain["errors"])
        return cls(Code[plain["code"]], errors=errors, **rest)


def several(errors: Sequence[OciError]) -> OciError:
    """Return one error that stands for all of ``errors``, of which there is at least one."""
    first = errors[0]
    if len(errors) == 1:
        return first
    return OciError(first.code, first.detail, message=first.message, errors=tuple(errors))


def render(error: OciError) -> bytes:
    """Return the body of the answer, newline included.

    Source: distribution-spec, "Error Codes"; RFC 8259.
    """
    rows = []
    for each in error.errors or (error,):
        row: dict[str, object] = {"code": each.code.value, "message": each.message}
        if _is_told(each.detail):
            row["detail"] = each.detail
        rows.append(row)
    # What JSON has no form for is told by its text, as registry:3 does.
    text = json.dumps({"errors": rows}, separators=(",", ":"), default=str)
    return text.encode("ascii") + b"\n"


def excerpt(text: str) -> str:
    """Return ``text``, cut if it is too long to be repeated to whoever sent it."""
    return text if len(text) <= EXCERPT_LIMIT else text[:EXCERPT_LIMIT] + "..."


def _is_told(detail: object) -> bool:
    return not (detail is None or detail == "" or detail == [] or detail == {} or detail == ())
