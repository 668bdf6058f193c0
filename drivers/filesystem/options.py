# SPDX-License-Identifier: Apache-2.0
"""What an operator may set, and whether the root can be used.

Driver: filesystem. A refusal is one sentence that names the thing and the way out.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping

from txregistry.driver import (
    BadOptions,
    Store,
    check_option_names,
    choice_option,
    text_option,
    whole_option,
)
from txregistry_drivers.filesystem.locking import try_lock
from txregistry_drivers.filesystem.store import Durability, FilesystemStore
from txregistry_drivers.filesystem.temporary import LOCK, new_name

ROOT = "/var/lib/registry"

#: As in registry:2: what is asked for is raised to this.
_LEAST_THREADS = 25
_THREADS = 100

_NAMES = ("rootdirectory", "maxthreads", "durability", "lock")

#: What stops writes and nothing else: a driver that is started then reads, and writes when that is
#: over.
_NO_WRITES_NOW = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

#: How the root is locked: servers share it, an offline repair has it alone.
_SHARED, _EXCLUSIVE = "shared", "exclusive"


def create(options: Mapping[str, object]) -> Store:
    """Open the store: ``rootdirectory``, ``maxthreads``, ``durability``; ``lock``, for commands
    alone.

    Raises:
        BadOptions: an option is wrong, or the root can't be used.
    """
    check_option_names(options, _NAMES)
    durability = Durability(
        choice_option(
            options, "durability", [one.value for one in Durability], Durability.STRICT.value
        )
    )
    lock = choice_option(options, "lock", (_SHARED, _EXCLUSIVE), _SHARED)
    threads = whole_option(options, "maxthreads", _THREADS, least=1)
    root = os.path.abspath(text_option(options, "rootdirectory", ROOT))
    _prepare(root, is_synced=durability is not Durability.NONE)
    return FilesystemStore(
        root,
        durability=durability,
        threads=max(_LEAST_THREADS, threads),
        lock=_lock(root, is_shared=lock == _SHARED),
    )


def _prepare(root: str, *, is_synced: bool) -> None:
    """Make the root if it is missing, and try what every write needs."""
    was_there = os.path.isdir(root)
    try:
        os.makedirs(root, exist_ok=True)
    except OSError as err:
        if os.path.lexists(root):
            raise BadOptions(f"rootdirectory {root} is not a directory") from err
        raise BadOptions(
            f"rootdirectory {root} can't be created: {err.strerror};"
            " create it and give it to the user that the driver runs as"
        ) from err
    first, second = f"{root}/{new_name()}", f"{root}/{new_name()}"
    try:
        os.close(os.open(first, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        os.rename(first, second)
        os.unlink(second)
    except OSError as err:
        with contextlib.suppress(OSError):
            os.unlink(first)
        if err.errno not in _NO_WRITES_NOW:
            raise BadOptions(
                f"rootdirectory {root} can't be written to: {err.strerror};"
                " give it to the user that the driver runs as"
            ) from err
    if is_synced:
        try:
            _sync_directory(root)
            if not was_there:
                _sync_directory(os.path.dirname(root))
        except OSError as err:
            raise BadOptions(
                f"the file system of rootdirectory {root} can't sync directories: {err.strerror};"
                " use another one, or durability: none"
            ) from err


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(root: str, *, is_shared: bool) -> int | None:
    """Share the root with other servers, and with no offline repair; or be that repair.

    Returns:
        What holds the lock; None where none can be made and nobody can repair either.
    """
    # Not open for writing unless that is needed (over NFS, for the whole lock): a file system is
    # made read-only under a server more easily then.
    flags = os.O_RDONLY if is_shared else os.O_RDWR
    try:
        descriptor = os.open(f"{root}/{LOCK}", flags | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as err:
        if is_shared and err.errno in _NO_WRITES_NOW:
            return None
        raise BadOptions(f"rootdirectory {root} can't be locked: {err.strerror}") from err
    if not try_lock(descriptor, is_shared=is_shared):
        os.close(descriptor)
        if is_shared:
            raise BadOptions(
                f"rootdirectory {root} is locked by an offline repair; wait until that is done"
            )
        raise BadOptions(f"rootdirectory {root} is in use by a registry; stop it first")
    return descriptor
