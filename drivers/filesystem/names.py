# SPDX-License-Identifier: Apache-2.0
"""Which names would still be there after a power cut.

Driver: filesystem. A name is durable when its directory was synced after the name was made, and
that directory's own name is durable, and so on up to the root. Two threads may need the same new
directory at once, and a process may have died between making one and syncing it; so a name counts
as durable only if this process has synced it::

    put /a/b/c      fsync /a/b    fsync /a      fsync root        the first time
    put /a/b/d      fsync /a/b                                    /a and /a/b are known by now
"""

from __future__ import annotations

import os
import threading

from txregistry.driver import InvalidPath, Unavailable
from txregistry_drivers.filesystem.grouping import GroupedSyncs
from txregistry_drivers.filesystem.synced import syncing

#: Directories remembered; beyond it all are forgotten, which costs a few syncs. Arbitrary.
_REMEMBERED = 32768

_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_Tree = dict[str, "_Tree"]


class DurableNames:
    """Makes directories below a root, and makes names in them durable.

    Args:
        root: without a slash at its end.
        is_on: False makes syncing do nothing.
    """

    def __init__(self, root: str, *, is_on: bool) -> None:
        self._root = root
        self._is_on = is_on
        self._lock = threading.Lock()
        self._groups = GroupedSyncs(self._sync_now)
        self._known: _Tree = {}
        self._count = 0
        self._forgotten = 0

    def make(self, directory: str) -> None:
        """Make a directory and its parents, where they are missing.

        Raises:
            InvalidPath: a file is in the way.
            OSError: as the system says.
        """
        missing = [directory]
        while missing and missing != [""]:
            if not missing[-1]:
                raise Unavailable("the root directory is gone", path=directory)
            try:
                os.mkdir(self._root + missing[-1], 0o777)
                self.forget(missing.pop())
            except FileNotFoundError:
                missing.append(_parent(missing[-1]))
            except FileExistsError as err:
                present = missing.pop()
                if not os.path.isdir(self._root + present):
                    raise InvalidPath("it lies below a file", path=directory) from err

    def sync(self, directory: str) -> None:
        """Make every name in ``directory`` durable.

        Raises:
            OSError: a sync failed; it must not be tried again, since the next one may lie.
        """
        if not self._is_on:
            return
        with self._lock:
            unknown, forgotten = self._unknown(directory), self._forgotten
        self.sync_once(directory)
        for path in unknown:
            self.sync_once(_parent(path))
        if unknown:
            with self._lock:
                if forgotten == self._forgotten:  # else one of them may be another by now
                    self._add(directory)

    def sync_once(self, directory: str) -> None:
        """Sync one directory and nothing above it; one that is gone again has no names to keep."""
        if not self._is_on:
            return
        self._groups.sync(directory)

    def _sync_now(self, directory: str) -> None:
        try:
            descriptor = os.open(self._root + directory + "/", _DIRECTORY_FLAGS)
        except FileNotFoundError:
            return
        try:
            with syncing():
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def forget(self, path: str) -> None:
        """Know nothing any more of ``path`` and of what lies below it: it is new, or gone."""
        *parents, name = path.split("/")[1:]
        with self._lock:
            self._forgotten += 1
            tree: _Tree | None = self._known
            for part in parents:
                tree = tree.get(part) if tree is not None else None
            if tree is not None:
                tree.pop(name, None)

    def _unknown(self, directory: str) -> list[str]:
        """``directory`` and its parents, lowest first, as far as their names aren't known
        durable.
        """
        parts = directory.split("/")[1:]
        tree, depth = self._known, 0
        while depth < len(parts) and parts[depth] in tree:
            tree, depth = tree[parts[depth]], depth + 1
        return ["/" + "/".join(parts[:end]) for end in range(len(parts), depth, -1)]

    def _add(self, directory: str) -> None:
        if self._count >= _REMEMBERED:
            self._known, self._count = {}, 0
        tree = self._known
        for part in directory.split("/")[1:]:
            if part not in tree:
                self._count += 1
            tree = tree.setdefault(part, {})


def _parent(directory: str) -> str:
    return directory.rpartition("/")[0]
