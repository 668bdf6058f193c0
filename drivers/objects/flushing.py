# SPDX-License-Identifier: Apache-2.0
"""Stores what waits for too long, or too much of it, beside the uploads themselves.

Drivers: objects. One thread for all appenders of a store. A client that sends a few bytes a second
has them stored every half minute; and what all clients together would lose by a crash, which the
front end has to keep for them, is bounded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from txregistry_drivers.objects.appending import ObjectAppender

#: Seconds between two looks.
TICK = 1.0


class Flusher:
    """Looks after appenders that are open.

    Args:
        limit: bytes of all uploads that wait at most.
        clock: that of the appenders.
    """

    def __init__(self, *, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._changed = threading.Condition()
        self._appenders: set[ObjectAppender] = set()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def add(self, appender: ObjectAppender) -> None:
        """Look after it; from now on there is a thread that does."""
        with self._changed:
            self._appenders.add(appender)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)
                self._thread.start()
            self._changed.notify()

    def remove(self, appender: ObjectAppender) -> None:
        with self._changed:
            self._appenders.discard(appender)

    def close(self) -> None:
        """End the thread; repeatable."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def look(self) -> None:
        """Flush what is to be flushed now."""
        with self._changed:
            appenders = list(self._appenders)
        for appender in appenders:
            appender.settle_idle()
        now = self._clock()
        for appender in appenders:
            if appender.is_overdue(now):
                appender.flush_idle()
        appenders.sort(key=lambda appender: appender.unstored, reverse=True)
        excess = sum(appender.unstored for appender in appenders) - self._limit
        for appender in appenders:
            if excess <= 0:
                break
            excess -= appender.unstored
            appender.flush_idle()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._appenders and not self._is_closed:
                    self._changed.wait()
                if self._is_closed:
                    return
                self._changed.wait(TICK)
                if self._is_closed:
                    return
            self.look()
