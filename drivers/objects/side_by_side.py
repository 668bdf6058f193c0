# SPDX-License-Identifier: Apache-2.0
"""Many calls at a time.

Drivers: objects. Must not know what they do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Executor, wait
from typing import TypeVar

Result = TypeVar("Result")


def side_by_side(threads: Executor, calls: Iterable[Callable[[], Result]]) -> list[Result]:
    """What each call returns, in their order.

    If one fails, those that have not begun never do; the others are awaited, and then the first
    failure is raised.
    """
    work = [threads.submit(call) for call in calls]
    wait(work, return_when=FIRST_EXCEPTION)
    for one in work:
        one.cancel()
    wait(work)
    for one in work:
        if not one.cancelled() and (failure := one.exception()) is not None:
            raise failure
    return [one.result() for one in work]
