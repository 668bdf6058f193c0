# SPDX-License-Identifier: Apache-2.0
"""The driver's end: whatever a driver's author or a front end does wrong costs one request, and is
told in the words of the table.
"""

from __future__ import annotations

import os
import resource

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from txregistry.ipc import commands, responder
from txregistry.ipc.descriptors import make_lane
from txregistry.storage.contract import CONTENT_LIMIT
from txregistry.storage.errors import (
    Closed,
    Corrupt,
    Internal,
    NoSpace,
    StorageError,
    TooLarge,
    Unavailable,
    Unsupported,
)
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore
from txregistry_drivers.filesystem import create

from ..census import turns, until
from .loopback import Loopback, hosting, inline, over


class Scripted(HostedDriver):
    """Does what its attribute of the same name says, if it has one."""

    scripts = ()

    def __init__(self, store, run, **scripts):
        super().__init__(store, run=run)
        self.store = store
        for name, script in scripts.items():
            setattr(self, name, script)


class House:
    """A store, and a driver of which some methods are the test's."""

    def __init__(self):
        self.store = MemoryStore()
        self.scripts = {}
        self.loopback = Loopback(lambda run: Scripted(self.store, run, **self.scripts))
        self.driver = over(self.loopback)

    def put(self, path, data=b"x"):
        return self.store.put(path, data, if_absent=False, if_version=None)

    async def link(self):
        return await self.loopback.link()


@pytest_twisted.async_yield_fixture
async def house():
    house = House()
    yield house
    assert house.loopback.connections <= 1 or house.loopback.serving.started == {}
    await house.loopback.end()


async def refusal_of(call):
    with pytest.raises(StorageError) as caught:
        await call
    return caught.value


def start(coroutine):
    return Deferred.fromCoroutine(coroutine)


class FaultTests:
    """What a driver's author did not think of."""

    @pytest_twisted.ensureDeferred
    async def test_any_exception_is_one_refusal(self, house, failures):
        """The registry is told its kind and its words; the connection stays, the driver's log has
        the rest.
        """

        async def stat(path):
            raise KeyError("bucket")

        house.scripts["stat"] = stat
        house.put("/a")
        refusal = await refusal_of(house.driver.stat("/a"))
        assert (type(refusal), refusal.message) == (Internal, "KeyError: 'bucket'")
        assert (await house.driver.get("/a")).data == b"x"
        assert house.loopback.connections == 1
        assert [failure.type for failure in failures] == [KeyError]
        failures.clear()

    @pytest_twisted.ensureDeferred
    async def test_answer_that_does_not_fit_costs_its_request(self, house):
        """AMP would end the connection, with every other call on it."""

        async def redirect_url(path, method, expires_in, *, client=""):
            return "https://example.com/" + "a" * 70_000

        house.scripts |= {"redirect_url": redirect_url, "has_redirects": True}
        waiting = start(house.driver.stat("/"))
        refusal = await refusal_of(house.driver.redirect_url("/a", "GET", 60))
        assert (type(refusal), refusal.message) == (
            Internal,
            "the driver's answer does not fit the wire",
        )
        await waiting
        assert house.loopback.connections == 1

    @pytest_twisted.ensureDeferred
    async def test_write_that_fails_in_any_way_is_told_to_its_upload(self, house, failures):
        """Its client is not left waiting, and is not told that anything was stored."""

        async def write(data):
            raise RuntimeError("out of paper")

        async def open_writer(path, offset, **more):
            writer = await HostedDriver.open_writer(
                house.loopback.serving.driver, path, offset, **more
            )
            writer.write = write
            return writer

        house.scripts["open_writer"] = open_writer
        writer = await house.driver.open_writer("/a", 0)
        await writer.write(b"x")
        refusal = await refusal_of(writer.close())
        assert (type(refusal), refusal.message) == (Internal, "RuntimeError: out of paper")
        assert writer.stored == 0
        assert [failure.type for failure in failures] == [RuntimeError]
        failures.clear()


class ReadTests:
    """A lane that the driver fills."""

    class Reading:
        size, file = 6, None

        def __init__(self, start, error):
            self._start = start
            self._error = error
            self.is_closed = False

        async def __aiter__(self):
            for number, byte in enumerate(b"abcdef"[self._start :]):
                if number == 2 and self._error is not None:
                    raise self._error
                yield bytes([byte])

        async def aclose(self):
            self.is_closed = True

    def script(self, house, *errors):
        waiting, readings = [*errors], []

        async def read(path, start=0, stop=None):
            readings.append(self.Reading(start, waiting.pop(0) if waiting else None))
            return readings[-1]

        house.scripts["read"] = read
        return readings

    @pytest.mark.parametrize("error", [Unavailable("the backend hung up"), OSError("hung up")])
    @pytest_twisted.ensureDeferred
    async def test_read_that_fails_in_the_middle_is_gone_on_with(self, house, error, failures):
        """The client sees nothing of it, and the reading that failed is closed."""
        readings = self.script(house, None, error)  # the first is asked whether it is a file
        reading = await house.driver.read("/a")
        assert b"".join([chunk async for chunk in reading]) == b"abcdef"
        await reading.aclose()
        await turns()
        assert [one.is_closed for one in readings] == [True] * 3
        assert len(failures) == isinstance(error, OSError)
        failures.clear()

    @pytest_twisted.ensureDeferred
    async def test_reader_that_leaves_ends_the_read(self, house):
        """The driver does not read a large object for nobody."""
        house.put("/a", b"x" * CONTENT_LIMIT)
        reading = await house.driver.read("/a")
        await until(lambda: house.loopback.serving.started, "the read")
        await reading.aclose()
        await until(lambda: not house.loopback.serving.started, "its end")
        assert house.loopback.serving.bytes_moved < CONTENT_LIMIT


class FrontEndTests:
    """What a front end of another version, or a broken one, may ask."""

    @pytest_twisted.ensureDeferred
    async def test_driver_without_a_backend_refuses_all_but_hello(self):
        """The registry starts, and clients are told to come back."""
        loopback = Loopback(lambda run: Unavailable("no route to the backend"))
        driver = over(loopback)
        for call in (driver.stat("/a"), driver.read("/a"), driver.open_writer("/a", 0)):
            refusal = await refusal_of(call)
            assert (type(refusal), refusal.message) == (Unavailable, "no route to the backend")
        await loopback.end()

    @pytest.mark.parametrize("versions", [(2, 9), (0, 0)])
    @pytest_twisted.ensureDeferred
    async def test_hello_without_a_common_version_is_refused(self, house, versions):
        """Both ranges are named, so that an operator knows which side to upgrade."""
        link = await house.link()
        least, most = versions
        refusal = await refusal_of(link.call(commands.Hello, protocol_min=least, protocol_max=most))
        assert type(refusal) is Unsupported
        assert (
            refusal.message == f"this driver speaks protocol 1 to 1, the registry {least} to {most}"
        )

    @pytest_twisted.ensureDeferred
    async def test_other_lane_than_the_announced_ends_the_connection(self, house):
        """From there on any descriptor might be another's."""
        link = await house.link()
        ours, theirs = make_lane(1000)
        question = link.callRemote(
            commands.OpenStream,
            path="/a",
            start=0,
            stop=None,
            lane=theirs.fileno(),
            lane_device=1,
            lane_inode=1,
        )
        question.addErrback(lambda failure: None)
        await until(lambda: link.is_lost, "the end of the connection")
        ours.close()
        theirs.close()

    @pytest_twisted.ensureDeferred
    async def test_forgotten_claims_have_an_end(self, tmp_path, monkeypatch):
        """A front end that never claims does not take the driver's last descriptor; one that does
        is served again.
        """
        monkeypatch.setattr(responder, "CLAIM_LIMIT", 2)
        store = create({"rootdirectory": os.fspath(tmp_path)})
        store.put("/a", b"x", if_absent=False, if_version=None)
        loopback = Loopback(hosting(store), run=inline)
        link = await loopback.link()
        answers = [await link.call(commands.OpenFile, path="/a") for _ in range(2)]
        refusal = await refusal_of(link.call(commands.OpenFile, path="/a"))
        assert (type(refusal), "claimed" in refusal.message) == (Unavailable, True)
        for claim in (answers[0]["claim"], 12345):  # of one that there never was nothing comes
            link.tell(commands.Claim, claim=claim)
        answers.append(await link.call(commands.OpenFile, path="/a"))
        for answer in answers:
            os.close(answer["file"])
        await loopback.end()
        store.close()

    @pytest_twisted.ensureDeferred
    async def test_writer_is_closed_once(self, house):
        """The second request is refused, whether the first has its answer or still waits."""
        link = await house.link()
        ours, theirs = make_lane(1000)
        opened = await link.call(
            commands.OpenWriter, lane=theirs, path="/a", offset=0, algorithms=[]
        )
        first = start(link.call(commands.CloseWriter, writer=opened["writer"]))
        refusal = await refusal_of(link.call(commands.CloseWriter, writer=opened["writer"]))
        assert type(refusal) is Closed
        ours.close()
        assert (await first)["size"] == 0
        refusal = await refusal_of(link.call(commands.CloseWriter, writer=opened["writer"]))
        assert type(refusal) is Closed

    @pytest_twisted.ensureDeferred
    async def test_small_content_of_another_size_than_announced_is_not_stored(self, house):
        """Half a link is worse than none."""
        link = await house.link()
        refusal = await refusal_of(link.call(commands.Put, path="/a", size=5, content=b"abc"))
        assert type(refusal) is Corrupt
        assert house.store.list("/", "", 10).children == ()

    @pytest.mark.parametrize(("size", "kind"), [(5, Corrupt), (2, Corrupt), (1 << 40, TooLarge)])
    @pytest_twisted.ensureDeferred
    async def test_large_content_of_another_size_than_announced_is_not_stored(
        self, house, size, kind
    ):
        """Neither if it is less, nor more, nor more than may be put at all."""
        link = await house.link()
        ours, theirs = make_lane(1000)
        putting = start(link.call(commands.Put, lane=theirs, path="/a", size=size))
        ours.send(b"abc")
        ours.close()
        assert type(await refusal_of(putting)) is kind
        assert house.store.list("/", "", 10).children == ()


class EndTests:
    """A connection ends in the middle of something."""

    @pytest_twisted.ensureDeferred
    async def test_what_arrived_before_a_close_without_an_answer_is_stored(self, house):
        """The driver ends once that is done, however the connection ended."""
        link = await house.link()
        ours, theirs = make_lane(1000)
        opened = await link.call(
            commands.OpenWriter, lane=theirs, path="/a", offset=0, algorithms=[]
        )
        closing = start(link.call(commands.CloseWriter, writer=opened["writer"]))
        ours.send(b"arrived")
        await until(lambda: house.loopback.responder._inflows[opened["writer"]]._is_closing)
        house.loopback.drop()
        await house.loopback.serving.settled()
        assert house.store.get("/a").data == b"arrived"
        assert isinstance(await refusal_of(closing), Unavailable)
        ours.close()

    @pytest_twisted.ensureDeferred
    async def test_writer_that_was_opened_for_a_lost_connection_is_closed(self, house):
        """Nobody knows of it; its path is free."""
        gate, opened = Deferred(), []

        async def open_writer(path, offset, **more):
            await gate
            opened.append(await HostedDriver.open_writer(hosted, path, offset, **more))
            return opened[-1]

        house.scripts["open_writer"] = open_writer
        link = await house.link()
        hosted = house.loopback.serving.driver
        ours, theirs = make_lane(1000)
        opening = start(
            link.call(commands.OpenWriter, lane=theirs, path="/a", offset=0, algorithms=[])
        )
        await until(lambda: house.loopback.serving.started, "the opening")
        ours.send(b"arrived")
        house.loopback.drop()
        gate.callback(None)
        assert isinstance(await refusal_of(opening), Unavailable)
        await until(lambda: opened and not house.loopback.serving._closings, "the writer's end")
        assert house.store.get("/a").data == b"arrived"
        assert type(await refusal_of(opened[0].write(b"more"))) is Closed
        ours.close()

    @pytest_twisted.ensureDeferred
    async def test_writer_that_can_not_be_closed_is_no_failure_of_the_driver(self, house, failures):
        """Nobody waits for it; the next writer finds what is stored."""
        writer = await house.driver.open_writer("/a", 0)
        await writer.write(b"x")
        inflow = next(iter(house.loopback.responder._inflows.values()))

        async def close():
            raise NoSpace("full")

        inflow._writer.close, closed = close, inflow._writer.abandon
        house.loopback.drop()
        await house.loopback.serving.settled()
        await closed()
        await writer.abandon()
        assert failures == []


class PageTests:
    """Pages are cut to what one value of AMP holds."""

    @pytest_twisted.ensureDeferred
    async def test_long_names_come_in_several_pages(self, house):
        """No name is lost between them, and no page is empty."""
        names = [f"{number:04}" + "n" * 200 for number in range(600)]
        for name in names:
            house.put(f"/a/{name}")
        found, pages = [], 0
        while True:
            listing = await house.driver.list("/a", after=found[-1] if found else "")
            found += [child.name for child in listing.children]
            pages += 1
            if not listing.has_more:
                break
        assert found == names
        assert pages == 3

    @pytest_twisted.ensureDeferred
    async def test_contents_come_in_several_answers(self, house):
        """What does not fit beside the others is asked for again, not left out."""
        paths = [f"/a/{number}" for number in range(10)]
        for path in paths:
            house.put(path, path.encode() * 5000)
        found = await house.driver.get_several(paths)
        assert [content.data for content in found] == [path.encode() * 5000 for path in paths]


@pytest_twisted.ensureDeferred
async def test_driver_without_a_descriptor_left_still_answers_pings(house):
    """It is known to live, and is not killed for being busy."""
    link = await house.link()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        answer = await link.call(commands.Ping)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert (answer["resident"], answer["descriptors"]) == (None, None)
    assert (await link.call(commands.Ping))["descriptors"] > 3
