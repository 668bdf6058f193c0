# SPDX-License-Identifier: Apache-2.0
"""How long a client may take, on real connections with a clock that only the test moves."""

import pytest
from twisted.internet.defer import Deferred

from txregistry.oci.digests import Digest
from txregistry.oci.pages import Page
from txregistry.registry import StoredManifest
from txregistry.web import Limits

from .content import push_blob
from .raw import request


async def test_silent_connection_is_closed(house):
    """Ten seconds for the first byte."""
    client = await house.client()
    await house.accepted(1)
    house.pass_time(9)
    assert client.was_clean is None
    house.pass_time(2)
    assert await client.ended()
    assert client.received == b""


@pytest.mark.parametrize(
    "sent", ["G", "GET /v2/ HTTP/1.1\r\n", "GET /v2/ HTTP/1.1\r\nHost: h\r\nX: "]
)
async def test_head_that_is_not_completed_is_408(house, sent):
    """Fifteen seconds for the whole head, however it drips."""
    client = await house.client()
    client.send(sent)
    await house.until(lambda: house.stages() == ["HEAD"])
    for _ in range(14):
        house.pass_time(1)
        client.send("x")
        await house.turn()
    house.pass_time(2)
    reply = await client.reply()
    assert (reply.status, reply.code, reply.headers["connection"]) == (408, "UNAVAILABLE", "close")
    assert await client.ended()


async def test_idle_connection_is_closed_after_a_minute(house):
    """And not before: the next request starts it again."""
    client = await house.client()
    for _ in range(2):
        client.send(request("GET", "/v2/"))
        await client.reply()
        house.pass_time(59)
        assert client.was_clean is None
    house.pass_time(2)
    assert await client.ended()


async def test_dripping_body_is_cut_and_what_came_is_kept(house):
    """B-028: one byte a second ends after the grace and a window; the offset is what came."""
    started = await house.ask("POST", "/v2/a/blobs/uploads/", body=b"")
    location = started.headers["location"]
    client = await house.client()
    client.send(request("PATCH", location, headers=["Content-Length: 1000"]))
    await house.until(lambda: house.stages() == ["BODY"])
    sent = 0
    for _ in range(60):
        client.send("x")
        sent += 1
        await house.until(lambda wanted=sent: house.received() == wanted)
        house.pass_time(1)
        if house.stages() != ["BODY"]:
            break
    house.pass_time(2)
    reply = await client.reply()
    assert (reply.status, reply.headers["connection"]) == (408, "close")
    assert await client.ended()
    await house.registry.settled()
    held = await house.ask("GET", location)
    assert held.headers["range"] == f"0-{sent - 1}"


async def test_steady_body_is_not_cut(house):
    """Just above the rate, for as long as it takes."""
    started = await house.ask("POST", "/v2/a/blobs/uploads/", body=b"")
    client = await house.client()
    size = 1100 * 200
    client.send(request("PATCH", started.headers["location"], headers=[f"Content-Length: {size}"]))
    for step in range(200):
        client.send(b"x" * 1100)
        await house.until(
            lambda wanted=step * 1100 + 1100: house.received() >= wanted or client.received
        )
        house.pass_time(1)
    assert (await client.reply()).status == 202


class SlowTags:
    """A registry whose tags take their time."""

    def __init__(self):
        self.tags = self
        self.asked = Deferred()
        self.answer = Deferred()

    async def page(self, repository, page):
        self.asked.callback(None)
        return await self.answer


class StallTests:
    """Clients that do not take what they asked for."""

    async def stall(self, house, digest):
        """A client that asks and does not read."""
        client = await house.client(is_deaf=True)
        client.send(request("GET", f"/v2/a/blobs/{digest}"))
        await house.until(lambda: house.is_stuck())
        return client

    @pytest.mark.parametrize("files", [True, False], ids=["sent", "written"])
    async def test_answer_that_nobody_takes_is_dropped(self, house, file_house, files):
        """B-029: after a minute without progress, and the content is closed."""
        house = file_house if files else house
        digest = await push_blob(house, "a", bytes(20_000_000))
        client = await self.stall(house, digest)
        house.pass_time(59)
        assert house.stages() == ["ANSWER"]
        while house.stages():  # the kernel of a busy machine may have moved some in that minute
            house.pass_time(3)
            await house.turn()
        client.transport.resumeProducing()
        await client.ended()
        [record] = [record for record in house.records if record.method == "GET"]
        assert not record.is_complete and 0 < record.sent < 20_000_000

    async def test_slow_reader_is_served_to_the_end(self, file_house):
        """Any progress within a minute is enough."""
        house = file_house
        digest = await push_blob(house, "a", bytes(20_000_000))
        client = await self.stall(house, digest)
        for _ in range(3):
            house.pass_time(50)
            before = len(client.received)
            client.transport.resumeProducing()
            await client.until(lambda wanted=before: len(client.received) > wanted + 500_000)
            client.transport.pauseProducing()
            await house.until(lambda: house.is_stuck())
        client.transport.resumeProducing()
        assert len((await client.reply()).body) == 20_000_000

    async def test_making_an_answer_takes_the_time_that_it_takes(self, house):
        """No deadline holds while the client has nothing to take."""
        slow = SlowTags()
        house.serve(registry=slow)
        client = await house.client()
        client.send(request("GET", "/v2/a/tags/list"))
        await slow.asked
        house.pass_time(1000)
        slow.answer.callback(Page(("v1",), False))
        assert (await client.reply()).status == 200


class LargeManifest:
    """A registry with one manifest that is written at once and is more than the connection
    holds.
    """

    manifest = StoredManifest(Digest.of(b"x"), "application/x", b"x" * 20_000_000)

    def __init__(self):
        self.manifests = self

    async def fetch(self, repository, reference, *, is_known=None):
        return self.manifest


class WrittenAtOnceTests:
    """Answers that were handed over whole, and that the client has yet to take."""

    async def ask(self, house):
        """A client that asks and does not read."""
        house.serve(registry=LargeManifest())
        client = await house.client(is_deaf=True)
        client.send(request("GET", "/v2/a/manifests/x"))
        await house.until(lambda: house.stages() == ["IDLE"] and house.is_full())
        return client

    async def test_answer_that_nobody_takes_is_dropped(self, house):
        """After a minute without progress."""
        client = await self.ask(house)
        house.pass_time(59)
        assert house.stages() == ["IDLE"]
        while house.stages():  # the kernel of a busy machine may have moved some in that minute
            house.pass_time(3)
            await house.turn()
        await client.close()

    async def test_slow_reader_is_not_idle(self, house):
        """The minute for the next request begins when the answer is out."""
        client = await self.ask(house)
        for _ in range(3):
            house.pass_time(50)
            before = len(client.received)
            client.transport.resumeProducing()
            await client.until(lambda wanted=before: len(client.received) > wanted + 500_000)
            client.transport.pauseProducing()
            await house.until(lambda: house.is_full())
        client.transport.resumeProducing()
        assert len((await client.reply()).body) == 20_000_000
        house.pass_time(59)
        client.send(request("GET", "/v2/"))
        assert (await client.reply()).status == 200


async def test_deadlines_are_configurable(house):
    """All of them are settings."""
    house.serve(limits=Limits(first_byte=2.0))
    client = await house.client()
    await house.accepted(1)
    house.pass_time(3)
    assert await client.ended()


async def test_nothing_ticks_without_connections(house):
    """An idle process sleeps."""
    await house.ask("GET", "/v2/")
    await house.until(lambda: house.stages() == [])
    assert house.clock.getDelayedCalls() == []
