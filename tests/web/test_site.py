# SPDX-License-Identifier: Apache-2.0
"""What all connections share: caps, the access log, the orderly end."""

import pytest
from twisted.internet.defer import Deferred

from txregistry.auth.asking import Everybody
from txregistry.oci.pages import Page
from txregistry.web import Limits

from .content import push_blob
from .raw import request


class CapsTests:
    """More connections than are served."""

    @pytest.mark.parametrize("caps", [{"connections": 2}, {"connections_per_address": 2}])
    async def test_connection_above_the_cap_is_told_503(self, house, caps):
        """And those below go on; one that leaves makes room."""
        house.serve(limits=Limits(**caps))
        served = [await house.client() for _ in range(2)]
        await house.accepted(2)
        turned_away = await house.client()
        reply = await turned_away.reply()
        assert (reply.status, reply.code, reply.headers["connection"]) == (
            503,
            "UNAVAILABLE",
            "close",
        )
        assert "retry-after" in reply.headers
        await turned_away.ended()
        for client in served:
            client.send(request("GET", "/v2/"))
            assert (await client.reply()).status == 200
        await served[0].close()
        await house.accepted(1)
        assert (await house.ask("GET", "/v2/")).status == 200

    async def test_trusted_proxies_are_not_counted_by_address(self, house):
        """All clients of a proxy have its address."""
        house.serve(
            limits=Limits(connections_per_address=1), trusted_proxies=frozenset({"127.0.0.1"})
        )
        for _ in range(3):
            await house.client()
        await house.accepted(3)

    async def test_only_so_many_are_told(self, house):
        """A flood of connections is not worth an answer to each."""
        house.serve(limits=Limits(connections=1))
        await house.client()
        await house.accepted(1)
        clients = [await house.client(is_deaf=True) for _ in range(64)]
        clients += [await house.client() for _ in range(16)]
        for client in clients:
            client.send(request("GET", "/v2/"))
        dropped = clients[64:]
        for client in dropped:
            await client.ended()
        assert not any(client.received for client in dropped)
        house.pass_time(3)
        for client in clients:
            client.transport.resumeProducing()
            await client.ended()
        assert all(b" 503 " in client.received for client in clients[:64])

    async def test_too_many_requests_at_once_are_503(self, house):
        """Those are counted, too, whose clients have left."""
        tags = SlowTags()
        house.serve(registry=tags, limits=Limits(requests=1))
        client = await house.client()
        client.send(request("GET", "/v2/a/tags/list"))
        await tags.asked
        await client.close()
        reply = await house.ask("GET", "/v2/")
        assert (reply.status, reply.code) == (503, "UNAVAILABLE")
        tags.answer.callback(Page((), False))
        assert (await house.ask("GET", "/v2/")).status == 200


class SlowTags:
    """A registry whose tags take their time."""

    def __init__(self):
        self.tags = self
        self.asked = Deferred()
        self.answer = Deferred()

    async def page(self, repository, page):
        self.asked.callback(None)
        return await self.answer


class AccessLogTests:
    """One record for each request."""

    async def test_record_tells_what_happened(self, house):
        """Enough for a log line and for metrics; the query, which may hold a token, is left out."""
        data = b"x" * 1000
        digest = await push_blob(house, "a", data)
        house.records.clear()
        await house.ask(
            "GET",
            f"/v2/a/blobs/{digest}?_state=secret",
            headers=["User-Agent: test/1", "Referer: there"],
        )
        [record] = house.records
        assert (record.client, record.method) == ("127.0.0.1", "GET")
        assert record.target == f"/v2/a/blobs/{digest}"
        assert (record.status, record.sent, record.received) == (200, 1000, 0)
        assert (record.user_agent, record.referer) == ("test/1", "there")
        assert record.is_complete and record.duration == 0.0

    async def test_bodies_are_counted_both_ways(self, house):
        """A refused upload was received all the same."""
        await house.ask("PUT", "/v2/UP/manifests/x", body=b"x" * 100)
        [record] = house.records
        assert record.status == 400 and record.sent > 0

    async def test_request_that_can_not_be_parsed_is_recorded(self, house):
        """With as much as is known of it."""
        client = await house.client()
        client.send("junk\r\n\r\n")
        await client.reply()
        [record] = house.records
        assert (record.method, record.target, record.status) == ("", "", 400)

    async def test_client_that_leaves_is_recorded_without_status(self, house):
        """Nothing was answered."""
        tags = SlowTags()
        house.serve(registry=tags)
        client = await house.client()
        client.send(request("GET", "/v2/a/tags/list"))
        await tags.asked
        await client.close()
        await house.until(lambda: house.records)
        tags.answer.callback(Page((), False))
        [record] = house.records
        assert (record.status, record.is_complete) == (0, False)

    @pytest.mark.parametrize(
        "trusted, forwarded, client",
        [
            (False, "192.0.2.7", "127.0.0.1"),
            (True, "192.0.2.7", "192.0.2.7"),
            (True, "192.0.2.7, 127.0.0.1", "192.0.2.7"),
            (True, "1.1.1.1, 192.0.2.7", "192.0.2.7"),
            (True, "", "127.0.0.1"),
            (True, "192.0.2.7:41234", "192.0.2.7"),
            (True, "[2001:db8::7]:41234, 127.0.0.1:80", "2001:db8::7"),
            (True, "2001:db8::7", "2001:db8::7"),
            (True, "::ffff:192.0.2.7", "192.0.2.7"),
            (True, "192.0.2.7, ::ffff:127.0.0.1", "192.0.2.7"),
        ],
    )
    async def test_forwarded_address_is_believed_of_proxies_only(
        self, house, trusted, forwarded, client
    ):
        """B-043: nobody chooses the address that is logged."""
        house.serve(trusted_proxies=frozenset({"127.0.0.1"}) if trusted else frozenset())
        await house.ask("GET", "/v2/", headers=[f"X-Forwarded-For: {forwarded}"])
        assert house.records[0].client == client

    @pytest.mark.parametrize(
        "forwarded, counted",
        [("2001:db8::1:2:3:4", "2001:db8::"), ("192.0.2.7:1234", "192.0.2.7")],
    )
    async def test_failed_logins_of_a_network_count_together(self, house, forwarded, counted):
        """An IPv6 client would have a new address for each password that it tries."""
        askers = []

        class Curious(Everybody):
            async def identify(self, asker):
                askers.append(asker)
                return await super().identify(asker)

        house.serve(identifying=Curious(), trusted_proxies=frozenset({"127.0.0.1"}))
        await house.ask("GET", "/v2/", headers=[f"X-Forwarded-For: {forwarded}"])
        assert [asker.address for asker in askers] == [counted]


class DrainTests:
    """The orderly end."""

    async def test_requests_in_progress_are_finished(self, house):
        """Idle connections close at once, the others after their answer."""
        tags = SlowTags()
        house.serve(registry=tags)
        idle, busy = await house.client(), await house.client()
        idle.send(request("GET", "/v2/"))
        await idle.reply()
        busy.send(request("GET", "/v2/a/tags/list"))
        await tags.asked
        drained = Deferred.fromCoroutine(house.site.drain(10))
        assert await idle.ended()
        assert not drained.called
        tags.answer.callback(Page(("v1",), False))
        reply = await busy.reply()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await busy.ended()
        await drained
        assert house.clock.getDelayedCalls() == []

    async def test_requests_that_take_too_long_are_broken(self, house):
        """Nobody waits for ever."""
        tags = SlowTags()
        house.serve(registry=tags)
        client = await house.client()
        client.send(request("GET", "/v2/a/tags/list"))
        await tags.asked
        drained = Deferred.fromCoroutine(house.site.drain(10))
        house.pass_time(9)
        assert not drained.called
        house.pass_time(2)
        assert not await client.ended()
        await drained
        tags.answer.callback(Page((), False))

    async def test_drain_without_connections_is_done(self, house):
        """There is nothing to wait for."""
        await house.site.drain(10)
        assert house.clock.getDelayedCalls() == []


async def test_client_that_leaves_stops_nothing(house):
    """What is being made durable is carried to its end."""
    tags = SlowTags()
    done = []
    tags.answer.addCallback(lambda page: done.append(page) or page)
    house.serve(registry=tags)
    client = await house.client()
    client.send(request("GET", "/v2/a/tags/list"))
    await tags.asked
    await client.close()
    await house.until(lambda: house.stages() == [])
    tags.answer.callback(Page((), False))
    assert done
