# SPDX-License-Identifier: Apache-2.0
"""The running digests of one staged path: fed as bytes arrive, caught up when they trail, saved.

Room: storage. Must not know writers. ``RunningDigests`` blocks and is called in threads;
``Pursuit`` calls it so, as long as a digest trails.

::

    stored bytes   0 ------------------------------------------------ position
    sha256         0 ------------------------------------------------ position      fed
    sha512         0 ------------------ length                                      trails: catch_up
    states         <states>/sha256/<offset>, each promising that the bytes before it are synced

A digest trails when no saved state was found near the end (another registry's upload, a state that
does not parse): appending goes on, and the stored bytes are read and hashed beside it.
"""

from __future__ import annotations

import contextlib
import functools
import re
import threading
from collections.abc import Iterable, Iterator

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from txregistry.storage.blocking import Bell, Run
from txregistry.storage.contract import Store
from txregistry.storage.errors import Missing, StorageError
from txregistry.storage.hashes import RunningHash
from txregistry.storage.reading import close_content, pieces

#: States are removed once this many newer ones made superfluous have gathered, since each removal
#: costs a synced directory; an upload's end removes them all. Arbitrary.
SUPERSEDED_LIMIT = 8

#: Bytes that one call of catch_up hashes by default: some ten milliseconds.
STRIDE = 16 * 1024 * 1024

_OFFSET = re.compile(r"0|[1-9][0-9]{0,18}")
_PAGE = 1000

log = Logger()


class RunningDigests:
    """What is known of the digests of the bytes stored at ``path``.

    One thread may feed while another catches up. Not more: loading and saving are the writer's.

    Attributes:
        is_restored: a state was loaded, so that a mismatch may be the state's fault.
    """

    def __init__(self, store: Store, path: str) -> None:
        self.is_restored = False
        self._store = store
        self._path = path
        self._lock = threading.Lock()
        self._hashes: dict[str, RunningHash] = {}
        self._states: dict[str, str] = {}
        self._saved: dict[str, set[int]] = {}

    def compute(self, algorithms: Iterable[str], states: str | None, size: int) -> None:
        """Compute these from now on, and keep their states below ``states``.

        Where one is not computed yet, the newest state at or below ``size`` is loaded. States
        beyond ``size`` are removed: bytes that they knew are gone, others may take their place.

        Args:
            size: bytes stored at present.
        """
        for algorithm in algorithms:
            running = self._hashes.get(algorithm)
            if states is None:
                self._states.pop(algorithm, None)
            elif self._states.get(algorithm) != f"{states}/{algorithm}":
                self._states[algorithm] = f"{states}/{algorithm}"
                self._saved[algorithm] = self._survey(algorithm, size)
                running = running or self._load(algorithm)
            with self._lock:
                self._hashes[algorithm] = running or RunningHash(algorithm)

    def compute_also(self, algorithm: str) -> None:
        """Compute this too, if it isn't yet; it trails by everything that is stored."""
        with self._lock:
            if algorithm not in self._hashes:
                self._hashes[algorithm] = RunningHash(algorithm)

    def feed(self, position: int, data: memoryview | bytes) -> None:
        """Take bytes stored at ``position``; a digest that has not come so far leaves them."""
        with self._lock:
            for running in self._hashes.values():
                if running.length == position:
                    running.update(data)
                elif position < running.length < position + len(data):
                    running.update(memoryview(data)[running.length - position :])

    def lag(self, size: int) -> int:
        """Bytes of ``size`` that the slowest digest has still to see."""
        with self._lock:
            return size - min((running.length for running in self._hashes.values()), default=size)

    def catch_up(self, size: int, stride: int = STRIDE) -> int:
        """Hash at most ``stride`` stored bytes that a digest has not seen; returns the lag left.

        Args:
            size: bytes stored, at most.
        """
        start = size - self.lag(size)
        stop = min(size, start + stride)
        if start >= stop:
            return 0
        content = self._store.open(self._path, start)
        try:
            for piece in pieces(content, start, stop):
                self.feed(start, piece)
                start += len(piece)
        finally:
            close_content(content)
        return self.lag(size)

    def at(self, size: int) -> dict[str, str]:
        """The digests that cover exactly ``size`` bytes, by algorithm."""
        with self._lock:
            return {
                algorithm: running.hexdigest()
                for algorithm, running in self._hashes.items()
                if running.length == size
            }

    def is_beyond(self, size: int) -> bool:
        """Whether a digest has seen bytes that are not among the ``size`` stored ones."""
        with self._lock:
            return any(running.length > size for running in self._hashes.values())

    def has_states(self, size: int) -> bool:
        """Whether each digest that has a place for its states has one saved at ``size``."""
        return all(size in self._saved[algorithm] for algorithm in self._states)

    def save(self, synced: int) -> None:
        """Keep the state of each digest that has seen no more than the ``synced`` bytes.

        A state is a shortcut: one that can't be kept costs a later hashing and no more.
        """
        for algorithm, directory in self._states.items():
            saved = self._saved[algorithm]
            with self._lock:
                running = self._hashes[algorithm]
                length, state = running.length, running.export()
            if state is None or not 0 < length <= synced or length in saved:
                continue
            try:
                self._store.put(f"{directory}/{length}", state, if_absent=False, if_version=None)
                saved.add(length)
                if len(saved) > SUPERSEDED_LIMIT:
                    self._remove(algorithm, [offset for offset in saved if offset < length])
            except StorageError as err:
                log.warn("no hash state kept of {path}: {reason}", path=self._path, reason=str(err))

    def _survey(self, algorithm: str, size: int) -> set[int]:
        """Offsets of the states that are there; those beyond ``size`` are removed."""
        offsets = set(self._offsets(self._states[algorithm]))
        beyond = {offset for offset in offsets if offset > size}
        self._saved[algorithm] = offsets
        self._remove(algorithm, beyond)
        return offsets - beyond

    def _offsets(self, directory: str) -> Iterator[int]:
        after, has_more = "", True
        while has_more:
            try:
                listing = self._store.list(directory, after, _PAGE)
            except Missing:
                return
            yield from (
                int(child.name) for child in listing.children if _OFFSET.fullmatch(child.name)
            )
            has_more = listing.has_more
            after = listing.children[-1].name if has_more else after

    def _load(self, algorithm: str) -> RunningHash | None:
        """Go on from the newest state that parses; others count as not saved."""
        saved = self._saved[algorithm]
        for offset in sorted(saved, reverse=True):
            try:
                state = self._store.get(f"{self._states[algorithm]}/{offset}").data
            except StorageError:
                state = b""
            running = RunningHash.restore(algorithm, state)
            if running is not None and running.length == offset:
                self.is_restored = True
                return running
            saved.discard(offset)
        return None

    def _remove(self, algorithm: str, offsets: Iterable[int]) -> None:
        for offset in sorted(offsets):
            with contextlib.suppress(Missing):
                self._store.delete(f"{self._states[algorithm]}/{offset}", if_version=None)
            self._saved[algorithm].discard(offset)


class Pursuit:
    """Brings digests that trail up to the stored bytes: beside a writer, after it, for a commit."""

    def __init__(self, run: Run, digests: RunningDigests) -> None:
        self._run = run
        self._digests = digests
        self._target = 0
        self._is_running = False
        self._failure: StorageError | None = None
        self._bell = Bell()

    def aim(self, size: int) -> None:
        """Go for ``size`` stored bytes, in the background; once that failed only ``reach`` tries
        again.
        """
        self._target = max(self._target, size)
        if not self._is_running and self._failure is None:
            self._is_running = True
            Deferred.fromCoroutine(self._go())

    async def reach(self, size: int) -> None:
        """Wait until the digests cover ``size`` stored bytes.

        Raises:
            StorageError: the stored bytes can't be read.
        """
        self._failure = None
        self.aim(size)
        while self._is_running:
            await self._bell.rung()
        if self._failure is not None:
            raise self._failure

    async def _go(self) -> None:
        try:
            left = 1
            while left:
                target = self._target
                left = await self._run(functools.partial(self._digests.catch_up, target))
                left = left or self._target - target
        except StorageError as err:
            self._failure = err
        finally:
            self._is_running = False
            self._bell.ring()
