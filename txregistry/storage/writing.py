# SPDX-License-Identifier: Apache-2.0
"""The one writer of a staged path, in the process of its driver.

Room: storage. Must not know other writers: who fences whom is ``hosted``'s affair. Bytes are taken
into a queue and drained by one thread call at a time, which appends, then hashes; while a thread is
busy the next bytes arrive. ``WINDOW`` bounds what is taken and not yet appended, and ``ALL_WINDOWS``
what all writers have::

              write            write refuses with
    OPEN      takes            -
    CLOSING   refuses          Closed                     close was called; what was taken is stored
    ENDING    refuses          Fenced, Closed, failure    fence, abandon, an error; no queue
    ENDED     refuses          the same                   the appender is freed

An end, once begun, comes to its end whether or not somebody waits for it; a second one joins it.
"""

from __future__ import annotations

import contextlib
import enum
import functools
from collections import deque
from collections.abc import Callable

from attrs import define
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from txregistry.storage.blocking import Bell, Run, shielded
from txregistry.storage.contract import Appender, Closing, Store
from txregistry.storage.digesting import Pursuit, RunningDigests
from txregistry.storage.errors import Closed, Fenced, StorageError

#: Bytes taken and not yet stored after which ``write`` waits.
WINDOW = 2 * 1024 * 1024

#: The same over all writers of a driver; each has the less of it the fewer bytes are free. Arbitrary:
#: that many windows are seldom full.
ALL_WINDOWS = 12 * WINDOW

#: What each may have all the same.
LEAST_WINDOW = 64 * 1024

#: Bytes that one thread call appends, roughly: half a window, so that the other half fills
#: meanwhile.
BATCH = WINDOW // 2

#: Bytes that were hashed since the last state after which all is synced and another one saved.
CHECKPOINT = 64 * 1024 * 1024

log = Logger()


@define(eq=False)
class Staged:
    """What this process knows of the bytes stored under a path.

    Attributes:
        size: bytes stored when last looked at with no writer open.
        version: of the path then; anything else means that somebody else wrote.
    """

    digests: RunningDigests
    pursuit: Pursuit
    size: int = 0
    version: str = ""


class Queued:
    """Bytes that all writers of a driver have taken and not yet appended."""

    def __init__(self, room: int = ALL_WINDOWS) -> None:
        self.used = 0
        self._room = room

    @property
    def window(self) -> int:
        """Bytes that one of them may have."""
        return min(WINDOW, max(LEAST_WINDOW, (self._room - self.used) // 4))


class _State(enum.Enum):
    OPEN = enum.auto()
    CLOSING = enum.auto()
    ENDING = enum.auto()
    ENDED = enum.auto()


class HostedWriter:
    """A :class:`~txregistry.storage.contract.Writer` over an appender.

    Args:
        appender: opened at ``offset``; this frees it.
        staged: the digests of the ``offset`` bytes, as far as they are known.
        queued: what this and the other writers have taken.
        lag: bytes that they trail by.
        keeps_states: sync and save states at close and at checkpoints.
        ended: called once the appender is freed and ``staged`` settled.
    """

    def __init__(
        self,
        run: Run,
        store: Store,
        path: str,
        appender: Appender,
        offset: int,
        staged: Staged,
        queued: Queued,
        *,
        lag: int,
        keeps_states: bool,
        checkpoint: int,
        ended: Callable[[HostedWriter], None],
    ) -> None:
        self.path = path
        self.staged = staged
        self.progress: Callable[[int], None] | None = None
        self._run = run
        self._store = store
        self._appender = appender
        self._keeps_states = keeps_states
        self._checkpoint = checkpoint
        self._ended = ended
        self._offset = self._stored = self._appended = offset
        # These two are the threads'. What trails goes on from a state that was saved.
        self._taken, self._saved_at = offset, offset - lag
        self._lag = lag
        self._queue: deque[bytes] = deque()
        self._queued = queued
        self._is_draining = False
        self._bell = Bell()
        self._state = _State.OPEN
        self._refusal: StorageError = Closed("the writer was closed", path=path)
        if lag:
            staged.pursuit.aim(offset)

    @property
    def offset(self) -> int:
        return self._offset

    @property
    def stored(self) -> int:
        return self._stored

    @property
    def appetite(self) -> int:
        return self._queued.window

    async def write(self, data: bytes) -> None:
        if self._state is not _State.OPEN:
            raise self._refusal
        if not data:
            return
        self._queue.append(data)
        self._queued.used += len(data)
        self._offset += len(data)
        if not self._is_draining:
            self._is_draining = True
            Deferred.fromCoroutine(self._drain())
        while self._state is _State.OPEN and self._is_full():
            await self._bell.rung()
        if self._state in (_State.ENDING, _State.ENDED):
            raise self._refusal

    async def close(self) -> Closing:
        if self._state is not _State.OPEN:
            refusal = self._refusal
            if not isinstance(refusal, Fenced):  # a failure is told once
                self._refusal = Closed("the writer was closed", path=self.path)
            raise refusal
        self._state = _State.CLOSING
        return await shielded(self._finish())

    async def abandon(self) -> None:
        await self._end(Closed("the writer was abandoned", path=self.path))

    async def fence(self) -> None:
        """End the writer in favour of somebody else; returns when its appender is freed."""
        await self._end(Fenced("the path was taken over", path=self.path))

    async def _end(self, refusal: StorageError) -> None:
        if self._state is _State.OPEN:
            self._stop(refusal)
        while self._state is not _State.ENDED:
            await self._bell.rung()

    def _is_full(self) -> bool:
        return self._offset - self._appended >= self._queued.window

    def _drop_queue(self) -> None:
        self._queued.used -= sum(map(len, self._queue))
        self._queue.clear()

    def _stop(self, refusal: StorageError) -> None:
        """Drop what is queued and free the appender, in the background."""
        self._drop_queue()
        self._refusal = refusal
        self._state = _State.ENDING
        self._bell.ring()
        Deferred.fromCoroutine(self._free())

    async def _drain(self) -> None:
        try:
            while self._queue:
                batch = self._next_batch()
                size = sum(map(len, batch))
                try:
                    stored, self._lag = await self._run(functools.partial(self._append, batch))
                finally:
                    self._queued.used -= size
                self._advance(stored)
                self._appended += size
                if self._lag:
                    self.staged.pursuit.aim(self._stored)
                self._bell.ring()
        except StorageError as err:
            self._drop_queue()
            if self._state is _State.OPEN:
                self._stop(err)
            elif self._state is _State.CLOSING:
                self._refusal = err
        finally:
            self._is_draining = False
            self._bell.ring()

    def _advance(self, stored: int) -> None:
        if stored > self._stored:
            self._stored = stored
            if self.progress is not None:
                self.progress(stored)

    def _next_batch(self) -> list[bytes]:
        batch = [self._queue.popleft()]
        size = len(batch[0])
        while self._queue and size + len(self._queue[0]) <= BATCH:
            batch.append(self._queue.popleft())
            size += len(batch[-1])
        return batch

    async def _finish(self) -> Closing:
        try:
            while self._is_draining:
                await self._bell.rung()
            if not isinstance(self._refusal, Closed):
                raise self._refusal
            if 0 < self._lag <= self._checkpoint:  # soon done, and worth a state at the very end
                with contextlib.suppress(StorageError):
                    await self.staged.pursuit.reach(self._stored)
            return await self._run(self._keep)
        finally:
            await self._free()

    async def _free(self) -> None:
        while self._is_draining:
            await self._bell.rung()
        try:
            self._advance(await self._run(self._settle))
        except StorageError as err:  # whoever waits learns what became of the bytes by looking
            log.info("ending the writer of {path}: {reason}", path=self.path, reason=str(err))
        finally:
            self._state = _State.ENDED
            self._ended(self)
            self._bell.ring()

    # What follows is called in threads, one at a time.

    def _append(self, batch: list[bytes]) -> tuple[int, int]:
        """Store and hash; returns the bytes stored, and by how much a digest trails."""
        stored = 0
        for data in batch:
            stored = self._appender.append(memoryview(data))
            self.staged.digests.feed(self._taken, data)
            self._taken += len(data)
        lag = self.staged.digests.lag(self._taken)
        # Counted from the last state and not from the opening of this writer: a driver that never
        # lives for a whole checkpoint would have to hash more and more at each start.
        if self._keeps_states and self._taken - lag - self._saved_at >= self._checkpoint:
            self._saved_at = self._taken - lag
            stored = self._appender.sync()
            self.staged.digests.save(stored)
        return stored, lag

    def _keep(self) -> Closing:
        """Store what was taken, and its hash states; returns what the bytes amount to."""
        digests = self.staged.digests
        if self._keeps_states and not digests.has_states(self._taken):
            digests.save(self._appender.sync())
        size = self._appender.close()
        return Closing(size, digests.at(size))

    def _settle(self) -> int:
        """Free the appender and note what it leaves behind; returns the bytes stored."""
        self.staged.version = ""
        size = self._appender.close()
        entry = self._store.stat(self.path)
        if entry.size == size and not self.staged.digests.is_beyond(size):
            self.staged.size, self.staged.version = size, entry.version
        return size
