# SPDX-License-Identifier: Apache-2.0
"""The writer of a staged file: gathers bytes, stores them as segments, says how far it is.

Drivers: objects.

::

    0 ---------- sealed ------------- on their way -------------- waiting ---- taken
      in segments       | segments that are being put | in the buffer |
      stored            | not yet stored              | stored as far as a flush came

A segment counts when the record names it. What waits is flushed at a sync, a close, and by the
flusher: as a segment if it is large enough for one, else as the record's tail, which stays in the
buffer to become part of a segment later.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from txregistry.driver import Closed, Internal, StorageError
from txregistry_drivers.objects.buffering import Budget, PartBuffer
from txregistry_drivers.objects.record import Segment
from txregistry_drivers.objects.staging import StagedFile

#: Segments of one upload that are put at a time.
DEPTH = 2


class Resources:
    """What the appenders of a store share.

    Args:
        part_size: bytes of a segment; fixed.
        smallest: bytes that a segment has at least.
        memory: bytes that wait in memory, of all uploads; the others wait in temporary files.
        in_flight: bytes that are being put, of all uploads.
        flush_after: seconds that a byte waits at most.
        threads: put segments.
        clock: seconds; only differences count.
    """

    def __init__(
        self,
        *,
        part_size: int,
        smallest: int,
        memory: int,
        in_flight: int,
        flush_after: float,
        threads: ThreadPoolExecutor,
        clock: Callable[[], float],
    ) -> None:
        self.part_size = max(part_size, smallest)
        self.smallest = smallest
        self.memory = Budget(memory)
        self.in_flight = Budget(in_flight)
        self.flush_after = flush_after
        self.threads = threads
        self.clock = clock


class ObjectAppender:
    """An appender over a staged file.

    Args:
        tail: what the file's record holds itself.
        ended: called once, when it is closed.
    """

    def __init__(
        self,
        resources: Resources,
        staged: StagedFile,
        tail: bytes,
        ended: Callable[[ObjectAppender], None],
    ) -> None:
        self._shared = resources
        self._staged = staged
        self._ended = ended
        self._lock = threading.Lock()
        self._buffer = PartBuffer(resources.memory)
        self._buffer.extend(tail)
        self._on_their_way: deque[Future[Segment]] = deque()
        self._taken = staged.size
        self._waiting_since: float | None = None
        self._failure: StorageError | None = None
        self._is_closed = False

    # --- the contract ---------------------------------------------------------------------------

    def append(self, data: memoryview) -> int:
        with self._lock:
            self._check()
            if self._is_closed:
                raise Closed("the appender was closed")
            with _Failing(self):
                view = memoryview(data)
                while view:
                    room = self._shared.part_size - self._buffer.size
                    self._buffer.extend(view[:room])
                    self._taken += len(view[:room])
                    view = view[room:]
                    if self._buffer.size >= self._shared.part_size:
                        self._send()
                self._reap()
                self._note_waiting()
                if self.is_overdue(self._shared.clock()):
                    self._flush()
            return self._staged.size

    def sync(self) -> int:
        with self._lock:
            self._check()
            with _Failing(self):
                self._flush()
            return self._staged.size

    def close(self) -> int:
        with self._lock:
            try:
                if not self._is_closed:
                    self._check()
                    with _Failing(self):
                        self._flush()
                return self._staged.size
            finally:
                if not self._is_closed:
                    self._is_closed = True
                    self._discard()
                    self._ended(self)

    # --- for the flusher ------------------------------------------------------------------------

    @property
    def unstored(self) -> int:
        """Bytes that a crash would cost now."""
        return self._taken - self._staged.size

    def is_overdue(self, now: float) -> bool:
        """Whether a byte has waited for as long as it may."""
        since = self._waiting_since
        return since is not None and now - since >= self._shared.flush_after

    def flush_idle(self) -> None:
        """Store what waits, unless somebody is at work here; a failure is told to the next call."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if not self._is_closed and self._failure is None:
                with _Failing(self, is_told_later=True):
                    self._flush()
        finally:
            self._lock.release()

    def settle_idle(self) -> None:
        """Count segments that have arrived, unless somebody is at work here."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if not self._is_closed and self._failure is None:
                with _Failing(self, is_told_later=True):
                    self._reap()
                self._note_waiting()
        finally:
            self._lock.release()

    # --- with the lock held ---------------------------------------------------------------------

    def fail(self, failure: StorageError) -> None:
        """Remember why nothing goes on here."""
        self._failure = failure
        self._discard()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _send(self) -> None:
        """Put what waits as a segment, beside what goes on."""
        while len(self._on_their_way) >= DEPTH:
            self._reap(is_waiting=True)
        size = self._buffer.size
        offset = self._taken - size
        self._shared.in_flight.wait(size)
        try:
            data = self._buffer.peek()
            self._buffer.clear()

            def put() -> Segment:
                try:
                    return self._staged.put_segment(offset, data)
                finally:
                    self._shared.in_flight.give(size)

            self._on_their_way.append(self._shared.threads.submit(put))
        except BaseException:  # nobody else gives it back then
            self._shared.in_flight.give(size)
            raise

    def _reap(self, *, is_waiting: bool = False) -> None:
        """Name segments that have arrived in the record; wait for the oldest."""
        arrived = []
        while self._on_their_way and (is_waiting or self._on_their_way[0].done()):
            arrived.append(self._on_their_way.popleft().result())
            is_waiting = False
        if arrived:
            self._staged.save(tuple(arrived), b"")

    def _flush(self) -> None:
        """Store everything that was taken."""
        while self._on_their_way:
            self._reap(is_waiting=True)
        if self._staged.is_there and self._taken == self._staged.size:
            self._waiting_since = None
            return
        size = self._buffer.size
        with self._shared.in_flight.spent(size):
            if size >= self._shared.smallest:
                segment = self._staged.put_segment(self._taken - size, self._buffer.peek())
                self._staged.save((segment,), b"")
                self._buffer.clear()
            else:
                self._staged.save((), self._buffer.peek())
        self._waiting_since = None

    def _note_waiting(self) -> None:
        if self._taken == self._staged.size:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = self._shared.clock()

    def _discard(self) -> None:
        self._buffer.clear()
        for one in self._on_their_way:
            if one.cancel():
                self._shared.in_flight.give(self._shared.part_size)
        self._on_their_way.clear()


class _Failing:
    """Makes an appender end with the failure of what is done in it.

    Args:
        is_told_later: whoever is at work is not the appender's user, and has others to look after.
    """

    def __init__(self, appender: ObjectAppender, *, is_told_later: bool = False) -> None:
        self._appender = appender
        self._is_told_later = is_told_later

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if isinstance(error, StorageError):
            self._appender.fail(error)
        elif isinstance(error, Exception):
            self._appender.fail(Internal(f"{type(error).__name__}: {error}"))
        else:
            return False
        return self._is_told_later
