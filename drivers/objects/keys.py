# SPDX-License-Identifier: Apache-2.0
"""Which key a path has, and which keys are no paths.

Drivers: objects. Must not know buckets. A file at ``/a/b`` is the object ``<root>a/b``; directories
are what keys have in common. What is ours alone has a ``~``, which no path has, so that it can't be
taken for a file, and lies below the file that it belongs to, so that it goes when that goes::

    a/b                 a file; or the record of a staged one (see ``record``)
    a/b~/000…-<token>   bytes of a staged file, from that offset on
    a/b~/undo-<token>   a note of a composition that has not ended
"""

from __future__ import annotations

MARK = "~"

#: Behind a prefix: what is greater than every key below it, since no key has it twice.
BEHIND = MARK + MARK

#: What the name of a note begins with.
UNDO = "undo-"


class Keys:
    """Keys below one root.

    Args:
        root: the operator's ``rootdirectory``; slashes round it do not matter.
    """

    def __init__(self, root: str = "") -> None:
        stripped = root.strip("/")
        self.root = stripped + "/" if stripped else ""

    def of(self, path: str) -> str:
        """The key of a file."""
        return self.root + path[1:]

    def below(self, path: str) -> str:
        """What the keys of everything in a directory begin with; ``/`` is one."""
        return self.root if path == "/" else self.of(path) + "/"


def hidden_below(key: str) -> str:
    """What the keys of our own begin with that belong to the file at ``key``."""
    return key + MARK + "/"


def is_note(key: str) -> bool:
    """Whether a key is that of a note."""
    directory, _, name = key.rpartition("/")
    return directory.endswith(MARK) and name.startswith(UNDO)
