# SPDX-License-Identifier: Apache-2.0
"""Requests and answers on a connection: order, early answers, 100 Continue, what is left over."""

import json

import pytest
from twisted.internet.defer import Deferred

from txregistry.registry import Upload
from txregistry.web import Limits
from txregistry.web.ingest import HIGH_WATER

from .content import OCI_MANIFEST, digest_of, push_blob
from .raw import chunk, request


async def start(house):
    reply = await house.ask("POST", "/v2/a/blobs/uploads/", body=b"")
    return reply.headers["location"]


class OrderTests:
    """Several requests on one connection."""

    async def test_pipelined_requests_are_answered_in_order(self, house):
        """B-026: a GET, a PUT with a body and another GET, sent at once."""
        location = await start(house)
        client = await house.client()
        client.send(
            request("GET", "/v2/none/tags/list")
            + request("PATCH", location, body=b"x" * 100)
            + request("GET", "/v2/")
        )
        assert [(await client.reply()).status for _ in range(3)] == [404, 202, 200]

    @pytest.mark.parametrize("cut", range(1, 30))
    async def test_requests_may_be_cut_anywhere(self, house, cut):
        """Where the network cuts a stream means nothing."""
        two = request("GET", "/v2/") * 2
        place = len(two) // 2 + cut
        client = await house.client()
        client.send(two[:place])
        assert (await client.reply()).status == 200
        client.send(two[place:])
        assert (await client.reply()).status == 200

    async def test_tls_on_the_plain_port_is_told_at_once(self, house):
        """A client that tries TLS first need not wait for a deadline."""
        client = await house.client()
        client.send(b"\x16\x03\x01\x02\x00\x01\x00")
        assert (await client.reply()).status == 400
        assert await client.ended()

    async def test_connection_is_kept_for_the_next_request(self, house):
        """Also after a refusal whose body came."""
        client = await house.client()
        for _ in range(3):
            client.send(request("PUT", "/v2/UP/manifests/x", body=b"{}"))
            assert (await client.reply()).status == 400
        client.send(request("GET", "/v2/"))
        assert (await client.reply()).status == 200

    @pytest.mark.parametrize("connection", ["close", "Close", "keep-alive, close"])
    async def test_client_may_ask_for_the_end(self, house, connection):
        """Connection: close is honoured and confirmed."""
        client = await house.client()
        client.send(request("GET", "/v2/", headers=[f"Connection: {connection}"]))
        assert (await client.reply()).headers["connection"] == "close"
        assert await client.ended()

    async def test_http_1_0_is_answered_and_closed(self, house):
        """Without a Host, which that version does not have."""
        client = await house.client()
        client.send("GET /v2/ HTTP/1.0\r\n\r\n")
        reply = await client.reply()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await client.ended()

    async def test_connection_ends_after_its_share_of_requests(self, house):
        """The last answer says so."""
        house.serve(limits=Limits(requests_per_connection=2))
        client = await house.client()
        client.send(request("GET", "/v2/") * 3)
        assert "connection" not in (await client.reply()).headers
        assert (await client.reply()).headers["connection"] == "close"
        assert await client.ended()
        assert client.received == b""


class ContinueTests:
    """Expect: 100-continue."""

    async def test_body_is_asked_for_once_it_is_read(self, house):
        """100, then the body, then the answer."""
        location = await start(house)
        client = await house.client()
        client.send(
            request("PATCH", location, headers=["Expect: 100-Continue", "Content-Length: 5"])
        )
        assert (await client.reply()).status == 100
        client.send(b"01234")
        assert (await client.reply()).status == 202

    @pytest.mark.parametrize(
        "method, target, status",
        [
            ("PUT", "/v2/UP/manifests/x", 400),
            ("PUT", "/v2/a/nowhere", 404),
            ("POST", "/v2/a/tags/list", 405),
            ("PATCH", "/v2/a/blobs/uploads/u?_state=x", 404),
            ("PUT", "/v2/a/manifests/.bad", 400),
            ("PUT", "/v2/a/manifests/big", 413),
        ],
    )
    async def test_refused_body_is_not_asked_for(self, house, method, target, status):
        """B-030: the refusal comes without a 100 before or after it, and the connection closes."""
        client = await house.client()
        client.send(
            request(method, target, headers=["Expect: 100-continue", "Content-Length: 10737418240"])
        )
        reply = await client.reply()
        assert (reply.status, reply.headers["connection"]) == (status, "close")
        assert await client.ended()
        assert client.received == b""

    async def test_empty_body_needs_no_asking(self, house):
        """An expectation without a body is moot."""
        client = await house.client()
        client.send(request("GET", "/v2/", headers=["Expect: 100-continue"]))
        assert (await client.reply()).status == 200

    async def test_http_1_0_gets_no_100(self, house):
        """That version does not know it."""
        location = await start(house)
        client = await house.client()
        client.send(
            f"PATCH {location} HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
        client.send(b"abc")
        assert (await client.reply()).status == 202


class EarlyAnswerTests:
    """A final answer before the body was read."""

    async def test_small_rest_is_waited_for(self, house):
        """The connection serves on once the body that nobody wants is complete."""
        client = await house.client()
        client.send(request("PUT", "/v2/UP/manifests/x", headers=["Content-Length: 1000"]))
        reply = await client.reply()
        assert reply.status == 400 and "connection" not in reply.headers
        client.send(b"x" * 999)
        client.send(b"x" + request("GET", "/v2/"))
        assert (await client.reply()).status == 200

    async def test_small_rest_is_not_waited_for_long(self, house):
        """A client that never sends it is let go."""
        client = await house.client()
        client.send(request("PUT", "/v2/UP/manifests/x", headers=["Content-Length: 1000"]))
        await client.reply()
        house.pass_time(9)
        client.send(b"x")
        house.pass_time(2)
        await client.ended()

    @pytest.mark.parametrize(
        "framing", ["Content-Length: 10737418240", "Transfer-Encoding: chunked"]
    )
    async def test_large_rest_closes_our_side_and_is_read_on(self, house, framing):
        """The answer can be read by a client that still sends; then the connection ends."""
        client = await house.client()
        client.send(request("PUT", "/v2/UP/manifests/x", headers=[framing]))
        client.send(chunk(b"x" * 100_000) * 10)
        reply = await client.reply()
        assert (reply.status, reply.headers["connection"]) == (400, "close")
        client.send(chunk(b"x" * 100_000))
        assert await client.ended()

    async def test_rest_that_does_not_end_is_cut(self, house):
        """Neither for ever nor without bound is a body read that nobody wants."""
        house.serve(limits=Limits(drain_size=1000))
        client = await house.client(is_deaf=True)
        client.send(request("PUT", "/v2/UP/manifests/x", headers=["Content-Length: 10737418240"]))
        client.send(b"x" * 20_000_000)
        await house.until(lambda: house.stages() == ["DISCARD"] and house.received() > 100_000)
        house.pass_time(9)
        assert house.received() < 2_000_000
        house.pass_time(2)
        await house.until(lambda: house.stages() == [])
        await client.close()

    async def test_undeclared_manifest_is_refused_at_the_limit(self, house):
        """B-061: 413, and the connection closes."""
        client = await house.client()
        client.send(
            request(
                "PUT",
                "/v2/a/manifests/x",
                headers=["Transfer-Encoding: chunked", f"Content-Type: {OCI_MANIFEST}"],
            )
        )
        for _ in range(4 * 1024 // 64):
            client.send(chunk(b" " * 65536))
        client.send(chunk(b"!"))
        reply = await client.reply()
        assert (reply.status, reply.headers["connection"]) == (413, "close")
        assert await client.ended()

    async def test_download_before_the_body_of_its_request(self, house):
        """A GET that declares a body is answered, and the body thrown away."""
        data = bytes(range(250)) * 1000
        digest = await push_blob(house, "a", data)
        client = await house.client()
        client.send(request("GET", f"/v2/a/blobs/{digest}", headers=["Content-Length: 10"]))
        assert (await client.reply()).body == data
        client.send(b"0123456789" + request("GET", "/v2/"))
        assert (await client.reply()).body == b"{}"


class SlowUploads:
    """A registry that takes its time before it reads a body."""

    def __init__(self):
        self.uploads = self
        self.gate = Deferred()

    async def append(self, repository, upload_id, token, span, body, *, by):
        received = len(await anext(body))
        await self.gate
        async for data in body:
            received += len(data)
        return Upload(repository, upload_id, received, "token", "")


class BodiesTests:
    """How bodies come in."""

    async def test_broken_chunk_is_400_and_what_came_is_kept(self, house):
        """The upload goes on from there."""
        location = await start(house)
        client = await house.client()
        client.send(request("PATCH", location, headers=["Transfer-Encoding: chunked"]))
        client.send(b"5\r\n01234\r\nzz\r\n")
        reply = await client.reply()
        assert (reply.status, reply.headers["connection"]) == (400, "close")
        assert await client.ended()
        await house.registry.settled()
        held = await house.ask("GET", location)
        assert held.headers["range"] == "0-4"

    async def test_large_body_is_read_in_large_pieces_and_only_it(self, house):
        """The receive buffer is put back after the body."""
        location = await start(house)
        client = await house.client()
        client.send(request("PATCH", location, headers=["Transfer-Encoding: chunked"]))
        client.send(chunk(b"x"))
        await house.until(lambda: house.stages() == ["BODY"] and house.received() == 1)
        [channel] = house.site.channels
        assert channel.transport.bufferSize == 65536 + 1024 * 1024
        client.send(b"0\r\n\r\n")
        assert (await client.reply()).status == 202
        assert channel.transport.bufferSize == 65536

    async def test_client_is_not_read_faster_than_its_body_is_taken(self, house):
        """What waits is bounded, and nothing of it is lost."""
        uploads = SlowUploads()
        house.serve(registry=uploads)
        client = await house.client()
        size = 20_000_000
        client.send(request("PATCH", "/v2/a/blobs/uploads/u", body=b"x" * size))
        await house.until(lambda: house.stages() == ["BODY"] and house.received() >= HIGH_WATER)
        held = house.received()
        for _ in range(100):
            await house.turn()
        assert house.received() == held <= 3 * HIGH_WATER
        uploads.gate.callback(None)
        assert (await client.reply()).headers["range"] == f"0-{size - 1}"

    async def test_body_larger_than_what_waits_is_taken_whole(self, house):
        """Pausing and resuming loses nothing."""
        data = bytes(range(251)) * 20_000
        digest = await push_blob(house, "a", data)
        assert digest == digest_of(data)
        assert (await house.ask("GET", f"/v2/a/blobs/{digest}")).body == data


class WordsTests:
    """A client's author reads what was wrong with the request."""

    @pytest.mark.parametrize(
        "sent, told",
        [
            ("GET /v2/\r\n\r\n", "request line"),
            ("GET /v2/ HTTP/3.0\r\n\r\n", "request line"),
            ("GET /v2/ HTTP/1.1\r\nHost a\r\n\r\n", "no colon"),
            ("GET /v2/ HTTP/1.1\r\nHost : a\r\n\r\n", "name of a header"),
            ("GET /v2/ HTTP/1.1\r\nHost: a\0\r\n\r\n", "control character"),
            ("GET /v2/ HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n", "folded"),
            ("GET /v2/ HTTP/1.1\r\nHost: a\r\n" + "X: y\r\n" * 200 + "\r\n", "too many header"),
            ("GET /v2/ HTTP/1.1\r\nHost: a\r\nX: " + "y" * 17_000 + "\r\n\r\n", "too large"),
            ("GET /v2/ HTTP/1.1\r\n" + ("X: " + "y" * 6_000 + "\r\n") * 3 + "\r\n", "too large"),
            ("PUT /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", "Content-Length"),
            ("PUT /v2/ HTTP/1.1\r\n" + "Content-Length: 0\r\n" * 2 + "\r\n", "Content-Length"),
            ("PUT /v2/ HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding"),
        ],
    )
    async def test_refusal_says_what_is_malformed(self, house, sent, told):
        client = await house.client()
        client.send(sent)
        reply = await client.reply()
        assert reply.status == 400
        assert told in json.loads(reply.body)["errors"][0]["detail"]
        assert await client.ended()

    async def test_chunk_that_is_none_is_told(self, house):
        client = await house.client()
        head = ["Transfer-Encoding: chunked"]
        client.send(request("PATCH", await start(house), headers=head) + b"5\r\nabcdefg\r\n")
        reply = await client.reply()
        assert reply.status == 400
        assert "chunked body" in json.loads(reply.body)["errors"][0]["detail"]
