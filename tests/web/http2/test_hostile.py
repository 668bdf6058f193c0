# SPDX-License-Identifier: Apache-2.0
"""Frames that only a hostile client sends: its stream or connection ends, and others are served."""

from __future__ import annotations

import os
import random

import pytest
from h2.settings import SettingCodes
from hpack import Encoder
from twisted.logger import formatEvent, globalLogPublisher

from tests.web.raw import RawClient
from txregistry.web import Limits
from txregistry.web.http2 import frames as rules
from txregistry.web.http2.connection import RESETS
from txregistry.web.http2.sending import UNHEARD
from txregistry.web.http2.terms import COMPRESSION_TABLE

from .frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Answer,
    FrameClient,
    frame,
)

ENHANCE_YOUR_CALM, PROTOCOL_ERROR, REFUSED_STREAM = 0xB, 0x1, 0x7
UNKNOWN = 0x2A

GET = [(":method", "GET"), (":path", "/v2/"), (":scheme", "https"), (":authority", "a.test")]
POST = [(":method", "POST"), (":path", "/v2/a/blobs/uploads/"), *GET[2:]]


def block(fields=GET):
    return Encoder().encode(fields, huffman=False)


async def still_serves(house):
    """Another client notices nothing."""
    client = await house.h2()
    assert (await house.get(client, "/v2/")).status == 200


def has_come(client, asked, size):
    """So much of a body has arrived, or no more will."""
    return lambda: client.is_gone or asked.body.received >= size


async def gives_up(house, client, code=ENHANCE_YOUR_CALM):
    """The connection ends, with a reason."""
    await house.until(lambda: client.is_gone or client.goaway is not None)
    assert client.goaway == code
    await house.until(lambda: client.is_gone)
    await still_serves(house)


class FloodTests:
    """Cheap to send, dear to take."""

    @pytest.mark.parametrize(
        "one",
        [
            frame(PING, 0, 0, bytes(8)),
            frame(SETTINGS, 0, 0),
            frame(SETTINGS, 0, 0, b"\0\1\0\0\0\0" * 100),
            frame(PRIORITY, 0, 3, bytes(5)),
            frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
            frame(UNKNOWN, 0, 0, b"x"),
            frame(DATA, 0, 1),
            frame(DATA, 0x8, 1, b"\x20" + bytes(32)),
        ],
        ids=[
            "ping",
            "settings",
            "many settings",
            "priority",
            "window",
            "unknown",
            "empty",
            "padding",
        ],
    )
    async def test_flood_of_frames_ends_the_connection(self, house, one):
        """Whatever they are, and also beside a request in progress."""
        client = await house.h2()
        [number] = await house.open_streams(client, 1)
        await house.until(house.requests)
        one = one.replace(b"\0\0\0\x01", number.to_bytes(4, "big"), 1) if one[3] == DATA else one
        client.raw(one * (rules.BURST + 200))
        await gives_up(house, client)
        # What we say to each is bounded like that, too.
        assert len(client.kinds) < rules.BURST + 100

    async def test_streams_that_are_taken_back_at_once(self, house):
        """CVE-2023-44487."""
        client = await house.h2()
        for number in range(1, 4 * RESETS, 2):
            client.raw(
                frame(HEADERS, END_HEADERS | END_STREAM, number, block())
                + frame(RST_STREAM, 0, number, b"\0\0\0\x08")
            )
        await gives_up(house, client)
        assert len(house.records) <= RESETS + 2

    async def test_streams_that_we_are_made_to_reset(self, house):
        """CVE-2025-8671: by windows that overflow."""
        client = await house.h2()
        for number in range(1, 4 * RESETS, 2):
            client.raw(
                frame(HEADERS, END_HEADERS, number, block(POST))
                + frame(WINDOW_UPDATE, 0, number, b"\x7f\xff\xff\xff")
            )
        await gives_up(house, client)

    @pytest.mark.parametrize("size", [0, 1, 1000, 16384])
    async def test_head_without_an_end(self, house, size):
        """CVE-2024-24549 and its like: CONTINUATION without END_HEADERS."""
        client = await house.h2()
        client.raw(frame(HEADERS, 0, 1, block()))
        client.raw(frame(CONTINUATION, 0, 1, b"\x82" * size) * 100)
        await house.until(lambda: client.is_gone)
        assert client.goaway in (ENHANCE_YOUR_CALM, PROTOCOL_ERROR)
        assert house.records == []
        await still_serves(house)

    async def test_head_that_swells(self, house):
        """A few bytes that stand for many of the table (CVE-2016-6581)."""
        client = await house.h2()
        encoder = Encoder()
        start = encoder.encode([*GET, ("x-large", "a" * 3900)], huffman=False)
        client.raw(frame(HEADERS, END_HEADERS | END_STREAM, 1, start + b"\xbe" * 10_000))
        await gives_up(house, client)

    async def test_body_on_a_stream_that_is_over(self, house):
        """What is in flight is tolerated, a flood is not."""
        client = await house.h2()
        client.raw(frame(HEADERS, END_HEADERS, 1, block([*POST[:1], (":path", "/x"), *POST[2:]])))
        await house.until(lambda: RST_STREAM in client.kinds)
        client.raw(frame(DATA, 0, 1, b"a") * 20)
        client.raw(frame(PING, 0, 0, bytes(8)))
        await house.until(lambda: PING in client.kinds)
        client.raw(frame(DATA, 0, 1, b"a") * (rules.BURST + 200))
        await gives_up(house, client)


class UnheardTests:
    """Who reads nothing is told nothing more after a while."""

    async def test_acknowledgements_are_not_kept_for_ever(self, house):
        """CVE-2019-9512 and -9515: also not if bodies pay for the frames that ask for them."""
        client = await house.h2()
        [upload] = await house.open_streams(client, 1)
        await house.until(lambda: client.window(upload) > 1_000_000)
        [channel] = house.site.channels
        [asked] = house.requests()
        channel.pauseProducing()  # as the transport does when it is full
        paid = frame(DATA, 0, upload, bytes(320)) + frame(PING, 0, 0, bytes(8)) * 4
        for sent in range(200, UNHEARD // 17 // 4 + 400, 200):
            client.raw(paid * 200)
            await house.until(has_come(client, asked, 320 * sent))
        await house.until(lambda: client.is_gone)
        assert client.goaway is None
        await still_serves(house)

    async def test_acknowledgements_are_no_progress(self, house):
        """The stall ends the connection although we go on to speak."""
        client = await house.h2()
        [upload] = await house.open_streams(client, 1)
        await house.until(lambda: house.requests() and client.window(upload) > 1_000_000)
        [channel] = house.site.channels
        [asked] = house.requests()
        channel.pauseProducing()
        for sent in range(4000, 4000 * int(Limits().write_stall + 3), 4000):
            client.raw(frame(PING, 0, 0, bytes(8)) + frame(DATA, 0, upload, bytes(4000)))
            await house.until(has_come(client, asked, sent))
            house.pass_time(1)
        await house.until(lambda: client.is_gone)

    async def test_settings_that_nobody_knows_are_not_kept(self, house):
        """The library has room for 65,536 of them, and each takes nearly a kilobyte."""
        client = await house.h2()
        [channel] = house.site.channels
        known = set(channel.protocol.remote_settings)
        for start in range(1000, 15_000, 2000):
            codes = range(start, start + 2000)
            client.raw(
                frame(SETTINGS, 0, 0, b"".join(code.to_bytes(2) + bytes(4) for code in codes))
            )
        client.raw(frame(PING, 0, 0, bytes(8)))
        await house.until(lambda: PING in client.kinds)
        assert set(channel.protocol.remote_settings) - known <= set(SettingCodes)

    async def test_changes_of_our_table_are_not_kept(self, house):
        """However many there were before an answer."""
        client = await house.h2()
        for size in [0, 100, 4096] * 100:
            client.raw(frame(SETTINGS, 0, 0, b"\0\1" + size.to_bytes(4)))
        client.raw(frame(PING, 0, 0, bytes(8)))
        await house.until(lambda: PING in client.kinds)
        [channel] = house.site.channels
        assert channel.protocol.encoder.table_size_changes == [0, COMPRESSION_TABLE]
        assert (await house.get(client, "/v2/")).status == 200


class ShareTests:
    """No client has more than its share."""

    async def test_streams_over_the_cap_are_refused(self, house):
        """By the number that we announce."""
        house.serve(limits=Limits(streams=3))
        client = await house.h2()
        assert client.settings[3] == 3
        await house.open_streams(client, 3)
        await house.until(lambda: len(house.requests()) == 3)
        client.raw(frame(HEADERS, END_HEADERS, 101, Encoder().encode(POST)))
        await gives_up(house, client, PROTOCOL_ERROR)

    async def test_streams_count_as_connections(self, house):
        """Who opens many on one has no more than who opens many of those."""
        house.serve(limits=Limits(connections_per_address=3))
        client = await house.h2()
        numbers = await house.open_streams(client, 5)
        for number in numbers[3:]:
            assert (await house.answer(client, number)).reset == REFUSED_STREAM
        assert len(house.requests()) == 3
        for number in numbers[:3]:
            client.body(number, b"", is_last=True)
            assert (await house.answer(client, number)).status == 202
        await house.until(lambda: not house.requests())
        await still_serves(house)

    async def test_our_table_stays_small(self, house):
        """However large the client's is: every answer is looked up in it."""
        client = await house.h2()
        client.protocol.update_settings({SettingCodes.HEADER_TABLE_SIZE: 0x7FFFFFFF})
        client.flush()
        assert (await house.get(client, "/v2/")).status == 200
        [channel] = house.site.channels
        assert channel.protocol.encoder.header_table_size == COMPRESSION_TABLE


class DeadlineTests:
    """Time is bounded wherever something is owed."""

    async def test_silence_after_the_handshake(self, house):
        """As over HTTP/1.1."""
        client = await house.h2(Mute())
        await house.until(lambda: house.stages() == ["FIRST"])
        house.pass_time(Limits().first_byte + 1)
        await house.until(lambda: client.was_clean is not None)

    async def test_preface_and_no_request(self, house):
        """A request is owed as soon as something came."""
        client = await house.h2()
        await house.until(lambda: house.stages() == ["HEAD"])
        house.pass_time(Limits().head_timeout + 1)
        await house.until(lambda: client.is_gone)
        assert client.goaway == 0

    @pytest.mark.parametrize("part", [b"\0", frame(HEADERS, 0, 3, b"a" * 20, length=100)])
    async def test_head_that_never_ends(self, house, part):
        """Also beside an upload that goes on, and if a byte comes now and then."""
        client = await house.h2()
        [upload] = await house.open_streams(client, 1)
        await house.until(house.requests)
        client.raw(part)
        await house.until(lambda: self.is_late(house))
        for _ in range(int(Limits().head_timeout) + 1):
            client.raw(b"\0" if len(part) > 1 else b"")
            house.pass_time(1)
            await house.turn()
        await house.until(lambda: client.is_gone)
        assert not client.answers[upload].is_over
        await still_serves(house)

    def is_late(self, house):
        [channel] = house.site.channels
        return channel._meter.unfinished_since is not None

    async def test_client_that_does_not_close(self, house):
        """After GOAWAY it is given a while, and no more."""
        client = await house.h2(Deaf())
        client.raw(frame(DATA, 0, 1, length=100_000))
        await house.until(lambda: house.stages() == ["DISCARD"])
        house.pass_time(Limits().drain_time + 1)
        await house.until(lambda: not house.site.channels)


class MalformedTests:
    """What is no HTTP/2, or no request."""

    async def test_other_protocol(self, house):
        """Negotiated, and then something else is spoken."""
        client = await house.h2(Mute(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n"))
        await house.until(lambda: client.was_clean is not None)
        await still_serves(house)

    @pytest.mark.parametrize(
        "sent",
        [
            frame(DATA, 0, 1, length=0xFFFFFF),
            frame(HEADERS, END_HEADERS, 1, length=0x4001),
        ],
    )
    async def test_too_large_a_frame_is_not_waited_for(self, house, sent):
        """Its head is enough."""
        client = await house.h2()
        client.raw(sent)
        await gives_up(house, client)

    @pytest.mark.parametrize(
        "sent",
        [
            frame(HEADERS, END_HEADERS, 2, block()),
            frame(HEADERS, END_HEADERS, 0, block()),
            frame(HEADERS, END_HEADERS, 1, b"\xff" * 20),
            frame(HEADERS, END_HEADERS, 1, block(GET[:3])),
            frame(HEADERS, END_HEADERS, 1, block([*GET, ("connection", "close")])),
            frame(HEADERS, END_HEADERS, 1, block([*GET, ("Upper", "x")])),
            frame(HEADERS, END_HEADERS, 1, block([*GET, ("transfer-encoding", "chunked")])),
            frame(HEADERS, END_HEADERS, 1, block([*GET, ("host", "other.test")])),
            frame(HEADERS, END_HEADERS, 1, block([*GET, (":path", "/other")])),
            frame(HEADERS, END_HEADERS, 1, block([*GET, ("content-length", "+5")])),
            frame(HEADERS, END_HEADERS, 1, block([*POST, ("content-length", "5")]))
            + frame(DATA, END_STREAM, 1, b"abcdef"),
            frame(HEADERS, END_HEADERS, 1, block([*POST, ("content-length", "5")]))
            + frame(DATA, END_STREAM, 1, b"abc"),
            frame(CONTINUATION, END_HEADERS, 1, block()),
            frame(HEADERS, 0, 1, block()) + frame(PING, 0, 0, bytes(8)),
            frame(DATA, 0, 1, b"x"),
            frame(RST_STREAM, 0, 1, bytes(4)),
            frame(RST_STREAM, 0, 1, bytes(3)),
            frame(WINDOW_UPDATE, 0, 0, bytes(4)),
            frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"),
            frame(SETTINGS, 0, 0, b"\0\4\xff\xff\xff\xff"),
            frame(SETTINGS, 0, 0, b"\0"),
            frame(SETTINGS, 1, 0, b"\0\1\0\0\0\0"),
            frame(PING, 0, 0, b"short"),
            frame(PING, 0, 1, bytes(8)),
            frame(5, END_HEADERS, 1, bytes(4) + block()),
            frame(7, 0, 0, bytes(8)),
            frame(7, 0, 0, bytes(3)),
            frame(DATA, 0x8, 1, b"\xff"),
        ],
    )
    async def test_breach_ends_the_connection(self, house, sent):
        """Whatever was broken, nothing is logged as our failure."""
        client = await house.h2()
        client.raw(sent)
        await house.until(lambda: client.is_gone)
        await still_serves(house)
        assert not [record for record in house.records if record.status >= 500]

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ([(":method", "GET"), (":path", "*"), *GET[2:]], 400),
            ([(":method", "GET"), (":path", "/v2/\xff"), *GET[2:]], 400),
            ([(":method", "GET"), (":path", "/v2/ x"), *GET[2:]], 400),
            ([(":method", "G\xffT"), *GET[1:]], 400),
            ([(":method", "G T"), *GET[1:]], 400),
            ([*GET[:3], (":authority", "u@a.test")], 400),
            ([*GET, ("content-length", "9" * 30)], 400),
            ([*GET, ("content-length", "0"), ("content-length", "0")], 400),
            ([*GET, *[(f"x-{number}", "a") for number in range(101)]], 400),
            ([(":method", "BREW"), *GET[1:]], 405),
            ([(":method", "GET"), (":path", "/v2/../x"), *GET[2:]], 404),
        ],
    )
    async def test_request_is_refused_as_over_http_1(self, house, fields, status):
        """With an answer, and the connection goes on."""
        client = await house.h2(FrameClient(validates=False))
        number = client.protocol.get_next_available_stream_id()
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in fields]
        client.protocol.send_headers(number, encoded, end_stream=True)
        client.answers[number] = Answer()
        client.flush()
        assert (await house.answer(client, number)).status == status
        assert client.answers[number].headers["content-type"] == "application/json"
        assert (await house.get(client, "/v2/")).status == 200

    async def test_body_that_is_declared_and_does_not_come(self, house):
        """Neither a body of nothing, nor a GET that has one."""
        client = await house.h2()
        for method in ("POST", "GET"):
            lie = [("content-length", "5")]
            refused = await house.get(client, "/v2/a/blobs/uploads/", method=method, headers=lie)
            assert refused.status == 400
        assert [record.protocol for record in house.records] == ["HTTP/2.0"] * 2

    async def test_body_that_trailers_cut_short(self, house):
        """It is not whole; what came is kept, as of every upload that is broken off."""
        client = await house.h2()
        location = await house.begin_upload(client)
        lie = [("content-length", "5")]
        number = client.ask("PATCH", location, headers=lie, is_whole=False)
        client.body(number, b"abc")
        client.protocol.send_headers(number, [("x-sum", "a")], end_stream=True)
        client.flush()
        answer = await house.answer(client, number)
        assert (answer.status, answer.reset) == (0, PROTOCOL_ERROR)
        await house.registry.settled()
        assert (await house.get(client, location)).headers["range"] == "0-2"

    async def test_secrets_do_not_reach_the_log(self, house, said):
        """Not even where we say most: the library quotes what it refuses."""
        client = await house.h2()
        client.raw(frame(HEADERS, END_HEADERS, 1, block([*GET, ("authorization", "Basic abc ")])))
        await gives_up(house, client, PROTOCOL_ERROR)
        assert any("HTTP/2" in line for line in said)
        assert not any("abc" in line for line in said)

    @pytest.mark.parametrize("seed", range(int(os.environ.get("HTTP2_FUZZ", "40"))))
    async def test_any_frames_at_all(self, house, seed):
        """Whatever comes: no failure of ours, and others are served."""
        chance = random.Random(seed)
        client = await house.h2()
        encoder = Encoder()
        for _ in range(60):
            number = chance.choice([0, 1, 1, 3, 3, 5, 7, chance.randrange(1 << 31)])
            kind = chance.choice([0, 0, 1, 1, 2, 3, 4, 6, 8, 8, 9, 0x2A])
            payload = chance.randbytes(chance.choice([0, 4, 4, 5, 6, 8, 40]))
            if kind in (HEADERS, CONTINUATION) and chance.random() < 0.8:
                payload = encoder.encode(chance.choice([GET, POST]))
            client.raw(
                frame(kind, chance.choice([0, 1, 4, 5, chance.randrange(256)]), number, payload)
            )
            if chance.random() < 0.2:
                await house.turn()
            if client.is_gone:
                break
        if not client.is_gone:
            client.transport.abortConnection()
        await house.until(lambda: not house.site.channels)
        assert house.site.queues.used == 0
        assert house.site._census.count == 0
        assert not [record for record in house.records if record.status >= 500]


@pytest.fixture
def said():
    """What was logged, of every level."""
    lines = []

    def hear(event):
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(hear)
    yield lines
    globalLogPublisher.removeObserver(hear)


class Mute(RawClient):
    """Says nothing of HTTP/2."""

    def __init__(self, said=b""):
        super().__init__()
        self._said = said

    def connectionMade(self):
        self.transport.write(self._said)


class Deaf(FrameClient):
    """Does not hear that we close."""

    def dataReceived(self, data):
        super().dataReceived(data)
        if self.goaway is not None:
            self.transport.pauseProducing()
