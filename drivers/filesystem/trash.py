# SPDX-License-Identifier: Apache-2.0
"""Where directories go that are deleted: out of sight in one step, removed in as many as it takes.

Driver: filesystem. The trash is a directory at the root; what lies on another file system (by an
operator's symbolic link) becomes a hidden name in its own directory instead. A crash leaves entries
behind that nobody sees; the first deletion of a later process removes those in the trash, or its
sweep (``sweeping``), which removes the other ones, too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading

from txregistry_drivers.filesystem.temporary import TRASH, new_name


class Trash:
    """The trash of one root."""

    def __init__(self, root: str) -> None:
        self._directory = f"{root}/{TRASH}"
        self._lock = threading.Lock()
        self._is_swept = False

    def sweep(self) -> None:
        """Remove all that is there."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self._directory):
                remove_entry(f"{self._directory}/{name}")

    def take(self, full: str) -> str:
        """Move a file or a directory (a full path) out of sight; returns where it is now.

        Raises:
            OSError: as the system says; it is where it was.
        """
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._directory, 0o777)
        hidden = f"{self._directory}/{new_name()}"
        try:
            os.rename(full, hidden)
        except OSError as err:
            if err.errno != errno.EXDEV:
                raise
            hidden = f"{os.path.dirname(full)}/{new_name()}"
            os.rename(full, hidden)
        return hidden

    def remove(self, hidden: str) -> None:
        """Remove what was taken. Its name is gone already, so what can't be removed is left for
        later.
        """
        remove_entry(hidden)
        with self._lock:
            is_swept, self._is_swept = self._is_swept, True
        if not is_swept:
            self.sweep()


def remove_entry(full: str) -> None:
    """Remove a file, or a directory with all below it, as far as that is possible."""
    try:
        os.unlink(full)
    except FileNotFoundError:
        pass
    except OSError:  # a directory
        shutil.rmtree(full, ignore_errors=True)
