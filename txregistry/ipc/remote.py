# SPDX-License-Identifier: Apache-2.0
"""A Driver that is somewhere else.

Room: ipc. Each method is one command. Everything here may be asked again: when the connection ends
before the answer, the operation is issued once more on the next one, until the links' patience or
:data:`ATTEMPTS` is used up. What a repetition could misread (``put`` with a condition, ``delete``,
``move``) is told apart by looking at what is stored now.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReactorTime
from twisted.protocols import amp

from txregistry.ipc import commands
from txregistry.ipc.budget import ReplayBudget
from txregistry.ipc.descriptors import WrongDescriptor, check_file, identity, make_lane
from txregistry.ipc.lanes import LANE_BUFFER, Inlet
from txregistry.ipc.link import Answer, Link, LinkLost, Links
from txregistry.ipc.reading import FileReading, Run, StreamReading
from txregistry.ipc.writer import RemoteWriter
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
    InvalidOffset,
    Missing,
    StorageError,
    TooLarge,
    Unavailable,
    Unsupported,
)
from txregistry.storage.paths import check_path

#: How often one operation is issued; one that was in flight at so many deaths is likely their
#: cause.
ATTEMPTS = 5

#: Paths in one GetSeveral: links are about 100 bytes, so the answer fits one AMP value.
BATCH_LIMIT = 64

#: Seconds a commit may take besides one for each :data:`COMMIT_RATE` bytes.
COMMIT_TIMEOUT = 60.0
COMMIT_RATE = 20_000_000


class RemoteDriver:
    """``storage.contract.Driver`` over links to a driver process.

    Args:
        reactor: watches lanes.
        clock: ends the turn of the reactor in which ``get`` calls are collected.
        links: gives the current connection.
        run: runs a blocking ``pread`` of a file lane, in a thread.
        budget: memory for all replay windows.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        clock: IReactorTime,
        links: Links,
        run: Run,
        budget: ReplayBudget | None = None,
    ) -> None:
        self._reactor = reactor
        self._links = links
        self._run = run
        self.budget = budget or ReplayBudget()
        self._batch = _Batch(self, clock)

    # -- asking

    async def ask(self, command: type[amp.Command], *, timeout: float = 10.0, **arguments: Any) -> Answer:
        """Ask until there is an answer.

        Raises:
            Unavailable: there was none.
            StorageError: the driver's refusal.
        """
        try:
            return await self._repeat(lambda link: link.call(command, timeout=timeout, **arguments))
        except _Repeated as repeated:
            raise repeated.refusal from None

    async def _repeat(self, attempt: Callable[[Link], Awaitable[Answer]]) -> Answer:
        """Try until there is an answer.

        Raises:
            _Repeated: refused, after an earlier attempt that may have been carried out.
            StorageError: refused at the first attempt, or Unavailable.
        """
        is_repeated = False
        for _ in range(ATTEMPTS):
            link = await self._links.link()
            try:
                return await attempt(link)
            except LinkLost as lost:
                failure = lost
            except StorageError as refusal:
                if is_repeated:
                    raise _Repeated(refusal) from refusal
                raise
            is_repeated = True
        raise Unavailable(f"the driver ended {ATTEMPTS} times during this operation") from failure

    # -- looking

    async def stat(self, path: str) -> Entry:
        check_path(path, allow_root=True)
        answer = await self.ask(commands.Stat, path=path)
        return Entry(path=path, **answer)

    async def get(self, path: str) -> Content:
        check_path(path)
        answer = await self._batch.get(path)
        if answer["content"] is not None:
            return Content(answer["content"], answer["version"])
        return await self._get_by_reading(path, answer["size"])

    async def get_several(self, paths: Sequence[str]) -> Sequence[Content | StorageError]:
        found = [Deferred.fromCoroutine(self.get(path)) for path in paths]
        results: list[Content | StorageError] = []
        for one in found:
            try:
                results.append(await one)
            except StorageError as refusal:
                results.append(refusal)
        return results

    async def _get_by_reading(self, path: str, size: int) -> Content:
        while True:
            if size > CONTENT_LIMIT:
                raise TooLarge(f"{size} bytes are more than {CONTENT_LIMIT}", path=path)
            before = await self.stat(path)
            reading = await self.read(path)
            try:
                data = b"".join([chunk async for chunk in reading])
            finally:
                await reading.aclose()
            if before.size == len(data) and (await self.stat(path)).version == before.version:
                return Content(data, before.version)
            size = len(data)

    async def list(self, path: str, *, after: str = "", limit: int = 1000) -> Listing:
        check_path(path, allow_root=True)
        answer = await self.ask(commands.List, path=path, after=after, limit=limit)
        kinds = answer["kinds"].decode("ascii", "replace")
        children = tuple(Child(name, kind == "d") for name, kind in zip(answer["names"], kinds, strict=False))
        return Listing(children, answer["has_more"])

    async def walk(
        self, path: str, *, after: str = "", skip_subtree: bool = False, limit: int = 1000
    ) -> Walk:
        check_path(path, allow_root=True)
        answer = await self.ask(
            commands.Walk, path=path, after=after, skip_subtree=skip_subtree, limit=limit, timeout=60.0
        )
        return Walk(tuple(Entry(**entry) for entry in answer["entries"]), answer["has_more"])

    async def redirect_url(self, path: str, method: str, expires_in: int) -> str | None:
        check_path(path)
        answer = await self.ask(commands.RedirectURL, path=path, method=method, expires_in=expires_in)
        url: str | None = answer["url"]
        return url

    # -- reading

    async def read(self, path: str, start: int = 0, stop: int | None = None) -> Reading:
        check_path(path)
        if start < 0 or (stop is not None and stop < start):
            raise InvalidOffset(f"a read can't go from {start} to {stop}", path=path)
        for _ in range(ATTEMPTS):
            link = await self._links.link()
            try:
                if not link.has_no_files:
                    try:
                        return await self._open_file(link, path, start, stop)
                    except Unsupported:
                        link.has_no_files = True
                lane, size = await self._open_stream(link, path, start, stop)
                end = size if stop is None else min(stop, size)
                return StreamReading(lane, size, start, end, partial(self._reopen, path, size, end))
            except LinkLost as lost:
                failure = lost
        raise Unavailable(f"the driver ended {ATTEMPTS} times during this read", path=path) from failure

    async def _open_file(self, link: Link, path: str, start: int, stop: int | None) -> FileReading:
        answer = await link.call(commands.OpenFile, path=path)
        descriptor, size = answer["file"], answer["size"]
        try:
            link.tell(commands.Claim, claim=answer["claim"])
            check_file(descriptor, answer["device"], answer["inode"], size)
            if start > size:
                raise InvalidOffset(f"{start} is beyond the size of {size} bytes", path=path)
        except WrongDescriptor as error:
            os.close(descriptor)
            link.abort()
            raise LinkLost(str(error), path=path) from error
        except BaseException:
            os.close(descriptor)
            raise
        return FileReading(descriptor, size, start, size if stop is None else min(stop, size), self._run)

    async def _open_stream(self, link: Link, path: str, start: int, stop: int | None) -> tuple[Inlet, int]:
        ours, theirs = make_lane(LANE_BUFFER)
        try:
            device, inode, _ = identity(theirs.fileno())
            answer = await link.call(
                commands.OpenStream,
                path=path,
                start=start,
                stop=stop,
                lane=theirs.fileno(),
                lane_device=device,
                lane_inode=inode,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return Inlet(self._reactor, ours), answer["size"]

    async def _reopen(self, path: str, size: int, stop: int, offset: int) -> Inlet:
        for _ in range(ATTEMPTS):
            link = await self._links.link()
            try:
                lane, now = await self._open_stream(link, path, offset, stop)
            except LinkLost:
                continue
            if now != size:
                lane.close()
                raise Unavailable("the content was replaced while it was read", path=path)
            return lane
        raise Unavailable("the driver ended again and again during this read", path=path)

    # -- writing

    async def put(
        self, path: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> str:
        check_path(path)
        if len(data) > CONTENT_LIMIT:
            raise TooLarge(f"{len(data)} bytes are more than {CONTENT_LIMIT}", path=path)
        arguments = {"path": path, "size": len(data), "if_absent": if_absent, "if_version": if_version}
        try:
            answer = await self._repeat(lambda link: self._put_once(link, data, arguments))
        except _Repeated as repeated:
            if not isinstance(repeated.refusal, Exists | Changed):
                raise repeated.refusal from None
            # Refused by what is there: is that our own first attempt, whose answer was lost?
            stored = await self.get(path)
            if stored.data != data:
                raise repeated.refusal from None
            return stored.version
        version: str = answer["version"]
        return version

    async def _put_once(self, link: Link, data: bytes, arguments: dict[str, Any]) -> Answer:
        if len(data) <= commands.INLINE_LIMIT:
            return await link.call(commands.Put, content=data, **arguments)
        ours, theirs = make_lane(LANE_BUFFER)
        lane = Inlet(self._reactor, ours)
        device, inode, _ = identity(theirs.fileno())
        sending = Deferred.fromCoroutine(self._send_all(lane, data))
        try:
            return await link.call(
                commands.Put,
                lane=theirs.fileno(),
                lane_device=device,
                lane_inode=inode,
                timeout=60.0,
                **arguments,
            )
        finally:
            theirs.close()
            lane.close()
            await sending

    async def _send_all(self, lane: Inlet, data: bytes) -> None:
        if await lane.send(data):
            lane.close()

    async def open_writer(
        self, path: str, offset: int, *, algorithms: Sequence[str] = (), states: str | None = None
    ) -> RemoteWriter:
        check_path(path)
        writer = RemoteWriter(self._reactor, self._links, self.budget, path, offset, algorithms, states)
        await writer.open()
        return writer

    async def commit(self, path: str, destination: str, *, size: int, digest: str) -> None:
        await self.ask(
            commands.Commit,
            path=check_path(path),
            destination=check_path(destination),
            size=size,
            digest=digest,
            timeout=COMMIT_TIMEOUT + size / COMMIT_RATE,
        )

    async def move(self, source: str, destination: str) -> None:
        check_path(source)
        check_path(destination)
        try:
            await self._repeat(
                lambda link: link.call(
                    commands.Move, source=source, destination=destination, timeout=COMMIT_TIMEOUT
                )
            )
        except _Repeated as repeated:
            if not isinstance(repeated.refusal, Missing):
                raise repeated.refusal from None
            await self.stat(
                destination
            )  # there: the first attempt did it; missing: the answer is right as well

    async def delete(self, path: str, *, if_version: str | None = None) -> None:
        check_path(path)
        try:
            await self._repeat(
                lambda link: link.call(
                    commands.Delete, path=path, if_version=if_version, timeout=COMMIT_TIMEOUT
                )
            )
        except _Repeated as repeated:
            if not isinstance(repeated.refusal, Missing):
                raise repeated.refusal from None

    async def sync(self, paths: Sequence[str]) -> None:
        await self.ask(commands.Sync, paths=[check_path(path) for path in paths], timeout=COMMIT_TIMEOUT)


class _Repeated(StorageError):
    """A refusal of an attempt that was not the first: the first one may be its reason."""

    def __init__(self, refusal: StorageError) -> None:
        super().__init__(refusal.message, path=refusal.path)
        self.refusal = refusal


class _Batch:
    """Collects the ``get`` calls of one turn of the reactor into one command.

    A busy front end asks for many small links at once; one box, one hop into a thread and one
    answer for all of them cost little more than for one.
    """

    def __init__(self, driver: RemoteDriver, clock: IReactorTime) -> None:
        self._driver = driver
        self._clock = clock
        self._waiting: list[tuple[str, Deferred[Answer]]] = []

    def get(self, path: str) -> Deferred[Answer]:
        waiter: Deferred[Answer] = Deferred(lambda _: None)
        if not self._waiting:
            self._clock.callLater(0, self._send)
        self._waiting.append((path, waiter))
        return waiter

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        while waiting:
            batch, waiting = waiting[:BATCH_LIMIT], waiting[BATCH_LIMIT:]
            Deferred.fromCoroutine(self._get_all(batch))

    async def _get_all(self, batch: list[tuple[str, Deferred[Answer]]]) -> None:
        while batch:
            try:
                items = await self._ask([path for path, _ in batch])
            except StorageError as error:
                for _, waiter in batch:
                    _refuse(waiter, error)
                return
            for (_, waiter), item in zip(batch, items, strict=False):
                if item["error"] is not None:
                    _refuse(waiter, commands.decode_refusal(item["error"], item["description"] or ""))
                elif not waiter.called:
                    waiter.callback(item)
            batch = batch[len(items) :]

    async def _ask(self, paths: list[str]) -> Sequence[Answer]:
        if len(paths) == 1:
            return [{"error": None, **await self._driver.ask(commands.Get, path=paths[0])}]
        try:
            answer = await self._driver.ask(commands.GetSeveral, paths=paths)
        except Unsupported:
            return [{"error": None, **await self._driver.ask(commands.Get, path=paths[0])}]
        items: list[Answer] = answer["items"]
        if not items:
            raise Unavailable("the driver answered a batch with nothing")
        return items


def _refuse(waiter: Deferred[Answer], error: StorageError) -> None:
    if not waiter.called:
        waiter.errback(error)
