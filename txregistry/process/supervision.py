# SPDX-License-Identifier: Apache-2.0
"""How a driver is supervised: every limit, with its default.

Room: process. ``storage.supervision`` of the configuration has the same names and defaults (a test
holds both together); ``docs/operate/drivers.md`` says what they mean to an operator.
"""

from __future__ import annotations

from attrs import field, frozen

from txregistry.ipc.admission import OPERATIONS, QUEUE
from txregistry.ipc.attempts import POISON_DEATHS
from txregistry.ipc.budget import REPLAY_BUDGET
from txregistry.ipc.deadlines import Deadlines


@frozen
class Supervision:
    """Limits; times are seconds.

    Attributes:
        ping_interval: between two pings.
        ping_misses: intervals without an answer after which the driver gets no new work.
        terminate_after: more of the same until its process is asked to end.
        kill_after: from there until it is killed.
        stuck_after: it answers pings, some operation is past its deadline, and nothing else moves
            either: after so long it is ended, too.
        start_timeout: from a connection to the answer to the hello.
        end_timeout: that the process has to end when the registry does.
        backoff, backoff_limit: pause before a start after a death without progress, doubled with
            each up to the second; the pause is drawn at random from the upper half and below.
        breaker_deaths, breaker_window: so many deaths without progress within the second open the
            breaker.
        patience: that a request waits for a driver that is being started.
        poison_deaths: an operation that was in flight at so many deaths is given up.
        replay_budget: bytes of all replay windows together.
        operations: in flight at the driver at once.
        queue: that wait for their turn, beyond which requests are refused.
        recycle_resident: bytes of memory beyond which the driver is replaced by a fresh process; 0
            for no bound.
        recycle_operations: likewise, operations that it answered.
        recycle_interval: two replacements are never closer together.
        deadlines: of operations.
    """

    ping_interval: float = 1.0
    ping_misses: int = 3
    terminate_after: float = 5.0
    kill_after: float = 2.0
    stuck_after: float = 60.0
    start_timeout: float = 30.0
    end_timeout: float = 20.0
    backoff: float = 0.05
    backoff_limit: float = 30.0
    breaker_deaths: int = 5
    breaker_window: float = 60.0
    patience: float = 30.0
    poison_deaths: int = POISON_DEATHS
    replay_budget: int = REPLAY_BUDGET
    operations: int = OPERATIONS
    queue: int = QUEUE
    recycle_resident: int = 1024 * 1024 * 1024
    recycle_operations: int = 0
    recycle_interval: float = 600.0
    deadlines: Deadlines = field(factory=Deadlines)
