# SPDX-License-Identifier: Apache-2.0
"""Where the sockets of a driver that this process starts are: a directory of its own.

Room: process. ``driver.sock`` is that of the driver in use, for as long as the registry lives. A
successor listens on ``next.sock`` until it takes the other's place, and its name.

Temporary directories are cleaned, by programs and by people. What is at the path is therefore
looked at before it is connected to, and made again when it is gone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import tempfile
from typing import TypeAlias

#: More than Twisted's 50, which refused bursts of connects.
BACKLOG = 1024

_PREFIX = "txregistry-"
_SOCKET = "driver.sock"
_NEXT = "next.sock"

#: Seconds after which a directory whose socket nobody listens on is taken to be left over.
_SWEEP_AGE = 60.0


_Identity: TypeAlias = tuple[int, int]


class Place:
    """A private directory, made at once.

    Raises:
        OSError: it can't be made.
    """

    def __init__(self) -> None:
        self._directory = _make_directory()
        self._made = _identity(self._directory)
        self._bound: _Identity | None = None
        self.path = os.path.join(self._directory, _SOCKET)
        self.next_path = os.path.join(self._directory, _NEXT)

    def listen(self) -> socket.socket:
        """The socket at ``path``, in place of any that is there; the directory is made again if it
        is gone.

        Raises:
            OSError: it can't be made.
        """
        self._mend()
        _forget(self.path)
        listener = _listen(self.path)
        self._bound = _identity(self.path)
        return listener

    def check(self) -> None:
        """Make sure that ``path`` still leads to our socket.

        Raises:
            OSError: it does not.
        """
        if not self._is_ours() or _identity(self.path) != self._bound:
            raise FileNotFoundError(f"the socket {self.path} was removed")

    def listen_next(self) -> socket.socket:
        """The socket at ``next_path``, in the same way.

        Raises:
            OSError: it can't be made.
        """
        self._mend()
        self.forget_next()
        return _listen(self.next_path)

    def forget_next(self) -> None:
        """Nobody is to connect to ``next_path`` any more."""
        _forget(self.next_path)

    def promote_next(self) -> None:
        """Whoever connects to ``path`` from now on reaches the socket that was at ``next_path``."""
        os.rename(self.next_path, self.path)
        self._bound = _identity(self.path)

    def remove(self) -> None:
        """Remove the directory, whatever is in it."""
        if self._is_ours():
            shutil.rmtree(self._directory, ignore_errors=True)

    def _mend(self) -> None:
        """Make the directory again if it is gone."""
        if self._is_ours():
            return
        try:
            os.mkdir(self._directory, 0o700)
        except FileExistsError:
            raise FileExistsError(
                f"{self._directory} was removed and is somebody else's now: restart the registry"
            ) from None
        self._made = _identity(self._directory)

    def _is_ours(self) -> bool:
        return self._made is not None and _identity(self._directory) == self._made


def where() -> str:
    """In which directory places are made: one whose name leaves room for a socket's, which may have
    107 bytes at most.
    """
    for wanted in (
        os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0],
        os.environ.get("XDG_RUNTIME_DIR", ""),
    ):
        if wanted and len(os.fsencode(wanted)) < 60 and os.access(wanted, os.W_OK):
            return wanted
    return tempfile.gettempdir()


def _identity(path: str) -> _Identity | None:
    """What is at ``path``; None if that is nothing."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _forget(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _make_directory() -> str:
    place = where()
    directory = tempfile.mkdtemp(prefix=_PREFIX, dir=place)
    _sweep(place, os.stat(directory))
    return directory


def _sweep(place: str, fresh: os.stat_result) -> None:
    """Remove our directories whose registry was killed: nobody listens on their sockets any
    more.
    """
    for name in os.listdir(place):
        directory = os.path.join(place, name)
        if not name.startswith(_PREFIX):
            continue
        with contextlib.suppress(OSError):  # somebody else removes it
            status = os.lstat(directory)
            is_old = fresh.st_mtime - status.st_mtime > _SWEEP_AGE  # else it may just be coming up
            if (
                status.st_uid == fresh.st_uid
                and is_old
                and _is_deserted(os.path.join(directory, _SOCKET))
            ):
                shutil.rmtree(directory, ignore_errors=True)


def _is_deserted(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) == errno.ECONNREFUSED
