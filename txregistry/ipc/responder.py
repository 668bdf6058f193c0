# SPDX-License-Identifier: Apache-2.0
"""The driver's end of a connection: answers commands from a Driver.

Room: ipc. Must not know what kind of driver it is. Nothing but a declared refusal leaves a
responder; whatever else a driver raises becomes ``Internal`` with its text in the driver's own log.

Writers belong to the connection that opened them: when it ends, their lanes end too and what
arrived stays stored.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from txregistry.ipc import commands
from txregistry.ipc.answers import (
    ENTRY_OVERHEAD,
    Answer,
    descriptors,
    fitting_count,
    item_of,
    plain,
    record_of,
    resident,
    small,
)
from txregistry.ipc.commands import PROTOCOL_MAX, PROTOCOL_MIN, encode_refusal
from txregistry.ipc.descriptors import DescriptorKeeper, WrongDescriptor, identity, take_lane
from txregistry.ipc.inflow import Inflow
from txregistry.ipc.items import Item
from txregistry.ipc.lanes import Inlet
from txregistry.ipc.serving import Serving
from txregistry.storage.contract import CONTENT_LIMIT, Driver, Reading
from txregistry.storage.errors import (
    Closed,
    Corrupt,
    Internal,
    StorageError,
    TooLarge,
    Unavailable,
    Unsupported,
)

#: Descriptors handed over and not yet claimed, at most; more is a front end that forgot how to
#: claim.
CLAIM_LIMIT = 1024

#: Most that one writer may hold unconfirmed: what ``HostedDriver`` keeps in flight, and a lane; a
#: store that gathers bytes adds its own ``window``.
WRITER_WINDOW = 3 * 1024 * 1024

_log = Logger()


class Responder(DescriptorKeeper):
    """One connection of a front end."""

    def __init__(self, serving: Serving) -> None:
        super().__init__()
        self._serving = serving
        self._claims: dict[int, Reading] = {}
        self._inflows: dict[int, Inflow] = {}
        self._next = 0

    # -- the frame of every answer

    def _answer(self, work: Callable[[Driver], Awaitable[Answer]]) -> Deferred[Answer]:
        async def answered() -> Answer:
            return await work(self._driver())

        return Deferred.fromCoroutine(self._guarded(answered))

    def _answer_by_lane(
        self, lane: tuple[int, int, int], work: Callable[[Driver, Inlet], Awaitable[Answer]]
    ) -> Deferred[Answer]:
        """Answer a request that brought a lane, given as descriptor, device and inode; it is closed
        if the request is refused.
        """

        async def answered() -> Answer:
            inlet = Inlet(self._serving.reactor, take_lane(*lane))
            try:
                return await work(self._driver(), inlet)
            except BaseException:
                inlet.close()
                raise

        return Deferred.fromCoroutine(self._guarded(answered))

    def _driver(self) -> Driver:
        driver = self._serving.driver
        if isinstance(driver, StorageError):
            raise driver.with_traceback(None)
        return driver

    async def _guarded(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        number = self._serving.begin()
        try:
            return await work()
        except StorageError as error:
            raise encode_refusal(error) from error
        except WrongDescriptor as error:
            self.distrust(str(error))
            raise encode_refusal(Internal(str(error))) from error
        except Exception as error:
            _log.failure("the driver failed at an operation")
            raise encode_refusal(Internal(f"{type(error).__name__}: {error}")) from error
        finally:
            self._serving.end(number)

    def dispatchCommand(self, box: amp.AmpBox) -> Deferred[amp.AmpBox]:
        """Answer a command; one that is traced is told how long it took here."""
        began = time.perf_counter()
        answered: Deferred[amp.AmpBox] = super().dispatchCommand(box)
        if commands.TRACEPARENT_KEY in box:
            answered.addCallback(self._with_time, began)
        return answered

    def _with_time(self, answer: amp.AmpBox, began: float) -> amp.AmpBox:
        took = time.perf_counter() - began
        answer[commands.ELAPSED_KEY] = str(int(took * 1_000_000)).encode("ascii")
        return answer

    def sendBox(self, box: amp.AmpBox) -> None:
        try:
            super().sendBox(box)
        except amp.TooLong as error:
            # What AMP would make of it is the end of the connection, with every call on it.
            _log.error("an answer does not fit the wire: {error}", error=repr(error))
            tag = box.get(amp.ANSWER, box.get(amp.ERROR))
            refusal = encode_refusal(Internal("the driver's answer does not fit the wire"))
            super().sendBox(
                amp.AmpBox(
                    {
                        amp.ERROR: tag,
                        amp.ERROR_CODE: refusal.code.encode(),
                        amp.ERROR_DESCRIPTION: str(refusal).encode(),
                    }
                )
            )

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        claims, self._claims = self._claims, {}
        for reading in claims.values():
            Deferred.fromCoroutine(reading.aclose())
        self.orphan_writers()

    def orphan_writers(self) -> None:
        """Close every writer of this connection once what arrived on its lane is stored."""
        inflows, self._inflows = self._inflows, {}
        for inflow in inflows.values():
            self._serving.track(inflow.orphan())

    # -- greeting and liveness

    @commands.Hello.responder
    def hello(self, protocol_min: int, protocol_max: int) -> Deferred[Answer]:
        async def work() -> Answer:
            self._serving.check()
            if protocol_min > PROTOCOL_MAX or protocol_max < PROTOCOL_MIN:
                raise Unsupported(
                    f"this driver speaks protocol {PROTOCOL_MIN} to {PROTOCOL_MAX},"
                    f" the registry {protocol_min} to {protocol_max}"
                )
            return {
                "protocol": min(protocol_max, PROTOCOL_MAX),
                "name": self._serving.name,
                "version": self._serving.version,
                "features": self._serving.features(),
                "isolation": self._serving.isolation,
            }

        return Deferred.fromCoroutine(self._guarded(work))

    @commands.Ping.responder
    def ping(self) -> Answer:
        return {
            "operations": len(self._serving.started),
            "oldest_ms": self._serving.oldest_ms(),
            "bytes_moved": self._serving.bytes_moved,
            "resident": resident(),
            "descriptors": descriptors(),
            "state": self._serving.storage_state(),
        }

    # -- looking

    @commands.Stat.responder
    def stat(self, path: str) -> Deferred[Answer]:
        async def work(driver: Driver) -> Answer:
            answer = plain(await driver.stat(path))
            del answer["path"]
            return answer

        return self._answer(work)

    @commands.Get.responder
    def get(self, path: str) -> Deferred[Answer]:
        async def work(driver: Driver) -> Answer:
            return small(await driver.get(path))

        return self._answer(work)

    @commands.GetSeveral.responder
    def get_several(self, paths: Any) -> Deferred[Answer]:
        async def work(driver: Driver) -> Answer:
            items: list[Item] = []
            room = commands.PAGE_BYTES
            for found in await driver.get_several(paths):
                item = item_of(found)
                room -= ENTRY_OVERHEAD + sum(map(len, item.values()))
                if room < 0 and items:
                    break
                items.append(item)
            return {"items": items}

        return self._answer(work)

    @commands.List.responder
    def list(self, path: str, after: str, limit: int) -> Deferred[Answer]:
        async def work(driver: Driver) -> Answer:
            listing = await driver.list(path, after=after, limit=limit)
            count = fitting_count([2 + len(child.name.encode()) for child in listing.children])
            children = listing.children[:count]
            return {
                "names": [child.name for child in children],
                "kinds": "".join("d" if child.is_directory else "f" for child in children).encode(),
                "has_more": listing.has_more or count < len(listing.children),
            }

        return self._answer(work)

    @commands.Walk.responder
    def walk(self, path: str, after: str, skip_subtree: bool, limit: int) -> Deferred[Answer]:
        async def work(driver: Driver) -> Answer:
            page = await driver.walk(path, after=after, skip_subtree=skip_subtree, limit=limit)
            count = fitting_count(
                [
                    ENTRY_OVERHEAD + len(entry.path.encode()) + len(entry.version.encode())
                    for entry in page.entries
                ]
            )
            return {
                "entries": [plain(entry) for entry in page.entries[:count]],
                "has_more": page.has_more or count < len(page.entries),
            }

        return self._answer(work)

    @commands.RedirectURL.responder
    def redirect_url(
        self, path: str, method: str, expires_in: int, client: str | None = None
    ) -> Deferred[Answer]:
        async def work(driver: Driver) -> Answer:
            url = await driver.redirect_url(path, method, expires_in, client=client or "")
            return {"url": url}

        return self._answer(work)

    # -- reading

    @commands.OpenFile.responder
    def open_file(self, path: str) -> Deferred[Answer]:
        async def work(driver: Driver) -> Answer:
            if len(self._claims) >= CLAIM_LIMIT:
                raise Unavailable("too many descriptors wait to be claimed")
            reading = await driver.read(path)
            if reading.file is None or self.is_ended:
                await reading.aclose()
                raise Unsupported("this content is not a file: read it by a stream lane", path=path)
            device, inode, size = identity(reading.file)
            self._next += 1
            self._claims[self._next] = reading
            return {
                "file": reading.file,
                "size": size,
                "device": device,
                "inode": inode,
                "claim": self._next,
            }

        return self._answer(work)

    @commands.Claim.responder
    def claim(self, claim: int) -> Deferred[Answer]:
        async def work() -> Answer:
            reading = self._claims.pop(claim, None)
            if reading is not None:
                await reading.aclose()
            return {}

        return Deferred.fromCoroutine(self._guarded(work))

    @commands.OpenStream.responder
    def open_stream(
        self, path: str, start: int, stop: int | None, lane: int, lane_device: int, lane_inode: int
    ) -> Deferred[Answer]:
        async def work(driver: Driver, outflow: Inlet) -> Answer:
            reading = await driver.read(path, start, stop)
            Deferred.fromCoroutine(self._pour(reading, outflow))
            return {"size": reading.size}

        return self._answer_by_lane((lane, lane_device, lane_inode), work)

    async def _pour(self, reading: Reading, lane: Inlet) -> None:
        """Owned by the lane: it ends when the front end closes its side, or when everything is
        written.
        """
        number = self._serving.begin()
        try:
            async for chunk in reading:
                if not await lane.send(chunk):
                    break
                self._serving.bytes_moved += len(chunk)
        except StorageError as error:
            _log.warn("a read ended early: {error}", error=str(error))
        except Exception:
            _log.failure("the driver failed at a read")
        finally:
            self._serving.end(number)
            lane.close()
            with contextlib.suppress(StorageError):  # nobody waits for this any more
                await reading.aclose()

    # -- writing

    @commands.Put.responder
    def put(
        self,
        path: str,
        size: int,
        content: bytes | None,
        if_absent: bool | None,
        if_version: str | None,
        record_path: str | None,
        record: bytes | None,
        lane: int | None,
        lane_device: int | None,
        lane_inode: int | None,
    ) -> Deferred[Answer]:
        async def store(driver: Driver, data: bytes | None) -> Answer:
            if data is None or len(data) != size:
                raise Corrupt(f"the content is not of the {size} bytes announced", path=path)
            version = await driver.put(
                path,
                data,
                if_absent=bool(if_absent),
                if_version=if_version,
                record=record_of(record_path, record),
            )
            return {"version": version}

        async def work(driver: Driver, inlet: Inlet) -> Answer:
            return await store(driver, await self._receive(inlet, size))

        if lane is None:
            return self._answer(lambda driver: store(driver, content))
        return self._answer_by_lane((lane, lane_device or 0, lane_inode or 0), work)

    async def _receive(self, lane: Inlet, size: int) -> bytes:
        try:
            if not 0 <= size <= CONTENT_LIMIT:
                raise TooLarge(f"{size} bytes are more than {CONTENT_LIMIT}")
            data = bytearray()
            while len(data) <= size and (chunk := await lane.receive()):
                data += chunk
            return bytes(data)
        finally:
            lane.close()

    @commands.OpenWriter.responder
    def open_writer(
        self,
        path: str,
        offset: int,
        algorithms: Any,
        states: str | None,
        lane: int,
        lane_device: int,
        lane_inode: int,
    ) -> Deferred[Answer]:
        async def work(driver: Driver, inlet: Inlet) -> Answer:
            writer = await driver.open_writer(path, offset, algorithms=algorithms, states=states)
            inflow = Inflow(inlet, writer, self._moved)
            inflow.start()
            self._next += 1
            if self.is_ended:
                self._serving.track(inflow.orphan())
            else:
                self._inflows[self._next] = inflow
            window = WRITER_WINDOW + getattr(driver, "window", 0)
            return {"writer": self._next, "window": window}

        return self._answer_by_lane((lane, lane_device, lane_inode), work)

    def _moved(self, count: int) -> None:
        self._serving.bytes_moved += count

    @commands.CloseWriter.responder
    def close_writer(self, writer: int) -> Deferred[Answer]:
        async def work(driver: Driver) -> Answer:
            try:
                closing = await self._inflow(writer).close()
            finally:
                self._inflows.pop(writer, None)
            digests = [
                {"algorithm": algorithm, "encoded": encoded}
                for algorithm, encoded in closing.digests.items()
            ]
            return {"size": closing.size, "digests": digests}

        return self._answer(work)

    @commands.AbandonWriter.responder
    def abandon_writer(self, writer: int) -> Deferred[Answer]:
        async def work(_: Driver) -> Answer:
            try:
                await self._inflow(writer).abandon()
            finally:
                self._inflows.pop(writer, None)
            return {}

        return self._answer(work)

    def _inflow(self, writer: int) -> Inflow:
        inflow = self._inflows.get(writer)
        if inflow is None:
            raise Closed(f"there is no writer {writer} on this connection")
        return inflow

    # -- the rest

    @commands.Commit.responder
    def commit(
        self,
        path: str,
        destination: str,
        size: int,
        digest: str,
        record_path: str | None,
        record: bytes | None,
        states: str | None,
    ) -> Deferred[Answer]:
        kept = record_of(record_path, record)
        return self._answer(
            _nothing(
                lambda driver: driver.commit(
                    path, destination, size=size, digest=digest, record=kept, states=states
                )
            )
        )

    @commands.Move.responder
    def move(self, source: str, destination: str) -> Deferred[Answer]:
        return self._answer(_nothing(lambda driver: driver.move(source, destination)))

    @commands.Delete.responder
    def delete(self, path: str, if_version: str | None) -> Deferred[Answer]:
        return self._answer(_nothing(lambda driver: driver.delete(path, if_version=if_version)))

    @commands.Sync.responder
    def sync(self, paths: Any) -> Deferred[Answer]:
        return self._answer(_nothing(lambda driver: driver.sync(paths)))


def _nothing(work: Callable[[Driver], Awaitable[None]]) -> Callable[[Driver], Awaitable[Answer]]:
    async def answered(driver: Driver) -> Answer:
        await work(driver)
        return {}

    return answered
