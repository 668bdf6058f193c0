# SPDX-License-Identifier: Apache-2.0
"""On whose behalf work is done: what is known of the request that is being answered.

Must not know HTTP beyond its words, nor who reads. ``web`` makes an errand for each request and
puts it into :data:`CURRENT` before its route runs; coroutines carry it on, whoever awaits them. Log
lines, events, driver calls and traces read it there, so nobody hands it down through rooms that
have no use for it. Timers, lanes and what a driver's connection calls have none.
"""

from __future__ import annotations

from contextvars import ContextVar

from attrs import define


@define(eq=False)
class Errand:
    """One request, from the end of its head to the end of its answer.

    Text is as the client sent it, but for ``id``; who writes it down escapes it.

    Attributes:
        id: the client's if it was acceptable, else ours: 1 to 128 characters that need no escaping.
        client: the peer's address, or the one that a trusted proxy names; empty if there is none.
        port: of the peer; 0 if a proxy names the client, or it has none.
        host: what the client calls this registry.
        user: who asks, as far as it was proven; empty for nobody.
        endpoint: the route, by its name in the routing table; empty below HTTP.
        repository: that the path names.
        reference: the last part of the path: a tag, a digest or an upload's id.
        digest: of the content that was answered or stored.
        error: code of a refusal.
        driver_seconds: spent waiting for storage; calls at the same time count each.
    """

    id: str
    method: str = ""
    client: str = ""
    port: int = 0
    host: str = ""
    user_agent: str = ""
    user: str = ""
    endpoint: str = ""
    repository: str = ""
    reference: str = ""
    digest: str = ""
    error: str = ""
    driver_seconds: float = 0.0


#: The errand of the request that the running coroutine serves, None if it serves none.
CURRENT: ContextVar[Errand | None] = ContextVar("errand", default=None)


@define(eq=False)
class TracedCall:
    """A call of a driver that somebody traces.

    Attributes:
        traceparent: the call's span, as W3C's trace context has it; goes with the question.
        elapsed_us: microseconds that the driver's process says it took; 0 if it does not say.
    """

    traceparent: str
    elapsed_us: int = 0


#: The traced call that the running coroutine makes, None if nobody traces.
TRACED: ContextVar[TracedCall | None] = ContextVar("traced call", default=None)
