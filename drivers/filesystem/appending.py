# SPDX-License-Identifier: Apache-2.0
"""The writer of one staged upload.

Driver: filesystem. Bytes go to the end of a plain file. The file is locked for as long as it is
open, so that a second driver process on the same root can't write into it; the lock dies with the
process. A file that has a second link was published: it is copied before the first byte is
appended, so that what is published never changes.
"""

from __future__ import annotations

import errno
import os
import stat

from txregistry.driver import (
    Closed,
    Fenced,
    InvalidPath,
    StorageError,
    Unavailable,
    WrongOffset,
)
from txregistry_drivers.filesystem.copying import copy_bytes, write_all
from txregistry_drivers.filesystem.locking import try_lock
from txregistry_drivers.filesystem.names import DurableNames
from txregistry_drivers.filesystem.refusals import refusal, writing
from txregistry_drivers.filesystem.synced import SyncedFiles, spoil
from txregistry_drivers.filesystem.temporary import new_name

_FLAGS = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK

#: How often opening starts anew when the file or its directory is taken away meanwhile.
_ATTEMPTS = 5


class FileAppender:
    """Appends to ``path`` below ``root``.

    Args:
        offset: the size that the file must have; 0 creates it if nothing is there.
        names: makes directories, and their names durable.

    Raises:
        WrongOffset: it has another size.
        Unavailable: another process is writing.
        InvalidPath: something other than a file is there, or it lies below a file.
    """

    def __init__(
        self, root: str, path: str, offset: int, *, names: DurableNames, synced: SyncedFiles
    ) -> None:
        self._path = path
        self._full = root + path
        self._directory = path.rpartition("/")[0]
        self._names = names
        self._synced = synced
        self._is_new = False
        self._is_published = False
        self._fault: StorageError | None = None
        self._descriptor: int | None = None
        self._size = offset
        with writing(path):
            self._descriptor = self._open(offset)
            try:
                self._check(offset)
            except BaseException:
                self._free()
                raise

    def append(self, data: memoryview) -> int:
        descriptor = self._usable()
        if self._is_published and data:
            with writing(self._path):
                descriptor = self._part_from_published()
        try:
            write_all(descriptor, data, self._size)
        except OSError as err:
            self._take_back(descriptor)
            raise refusal(err, self._path, is_write=True) from err
        self._size += len(data)
        return self._size

    def sync(self) -> int:
        descriptor = self._usable()
        try:
            self._synced.sync(descriptor)
        except OSError as err:
            spoil(self._full, descriptor)
            self._fault = refusal(err, self._path, is_write=True)
            raise self._fault from err
        if self._is_new:
            with writing(self._path):
                self._names.sync(self._directory)
            self._is_new = False
        if not self._is_at_path(descriptor):
            # By another process, as a purge that an operator runs: what was appended since is lost.
            raise Fenced("the file was removed or replaced meanwhile", path=self._path)
        return self._size

    def close(self) -> int:
        with writing(self._path):  # a network file system may report a lost write here
            self._free()
        return self._size

    def _open(self, offset: int) -> int:
        for _ in range(_ATTEMPTS):
            try:
                descriptor = os.open(self._full, _FLAGS)
            except FileNotFoundError:
                if offset:
                    raise WrongOffset(path=self._path, actual=0) from None
                created = self._create()
                if created is None:
                    continue
                descriptor = created
            except OSError as err:
                if err.errno in (errno.ELOOP, errno.ENXIO):
                    raise InvalidPath("not a regular file", path=self._path) from err
                raise
            if not try_lock(descriptor):
                os.close(descriptor)
                raise Unavailable("another process is writing there", path=self._path)
            if self._is_at_path(descriptor):
                return descriptor
            os.close(descriptor)
        raise Unavailable("the file is replaced again and again", path=self._path)

    def _create(self) -> int | None:
        try:
            descriptor = os.open(self._full, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
        except FileNotFoundError:
            self._names.make(self._directory)
            return None
        except FileExistsError:
            return None
        self._is_new = True
        return descriptor

    def _is_at_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.lstat(self._full), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _check(self, offset: int) -> None:
        assert self._descriptor is not None
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidPath("not a regular file", path=self._path)
        if status.st_size != offset:
            raise WrongOffset(path=self._path, actual=status.st_size)
        self._is_published = status.st_nlink > 1

    def _part_from_published(self) -> int:
        """Go on in a copy of the file, under the same name; returns its descriptor."""
        temporary = f"{os.path.dirname(self._full)}/{new_name()}"
        copy = os.open(temporary, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            try_lock(copy)  # before it has the name: nobody can be faster
            published = os.open(self._full, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                copy_bytes(published, copy, self._size)
            finally:
                os.close(published)
            os.rename(temporary, self._full)
        except BaseException:
            os.close(copy)
            os.unlink(temporary)
            raise
        self._free()
        self._descriptor = copy
        self._is_new = True
        self._is_published = False
        return copy

    def _take_back(self, descriptor: int) -> None:
        """Remove what an append that failed has left beyond the last good byte."""
        try:
            os.ftruncate(descriptor, self._size)
        except OSError as err:
            self._fault = refusal(err, self._path, is_write=True)

    def _usable(self) -> int:
        if self._fault is not None:
            raise self._fault
        if self._descriptor is None:
            raise Closed("the appender was closed", path=self._path)
        return self._descriptor

    def _free(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
