# SPDX-License-Identifier: Apache-2.0
"""Which directories the store reads and writes, so that everything else may be put out of its
reach.

Driver: filesystem. Operators mount parts of the tree through symbolic links; those near its top are
followed here. What a link further down points at must lie below one of these, or the isolation be
switched off.
"""

from __future__ import annotations

import os

#: Where links are looked for, below the root.
_TREE = (
    "",
    "docker",
    "docker/registry",
    "docker/registry/v2",
    "docker/registry/v2/blobs",
    "docker/registry/v2/blobs/sha256",
    "docker/registry/v2/blobs/sha512",
    "docker/registry/v2/repositories",
)


def reachable(root: str) -> tuple[str, ...]:
    """The root's real path, and those of links near the top of the tree (shards and repositories
    included).
    """
    found = {os.path.realpath(root)}
    for place in _TREE:
        directory = os.path.join(root, place)
        try:
            with os.scandir(directory) as entries:
                links = [entry.path for entry in entries if entry.is_symlink()]
        except OSError:
            continue
        found |= {target for link in links if os.path.isdir(target := os.path.realpath(link))}
    outside = {
        path for path in found if not any(is_below(path, other) for other in found if other != path)
    }
    return tuple(sorted(outside))


def is_below(path: str, directory: str) -> bool:
    """Whether ``path`` lies below ``directory``."""
    return path.startswith(directory.rstrip("/") + "/")
