# SPDX-License-Identifier: Apache-2.0
"""How a driver is, as a value: for health, metrics and logs.

Room: process. ``opening.OpenDriver.status()`` makes one; nothing in it changes afterwards.

    STARTING ---hello---> READY ---pings unanswered---> UNRESPONSIVE
                           ^ | lost                        | lost, or killed
                           | v                             v
                       RESTARTING <------------------------'
                           | deaths without progress
                           v
                         BROKEN (the breaker is open) ---hello---> READY

REFUSED stands beside them: the driver answers, and refuses its options or the protocol's version.
STOPPED is the end.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from attrs import field, frozen

from txregistry.ipc.serving import UNREACHABLE


class State(enum.Enum):
    """What can be asked of a driver now."""

    STARTING = "starting"
    READY = "ready"
    UNRESPONSIVE = "unresponsive"
    RESTARTING = "restarting"
    BROKEN = "broken"
    REFUSED = "refused"
    STOPPED = "stopped"


#: Why a driver is not ready, where its state alone says so.
REASONS = {
    State.STARTING: "the driver is starting",
    State.READY: "",
    State.UNRESPONSIVE: "the driver does not answer",
    State.RESTARTING: "the driver is being started again",
    State.BROKEN: "the driver does not come up, or answers nothing",
    State.STOPPED: "the driver was stopped",
}


@frozen
class Pong:
    """The newest answer to a ping: what the driver's process says of itself.

    Attributes:
        operations: in progress.
        oldest_ms: age of the oldest one, in milliseconds.
        bytes_moved: over lanes, since its start.
        resident: memory, in bytes; None if it does not tell.
        descriptors: open ones; None likewise.
        storage: how its storage is, such as ``ok``, ``no-space``, ``read-only``, ``suspect`` or
            ``unreachable``; None if it does not tell.
        round_trip: seconds from the question to this answer.
    """

    operations: int
    oldest_ms: int
    bytes_moved: int
    resident: int | None
    descriptors: int | None
    storage: str | None
    round_trip: float = 0.0


@frozen
class Windows:
    """The memory that replay windows share.

    Attributes:
        used, total: in bytes.
        unprotected: uploads that went on without replay since the start, because it was used up.
    """

    used: int
    total: int
    unprotected: int


@frozen
class DriverStatus:
    """How one driver is.

    Attributes:
        name: of the driver in the configuration.
        state: what can be asked of it.
        reason: why it is not ready, one sentence for the operator; empty while it is.
        version: what it called itself at its last hello; empty before the first.
        isolation: the measures that its process reached; empty before the first hello, and for a
            driver that reached none.
        pid: of its process; None if that is gone, or somebody else's.
        deaths: how often its process ended without being asked to.
        greetings: how often it said hello.
        is_breaker_open: requests that need it are refused at once.
        retry_in: seconds until it is tried again, while it is not there; 0 if that goes on now.
        pong: its newest word about itself; None before the first one of the present connection.
        windows: of the uploads to it.
        given_up: operations that were in flight at too many of its deaths, since the start.
        refused: operations for which there was no place left to wait for it, since the start.
        waiting: operations that wait for a place now.
        replaced: how often its process was replaced by a fresh one, by reason; empty for one that
            somebody else runs.
    """

    name: str
    state: State
    reason: str
    version: str
    isolation: tuple[str, ...]
    pid: int | None
    deaths: int
    greetings: int
    is_breaker_open: bool
    retry_in: float
    pong: Pong | None
    windows: Windows
    given_up: int = 0
    refused: int = 0
    waiting: int = 0
    replaced: Mapping[str, int] = field(factory=dict)

    @property
    def trouble(self) -> str:
        """Why requests that need the storage can't be served now, one sentence; empty if they can."""
        if not self.reason and self.pong is not None and self.pong.storage == UNREACHABLE:
            return "the driver can't reach its storage"
        return self.reason

    @property
    def is_ready(self) -> bool:
        """Requests that need the driver are served."""
        return self.state is State.READY
