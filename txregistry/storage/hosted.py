# SPDX-License-Identifier: Apache-2.0
"""A driver made of a store: the asynchronous half of what the contract promises.

Room: storage. Must not know where a store keeps things, nor a reactor, nor who calls. A driver
author writes a blocking :class:`~txregistry.storage.contract.Store`; this checks what comes in,
runs it in threads, computes digests as bytes arrive, lets one writer at a time have a path,
verifies a commit.

A change to a path takes its turn (``turns``), and goes on to its end even if its caller is
cancelled (``blocking.shielded``); reads and ``put`` need no turn, since a store's are atomic.
"""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred

from txregistry.storage.blocking import Run, guarded, shielded
from txregistry.storage.contract import (
    CONTENT_LIMIT,
    RECORD_LIMIT,
    Appender,
    Content,
    Entry,
    Listing,
    Reading,
    RecordingStore,
    Store,
    Walk,
    Writer,
)
from txregistry.storage.digesting import Pursuit, RunningDigests
from txregistry.storage.errors import (
    Internal,
    InvalidOffset,
    InvalidPath,
    Mismatch,
    Missing,
    StorageError,
    TooLarge,
    Unavailable,
    Unsupported,
    WrongOffset,
)
from txregistry.storage.hashes import ALGORITHMS
from txregistry.storage.paths import PROBE, check_path
from txregistry.storage.reading import HostedReading, close_content
from txregistry.storage.redirecting import Asked, Redirects
from txregistry.storage.turns import Turns, is_within
from txregistry.storage.walking import walk_page
from txregistry.storage.writability import Writability
from txregistry.storage.writing import CHECKPOINT, HostedWriter, Queued, Staged

#: Paths whose running digests are remembered after their writer ended. Arbitrary; a forgotten one
#: costs the loading of a state, or a hashing.
_REMEMBERED = 1024

#: Bytes of a probe. Arbitrary: a few blocks, so that one that is left over is not enough.
_PROBE_SIZE = 64 * 1024

T = TypeVar("T")


@frozen
class _Staging:
    """What is to be published: ``size`` bytes at ``path``, and what they are said to be."""

    path: str
    size: int
    algorithm: str
    encoded: str
    states: str | None


class HostedDriver:
    """A :class:`~txregistry.storage.contract.Driver` over a store.

    What needs room is refused at once while there is none (``writability``); reads, deletes and
    commits of what is staged are tried all the same.

    Args:
        run: runs a blocking call: ``deferToThread`` in a driver's process, ``run_inline`` in tests.
        look: likewise for calls that look at something small, so that they don't wait behind those
            that write; by default ``run``.
        redirects: says where content can be had, in place of the store.
        checkpoint: new bytes after which an open writer syncs and saves its hash states.
        now: the clock, seconds; only differences count.
    """

    def __init__(
        self,
        store: Store,
        *,
        run: Run,
        look: Run | None = None,
        redirects: Redirects | None = None,
        checkpoint: int = CHECKPOINT,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = store.name
        self.has_redirects = redirects is not None or bool(getattr(store, "has_redirects", False))
        self.has_local_conditions = bool(getattr(store, "has_local_conditions", False))
        self.is_volatile = bool(getattr(store, "is_volatile", False))
        self.window = int(getattr(store, "window", 0))
        # Over a network a call waits far longer than it takes to have another thread make it.
        self._is_far = bool(getattr(store, "needs_network", False))
        self._store = store
        self._redirects = redirects
        self._writability = Writability(now)
        self._run = self._observed(guarded(run))
        self._look = self._observed(guarded(look or run))
        self._checkpoint = checkpoint
        self._turns = Turns()
        self._writers: dict[str, HostedWriter] = {}
        self._queued = Queued()
        self._staged: OrderedDict[str, Staged] = OrderedDict()

    @property
    def state(self) -> str:
        """Whether the store takes writes: ``ok``, ``no-space``, ``read-only`` or ``suspect``."""
        return self._writability.condition.value

    async def aclose(self) -> None:
        """Fence all writers, then free the store; nothing may be called afterwards."""
        for writer in tuple(self._writers.values()):
            await writer.fence()
        await self._run(self._store.close)

    # --- looking ------------------------------------------------------------------------------

    async def stat(self, path: str) -> Entry:
        check_path(path, allow_root=True)
        return await self._look(lambda: self._store.stat(path))

    async def get(self, path: str) -> Content:
        check_path(path)
        content = await self._look(lambda: self._store.get(path))
        _check_length(content.data, path)
        return content

    async def get_several(self, paths: Sequence[str]) -> Sequence[Content | StorageError]:
        if not self._is_far:
            return await self._look(lambda: [self._get_or_refuse(path) for path in paths])
        work = [Deferred.fromCoroutine(self._get_one_of(path)) for path in paths]
        return [await one for one in work]

    async def _get_one_of(self, path: str) -> Content | StorageError:
        return await self._look(lambda: self._get_or_refuse(path))

    def _get_or_refuse(self, path: str) -> Content | StorageError:
        """One of several; called in a thread."""
        try:
            content = self._store.get(check_path(path))
            _check_length(content.data, path)
            return content
        except StorageError as refusal:
            return refusal
        except Exception as error:  # the border round foreign code, as in blocking.guarded
            return Internal(f"{type(error).__name__}: {error}", path=path)

    async def read(self, path: str, start: int = 0, stop: int | None = None) -> Reading:
        check_path(path)
        if start < 0 or (stop is not None and stop < start):
            raise InvalidOffset(f"not a span: {start} to {stop}", path=path)
        return await shielded(self._read(path, start, stop), _discard_reading)

    async def list(self, path: str, *, after: str = "", limit: int = 1000) -> Listing:
        check_path(path, allow_root=True)
        return await self._run(lambda: self._store.list(path, after, max(1, limit)))

    async def walk(
        self, path: str, *, after: str = "", skip_subtree: bool = False, limit: int = 1000
    ) -> Walk:
        check_path(path, allow_root=True)
        if after:
            check_path(after)
        return await self._run(
            lambda: walk_page(
                self._store, path, after, skip_subtree=skip_subtree, limit=max(1, limit)
            )
        )

    async def redirect_url(
        self, path: str, method: str, expires_in: int, *, client: str = ""
    ) -> str | None:
        check_path(path)
        redirects = self._redirects
        if redirects is None:
            return await self._run(lambda: self._store.redirect_url(path, method, expires_in))
        return await self._run(lambda: redirects.url(Asked(path, method, expires_in, client)))

    # --- changing -----------------------------------------------------------------------------

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        if_absent: bool = False,
        if_version: str | None = None,
        record: tuple[str, bytes] | None = None,
    ) -> str:
        check_path(path)
        _check_length(data, path)
        if record is not None:
            _check_record(*record, path)
            if if_absent or if_version is not None:
                raise Unsupported("a record goes with no condition", path=path)
        await self._check_write(path)
        if path in self._writers:
            await self._writers[path].fence()
        if record is not None:
            return await self._run(lambda: self._put_recorded(path, data, *record))
        return await self._run(
            lambda: self._store.put(path, data, if_absent=if_absent, if_version=if_version)
        )

    async def open_writer(
        self, path: str, offset: int, *, algorithms: Sequence[str] = (), states: str | None = None
    ) -> Writer:
        check_path(path)
        if states is not None:
            check_path(states)
        if offset < 0:
            raise InvalidOffset(f"not an offset: {offset}", path=path)
        for algorithm in algorithms:
            _check_algorithm(algorithm)
        await self._check_write(path)
        return await shielded(self._open_writer(path, offset, algorithms, states), _discard_writer)

    async def commit(
        self,
        path: str,
        destination: str,
        *,
        size: int,
        digest: str,
        record: tuple[str, bytes] | None = None,
        states: str | None = None,
    ) -> None:
        check_path(path)
        check_path(destination)
        if record is not None:
            _check_record(*record, destination)
        if states is not None:
            check_path(states)
        algorithm, _, encoded = digest.partition(":")
        _check_algorithm(algorithm)
        self._writability.check_change(path)
        staging = _Staging(path, size, algorithm, encoded, states)
        await shielded(self._commit(staging, destination, record))

    async def move(self, source: str, destination: str) -> None:
        check_path(source)
        check_path(destination)
        self._writability.check_change(source)
        await shielded(self._move(source, destination))

    async def delete(self, path: str, *, if_version: str | None = None) -> None:
        check_path(path)
        self._writability.check_change(path)
        await shielded(self._delete(path, if_version))

    async def sync(self, paths: Sequence[str]) -> None:
        for path in paths:
            check_path(path, allow_root=True)
            self._writability.check_change(path)
        await self._run(lambda: self._store.sync(paths))

    # --- whether there is room ------------------------------------------------------------------

    def _observed(self, run: Run) -> Run:
        """``run`` whose refusals are taken notice of."""

        async def run_observed(work: Callable[[], T], /) -> T:
            try:
                return await run(work)
            except StorageError as err:
                self._writability.refused(err)
                raise

        return run_observed

    async def _check_write(self, path: str) -> None:
        """Refuse at once what the store would refuse; whoever comes when it is time probes
        first.
        """
        if self._writability.takes_probe():
            with contextlib.suppress(StorageError):  # it is taken notice of
                await shielded(self._probe())
        self._writability.check_write(path)

    async def _probe(self) -> None:
        await self._run(self._try_to_write)
        self._writability.passed()

    def _try_to_write(self) -> None:
        """Write something and remove it; called in a thread."""
        self._store.put(PROBE, bytes(_PROBE_SIZE), if_absent=False, if_version=None)
        self._store.delete(PROBE, if_version=None)

    # --- each of these goes on when its caller is gone ------------------------------------------

    async def _read(self, path: str, start: int, stop: int | None) -> HostedReading:
        content = await self._look(lambda: self._store.open(path, start))
        if start > content.size:
            await self._run(lambda: close_content(content))
            raise InvalidOffset(f"{start} is beyond the end, {content.size}", path=path)
        return HostedReading(
            self._run, content, start, content.size if stop is None else min(stop, content.size)
        )

    async def _open_writer(
        self, path: str, offset: int, algorithms: Sequence[str], states: str | None
    ) -> HostedWriter:
        async with self._turns.of(path):
            older = self._writers.get(path)
            if older is not None:
                if not older.stored <= offset <= older.offset:  # a stale one fences nobody
                    raise WrongOffset(path=path, actual=older.stored)
                await older.fence()
            known = self._staged.get(path)
            appender, staged, lag = await self._run(
                lambda: self._start(path, offset, known, algorithms, states)
            )
            self._remember(path, staged)
            writer = self._writers[path] = HostedWriter(
                self._run,
                self._store,
                path,
                appender,
                offset,
                staged,
                self._queued,
                lag=lag,
                keeps_states=states is not None,
                checkpoint=self._checkpoint,
                ended=self._writer_ended,
            )
            return writer

    def _start(
        self,
        path: str,
        offset: int,
        known: Staged | None,
        algorithms: Sequence[str],
        states: str | None,
    ) -> tuple[Appender, Staged, int]:
        """Open the appender and find the digests of what is stored; called in a thread."""
        appender = self._store.append(path, offset)
        try:
            if known is None or not self._is_current(path, known, offset):
                known = self._new_staged(path)
            known.digests.compute(algorithms, states, offset)
            return appender, known, known.digests.lag(offset)
        except BaseException:
            appender.close()
            raise

    async def _commit(
        self, staging: _Staging, destination: str, record: tuple[str, bytes] | None
    ) -> None:
        path = staging.path
        async with self._turns.of(path):
            await self._fence(path)
            await self._fence(destination)
            await self._verify(staging)
            self._forget(destination)
            await self._run(lambda: self._publish(path, destination, staging.size, record))

    def _put_recorded(self, path: str, data: bytes, record_path: str, record: bytes) -> str:
        """Put a record and what it is of; called in a thread."""
        if isinstance(self._store, RecordingStore):
            return self._store.put_recorded(path, data, record_path, record)
        self._store.put(record_path, record, if_absent=False, if_version=None)
        return self._store.put(path, data, if_absent=False, if_version=None)

    def _publish(
        self, path: str, destination: str, size: int, record: tuple[str, bytes] | None
    ) -> None:
        """Publish verified bytes; called in a thread."""
        if record is not None and isinstance(self._store, RecordingStore):
            self._store.publish_recorded(path, destination, size, *record)
            return
        if record is not None:
            self._store.put(*record, if_absent=False, if_version=None)
        self._store.publish(path, destination, size)

    async def _verify(self, staging: _Staging) -> None:
        path, size = staging.path, staging.size
        entry = await self._run(lambda: self._store.stat(path))
        if entry.is_directory:
            raise Missing("a directory is there", path=path)
        if entry.size != size:
            raise Mismatch(f"{entry.size} bytes are staged, not {size}", path=path)
        staged = self._staged.get(path)
        if staged is None or (staged.size, staged.version) != (size, entry.version):
            staged = self._new_staged(path)
            await self._restore(staged, staging)
        found = await self._digest(path, staged, staging.algorithm, size)
        if found != staging.encoded and staged.digests.is_restored:
            # The state that was loaded may be at fault: one full hash decides.
            staged = self._new_staged(path)
            found = await self._digest(path, staged, staging.algorithm, size)
        staged.size, staged.version = size, entry.version
        self._remember(path, staged)
        if found != staging.encoded:
            raise Mismatch(f"the staged bytes are {staging.algorithm}:{found}", path=path)

    async def _restore(self, staged: Staged, staging: _Staging) -> None:
        """Go on from the states that an earlier process has saved."""
        algorithms, states = (staging.algorithm,), staging.states
        if states is not None:
            await self._run(lambda: staged.digests.compute(algorithms, states, staging.size))

    async def _digest(self, path: str, staged: Staged, algorithm: str, size: int) -> str:
        await self._run(lambda: staged.digests.compute_also(algorithm))
        await staged.pursuit.reach(size)
        found = await self._run(lambda: staged.digests.at(size))
        if algorithm not in found:
            self._forget(path)
            raise Unavailable("the bytes changed while they were hashed", path=path)
        return found[algorithm]

    async def _move(self, source: str, destination: str) -> None:
        async with self._turns.of(source, destination):
            await self._run(lambda: self._store.stat(source))  # what is missing fences nobody
            for path in (source, destination):
                await self._fence(path)
                self._forget(path)
            await self._run(lambda: self._store.move(source, destination))

    async def _delete(self, path: str, if_version: str | None) -> None:
        async with self._turns.of(path):
            if if_version is None:
                await self._fence(path)
            await self._run(lambda: self._store.delete(path, if_version=if_version))
            await self._fence(path)
            self._forget(path)

    # --- writers and what is known of staged bytes ----------------------------------------------

    async def _fence(self, path: str) -> None:
        """End the writers of ``path`` and of what lies below it."""
        for writer in tuple(self._writers.values()):
            if is_within(writer.path, path):
                await writer.fence()

    def _writer_ended(self, writer: HostedWriter) -> None:
        del self._writers[writer.path]  # nobody else can be there: a newer one waits for this

    def _new_staged(self, path: str) -> Staged:
        digests = RunningDigests(self._store, path)
        return Staged(digests, Pursuit(self._run, digests))

    def _is_current(self, path: str, staged: Staged, size: int) -> bool:
        """Whether nobody else wrote there since; called in a thread."""
        return staged.size == size and staged.version == self._store.stat(path).version

    def _remember(self, path: str, staged: Staged) -> None:
        self._staged[path] = staged
        self._staged.move_to_end(path)
        if len(self._staged) > _REMEMBERED:
            self._staged.popitem(last=False)

    def _forget(self, path: str) -> None:
        """Know nothing any more of ``path`` and of what lies below it."""
        for staged_path in [known for known in self._staged if is_within(known, path)]:
            del self._staged[staged_path]


def _check_length(data: bytes, path: str) -> None:
    if len(data) > CONTENT_LIMIT:
        raise TooLarge(f"{len(data)} bytes are more than {CONTENT_LIMIT}", path=path)


def _check_record(path: str, record: bytes, destination: str) -> None:
    check_path(path)
    if path == destination or path.rpartition("/")[0] != destination.rpartition("/")[0]:
        raise InvalidPath(f"the record of {destination} is not beside it", path=path)
    if len(record) > RECORD_LIMIT:
        raise TooLarge(f"{len(record)} bytes are more than {RECORD_LIMIT}", path=path)


def _check_algorithm(algorithm: str) -> None:
    if algorithm not in ALGORITHMS:
        raise Unsupported(f"the digest algorithm {algorithm[:32]!r} is not known")


def _discard_reading(reading: HostedReading) -> None:
    Deferred.fromCoroutine(reading.aclose())


def _discard_writer(writer: HostedWriter) -> None:
    Deferred.fromCoroutine(writer.abandon())
