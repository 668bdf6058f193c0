# SPDX-License-Identifier: Apache-2.0
"""On whose behalf things are done: what the observer of a registry can learn of the request."""

import pytest

from txregistry.errand import CURRENT
from txregistry.registry import open_registry

from .conftest import parse_here
from .content import digest_of, push_blob, push_image


class Scribe:
    """An observer that writes down whose request it was told of."""

    def __init__(self):
        self.seen = []

    async def told(self, repository, digest):
        pass

    async def happened(self, event):
        self.seen.append((event, CURRENT.get()))


@pytest.fixture
def scribe(house):
    scribe = Scribe()
    house.registry = open_registry(
        house.driver,
        secret=b"a secret",
        now=house.clock.seconds,
        parse=parse_here,
        observer=scribe,
    )
    house.serve(trusted_proxies=frozenset({"127.0.0.1"}))
    return scribe


async def test_request_is_known_where_the_work_is_done(house, scribe):
    data = await push_image(house, "a", "v1")
    scribe.seen.clear()
    await house.ask("GET", "/v2/a/manifests/v1", headers=["User-Agent: docker/27"])
    [(event, errand)] = scribe.seen
    assert str(event.digest) == digest_of(data)
    assert (errand.method, errand.user_agent, errand.client) == ("GET", "docker/27", "127.0.0.1")
    assert errand.port


async def test_proxy_that_is_trusted_says_where_it_came_from(house, scribe):
    await push_blob(house, "a", b"blob")
    scribe.seen.clear()
    path = f"/v2/a/blobs/{digest_of(b'blob')}"
    await house.ask("HEAD", path, headers=["X-Forwarded-For: 192.0.2.7"])
    [(_, errand)] = scribe.seen
    assert (errand.method, errand.client, errand.port) == ("HEAD", "192.0.2.7", 0)


async def test_requests_of_one_connection_are_told_apart(house, scribe):
    await push_image(house, "a", "v1")
    scribe.seen.clear()
    client = await house.client()
    for agent in ("one", "two"):
        client.send(
            f"GET /v2/a/manifests/v1 HTTP/1.1\r\nHost: r\r\nUser-Agent: {agent}\r\n\r\n".encode()
        )
        await client.reply()
    assert [errand.user_agent for _, errand in scribe.seen] == ["one", "two"]
    assert len({errand.id for _, errand in scribe.seen}) == 2
    assert CURRENT.get() is None


async def test_what_is_finished_without_its_client_is_still_on_its_behalf(house, scribe):
    """The commit goes on in a task of its own, and inherits whose it was."""
    await push_blob(house, "a", b"blob")
    assert all(errand is not None for _, errand in scribe.seen)


async def test_304_is_no_pull(house, scribe):
    """As in registry:3."""
    data = await push_image(house, "a", "v1")
    scribe.seen.clear()
    reply = await house.ask(
        "GET", "/v2/a/manifests/v1", headers=[f'If-None-Match: "{digest_of(data)}"']
    )
    assert (reply.status, scribe.seen) == (304, [])
