# SPDX-License-Identifier: Apache-2.0
"""What a power cut could have left, by the promises that a file system makes and no others.

From a recorded trace of the driver's calls a model is built::

    bytes of a file       are on the disk once that file was synced after they were written
    names in a directory  are on the disk once it was synced after they were made or removed
    a rename              happens or does not; syncing either of its directories makes it last

So after each call there is not one state of the disk but many: all that was done, without any of
the changes that nothing has synced yet. Real file systems keep more order than that, each another.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from .oracle import LEFTOVER

ROOT = 0


@dataclass
class Change:
    """One change, to one inode or (a rename) to two directories.

    Attributes:
        inodes: those that a sync must reach, one of them.
        path: for messages.
        kind: of the call.
        apply: inode -> what it does to that inode's content, in place.
    """

    number: int
    kind: str
    path: str
    inodes: tuple
    apply: dict = field(repr=False)
    is_write: bool = False

    def __str__(self):
        return f"{self.kind} {self.path}"


class Model:
    """A file system as a trace makes it, and what of it would survive.

    Attributes:
        unsynced: changes that a power cut may undo, oldest first.
    """

    def __init__(self):
        self.unsynced = []
        self._changes = {ROOT: []}
        self._content = {ROOT: {}}
        self._directories = {ROOT}
        self._count = 0

    # Following the trace.

    def follow(self, name, result, fields):
        """Take one call of the trace; returns whether it changed anything."""
        if result < 0:
            return False
        follow = getattr(self, f"_{name}", None)
        before = self._count, len(self.unsynced)
        if follow is not None:
            follow(result, *fields)
        return before != (self._count, len(self.unsynced))

    def _open(self, _, path, flags):
        inode = self.find(path)
        if inode is None and "c" in flags:
            self._enter("create", path, self._new(bytearray()))
        elif inode is not None and "t" in flags:
            self._change("truncate", path, inode, lambda data: data.clear(), is_write=True)

    def _mkdir(self, _, path):
        if path != "/":
            inode = self._new({})
            self._directories.add(inode)
            self._enter("mkdir", path, inode)

    def _link(self, _, old, new):
        self._enter("link", new, self.find(old))

    def _unlink(self, _, path):
        parent, name = self._parent(path)
        self._change("unlink", path, parent, lambda names: names.pop(name, None))

    _rmdir = _unlink

    def _rename(self, _, old, new):
        inode = self.find(old)
        (source, before), (target, after) = self._parent(old), self._parent(new)

        def leave(names):
            if names.get(before) == inode:
                del names[before]

        def enter(names):
            names[after] = inode

        def both(names):
            leave(names)
            enter(names)

        apply = {source: both} if source == target else {source: leave, target: enter}
        self._add("rename", new, tuple(apply), apply)

    def _write(self, count, path, offset, data):
        offset, data = int(offset), bytes.fromhex(data)

        def write(content):
            if len(content) < offset:
                content.extend(bytes(offset - len(content)))
            content[offset : offset + len(data)] = data

        self._change("write", path, self.find(path), write, is_write=True)

    def _truncate(self, _, path, length):
        size = int(length)

        def truncate(content):
            del content[size:]
            content.extend(bytes(size - len(content)))

        self._change("truncate", path, self.find(path), truncate, is_write=True)

    def _sync(self, _, path):
        inode = self.find(path)
        self.unsynced = [change for change in self.unsynced if inode not in change.inodes]

    def _copy(self, *_):
        raise NotImplementedError("the trace does not say which bytes were copied")

    def settle(self):
        """Take everything for synced."""
        self.unsynced = []

    def _enter(self, kind, path, inode):
        parent, name = self._parent(path)

        def enter(names):
            names[name] = inode

        self._change(kind, path, parent, enter)

    def _change(self, kind, path, inode, apply, *, is_write=False):
        self._add(kind, path, (inode,), {inode: apply}, is_write=is_write)

    def _add(self, kind, path, inodes, apply, *, is_write=False):
        self._count += 1
        change = Change(self._count, kind, path, inodes, apply, is_write)
        for inode, effect in apply.items():
            self._changes[inode].append(change)
            effect(self._content[inode])
        if "/" + LEFTOVER + "trash" not in path or kind == "rename":
            self.unsynced.append(change)

    def _new(self, content):
        inode = len(self._content)
        self._content[inode] = content
        self._changes[inode] = []
        return inode

    def find(self, path):
        """The inode at a path of the trace, None if there is none."""
        inode = ROOT
        for name in filter(None, path.split("/")):
            inode = self._content[inode].get(name)
            if inode is None:
                return None
        return inode

    def _parent(self, path):
        directory, _, name = path.rstrip("/").rpartition("/")
        return self.find(directory), name

    # What could be left.

    def losses(self, most):
        """Which unsynced changes a power cut may undo together, up to so many; none first."""
        for count in range(most + 1):
            yield from itertools.combinations(self.unsynced, count)

    def left(self, lost=()):
        """What is left when these changes are undone: files by path, and directories."""
        contents = dict(self._content)
        for inode in {inode for change in lost for inode in change.apply}:
            content = {} if inode in self._directories else bytearray()
            for change in self._changes[inode]:
                if change not in lost:
                    change.apply[inode](content)
            contents[inode] = content
        files, directories, waiting = {}, [], [("", ROOT)]
        while waiting:
            prefix, inode = waiting.pop()
            for name, below in contents[inode].items():
                if name.startswith(LEFTOVER):
                    continue
                path = f"{prefix}{name}"
                if below in self._directories:
                    directories.append(path)
                    waiting.append((path + "/", below))
                else:
                    files[path] = bytes(contents[below])
        return files, directories

    def paths(self):
        """Inode -> the paths by which it can be reached, leftovers left aside."""
        found, waiting = {ROOT: ["/"]}, [("/", ROOT)]
        while waiting:
            prefix, inode = waiting.pop()
            for name, below in self._content[inode].items():
                if not name.startswith(LEFTOVER):
                    found.setdefault(below, []).append(prefix + name)
                    if below in self._directories:
                        waiting.append((prefix + name + "/", below))
        return found
