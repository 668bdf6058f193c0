# SPDX-License-Identifier: Apache-2.0
"""What an errno means in the words of the contract.

Driver: filesystem. The only place that knows both. Above it there is no errno.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from txregistry.driver import (
    Corrupt,
    Denied,
    Internal,
    InvalidPath,
    Missing,
    NoSpace,
    ReadOnly,
    StorageError,
    SyncFailed,
    TooLarge,
    Unavailable,
)
from txregistry_drivers.filesystem.synced import FailedSync

#: Nothing is there for a reader; a writer was asked for something that can't be there.
_MISPLACED = frozenset(
    {errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOTEMPTY, errno.EEXIST}
)

_MEANING: Mapping[int, type[StorageError]] = {
    errno.ENOENT: Missing,
    errno.ENOSPC: NoSpace,
    errno.EDQUOT: NoSpace,
    errno.EFBIG: TooLarge,
    errno.EROFS: ReadOnly,
    errno.EACCES: Denied,
    errno.EPERM: Denied,
    errno.EIO: Corrupt,
    errno.ELOOP: Corrupt,
    # Exhausted for the moment, or a network file system whose server is away.
    errno.EMFILE: Unavailable,
    errno.ENFILE: Unavailable,
    errno.ENOMEM: Unavailable,
    errno.EAGAIN: Unavailable,
    errno.EBUSY: Unavailable,
    errno.ENOLCK: Unavailable,
    errno.ESTALE: Unavailable,
    errno.ETIMEDOUT: Unavailable,
    errno.ENOTCONN: Unavailable,
    errno.EHOSTDOWN: Unavailable,
}


def refusal(error: OSError, path: str, *, is_write: bool = False) -> StorageError:
    """The contract's word for ``error``.

    Args:
        path: the driver path that was asked for.
        is_write: reading below a file finds nothing, writing there is not possible.
    """
    number = error.errno or 0
    message = os.strerror(number) if number else str(error)
    if isinstance(error, FailedSync) and number == errno.EIO:
        return SyncFailed(message, path=path)
    if number in _MISPLACED:
        return InvalidPath(message, path=path) if is_write else Missing(path=path)
    return _MEANING.get(number, Internal)(message, path=path)


@contextmanager
def writing(path: str) -> Iterator[None]:
    """A span of calls that change ``path``: what the system refuses leaves it in the contract's
    words.
    """
    try:
        yield
    except OSError as err:
        raise refusal(err, path, is_write=True) from err
