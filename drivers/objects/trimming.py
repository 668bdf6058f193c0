# SPDX-License-Identifier: Apache-2.0
"""Memory that is freed goes back to the system.

Drivers: objects. Parts of uploads are megabytes that come and go in many threads. glibc keeps what
was freed, apart for each thread, and the process stays as large as it has ever been; told to map
large blocks one by one, it does not.
"""

from __future__ import annotations

import ctypes

#: mallopt's names: <malloc.h>.
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8

#: Bytes from which on a block is mapped for itself. Arbitrary: smaller than any part.
_THRESHOLD = 128 * 1024


def give_back() -> None:
    """Set that for this process; elsewhere than on glibc nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _THRESHOLD)
        mallopt(_M_ARENA_MAX, 2)
