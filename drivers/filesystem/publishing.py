# SPDX-License-Identifier: Apache-2.0
"""The way of staged bytes to their final name.

Driver: filesystem. In this order, each step finished before the next begins::

    0  a final name that holds as many bytes stays: the record, then 4
    1  fsync the staged file                       strict only; not again if its writer has just
                                                   done it
    2  put the record beside the final name        if there is one; its bytes are synced, strict
                                                   only
    3  link it to the final name                   the commit point
    4  fsync the final name's directory, and each directory above it that is new, upward

The staged name stays. Where hard links don't go (blobs mounted from another file system, a file
system without links) the bytes are copied to a temporary name beside the final one, synced and
renamed.
"""

from __future__ import annotations

import contextlib
import os
import stat

from txregistry.driver import InvalidPath, Mismatch, Missing, Unavailable
from txregistry_drivers.filesystem.contents import Contents
from txregistry_drivers.filesystem.copying import UNLINKABLE, copy_bytes
from txregistry_drivers.filesystem.locking import try_lock
from txregistry_drivers.filesystem.names import DurableNames
from txregistry_drivers.filesystem.refusals import refusal, writing
from txregistry_drivers.filesystem.synced import SyncedFiles, spoil
from txregistry_drivers.filesystem.temporary import new_name


class Publishing:
    """Publishes below a root.

    Args:
        synced: syncs the bytes; None leaves that, and the syncing of names, to a later ``sync``.
    """

    def __init__(
        self, root: str, *, names: DurableNames, contents: Contents, synced: SyncedFiles | None
    ) -> None:
        self._root = root
        self._names = names
        self._contents = contents
        self._synced = synced

    def publish(
        self, path: str, destination: str, size: int, record: tuple[str, bytes] | None = None
    ) -> None:
        """Make ``destination`` hold the ``size`` bytes at ``path``.

        Args:
            record: a path in the same directory, and what it is to hold.

        Raises:
            Missing: nothing is at ``path``.
            Mismatch: it has another size.
            Unavailable: another process is writing there.
        """
        try:
            staged = os.open(
                self._root + path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            )
        except OSError as err:
            raise refusal(err, path) from err
        try:
            self._check(staged, path, size)
            with writing(destination):
                is_new = not self._has_size(self._root + destination, size)
                made = []
                if is_new:  # else its bytes need no syncing
                    self._sync_bytes(staged, path)
                if record is not None and self._contents.place(
                    *record, is_synced=self._synced is not None
                ):
                    made.append(record[0])
                if is_new and self._place(staged, path, destination, size):
                    made.append(destination)
                self._sync_names(destination.rpartition("/")[0], made)
        finally:
            os.close(staged)

    def _check(self, staged: int, path: str, size: int) -> None:
        status = os.fstat(staged)
        if not stat.S_ISREG(status.st_mode):
            raise Missing("not a regular file", path=path)
        if not try_lock(staged):
            raise Unavailable("another process is writing there", path=path)
        if status.st_size != size:
            raise Mismatch(f"{status.st_size} bytes are staged, not {size}", path=path)

    def _sync_bytes(self, staged: int, path: str) -> None:
        if self._synced is not None:
            try:
                self._synced.sync(staged)
            except OSError:
                spoil(self._root + path, staged)
                raise

    def _sync_names(self, directory: str, made: list[str]) -> None:
        if self._synced is None:
            return
        try:
            self._names.sync(directory)
        except OSError:
            for path in made:  # so that a repetition does it all again and can't take it for done
                with contextlib.suppress(OSError):
                    os.unlink(self._root + path)
            raise

    def _place(self, staged: int, path: str, destination: str, size: int) -> bool:
        """Give the bytes their final name; False if that holds as many bytes already."""
        target = self._root + destination
        try:
            self._link(path, destination)
        except FileExistsError:
            if self._has_size(target, size):
                return False
            self._replace(staged, path, target, size)
        except OSError as err:
            if err.errno not in UNLINKABLE:
                raise
            if self._has_size(target, size):
                return False
            self._copy(staged, target, size)
        return True

    def _link(self, path: str, destination: str) -> None:
        try:
            os.link(self._root + path, self._root + destination)
        except FileNotFoundError:
            self._names.make(destination.rpartition("/")[0])
            os.link(self._root + path, self._root + destination)

    def _has_size(self, target: str, size: int) -> bool:
        try:
            status = os.stat(target)
        except FileNotFoundError:  # nothing, or a symbolic link to nothing
            return False
        if stat.S_ISDIR(status.st_mode):
            raise InvalidPath("a directory is there", path=target.removeprefix(self._root))
        return status.st_size == size

    def _replace(self, staged: int, path: str, target: str, size: int) -> None:
        temporary = f"{os.path.dirname(target)}/{new_name()}"
        try:
            os.link(self._root + path, temporary)
        except OSError as err:
            if err.errno not in UNLINKABLE:
                raise
            self._copy(staged, target, size)
            return
        try:
            os.rename(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise

    def _copy(self, staged: int, target: str, size: int) -> None:
        temporary = f"{os.path.dirname(target)}/{new_name()}"
        copy = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            try:
                copy_bytes(staged, copy, size)
                if self._synced is not None:
                    self._synced.sync(copy)
            finally:
                os.close(copy)
            os.rename(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
