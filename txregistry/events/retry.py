# SPDX-License-Identifier: Apache-2.0
"""What is made of a receiver's answer: delivered, again, one by one, or given up.

Room: events. Pure. The rules::

    2xx                      delivered
    400 413 415 422          it does not want what it was sent. Of several events: each alone.
                             Of one: again, and given up after ``threshold`` tries, because it would
                             hold up all that wait behind it (or never, if so configured)
    anything else            something is wrong with the receiver, or between: again, until the
                             event is too old or too much waits (401, 403, 404 and redirects too:
                             whoever mends the receiver or the configuration gets everything)

The wait after the n-th failure in a row is at least half of, at most ``backoff`` (registry:3 waits
not at all there); from the ``threshold``-th on it doubles up to a minute. A receiver that says
``Retry-After`` is not asked before that, within an hour.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from attrs import frozen

from txregistry.events.endpoint import Endpoint

#: Longest wait, in seconds, that a row of failures leads to; a longer ``backoff`` counts more.
LONGEST_WAIT = 60.0
#: Longest wait, in seconds, that a receiver may ask for.
LONGEST_ASKED = 3600.0

#: Statuses that are about what was sent. Source: RFC 9110 section 15.5.
ABOUT_THE_EVENT = frozenset({400, 413, 415, 422})


@frozen
class Reply:
    """How a try ended.

    Attributes:
        status: None if there was no answer.
        problem: a few words, empty if it was accepted.
        retry_after: seconds that the receiver asks us to wait.
    """

    status: int | None
    problem: str = ""
    retry_after: float = 0.0

    @property
    def is_refusal(self) -> bool:
        """Whether the receiver does not want what it was sent."""
        return self.status in ABOUT_THE_EVENT


class Step(enum.Enum):
    """What to do next."""

    DELIVERED = "delivered"
    AGAIN = "again"
    ALONE = "alone"
    GIVE_UP = "give up"


def judge(reply: Reply, endpoint: Endpoint, *, count: int, refusals: int) -> Step:
    """Return what to do after a reply.

    Args:
        count: events that were sent.
        refusals: how often the receiver has refused the first of them alone, now included.
    """
    if reply.status is not None and 200 <= reply.status < 300:
        return Step.DELIVERED
    if not reply.is_refusal:
        return Step.AGAIN
    if count > 1:
        return Step.ALONE
    if endpoint.gives_up and refusals >= max(1, endpoint.threshold):
        return Step.GIVE_UP
    return Step.AGAIN


def pause(
    reply: Reply, endpoint: Endpoint, *, failures: int, uniform: Callable[[float, float], float]
) -> float:
    """Return the seconds to wait before the next try.

    Args:
        failures: in a row, this one included.
        uniform: a random number between two.
    """
    doublings = min(max(0, failures - endpoint.threshold), 32)
    longest = max(LONGEST_WAIT, endpoint.backoff)
    wait: float = min(endpoint.backoff * 2**doublings, longest)
    return max(uniform(wait / 2, wait), min(reply.retry_after, LONGEST_ASKED))
