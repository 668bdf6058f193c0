# SPDX-License-Identifier: Apache-2.0
"""How long a client may take: the rules, apart from sockets and clocks.

Room: web. Must not know transports. The connection tells what happened and asks, about once a
second, what to do; so deadlines are kept to the second.

    stage       entered when                      ends the connection                     how
    FIRST       the connection is made            after first_byte                        close
    HEAD        a request's first byte came       after head_timeout                      408
    BODY        headers complete, body to come    below body_rate, while we wait for it   408
    ANSWER      the whole request came            write_stall without progress            abort
    IDLE        the answer is out                 after idle; write_stall while some of   close
                                                  it is still with us                     abort
    DISCARD     answered before the body came     after drain_time                        abort
    CLOSING     we closed, bytes may be left      write_stall without progress            abort

While an answer is being made nothing runs: that time is ours. Time in which we do not wait for a
body does not count against its sender either.
"""

from __future__ import annotations

import enum

from txregistry.web.settings import Limits

#: What may arrive at once, in bytes: a TLS record (RFC 8446 section 5.1). On a slow link nothing of
#: one is seen before the last of it, so that a body is behind or ahead of its rate by as much.
BURST = 16 * 1024


class Stage(enum.Enum):
    """Where a connection stands."""

    FIRST = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWER = enum.auto()
    IDLE = enum.auto()
    DISCARD = enum.auto()
    CLOSING = enum.auto()


class Verdict(enum.Enum):
    """What is to be done about a connection."""

    GO_ON = enum.auto()
    TIMEOUT = enum.auto()
    CLOSE = enum.auto()
    ABORT = enum.auto()


_AFTER_DEADLINE = {
    Stage.FIRST: Verdict.CLOSE,
    Stage.HEAD: Verdict.TIMEOUT,
    Stage.IDLE: Verdict.CLOSE,
    Stage.DISCARD: Verdict.ABORT,
}


class Pace:
    """The deadline that holds on one connection."""

    __slots__ = (
        "_balance",
        "_burst",
        "_deadline",
        "_limits",
        "_mark_received",
        "_mark_time",
        "_progress",
        "stage",
    )

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._progress: object = None
        self._mark_time = 0.0
        self._mark_received = 0
        # In a short window even that much at once is not waited for.
        self._burst = min(BURST, limits.body_rate * limits.body_window * 3 / 4)
        self._balance = 0.0
        self.stage = Stage.FIRST
        self._deadline = now + limits.first_byte

    def head_began(self, now: float) -> None:
        """A request's first byte came."""
        self.stage = Stage.HEAD
        self._deadline = now + self._limits.head_timeout

    def body_began(self) -> None:
        """Headers are complete, a body is to come."""
        self.stage = Stage.BODY
        self._mark_time = self._limits.body_grace
        self._mark_received = 0
        self._balance = 0.0
        self._progress = None

    def answer_began(self) -> None:
        """The whole request came."""
        self.stage = Stage.ANSWER
        self._progress = None

    def idle_began(self, now: float) -> None:
        """The answer is out; another request may come."""
        self.stage = Stage.IDLE
        self._deadline = now + self._limits.idle

    def discard_began(self, now: float) -> None:
        """The answer is out; the rest of the body is thrown away."""
        self.stage = Stage.DISCARD
        self._deadline = now + self._limits.drain_time

    def closing_began(self, now: float) -> None:
        """We closed; bytes that were written may still have to leave. Only the first call
        counts.
        """
        if self.stage is not Stage.CLOSING:
            self.stage = Stage.CLOSING
            self._progress = None
            self._mark_time = now

    def judge_deadline(self, now: float) -> Verdict:
        """Say what to do in a stage that has a deadline."""
        return Verdict.GO_ON if now < self._deadline else _AFTER_DEADLINE[self.stage]

    def judge_body(self, received: int, waited: float) -> Verdict:
        """Say what to do about a body.

        Args:
            received: its bytes so far.
            waited: seconds that we have waited for them so far.
        """
        limits, elapsed = self._limits, waited - self._mark_time
        if waited < self._mark_time:
            self._mark_received = received
        elif elapsed >= limits.body_window:
            self._balance += received - self._mark_received - limits.body_rate * elapsed
            if self._balance < -self._burst:
                return Verdict.TIMEOUT
            self._balance = min(self._balance, self._burst)
            self._mark_time = waited
            self._mark_received = received
        return Verdict.GO_ON

    def judge_progress(self, now: float, progress: object) -> Verdict:
        """Say what to do while something is to leave.

        Args:
            progress: differs from the last time if anything moved; None if nothing waits for the
                client at present.
        """
        if progress is None or progress != self._progress:
            self._progress = progress
            self._mark_time = now
        elif now - self._mark_time >= self._limits.write_stall:
            return Verdict.ABORT
        return Verdict.GO_ON
