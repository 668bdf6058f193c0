# SPDX-License-Identifier: Apache-2.0
"""Requests and answers over HTTP/2: the same as over HTTP/1.1, several at a time."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from tests.web.content import digest_of
from tests.web.raw import RawClient, request
from txregistry.web import Limits
from txregistry.web.http2.windows import WIDTH, WINDOW

from .frames import FrameClient

NO_ERROR, REFUSED_STREAM, CANCEL = 0, 7, 8
DATA = bytes(range(251)) * 8000
DIGEST = digest_of(DATA)


class StuckRegistry:
    """A registry whose storage takes one piece of a body and no more before it is told to."""

    def __init__(self, registry):
        self.uploads = self
        self._registry = registry
        self._gate = Deferred()

    async def start(self, *arguments, **words):
        return await self._registry.uploads.start(*arguments, **words)

    async def append(self, *arguments, **words):
        *arguments, body = arguments
        return await self._registry.uploads.append(*arguments, StuckBody(body, self._gate), **words)

    def go_on(self):
        self._gate.callback(None)


class LateRegistry(StuckRegistry):
    """A registry that has to wait before it begins to read a body."""

    async def append(self, *arguments, **words):
        waiting = Deferred()
        self._gate.addBoth(lambda _: waiting.callback(None))
        await waiting
        return await self._registry.uploads.append(*arguments, **words)


class StuckBody:
    """A body that nobody pulls again before a gate is open."""

    def __init__(self, body, gate):
        self._body = body
        self._gate = gate

    def __aiter__(self):
        return self

    async def __anext__(self):
        chunk = await anext(self._body)
        if not self._gate.called:
            waiting = Deferred()
            self._gate.addBoth(lambda _: waiting.callback(None))
            await waiting
        return chunk

    def __getattr__(self, name):
        return getattr(self._body, name)


async def push(house, client, data=DATA):
    path = f"/v2/a/blobs/uploads/?digest={digest_of(data)}"
    assert (await house.put(client, "POST", path, data)).status == 201


class NegotiationTests:
    """Who speaks what."""

    async def test_client_that_offers_both_gets_http_2(self, house):
        """It is why the operator has switched it on."""
        client = await house.h2()
        assert client.transport.negotiatedProtocol == b"h2"
        answer = await house.get(client, "/v2/")
        assert (answer.status, answer.body) == (200, b"{}")
        assert client.settings[3] == Limits().streams
        assert client.settings[6] == Limits().head_size

    async def test_client_of_http_1_is_served_as_before(self, house):
        """On the same port."""
        client = await house.h2(RawClient(), protocols=[b"http/1.1"])
        client.send(request("GET", "/v2/"))
        assert (await client.reply()).status == 200


class AnswerTests:
    """What leaves."""

    async def test_answer_has_what_every_answer_has(self, house):
        """And nothing that is said of a connection."""
        house.serve(headers={"Keep-Alive": ["timeout=5"], "X-Ours": ["a"]})
        client = await house.h2()
        answer = await house.get(client, "/v2/", headers=[("x-request-id", "r1")])
        assert answer.headers["x-request-id"] == "r1"
        assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
        assert answer.headers["x-ours"] == "a"
        assert not {"connection", "keep-alive"} & set(answer.headers)
        [record] = house.records
        assert (record.protocol, record.request_id) == ("HTTP/2.0", "r1")
        assert (record.status, record.sent, record.is_complete) == (200, 2, True)

    @pytest.mark.parametrize("is_file", [False, True])
    async def test_blob_comes_whole_and_in_parts(self, house, file_house, is_file):
        """From streams and from files; HEAD has its length and no more."""
        house = file_house if is_file else house
        client = await house.h2()
        await push(house, client)
        blob = f"/v2/a/blobs/{DIGEST}"
        whole = await house.get(client, blob)
        assert (whole.status, whole.body) == (200, DATA)
        head = await house.get(client, blob, method="HEAD")
        assert (head.headers["content-length"], head.body) == (str(len(DATA)), b"")
        part = await house.get(client, blob, headers=[("range", "bytes=100000-1200000")])
        assert (part.status, part.body) == (206, DATA[100000:1200001])
        beyond = await house.get(client, blob, headers=[("range", "bytes=99999999-")])
        assert beyond.status == 416
        assert beyond.headers["content-range"] == f"bytes */{len(DATA)}"

    async def test_answers_of_several_streams_are_interleaved(self, file_house):
        """A small one does not wait for the end of large ones."""
        house = file_house
        client = await house.h2()
        await push(house, client)
        large = [client.ask("GET", f"/v2/a/blobs/{DIGEST}") for _ in range(4)]
        small = client.ask("GET", "/v2/")
        assert (await house.answer(client, small)).status == 200
        assert not any(client.answers[number].is_whole for number in large)
        for number in large:
            assert (await house.answer(client, number)).body == DATA

    async def test_client_that_takes_nothing_is_not_read_ahead_for(self, file_house):
        """What waits for it is bounded, and after the stall its stream is broken off alone."""
        house = file_house
        await push(house, await house.h2())
        client = await house.h2(FrameClient(is_greedy=False))
        number = client.ask("GET", f"/v2/a/blobs/{DIGEST}")
        await house.until(lambda: len(client.answers[number].body) == WINDOW)
        [sent] = [each.sentLength for each in house.requests()]
        assert WINDOW < sent < len(DATA)
        other = await house.get(client, "/v2/", method="HEAD")
        assert other.status == 200
        house.pass_time(Limits().write_stall + 2)
        assert (await house.answer(client, number)).reset == CANCEL
        assert not client.is_gone
        assert [record.is_complete for record in house.records[1:]] == [True, False]


class BodyTests:
    """What comes."""

    async def test_upload_is_resumed_where_it_was_lost(self, house):
        """The bytes of a stream that the client took back are kept, and those of a connection
        that it lost.
        """
        client = await house.h2()
        location = await house.begin_upload(client)
        number = client.ask("PATCH", location, is_whole=False)
        assert client.body(number, DATA[:50_000]) == b""
        await house.until(lambda: house.taken() == 50_000)
        client.protocol.reset_stream(number, CANCEL)
        client.flush()
        await house.until(lambda: not house.requests())
        await house.registry.settled()
        seen = await house.get(client, location)
        assert seen.headers["range"] == "0-49999"
        number = client.ask("PATCH", seen.headers["location"], is_whole=False)
        client.body(number, DATA[50_000:90_000])
        await house.until(lambda: house.taken() == 40_000)
        client.transport.abortConnection()
        await house.until(lambda: not house.site.channels)
        await house.registry.settled()
        client = await house.h2()
        seen = await house.get(client, location)
        assert seen.headers["range"] == "0-89999"
        target = f"{seen.headers['location']}&digest={DIGEST}"
        assert (await house.put(client, "PUT", target, DATA[90_000:])).status == 201

    async def test_body_is_first_read_when_its_stream_is_gone(self, house):
        """What came of it is taken, and it has no turn, nor a wide window, that others could
        have.
        """
        late = LateRegistry(house.registry)
        house.serve(registry=late)
        client = await house.h2()
        locations = [await house.begin_upload(client) for _ in range(2)]
        expects = [("expect", "100-continue")]
        for location in locations:
            number = client.ask("PATCH", location, headers=expects, is_whole=False)
            client.body(number, b"abc")
            await house.until(lambda: house.site.queues.used == 3)
            client.protocol.reset_stream(number, CANCEL)
            client.flush()
            await house.until(lambda: not house.requests())
            late.go_on()
            late._gate = Deferred()
            await house.until(lambda: not house.site.queues.used)
            assert (await house.get(client, "/v2/")).status == 200
        [channel] = house.site.channels
        assert not channel._windows._wide
        assert house.site.buffers.used == 0

    async def test_continue_comes_when_the_body_is_read(self, house):
        """Not before or instead of a refusal."""
        client = await house.h2()
        location = await house.begin_upload(client)
        expects = [("expect", "100-continue")]
        number = client.ask("PATCH", location, headers=expects, is_whole=False)
        await house.until(lambda: client.answers[number].interim)
        client.body(number, b"abc", is_last=True)
        answer = await house.answer(client, number)
        assert (answer.interim, answer.status) == ([100], 202)
        number = client.ask("PATCH", "/v2/a/blobs/uploads/x", headers=expects, is_whole=False)
        answer = await house.answer(client, number)
        assert (answer.interim, answer.status) == ([], 404)

    async def test_early_answer_ends_the_stream_alone(self, house):
        """The client is told, whole, while it still sends; then that it need not go on."""
        client = await house.h2()
        number = client.ask("PATCH", "/v2/a/blobs/uploads/x", is_whole=False)
        client.body(number, b"a" * 30_000)
        answer = await house.answer(client, number)
        await house.until(lambda: answer.reset is not None)
        assert (answer.status, answer.is_whole, answer.reset) == (404, True, NO_ERROR)
        assert (await house.get(client, "/v2/")).status == 200

    async def test_slow_storage_is_not_sent_more_than_a_window(self, house):
        """What arrived is given back to the window only when storage has taken it."""
        stuck = StuckRegistry(house.registry)
        house.serve(registry=stuck)
        client = await house.h2()
        location = await house.begin_upload(client)
        number = client.ask("PATCH", location, is_whole=False)
        rest = client.body(number, bytes(4 * WIDTH))
        for _ in range(300):
            rest = client.body(number, rest)
            await house.turn()
        assert client.window(number) == 0
        assert WIDTH / 2 < house.site.queues.used <= WINDOW + WIDTH
        # Others on the connection have windows of their own.
        assert await house.begin_upload(client)
        stuck.go_on()
        await house.until(lambda: client.window(number))
        while rest := client.body(number, rest, is_last=True):
            await house.turn()
        answer = await house.answer(client, number)
        assert (answer.status, answer.headers["range"]) == (202, f"0-{4 * WIDTH - 1}")
        assert house.site.queues.used == 0

    async def test_all_bodies_together_are_bounded(self, house):
        """While too much waits, no client is read; not even one of many streams."""
        stuck = StuckRegistry(house.registry)
        house.serve(registry=stuck, body_memory=100_000)
        client = await house.h2()
        locations = [await house.begin_upload(client) for _ in range(6)]
        numbers = [client.ask("PATCH", location, is_whole=False) for location in locations]
        while not house.site.queues.is_full:
            for number in numbers:
                client.body(number, bytes(1000))
            await house.turn()
        [channel] = house.site.channels
        assert not channel.is_reading
        assert house.site.queues.used < 100_000 + 128 * 1024
        # Time in which nobody is read counts against nobody, whatever of a frame had come.
        channel._meter.take(bytes(3), house.clock.seconds())
        house.pass_time(600)
        channel._meter.take(bytes(6), house.clock.seconds())
        assert len(house.requests()) >= 2
        stuck.go_on()
        for number in numbers:
            client.protocol.end_stream(number)
        client.flush()
        for number in numbers:
            assert (await house.answer(client, number)).status == 202
        assert channel.is_reading

    async def test_time_of_slow_storage_is_not_the_client_s(self, house):
        """Whoever was not read while it was not waited for has gained nothing by that."""
        stuck = StuckRegistry(house.registry)
        house.serve(registry=stuck, body_memory=50_000)
        client = await house.h2()
        location = await house.begin_upload(client)
        number = client.ask("PATCH", location, is_whole=False)
        client.body(number, bytes(60_000))
        [channel] = house.site.channels
        await house.until(lambda: not channel.is_reading)
        house.pass_time(600)
        stuck.go_on()
        await house.until(lambda: channel.is_reading and not house.site.queues.used)
        house.pass_time(Limits().body_grace + Limits().body_window + 40)
        assert (await house.answer(client, number)).status == 408

    async def test_slow_body_is_refused_alone(self, house):
        """408 for the stream; the connection goes on."""
        client = await house.h2()
        location = await house.begin_upload(client)
        number = client.ask("PATCH", location, is_whole=False)
        client.body(number, b"ab")
        await house.until(lambda: house.taken() == 2)
        house.pass_time(Limits().body_grace + Limits().body_window + 40)
        answer = await house.answer(client, number)
        assert (answer.status, answer.is_whole) == (408, True)
        await house.registry.settled()
        assert (await house.get(client, location)).headers["range"] == "0-1"


class LeavingTests:
    """How connections end."""

    async def test_drain_finishes_what_is_in_progress(self, house):
        """GOAWAY at once, the end with the last answer."""
        client = await house.h2()
        idle = await house.h2()
        location = await house.begin_upload(client)
        number = client.ask("PATCH", location, is_whole=False)
        await house.until(house.requests)
        house.drain()
        await house.until(lambda: idle.is_gone)
        assert (idle.goaway, idle.was_clean) == (NO_ERROR, True)
        # Our library would send nothing after GOAWAY, so the frame is spelled by hand.
        client.raw(b"\0\0\x03\0\x01" + number.to_bytes(4, "big") + b"abc")
        await house.until(lambda: client.is_gone)
        assert client.goaway == NO_ERROR
        assert [(each.status, each.received) for each in house.records[1:]] == [(202, 3)]

    async def test_new_stream_after_goaway_is_refused(self, house):
        """So that the client knows that it can ask elsewhere."""
        house.serve(limits=Limits(requests_per_connection=2))
        client = await house.h2()
        location = await house.begin_upload(client)
        last = client.ask("PATCH", location, is_whole=False)
        late = client.ask("GET", "/v2/")
        assert (await house.answer(client, late)).reset == REFUSED_STREAM
        assert client.goaway == NO_ERROR
        client.body(last, b"abc", is_last=True)
        assert (await house.answer(client, last)).status == 202
        await house.until(lambda: client.is_gone)

    async def test_idle_connection_ends(self, house):
        """With GOAWAY, so that nobody takes it for a failure."""
        client = await house.h2()
        await house.get(client, "/v2/")
        house.pass_time(Limits().idle - 1)
        await house.turn()
        assert not client.is_gone
        house.pass_time(2)
        await house.until(lambda: client.is_gone)
        assert (client.goaway, client.was_clean) == (NO_ERROR, True)
