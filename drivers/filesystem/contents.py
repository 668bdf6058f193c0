# SPDX-License-Identifier: Apache-2.0
"""Small content: links, manifests' records, hash states. Read whole, replaced whole.

Driver: filesystem. A replacement is written to a temporary name in the same directory, synced,
renamed, and the directory synced. A version is the inode, the time of change and the size of the
file that holds the content; each replacement is another inode, and gets a time that no earlier one
had, because inodes are used again and the kernel's own clock for files ticks in milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable

from txregistry.driver import (
    CONTENT_LIMIT,
    Changed,
    Content,
    Corrupt,
    Exists,
    Missing,
    TooLarge,
    Unavailable,
)
from txregistry_drivers.filesystem.copying import UNLINKABLE, write_all
from txregistry_drivers.filesystem.locking import NameLocks
from txregistry_drivers.filesystem.names import DurableNames
from txregistry_drivers.filesystem.refusals import refusal, writing
from txregistry_drivers.filesystem.synced import syncing
from txregistry_drivers.filesystem.temporary import new_name

#: Opens a regular file; O_NONBLOCK so that a pipe which somebody left there can't hold us up.
READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW

#: How often making a file starts anew when its directory is taken away meanwhile.
_ATTEMPTS = 5


class Contents:
    """Small content below a root.

    Args:
        is_synced: False leaves the writing back to the system.
        now: the clock, nanoseconds since the epoch.
    """

    def __init__(
        self,
        root: str,
        *,
        names: DurableNames,
        locks: NameLocks,
        is_synced: bool,
        now: Callable[[], int],
    ) -> None:
        self._root = root
        self._names = names
        self._locks = locks
        self._is_synced = is_synced
        self._now = now
        self._last = 0
        self._last_lock = threading.Lock()

    def get(self, path: str) -> Content:
        """One open, one look, one read."""
        try:
            descriptor = os.open(self._root + path, READ_FLAGS)
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise Missing("not a file", path=path)
                if status.st_size > CONTENT_LIMIT:
                    raise TooLarge(
                        f"{status.st_size} bytes are more than {CONTENT_LIMIT}", path=path
                    )
                data = os.read(descriptor, status.st_size)
            finally:
                os.close(descriptor)
        except OSError as err:
            raise refusal(err, path) from err
        if len(data) != status.st_size:
            raise Corrupt(f"{len(data)} bytes could be read, not {status.st_size}", path=path)
        return Content(data, version_of(status))

    def place(self, path: str, data: bytes, *, is_synced: bool) -> bool:
        """Make ``path`` hold ``data``; its name becomes durable when its directory is synced.

        Args:
            is_synced: whether the bytes are durable before they have the name.

        Returns:
            Whether that took a change.
        """
        with contextlib.suppress(Missing, TooLarge, Corrupt):
            if self.get(path).data == data:
                return False
        for _ in range(_ATTEMPTS):
            temporary, _ = self._write(path.rpartition("/")[0], data, is_synced=is_synced)
            try:
                os.rename(temporary, self._root + path)
            except FileNotFoundError:  # the directory was taken away, and the file with it
                continue
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
            return True
        raise Unavailable("the directory is taken away again and again", path=path)

    def put(self, path: str, data: bytes, *, if_absent: bool, if_version: str | None) -> str:
        directory = path.rpartition("/")[0]
        full = self._root + path
        with writing(path):
            for _ in range(_ATTEMPTS):
                self._check(path, full, if_absent=if_absent, if_version=if_version)
                temporary, version = self._write(directory, data, is_synced=self._is_synced)
                try:
                    with self._locks.held(self._root + directory + "/"):
                        self._check(path, full, if_absent=if_absent, if_version=if_version)
                        _place(temporary, full, if_absent=if_absent)
                except FileNotFoundError:  # the directory was taken away, and the file with it
                    continue
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.unlink(temporary)
                    raise
                self._names.sync(directory)
                return version
        raise Unavailable("the directory is taken away again and again", path=path)

    def check_version(self, path: str, version: str) -> None:
        """Refuse unless exactly this version is there.

        Raises:
            Changed: another is, or nothing.
        """
        try:
            status = os.stat(self._root + path)
        except FileNotFoundError:
            raise Changed("nothing is there", path=path) from None
        if not stat.S_ISREG(status.st_mode) or version_of(status) != version:
            raise Changed("another version is there", path=path)

    def _check(self, path: str, full: str, *, if_absent: bool, if_version: str | None) -> None:
        if if_absent and os.path.lexists(full):
            raise Exists(path=path)
        if if_version is not None:
            self.check_version(path, if_version)

    def _write(self, directory: str, data: bytes, *, is_synced: bool) -> tuple[str, str]:
        """Put ``data`` under a temporary name; returns that (a full path) and the version."""
        temporary = f"{self._root}{directory}/{new_name()}"
        descriptor = self._create(temporary, directory)
        try:
            try:
                write_all(descriptor, data, 0)
                os.utime(descriptor, ns=(stamp := self._stamp(), stamp))
                if is_synced:
                    with syncing():
                        os.fsync(descriptor)
                return temporary, version_of(os.fstat(descriptor))
            finally:
                os.close(descriptor)
        except BaseException:
            os.unlink(temporary)
            raise

    def _create(self, temporary: str, directory: str) -> int:
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(FileNotFoundError):
                return os.open(temporary, _CREATE_FLAGS, 0o666)
            self._names.make(directory)
        raise Unavailable("the directory is taken away again and again", path=directory)

    def _stamp(self) -> int:
        with self._last_lock:
            self._last = max(self._last + 1, self._now())
            return self._last


def _place(temporary: str, full: str, *, if_absent: bool) -> None:
    """Give the file its name. A link does not replace what another host has just put there."""
    if if_absent:
        try:
            os.link(temporary, full)
        except FileExistsError as err:
            raise Exists from err
        except OSError as err:
            if err.errno not in UNLINKABLE:
                raise
        else:
            os.unlink(temporary)
            return
    os.rename(temporary, full)


def version_of(status: os.stat_result) -> str:
    """The token of what a file holds."""
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"
