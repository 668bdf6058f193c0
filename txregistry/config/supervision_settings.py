# SPDX-License-Identifier: Apache-2.0
"""``storage.supervision``: how the driver's process is watched. Ours; registry:3 has no such thing.

Room: config. Names and defaults are those of ``process.supervision.Supervision`` and
``ipc.deadlines.Deadlines``; a test holds them together. ``docs/operate/drivers.md`` tells what
happens.
"""

from __future__ import annotations

from attrs import frozen

from txregistry.config.kinds import duration, whole
from txregistry.config.rows import key as _key
from txregistry.config.rows import section as _section


@frozen
class Deadlines:
    """``storage.supervision.deadlines``"""

    operation: float = _key(duration(0.001), 30.0)
    page: float = _key(duration(0.001), 60.0)
    durable: float = _key(duration(0.001), 60.0)
    commit: float = _key(duration(0.001), 60.0)
    commit_rate: int = _key(whole(1), 20_000_000)
    close: float = _key(duration(0.001), 300.0)


@frozen
class Supervision:
    """``storage.supervision``"""

    ping_interval: float = _key(duration(0.01), 1.0)
    ping_misses: int = _key(whole(1), 3)
    terminate_after: float = _key(duration(), 5.0)
    kill_after: float = _key(duration(), 2.0)
    stuck_after: float = _key(duration(0.001), 60.0)
    start_timeout: float = _key(duration(0.001), 30.0)
    end_timeout: float = _key(duration(), 20.0)
    backoff: float = _key(duration(0.001), 0.05)
    backoff_limit: float = _key(duration(0.001), 30.0)
    breaker_deaths: int = _key(whole(1), 5)
    breaker_window: float = _key(duration(0.001), 60.0)
    patience: float = _key(duration(0.001), 30.0)
    poison_deaths: int = _key(whole(1), 5)
    replay_budget: int = _key(whole(0), 256 * 1024 * 1024)
    operations: int = _key(whole(1), 256)
    queue: int = _key(whole(0), 4096)
    recycle_resident: int = _key(whole(0), 1024 * 1024 * 1024)
    recycle_operations: int = _key(whole(0), 0)
    recycle_interval: float = _key(duration(1.0), 600.0)
    deadlines: Deadlines = _section(Deadlines)
