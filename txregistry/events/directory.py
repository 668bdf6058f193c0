# SPDX-License-Identifier: Apache-2.0
"""The queue's directory: made for us alone, and held by one registry at a time.

Room: events. Everything here blocks.
"""

from __future__ import annotations

import fcntl
import os

_LOCK = "lock"


class QueueError(Exception):
    """The directory can't be had; one sentence that says why and what to do."""


class QueueDirectory:
    """A directory that is ours until :meth:`close`, or until the process dies.

    Args:
        path: made if it is missing, readable by this user only.

    Raises:
        QueueError: it can't be made or used, or another registry holds it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            os.makedirs(path, mode=0o700, exist_ok=True)
            self._lock = os.open(
                os.path.join(path, _LOCK),
                os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
                0o600,
            )
        except OSError as error:
            raise QueueError(
                f"the queue of notifications can't be kept in {path} ({error.strerror}); name a"
                " directory that this user may write to in notifications.queue.directory"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise QueueError(
                f"another registry keeps its queue of notifications in {path}; give each one a"
                " notifications.queue.directory of its own"
            ) from None

    def close(self) -> None:
        """Leave it to others."""
        os.close(self._lock)
