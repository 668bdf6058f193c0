# SPDX-License-Identifier: Apache-2.0
"""Where the sockets of a driver that this process starts are: a directory of its own.

Room: process. ``driver.sock`` is that of the driver in use, for as long as the registry lives. A
successor listens on ``next.sock`` until it takes the other's place, and its name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import tempfile

#: More than Twisted's 50, which refused bursts of connects.
BACKLOG = 1024

_PREFIX = "txregistry-"
_SOCKET = "driver.sock"
_NEXT = "next.sock"
#: Seconds after which a directory whose socket nobody listens on is taken to be left over.
_SWEEP_AGE = 60.0


class Place:
    """A private directory, made at once.

    Raises:
        OSError: it can't be made.
    """

    def __init__(self) -> None:
        self._directory = _make_directory()
        self.path = os.path.join(self._directory, _SOCKET)
        self.next_path = os.path.join(self._directory, _NEXT)

    def listen(self) -> socket.socket:
        """The socket at ``path``.

        Raises:
            OSError: it can't be made.
        """
        return _listen(self.path)

    def listen_next(self) -> socket.socket:
        """The socket at ``next_path``, in place of any that was left there.

        Raises:
            OSError: it can't be made.
        """
        self.forget_next()
        return _listen(self.next_path)

    def forget_next(self) -> None:
        """Nobody is to connect to ``next_path`` any more."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.next_path)

    def promote_next(self) -> None:
        """Whoever connects to ``path`` from now on reaches the socket that was at ``next_path``."""
        os.rename(self.next_path, self.path)

    def remove(self) -> None:
        """Remove the directory, whatever is in it."""
        shutil.rmtree(self._directory, ignore_errors=True)


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
