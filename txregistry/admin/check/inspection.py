# SPDX-License-Identifier: Apache-2.0
"""One run over a tree: what every part of it shares, and the rule that nothing is reported at first
sight.

Room: admin. Must not know what is looked for. A registry may be at work on the tree meanwhile: a
push writes what is pointed at before what points at it, a delete goes the other way round, and an
upload vanishes when it is done. So whatever looks wrong is looked at again a moment later, and if
it is still wrong but changed within the last minute, once more after a longer pause, since a busy
disk may take its time over a push. Only what is wrong then is reported::

    look at many ──> nothing wrong
         └─ findings ──> pause ──> look again ──> (young: pause, look again) ──> repair? ──> report

All that damaged data imply is told in the same run, since the parts of a run come in the order in
which they depend on each other: blobs, layers, manifests, indexes, referrers, tags.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from attrs import define, field, frozen

from txregistry.admin.check.digest_table import DigestTable
from txregistry.admin.check.findings import UNREADABLE, Finding, Kind
from txregistry.oci.digests import Digest
from txregistry.registry.manifest_reader import Parse
from txregistry.registry.tasks import each
from txregistry.storage.blocking import Run
from txregistry.storage.contract import Driver
from txregistry.storage.errors import Missing, StorageError

A = TypeVar("A")
B = TypeVar("B")

#: Things that are looked at at once. Arbitrary: it hides the trip to a driver's process.
WIDTH = 16

#: Seconds before the second look and before the third, and all such seconds of a run: a tree with
#: very much damage is not one that is only busy. Arbitrary.
PAUSE = 0.5
LONG_PAUSE = 2.0
PAUSES = 60.0

#: Seconds since its last change within which something may still be in the making. Arbitrary.
YOUNG = 60.0

#: Things that could not be looked at, after which a run gives up. Arbitrary: the driver is away.
UNCHECKED_LIMIT = 20

#: Marks of blobs: somebody has it; its data do not count.
LINKED, DAMAGED = 1, 2


class Unfinished(Exception):
    """The run can't go on; one sentence says why."""


@frozen(kw_only=True)
class Options:
    """What may be chosen.

    Attributes:
        read_data: read all data and compute their digests.
        allow_sparse: an index need not have all of its manifests here.
        upload_age: seconds after which an idle upload without data is told of.
        ignored: classes that are neither reported nor repaired.
    """

    read_data: bool = False
    allow_sparse: bool = False
    upload_age: float = 168 * 3600.0
    ignored: frozenset[Kind] = frozenset()


@define
class Totals:
    """What was looked at; sizes in bytes."""

    blobs: int = 0
    bytes: int = 0
    bytes_read: int = 0
    repositories: int = 0
    links: int = 0
    manifests: int = 0
    tags: int = 0
    uploads: int = 0


@frozen
class Progress:
    """How far a run is.

    Attributes:
        phase: ``blobs`` or ``repositories``.
        done: how many of them.
        fraction: of the phase, as far as it can be told.
    """

    phase: str
    done: int
    fraction: float | None = None


class Reporter(Protocol):
    """Is told of a run as it goes on."""

    def found(self, finding: Finding, repaired_to: str | None) -> None:
        """Something is wrong; ``repaired_to`` is where it was moved to, or what was written."""

    def progressed(self, progress: Progress) -> None:
        """The run has come further."""


@frozen
class Verdict(Generic[B]):
    """What came of a look.

    Attributes:
        findings: what is wrong.
        value: what is right, if there is something.
    """

    findings: tuple[Finding, ...] = ()
    value: B | None = None


#: Carries out a repair; returns where something was moved to or what was written, None if it
#: went with something else.
Mend = Callable[[Finding], Awaitable[str | None]]


@define(eq=False)
class Inspection:
    """The tools and the results of one run.

    Attributes:
        compute: runs a computation that takes long.
        now: the clock, seconds since the epoch.
        pause: waits for some seconds.
        mend: repairs; None: nothing is changed.
        is_again: an earlier run told of everything but what this one repairs.
        blobs: every blob with its size and its marks.
        unchecked: what could not be looked at, and why.
        repairable: what could be repaired.
        repairs: what was repaired.
    """

    driver: Driver
    options: Options
    reporter: Reporter
    parse: Parse
    compute: Run
    now: Callable[[], float]
    pause: Callable[[float], Awaitable[None]]
    mend: Mend | None = None
    is_again: bool = False
    blobs: DigestTable = field(factory=DigestTable)
    totals: Totals = field(factory=Totals)
    counts: dict[Kind, int] = field(factory=dict)
    unchecked: list[StorageError] = field(factory=list)
    repairable: int = 0
    repairs: int = 0
    _paused: float = 0.0

    async def examine(
        self,
        things: Sequence[A],
        look: Callable[[A], Awaitable[Verdict[B]]],
        *,
        path: Callable[[A], str],
        refresh: Callable[[A], Awaitable[A | None]] | None = None,
        width: int = WIDTH,
    ) -> list[Verdict[B]]:
        """Look at each of ``things``, again at what seems wrong, and report what is.

        Args:
            path: where a thing is.
            refresh: finds out anew what is known of a thing before another look; None: it is gone.

        Returns:
            The last verdict on each, in order.

        Raises:
            Unfinished: too much can't be looked at.
        """

        async def see(thing: A) -> Verdict[B]:
            return self._kept(await self._guarded(thing, look, path))

        async def see_again(index: int) -> None:
            fresh: A | None = things[index]
            if refresh is not None:
                fresh = await self._refreshed(things[index], refresh)
            verdicts[index] = Verdict() if fresh is None else await see(fresh)

        verdicts = await each(see, things, width=width)
        suspects = [index for index, verdict in enumerate(verdicts) if verdict.findings]
        if suspects:
            await self._wait(PAUSE)
            await each(see_again, suspects, width=width)
        young = [index for index in suspects if await self._is_young(verdicts[index])]
        if young:
            await self._wait(LONG_PAUSE)
            await each(see_again, young, width=width)
        for index in suspects:
            for finding in verdicts[index].findings:
                await self._tell(finding)
        return verdicts

    def is_damaged(self, digest: Digest) -> bool:
        """Say whether the data of ``digest`` are known not to count."""
        return self.blobs.is_marked(digest, DAMAGED)

    async def _guarded(
        self, thing: A, look: Callable[[A], Awaitable[Verdict[B]]], path: Callable[[A], str]
    ) -> Verdict[B]:
        try:
            return await look(thing)
        except Missing:
            return Verdict()  # it went away meanwhile
        except StorageError as error:
            if error.is_retryable:
                self._give_up(error)
                return Verdict()
            return Verdict(
                (Finding(UNREADABLE, error.path or path(thing), f"can't be read: {error.message}"),)
            )

    async def _refreshed(self, thing: A, refresh: Callable[[A], Awaitable[A | None]]) -> A | None:
        try:
            return await refresh(thing)
        except StorageError as error:
            self._give_up(error)
            return None

    def _give_up(self, error: StorageError) -> None:
        self.unchecked.append(error)
        if len(self.unchecked) >= UNCHECKED_LIMIT:
            raise Unfinished(f"storage can't be read: {error}") from error

    def _kept(self, verdict: Verdict[B]) -> Verdict[B]:
        ignored = self.options.ignored
        return Verdict(
            tuple(one for one in verdict.findings if one.kind not in ignored), verdict.value
        )

    async def _wait(self, seconds: float) -> None:
        if self._paused + seconds <= PAUSES:
            self._paused += seconds
            await self.pause(seconds)

    async def _is_young(self, verdict: Verdict[B]) -> bool:
        """Say whether something that is wrong may still be in the making."""
        for finding in verdict.findings:
            modified = await self._last_change(finding.path)
            if not modified or self.now() - modified / 1e9 < YOUNG:
                return True
        return False

    async def _last_change(self, path: str) -> int:
        """Return when ``path`` changed, or what it is in if it is missing; 0 if that is not
        known.
        """
        for one in (path, path.rpartition("/")[0]):
            try:
                return (await self.driver.stat(one)).modified
            except StorageError:
                continue
        return 0

    async def _tell(self, finding: Finding) -> None:
        digest = finding.damages
        if digest is not None and digest in self.blobs and not self.blobs.mark(digest, DAMAGED):
            return  # told of before
        repaired_to = None
        if self.mend is not None and finding.repair is not None:
            repaired_to = await self.mend(finding)
            self.repairs += repaired_to is not None
        if self.is_again and repaired_to is None:
            return
        self.repairable += finding.repair is not None
        self.counts[finding.kind] = self.counts.get(finding.kind, 0) + 1
        self.reporter.found(finding, repaired_to)
