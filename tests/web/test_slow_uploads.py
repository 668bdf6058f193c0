# SPDX-License-Identifier: Apache-2.0
"""An upload of days over a link at the least rate, on a clock that only the test moves."""

from __future__ import annotations

import pytest_twisted

from txregistry.oci.digests import Digest
from txregistry.registry import purge_uploads
from txregistry.storage.memory import MemoryStore
from txregistry.web import Limits
from txregistry.web.pace import Pace, Verdict

from .conftest import House
from .raw import request

HOUR = 3600
DAY = 24 * HOUR
WEEK = 7 * DAY

LIMITS = Limits()

#: Seconds of the link's sending between two pieces that arrive.
STEP = 15


@pytest_twisted.async_yield_fixture
async def house():
    """A site whose store has the same clock."""
    houses = []
    house = House(MemoryStore(now=lambda: int(houses[0].clock.seconds() * 1e9)))
    houses.append(house)
    house.serve()
    yield house
    await house.close()


async def send_slowly(house, location, content, offset, seconds):
    """PATCH at the least rate for so long, then lose the link; returns what was sent by then."""
    client = await house.client()
    client.send(request("PATCH", location, headers=[f"Content-Length: {len(content) - offset}"]))
    await house.until(lambda: house.stages() == ["BODY"])
    piece, sent = STEP * LIMITS.body_rate, 0
    for _ in range(seconds // STEP):
        client.send(content[offset + sent : offset + sent + piece])
        sent += piece
        await house.until(lambda wanted=sent: house.received() >= wanted or client.received)
        house.pass_time(STEP)
        assert not client.received, client.received
    await client.close()
    await house.until(lambda: house.stages() == [])
    await house.registry.settled()
    return offset + sent


async def purge(house):
    now = house.clock.seconds()
    return await purge_uploads(house.driver, now, WEEK, is_in_use=house.registry.uploads.is_in_use)


async def test_upload_of_a_fortnight_arrives(house):
    """Four links lost, days in between, a purge each day: every byte that arrived is kept."""
    content = bytes(range(251)) * (4 * HOUR * LIMITS.body_rate // 251)
    started = await house.ask("POST", "/v2/a/blobs/uploads/", body=b"")
    location, offset = started.headers["location"], 0
    for _ in range(3):
        offset = await send_slowly(house, location, content, offset, HOUR)
        for _ in range(4):
            house.clock.advance(DAY)
            assert (await purge(house)).removed == 0
        reply = await house.ask("GET", location)
        assert reply.headers["range"] == f"0-{offset - 1}"
        location = reply.headers["location"]
    target = f"{location}&digest={Digest.of(content)}"
    assert (await house.ask("PUT", target, body=content[offset:])).status == 201
    started = await house.ask("POST", "/v2/a/blobs/uploads/", body=b"")
    house.clock.advance(WEEK + 1)
    assert (await purge(house)).removed == 1


def test_one_body_at_the_least_rate_may_take_a_week():
    """The rule is about the rate, never about the whole time."""
    pace = Pace(LIMITS, 0.0)
    pace.body_began()
    assert all(
        pace.judge_body(second * LIMITS.body_rate, float(second)) is Verdict.GO_ON
        for second in range(0, WEEK)
    )
