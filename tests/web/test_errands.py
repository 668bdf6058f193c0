# SPDX-License-Identifier: Apache-2.0
"""What is known of a request while it is answered, and what the access log is told of it."""

import re

import pytest
import pytest_twisted

from txregistry.errand import CURRENT
from txregistry.registry import Nobody, open_registry

from .conftest import parse_here
from .content import push_blob
from .raw import request

DIGEST = "sha256:" + "0" * 64


class RequestIdTests:
    async def test_every_answer_has_an_id_of_its_own(self, house):
        """Whoever complains can name the request."""
        ids = [(await house.ask("GET", "/v2/")).headers["x-request-id"] for _ in range(3)]
        assert len(set(ids)) == 3
        assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
        assert [record.request_id for record in house.records] == ids

    async def test_clients_own_id_is_kept(self, house):
        """A trail that began at a proxy goes on here."""
        reply = await house.ask("GET", "/v2/", headers=["X-Request-Id: edge-7/a.b:c+1="])
        assert reply.headers["x-request-id"] == "edge-7/a.b:c+1="
        assert house.records[0].request_id == "edge-7/a.b:c+1="

    @pytest.mark.parametrize("given", ["", "x" * 129, "a b", 'a"b', "a\xe9", "-a", "a,b"])
    async def test_id_that_would_need_escaping_is_replaced(self, house, given):
        """Nobody writes into logs by way of an id."""
        reply = await house.ask("GET", "/v2/", headers=[f"X-Request-Id: {given}"])
        assert re.fullmatch("[0-9a-f]{32}", reply.headers["x-request-id"])

    @pytest.mark.parametrize("path", ["/nothing", "/v2/A/tags/list", "/v2/a/manifests/none"])
    async def test_refusals_have_one(self, house, path):
        assert "x-request-id" in (await house.ask("GET", path)).headers

    async def test_what_is_not_http_has_one(self, house):
        client = await house.client()
        client.send(b"\x16\x03\x01\x02\x00")
        assert "x-request-id" in (await client.reply()).headers

    async def test_large_content_has_one(self, file_house):
        digest = await push_blob(file_house, "a", b"x" * 200_000)
        reply = await file_house.ask("GET", f"/v2/a/blobs/{digest}", headers=["X-Request-Id: big"])
        assert (reply.status, reply.headers["x-request-id"]) == (200, "big")

    async def test_configured_header_does_not_come_twice(self, house):
        house.serve(headers={"X-Request-Id": ["fixed"]})
        reply = await house.ask("GET", "/v2/", headers=["X-Request-Id: mine"])
        assert reply.all("x-request-id") == ["mine"]


class RecordTests:
    async def test_pull_says_what_was_pulled(self, house):
        digest = await push_blob(house, "lib/app", b"content")
        house.records.clear()
        await house.ask("GET", f"/v2/lib/app/blobs/{digest}")
        [record] = house.records
        assert (record.endpoint, record.repository, record.reference, record.digest) == (
            "blob",
            "lib/app",
            digest,
            digest,
        )
        assert (record.error, record.user) == ("", "")

    @pytest.mark.parametrize(
        ("path", "endpoint", "error"),
        [
            (f"/v2/a/blobs/{DIGEST}", "blob", "BLOB_UNKNOWN"),
            ("/v2/A/tags/list", "tags", "NAME_INVALID"),
            ("/v2/a/manifests/none", "manifest", "MANIFEST_UNKNOWN"),
            ("/elsewhere", "nowhere", ""),
        ],
    )
    async def test_refusal_says_its_code(self, house, path, endpoint, error):
        await house.ask("GET", path)
        [record] = house.records
        assert (record.endpoint, record.error) == (endpoint, error)

    async def test_what_is_below_http_says_that_it_was_refused(self, house):
        client = await house.client()
        client.send(b"\x16\x03\x01\x02\x00")
        await client.ended()
        [record] = house.records
        assert (record.endpoint, record.error, record.status) == ("", "UNSUPPORTED", 400)


class Curious(Nobody):
    """An observer that asks on whose behalf it is called, after a while."""

    def __init__(self, house):
        self.house = house
        self.seen = []
        self.error = None

    async def told(self, repository, digest):
        before = CURRENT.get()
        await self.house.turn()
        self.seen.append((before, CURRENT.get()))
        if self.error is not None:
            raise self.error


@pytest_twisted.async_fixture
async def curious(house):
    observer = Curious(house)
    registry = open_registry(
        house.driver,
        secret=b"a secret",
        now=house.clock.seconds,
        parse=parse_here,
        observer=observer,
    )
    house.serve(registry)
    return observer


class CurrentTests:
    async def test_whoever_is_called_for_a_request_finds_it(self, house, curious):
        """Events and log lines name the request, though nobody hands it down."""
        digest = await push_blob(house, "a", b"content")
        curious.seen.clear()
        await house.ask(
            "GET", f"/v2/a/blobs/{digest}", headers=["X-Request-Id: 7", "User-Agent: u"]
        )
        [(errand, same)] = curious.seen
        assert same is errand
        assert (errand.id, errand.method, errand.user_agent, errand.client) == (
            "7",
            "GET",
            "u",
            "127.0.0.1",
        )
        assert (errand.repository, errand.reference, errand.host) == ("a", digest, "registry.test")
        assert CURRENT.get() is None

    async def test_requests_at_the_same_time_do_not_see_each_other(self, house, curious):
        digest = await push_blob(house, "a", b"content")
        curious.seen.clear()
        clients = [await house.client() for _ in range(2)]
        for number, client in enumerate(clients):
            client.send(
                request("GET", f"/v2/a/blobs/{digest}", headers=[f"X-Request-Id: {number}"])
            )
        for client in clients:
            await client.reply()
        assert sorted(before.id for before, _ in curious.seen) == ["0", "1"]
        assert all(before is after for before, after in curious.seen)

    async def test_incident_belongs_to_the_request_that_the_client_names(
        self, house, curious, failures
    ):
        """The 500 that a client complains about is found by its id."""
        digest = await push_blob(house, "a", b"content")
        curious.seen.clear()
        curious.error = ZeroDivisionError()
        reply = await house.ask("GET", f"/v2/a/blobs/{digest}")
        assert reply.status == 500
        assert curious.seen[0][0].id == reply.headers["x-request-id"]
        assert house.records[-1].error == "UNKNOWN"
        failures.clear()
