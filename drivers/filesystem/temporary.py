# SPDX-License-Identifier: Apache-2.0
"""Names that exist for a moment, and that no listing shows.

Driver: filesystem. Our own begin with ``.txregistry-``: of the grammar of paths, so that another
registry on the same tree does not stumble over one that a crash left behind, and not to be reached
through this driver. Such leftovers of the Go registry are ``<name>.<uuid4>.tmp``.
"""

from __future__ import annotations

import os
import re

#: Every name that is ours alone begins so, at the root (lock, trash) and everywhere (temporary
#: files).
PREFIX = ".txregistry-"

LOCK = PREFIX + "lock"
TRASH = PREFIX + "trash"

_OWN = re.compile(re.escape(PREFIX) + r"[0-9a-f]{24}\.tmp")
_FOREIGN = re.compile(r".+\.[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\.tmp")


def new_name() -> str:
    """A name that nobody has."""
    return f"{PREFIX}{os.urandom(12).hex()}.tmp"


def is_own_leftover(name: str) -> bool:
    """Whether a name is one that :func:`new_name` gave, which is left over if it is old."""
    return _OWN.fullmatch(name) is not None


def is_foreign_leftover(name: str) -> bool:
    """Whether a *file* of that name is a leftover of the Go registry; a tag's directory may look
    so.
    """
    return _FOREIGN.fullmatch(name) is not None
