# SPDX-License-Identifier: Apache-2.0
"""How many descriptors this process may have open.

Room: process. An upload costs two in the registry and two in the driver; the 1,024 that most
systems give are few, and a process may raise them itself up to its hard limit.
"""

from __future__ import annotations

import resource

#: Descriptors that are asked for. Arbitrary: the default limits of connections and operations, many
#: times over; more only makes whoever goes through all numbers slow.
DESCRIPTORS = 65_536


def allow_descriptors(wanted: int = DESCRIPTORS) -> int:
    """Raise this process's limit, and that of what it starts, as far as the system allows.

    Returns:
        The limit that holds now.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= limit:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit
