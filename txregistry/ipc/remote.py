# SPDX-License-Identifier: Apache-2.0
"""A Driver that is somewhere else.

Room: ipc. Each method is one command. Everything here may be asked again: when the connection ends
before the answer, the operation is issued once more on the next one (``attempts``). What a
repetition could misread (``put`` with a condition, ``delete``, ``move``) is told apart by looking
at what is stored now.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.protocols import amp

from txregistry.ipc import commands
from txregistry.ipc.admission import Admission
from txregistry.ipc.attempts import POISON_DEATHS, Attempts, Operation, Repeated
from txregistry.ipc.batch import Batch, fitting
from txregistry.ipc.budget import ReplayBudget
from txregistry.ipc.claims import Claims
from txregistry.ipc.deadlines import Deadlines
from txregistry.ipc.descriptors import WrongDescriptor, check_file, make_lane
from txregistry.ipc.lanes import LANE_BUFFER, Inlet
from txregistry.ipc.link import Answer, Link, LinkLost, Links
from txregistry.ipc.reading import FileReading, LinkInlet, Run, StreamReading
from txregistry.ipc.writer import RemoteWriter, Terms
from txregistry.storage.contract import (
    CONTENT_LIMIT,
    Child,
    Content,
    Entry,
    Listing,
    Reading,
    Walk,
)
from txregistry.storage.errors import (
    Changed,
    Exists,
    Internal,
    InvalidOffset,
    InvalidPath,
    Missing,
    StorageError,
    TooLarge,
    Unavailable,
    Unsupported,
)
from txregistry.storage.paths import check_path

T = TypeVar("T")

#: How often content that comes by a lane is read again because it was replaced meanwhile.
#: Arbitrary: more often, and nobody is putting; the driver makes no sense.
LOOKS = 1000


class RemoteDriver:
    """``storage.contract.Driver`` over links to a driver process.

    Args:
        reactor: watches lanes.
        clock: ends the turn of the reactor in which ``get`` calls are collected.
        links: gives the current connection.
        run: runs a blocking ``pread`` of a file lane, in a thread.
        budget: memory for all replay windows.
        deadlines: of operations.
        attempts: issues them; by default with the default limits.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        clock: IReactorTime,
        links: Links,
        run: Run,
        budget: ReplayBudget | None = None,
        *,
        deadlines: Deadlines | None = None,
        attempts: Attempts | None = None,
    ) -> None:
        self._reactor = reactor
        self.links = links
        self._run = run
        self.budget = budget or ReplayBudget()
        self._deadlines = deadlines or Deadlines()
        self.attempts = attempts or Attempts(links, clock, POISON_DEATHS, Admission())
        self._claims = Claims()
        self._terms = Terms(self.budget, self._claims, self._deadlines, self.attempts)
        self._batch = Batch(self.ask, links, clock)

    # -- asking

    async def ask(
        self,
        command: type[amp.Command],
        about: str,
        /,
        *,
        timeout: float = 0.0,
        is_durable: bool = False,
        deaths: int | None = None,
        **arguments: Any,
    ) -> Answer:
        """Ask until there is an answer.

        Args:
            about: the path that the command is about, for the log.
            timeout: seconds until the deadline; 0 for that of small operations.
            deaths: in flight at which it is given up, if not at the configured number.

        Raises:
            Unavailable: there was none.
            StorageError: the driver's refusal.
        """
        operation = self._operation(command.__name__, about, timeout, is_durable, deaths)
        return await self._plainly(
            operation, lambda link, left: link.call(command, timeout=left, **arguments)
        )

    async def _plainly(
        self, operation: Operation, attempt: Callable[[Link, float], Awaitable[T]]
    ) -> T:
        """Make attempts at what a repetition can't misread: a refusal is one at any of them."""
        try:
            return await self.attempts.issue(operation, attempt)
        except Repeated as repeated:
            raise repeated.refusal from None

    def _operation(
        self,
        name: str,
        path: str,
        timeout: float = 0.0,
        is_durable: bool = False,
        deaths: int | None = None,
    ) -> Operation:
        return Operation(name, path, timeout or self._deadlines.operation, is_durable, deaths)

    def _durable(self, name: str, path: str, timeout: float) -> Operation:
        return self._operation(name, path, timeout, is_durable=True)

    def _issue(
        self, operation: Operation, command: type[amp.Command], **arguments: Any
    ) -> Awaitable[Answer]:
        return self.attempts.issue(
            operation, lambda link, left: link.call(command, timeout=left, **arguments)
        )

    # -- looking

    async def stat(self, path: str) -> Entry:
        check_path(path, allow_root=True)
        answer = await self.ask(commands.Stat, path, path=path)
        return Entry(path=path, **answer)

    async def get(self, path: str) -> Content:
        check_path(path)
        (outcome,) = await self._batch.get((path,))
        if isinstance(outcome, StorageError):
            raise outcome
        return (
            outcome if isinstance(outcome, Content) else await self._get_by_reading(path, outcome)
        )

    async def get_several(self, paths: Sequence[str]) -> Sequence[Content | StorageError]:
        refusals = {path: refusal for path in paths if (refusal := _refusal_of(path)) is not None}
        asked = [path for path in paths if path not in refusals] if refusals else paths
        outcomes = iter(await self._batch.get(asked) if asked else ())
        results: list[Content | StorageError] = []
        for path in paths:
            outcome = refusals.get(path) or next(outcomes)
            results.append(
                await self._read_or_refuse(path, outcome) if isinstance(outcome, int) else outcome
            )
        return results

    async def _read_or_refuse(self, path: str, size: int) -> Content | StorageError:
        try:
            return await self._get_by_reading(path, size)
        except StorageError as refusal:
            return refusal

    async def _get_by_reading(self, path: str, size: int) -> Content:
        for _ in range(LOOKS):
            if size > CONTENT_LIMIT:
                raise TooLarge(f"{size} bytes are more than {CONTENT_LIMIT}", path=path)
            before = await self.stat(path)
            reading = await self.read(path)
            try:
                size = reading.size
                if size != before.size or size > CONTENT_LIMIT:
                    continue
                data = b"".join([chunk async for chunk in reading])
            finally:
                await reading.aclose()
            if (await self.stat(path)).version == before.version:
                return Content(data, before.version)
        raise Unavailable("the content was replaced again and again while it was read", path=path)

    async def list(self, path: str, *, after: str = "", limit: int = 1000) -> Listing:
        check_path(path, allow_root=True)
        answer = await self.ask(commands.List, path, path=path, after=after, limit=limit)
        names, kinds = answer["names"], answer["kinds"]
        if len(names) != len(kinds):
            raise Internal(f"the driver lists {len(names)} names of {len(kinds)} kinds", path=path)
        _check_order([after, *names], answer["has_more"], path)
        children = (Child(name, kind == b"d"[0]) for name, kind in zip(names, kinds, strict=True))
        return Listing(tuple(children), answer["has_more"])

    async def walk(
        self, path: str, *, after: str = "", skip_subtree: bool = False, limit: int = 1000
    ) -> Walk:
        check_path(path, allow_root=True)
        answer = await self.ask(
            commands.Walk,
            path,
            path=path,
            after=after,
            skip_subtree=skip_subtree,
            limit=limit,
            timeout=self._deadlines.page,
        )
        entries = tuple(Entry(**entry) for entry in answer["entries"])
        paths = [after or path.rstrip("/"), *(entry.path for entry in entries)]
        _check_order([one.split("/") for one in paths], answer["has_more"], path)
        return Walk(entries, answer["has_more"])

    async def redirect_url(
        self, path: str, method: str, expires_in: int, *, client: str = ""
    ) -> str | None:
        check_path(path)
        if "redirects" not in (await self.links.link()).hello["features"]:
            return None
        answer = await self.ask(
            commands.RedirectURL,
            path,
            path=path,
            method=method,
            expires_in=expires_in,
            client=client or None,
        )
        url: str | None = answer["url"]
        return url

    # -- reading

    async def read(self, path: str, start: int = 0, stop: int | None = None) -> Reading:
        check_path(path)
        if start < 0 or (stop is not None and stop < start):
            raise InvalidOffset(f"a read can't go from {start} to {stop}", path=path)
        return await self._plainly(
            self._operation("Read", path),
            lambda link, left: self._open(link, left, path, start, stop),
        )

    async def _open(
        self, link: Link, left: float, path: str, start: int, stop: int | None
    ) -> Reading:
        if not link.has_no_files:
            try:
                return await self._open_file(link, left, path, start, stop)
            except Unsupported:
                link.has_no_files = True
        lane, size = await self._open_stream(link, left, path, start, stop)
        end = size if stop is None else min(stop, size)
        limit = self.attempts.poison_deaths
        return StreamReading(
            lane, size, start, end, partial(self._reopen, path, size, end), fruitless_limit=limit
        )

    async def _open_file(
        self, link: Link, left: float, path: str, start: int, stop: int | None
    ) -> FileReading:
        answer = await link.call(
            commands.OpenFile, timeout=left, discard=partial(_give_back, link), path=path
        )
        descriptor, size = answer["file"], answer["size"]
        try:
            link.tell(commands.Claim, claim=answer["claim"])
            check_file(descriptor, answer["device"], answer["inode"], size)
            if start > size:
                raise InvalidOffset(f"{start} is beyond the size of {size} bytes", path=path)
        except WrongDescriptor as error:
            os.close(descriptor)
            link.distrust(f"a file for {path} that is not the one announced: {error}")
            raise LinkLost(str(error), path=path) from error
        except BaseException:
            os.close(descriptor)
            raise
        return FileReading(
            descriptor, size, start, size if stop is None else min(stop, size), self._run
        )

    async def _open_stream(
        self, link: Link, left: float, path: str, start: int, stop: int | None
    ) -> tuple[Inlet, int]:
        ours, theirs = make_lane(LANE_BUFFER)
        try:
            answer = await link.call(
                commands.OpenStream, timeout=left, lane=theirs, path=path, start=start, stop=stop
            )
            size: int = answer["size"]
            if start > size:
                raise Internal(f"the driver reads from {start} in {size} bytes", path=path)
        except BaseException:
            ours.close()
            raise
        return LinkInlet(self._reactor, ours, link), size

    async def _reopen(self, path: str, size: int, stop: int, offset: int) -> Inlet:
        replaced = Unavailable("the content was replaced while it was read", path=path)
        try:
            lane, now = await self._plainly(
                self._operation("Read", path),
                lambda link, left: self._open_stream(link, left, path, offset, stop),
            )
        except InvalidOffset as error:  # by less than was read already
            raise replaced from error
        if now != size:
            lane.close()
            raise replaced
        return lane

    # -- writing

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
        if len(data) > CONTENT_LIMIT:
            raise TooLarge(f"{len(data)} bytes are more than {CONTENT_LIMIT}", path=path)
        record_path, content = record or (None, None)
        arguments = {
            "path": path,
            "size": len(data),
            "if_absent": if_absent,
            "if_version": if_version,
            "record_path": record_path,
            "record": content,
        }
        try:
            answer = await self.attempts.issue(
                self._durable("Put", path, self._deadlines.durable),
                lambda link, left: self._put_once(link, left, data, arguments),
            )
        except Repeated as repeated:
            if not isinstance(repeated.refusal, Exists | Changed):
                raise repeated.refusal from None
            # Refused by what is there: is that our own first attempt, whose answer was lost?
            stored = (await self.get_several((path,)))[0]
            if isinstance(stored, Unavailable):
                raise stored from None
            if isinstance(stored, StorageError) or stored.data != data:
                raise repeated.refusal from None
            return stored.version
        version: str = answer["version"]
        return version

    async def _put_once(
        self, link: Link, left: float, data: bytes, arguments: dict[str, Any]
    ) -> Answer:
        if len(data) <= commands.INLINE_LIMIT:
            return await link.call(commands.Put, timeout=left, content=data, **arguments)
        ours, theirs = make_lane(LANE_BUFFER)
        lane = Inlet(self._reactor, ours)
        sending = Deferred.fromCoroutine(self._send_all(lane, data))
        try:
            return await link.call(commands.Put, timeout=left, lane=theirs, **arguments)
        finally:
            lane.close()
            await sending

    async def _send_all(self, lane: Inlet, data: bytes) -> None:
        if await lane.send(data):
            lane.close()

    async def open_writer(
        self, path: str, offset: int, *, algorithms: Sequence[str] = (), states: str | None = None
    ) -> RemoteWriter:
        check_path(path)
        if states is not None:
            check_path(states)
        writer = RemoteWriter(
            self._reactor, self.links, self._terms, path, offset, algorithms, states
        )
        admission = self.attempts.admission
        await admission.enter(is_durable=False)
        try:
            await writer.open()
        finally:
            admission.leave(is_durable=False)
        return writer

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
        record_path, content = record or (None, None)
        await self.ask(
            commands.Commit,
            path,
            is_durable=True,
            path=check_path(path),
            destination=check_path(destination),
            size=size,
            digest=digest,
            record_path=record_path,
            record=content,
            states=None if states is None else check_path(states),
            timeout=self._deadlines.commit_of(size),
        )

    async def move(self, source: str, destination: str) -> None:
        check_path(source)
        check_path(destination)
        try:
            await self._issue(
                self._durable("Move", source, self._deadlines.commit),
                commands.Move,
                source=source,
                destination=destination,
            )
        except Repeated as repeated:
            if not isinstance(repeated.refusal, Missing):
                raise repeated.refusal from None
            try:
                await self.stat(destination)  # it is there: the first attempt did it
            except Missing:
                raise repeated.refusal from None

    async def delete(self, path: str, *, if_version: str | None = None) -> None:
        check_path(path)
        try:
            await self._issue(
                self._durable("Delete", path, self._deadlines.commit),
                commands.Delete,
                path=path,
                if_version=if_version,
            )
        except Repeated as repeated:
            if not isinstance(repeated.refusal, Missing):
                raise repeated.refusal from None

    async def sync(self, paths: Sequence[str]) -> None:
        waiting = [check_path(path, allow_root=True) for path in paths]
        while waiting:
            count = fitting(waiting)
            await self.ask(
                commands.Sync,
                waiting[0],
                timeout=self._deadlines.commit,
                is_durable=True,
                paths=waiting[:count],
            )
            waiting = waiting[count:]


def _refusal_of(path: str) -> InvalidPath | None:
    """What is wrong with a path, None if nothing is."""
    try:
        check_path(path)
    except InvalidPath as refusal:
        return refusal
    return None


def _give_back(link: Link, answer: Answer) -> None:
    """Close a file that arrived for nobody."""
    os.close(answer["file"])
    link.tell(commands.Claim, claim=answer["claim"])


def _check_order(names: Sequence[Any], has_more: bool, path: str) -> None:
    """Make sure that a page leads on: its names rise from where it was asked to begin.

    Raises:
        Internal: whoever asks for page after page would never come to an end.
    """
    if any(one >= other for one, other in pairwise(names)) or (has_more and len(names) == 1):
        raise Internal("the driver's page is not in order", path=path)
