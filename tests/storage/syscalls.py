# SPDX-License-Identifier: Apache-2.0
"""The calls by which a driver changes a disk, as one list; and the failing of any of them."""

from __future__ import annotations

import os

_CALLS = ("mkdir", "pwrite", "ftruncate", "fsync", "fdatasync", "link", "rename", "unlink")


class Syscalls:
    """Notes changes below a root, and fails those that a test chooses.

    Attributes:
        seen: ``"fsync /a/b"`` and the like, in order; temporary names are shown as ``*``.
        faults: (call, path or None for any) -> errno; used once.
        short: the most that one pwrite writes, or None.
    """

    def __init__(self, monkeypatch, root):
        self.root = os.fspath(root)
        self.seen = []
        self.faults = {}
        self.short = None
        for name in _CALLS:
            monkeypatch.setattr(os, name, self._wrap(name, getattr(os, name)))

    def fail(self, call, errno, path=None):
        self.faults[call, path] = errno

    def take(self):
        """What was seen since the last time, without the writing of bytes."""
        seen, self.seen = self.seen, []
        return [one for one in seen if not one.startswith("pwrite")]

    def _wrap(self, name, call):
        def wrapped(target, *rest, **options):
            path = self._path(target)
            if path is None:
                return call(target, *rest, **options)
            shown = [path] + [self._path(one) for one in rest if isinstance(one, str)]
            self.seen.append(" ".join([name, *map(_shown, shown)]))
            errno = self.faults.pop((name, path), None) or self.faults.pop((name, None), None)
            if errno is not None:
                raise OSError(errno, os.strerror(errno))
            if name == "pwrite" and self.short is not None:
                rest = (rest[0][: self.short], *rest[1:])
            return call(target, *rest, **options)

        return wrapped

    def _path(self, target):
        """The path below the root, or None for something elsewhere."""
        full = (
            os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else os.fspath(target)
        )
        if not full.startswith(self.root):
            return None
        return full[len(self.root) :].rstrip("/") or "/"


def _shown(path):
    directory, _, name = path.rpartition("/")
    return f"{directory}/*" if name.startswith(".txregistry-") and name.endswith(".tmp") else path
