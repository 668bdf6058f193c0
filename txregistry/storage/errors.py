# SPDX-License-Identifier: Apache-2.0
"""Everything that a driver may refuse, as one family of exceptions and one table.

Room: storage. Must not know AMP (``ipc`` carries these rows over the wire) or HTTP (``registry``
turns them into the API's errors). A driver raises nothing else; what escapes it all the same is
turned into :class:`Internal` at the border.

The table ``CODES`` is the whole of what may leave a driver. Codes are part of the driver protocol:
rows are only added.
"""

from __future__ import annotations

from typing import ClassVar


class StorageError(Exception):
    """A driver's refusal.

    Args:
        message: one sentence for the operator's log; never a secret.
        path: the driver path that was refused, if one was.
    """

    code: ClassVar[str] = "Internal"
    #: The same call may succeed later without anything being changed by us.
    is_retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", *, path: str = "") -> None:
        super().__init__(message or self.code)
        self.message = message or self.code
        self.path = path

    def __str__(self) -> str:
        return f"{self.message} ({self.path})" if self.path else self.message


class Missing(StorageError):
    """Nothing is at that path."""

    code = "Missing"


class Exists(StorageError):
    """Something is at that path although the caller asked for none."""

    code = "Exists"


class Changed(StorageError):
    """The version that the caller named is not the stored one."""

    code = "Changed"


class WrongOffset(StorageError):
    """A writer was asked for at an offset that is not the stored size.

    Args:
        actual: the stored size in bytes.
    """

    code = "WrongOffset"

    def __init__(self, message: str = "", *, path: str = "", actual: int = 0) -> None:
        super().__init__(message or f"the stored size is {actual} bytes", path=path)
        self.actual = actual


class InvalidOffset(StorageError):
    """A read starts before zero or beyond the end."""

    code = "InvalidOffset"


class InvalidPath(StorageError):
    """The path is not of the contract's grammar, or runs through a file."""

    code = "InvalidPath"


class Fenced(StorageError):
    """A newer writer (or a commit, move or delete) took the path over from this one."""

    code = "Fenced"


class Closed(StorageError):
    """The writer was closed or abandoned before, or never existed."""

    code = "Closed"


class Mismatch(StorageError):
    """The staged bytes are not of the size or digest that the commit named."""

    code = "Mismatch"


class TooLarge(StorageError):
    """The content is larger than the caller is willing to hold, or than the driver can store."""

    code = "TooLarge"


class NoSpace(StorageError):
    """The backend is full, or a quota is."""

    code = "NoSpace"
    is_retryable = True


class ReadOnly(StorageError):
    """The backend takes no writes at present."""

    code = "ReadOnly"
    is_retryable = True


class Throttled(StorageError):
    """The backend asks for patience.

    Args:
        retry_after: seconds to wait.
    """

    code = "Throttled"
    is_retryable = True

    def __init__(self, message: str = "", *, path: str = "", retry_after: float = 1.0) -> None:
        super().__init__(message or f"asked to wait {retry_after:g} s", path=path)
        self.retry_after = retry_after


class Denied(StorageError):
    """The backend refuses the driver's credentials or permissions."""

    code = "Denied"


class Unavailable(StorageError):
    """The backend or the driver can't be reached.

    Args:
        retry_after: seconds after which that may be over.
    """

    code = "Unavailable"
    is_retryable = True

    def __init__(self, message: str = "", *, path: str = "", retry_after: float = 1.0) -> None:
        super().__init__(message, path=path)
        self.retry_after = retry_after


class Corrupt(StorageError):
    """What is stored contradicts itself: short, unreadable, or not what its record says."""

    code = "Corrupt"


class SyncFailed(Corrupt):
    """A sync failed: what was written since the last one may be lost, whatever a later one says.

    Over the wire it is what it stands below. A driver that raises it is not written to any more.
    """


class Unsupported(StorageError):
    """The driver does not have that operation."""

    code = "Unsupported"


class BadOptions(StorageError):
    """The driver refuses its configuration."""

    code = "BadOptions"


class Internal(StorageError):
    """A fault of the driver itself."""

    code = "Internal"


#: code -> exception, in the order of the wire document.
CODES: dict[str, type[StorageError]] = {
    error.code: error
    for error in (
        Missing,
        Exists,
        Changed,
        WrongOffset,
        InvalidOffset,
        InvalidPath,
        Fenced,
        Closed,
        Mismatch,
        TooLarge,
        NoSpace,
        ReadOnly,
        Throttled,
        Denied,
        Unavailable,
        Corrupt,
        Unsupported,
        BadOptions,
        Internal,
    )
}
