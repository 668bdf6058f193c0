# SPDX-License-Identifier: Apache-2.0
"""What every answer has, and the answers that are about no content."""

import json

import pytest

from txregistry.web import Endpoint, Metadata

from .raw import request

WRITES = {"DELETE", "PATCH", "POST", "PUT"}


async def test_version_check_is_what_clients_look_for(house):
    """GET /v2/ says that this is a registry."""
    reply = await house.ask("GET", "/v2/")
    assert (reply.status, reply.body) == (200, b"{}")
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["docker-distribution-api-version"] == "registry/2.0"


async def test_version_check_without_slash_is_not_redirected(house):
    """No client ever gets a 3xx from the router."""
    assert (await house.ask("GET", "/v2")).status == 200


def told(reply):
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-cache"
    return json.loads(reply.body)


OURS = {"version": "v2", "url": "/v2/", "push": True}


async def test_root_tells_what_is_here(house):
    """Who knows no API yet asks there."""
    assert told(await house.ask("GET", "/")) == {
        "versions": ["v2"],
        "endpoints": [OURS],
        "mirrors": [],
        "fallback": False,
    }
    head = await house.ask("HEAD", "/")
    assert (head.status, head.body) == (200, b"")


async def test_root_tells_what_is_beside_us(house):
    """Ours comes first; versions are told once."""
    others = (
        Endpoint("v1", "https://r.example/v1/", False),
        Endpoint("v2", "https://other.example/v2/", True),
    )
    mirrors = ("https://mirror.example/v2/",)
    house.serve(metadata=Metadata(endpoints=others, mirrors=mirrors, fallback=True))
    assert told(await house.ask("GET", "/")) == {
        "versions": ["v2", "v1"],
        "endpoints": [
            OURS,
            {"version": "v1", "url": "https://r.example/v1/", "push": False},
            {"version": "v2", "url": "https://other.example/v2/", "push": True},
        ],
        "mirrors": ["https://mirror.example/v2/"],
        "fallback": True,
    }


async def test_root_tells_where_the_api_is_and_whether_it_takes_pushes(house):
    house.serve(prefix="/r/", host="https://registry.example", relative_urls=False, read_only=True)
    [endpoint] = told(await house.ask("GET", "/"))["endpoints"]
    assert endpoint == {"version": "v2", "url": "https://registry.example/r/v2/", "push": False}


async def test_root_may_be_empty(house):
    """As registry:3 has it, for whoever relies on that."""
    house.serve(metadata=None)
    reply = await house.ask("GET", "/")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("target", ["/v2/", "/", "/nowhere", "/v2/a/tags/list", "/v2/UP/tags/list"])
async def test_every_answer_has_the_standing_headers(house, target):
    """Success or refusal, the same headers protect the client."""
    reply = await house.ask("GET", target)
    assert reply.headers["server"] == "txregistry"
    assert reply.headers["date"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert reply.headers["docker-distribution-api-version"] == "registry/2.0"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-security-policy"] == "default-src 'none'; sandbox"


async def test_date_goes_on(house):
    """The Date header is that of the clock, to the second."""
    client = await house.client()
    client.send(request("GET", "/v2/"))
    await client.reply()
    house.pass_time(5)
    client.send(request("GET", "/v2/"))
    assert (await client.reply()).headers["date"] == "Tue, 14 Nov 2023 22:13:25 GMT"


async def test_configured_headers_stand_on_every_answer(house):
    """http.headers are added; those of our own that are named are replaced, framing never is."""
    house.serve(
        headers={
            "X-Frame-Options": ["DENY"],
            "X-Content-Type-Options": ["nosniff"],
            "Via": ["1.1 a", "1.1 b"],
            "Content-Length": ["7"],
            "Server": ["other"],
        }
    )
    reply = await house.ask("GET", "/nowhere")
    assert reply.status == 404
    assert reply.all("X-Frame-Options") == ["DENY"]
    assert reply.all("X-Content-Type-Options") == ["nosniff"]
    assert reply.all("Via") == ["1.1 a", "1.1 b"]
    assert reply.all("Server") == ["txregistry"]
    assert reply.all("Content-Length") == [str(len(reply.body))]


async def test_unknown_path_is_an_error_document(house):
    """404 can be parsed like any refusal."""
    reply = await house.ask("GET", "/v2/a/unknown")
    assert (reply.status, reply.code) == (404, "UNSUPPORTED")


@pytest.mark.parametrize(
    "method, target, allow",
    [
        ("POST", "/v2/", "GET, HEAD, OPTIONS"),
        ("HEAD", "/v2/a/tags/list", "GET, OPTIONS"),
        ("POST", "/v2/_catalog", "GET, OPTIONS"),
        ("PROPFIND", "/v2/a/manifests/x", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("get", "/v2/a/manifests/x", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("PATCH", "/v2/a/blobs/uploads/", "OPTIONS, POST"),
        ("PUT", "/v2/a/referrers/x", "GET, HEAD, OPTIONS"),
    ],
)
async def test_other_methods_are_405_with_what_is_allowed(house, method, target, allow):
    """A method that is not for a path is told so, with those that are."""
    reply = await house.ask(method, target)
    assert reply.status == 405
    assert reply.headers["allow"] == allow
    if method != "HEAD":
        assert reply.code == "UNSUPPORTED"


async def test_options_tells_what_is_allowed_and_nothing_else(house):
    """A preflight gets no permission to use our answers elsewhere."""
    reply = await house.ask(
        "OPTIONS",
        "/v2/a/tags/list",
        headers=["Origin: http://evil", "Access-Control-Request-Method: GET"],
    )
    assert (reply.status, reply.headers["allow"], reply.body) == (200, "GET, OPTIONS", b"")
    assert not [name for name in reply.headers if name.startswith("access-control")]


async def test_head_has_the_length_of_get_and_no_body(house):
    """HEAD is answered as GET, without what GET would send."""
    client = await house.client()
    client.send(request("HEAD", "/v2/") + request("HEAD", "/nowhere") + request("GET", "/v2/"))
    assert (await client.reply(to_head=True)).headers["content-length"] == "2"
    refused = await client.reply(to_head=True)
    assert refused.status == 404
    assert (await client.reply()).body == b"{}"
    in_full = await house.ask("GET", "/nowhere")
    assert refused.headers["content-length"] == str(len(in_full.body))


async def test_prefix_mounts_everything_but_liveness(house):
    """A registry may live below a path, and says so in what it gives out."""
    house.serve(prefix="/reg/")
    assert (await house.ask("GET", "/")).status == 200
    assert (await house.ask("GET", "/v2/")).status == 404
    assert (await house.ask("GET", "/reg/v2/")).status == 200
    reply = await house.ask("POST", "/reg/v2/a/blobs/uploads/", body=b"")
    assert reply.headers["location"].startswith("/reg/v2/a/blobs/uploads/")


@pytest.mark.parametrize(
    "headers",
    [
        ["X-Forwarded-Host: evil", "X-Forwarded-Proto: javascript"],
        ["Forwarded: host=evil;proto=http"],
    ],
)
async def test_locations_never_echo_the_request(house, headers):
    """Neither Host nor any forwarding header gets into a URL."""
    reply = await house.ask(
        "POST", "/v2/a/blobs/uploads/", host="evil.example", headers=headers, body=b""
    )
    assert reply.headers["location"].startswith("/v2/a/blobs/uploads/")
    assert "evil" not in json.dumps(reply.headers)


async def test_configured_host_makes_locations_absolute(house):
    """http.host, without relativeurls, is in every Location."""
    house.serve(host="https://registry.example", relative_urls=False)
    reply = await house.ask("POST", "/v2/a/blobs/uploads/", host="evil.example", body=b"")
    assert reply.headers["location"].startswith("https://registry.example/v2/a/blobs/uploads/")


class ReadOnlyTests:
    """One switch refuses every change, before a body byte is read."""

    @pytest.mark.parametrize(
        "method, target",
        [
            ("PUT", "/v2/a/manifests/x"),
            ("DELETE", "/v2/a/manifests/x"),
            ("DELETE", "/v2/a/blobs/sha256:0"),
            ("POST", "/v2/a/blobs/uploads/"),
            ("PATCH", "/v2/a/blobs/uploads/u"),
            ("PUT", "/v2/a/blobs/uploads/u"),
            ("DELETE", "/v2/a/blobs/uploads/u"),
        ],
    )
    async def test_every_write_is_405(self, house, method, target):
        """B-095."""
        house.serve(read_only=True)
        client = await house.client()
        client.send(
            request(method, target, headers=["Expect: 100-continue", "Content-Length: 10737418240"])
        )
        reply = await client.reply()
        assert (reply.status, reply.code) == (405, "UNSUPPORTED")
        assert reply.headers["connection"] == "close"
        assert not WRITES & set(reply.headers["allow"].split(", "))

    async def test_upload_that_had_begun_is_still_told_of(self, house):
        """Its client waits and goes on, rather than begin again."""
        location = (await house.ask("POST", "/v2/a/blobs/uploads/", body=b"")).headers["location"]
        house.serve(read_only=True)
        assert (await house.ask("GET", location)).status == 204

    async def test_reads_go_on(self, house):
        """Nothing else changes."""
        house.serve(read_only=True)
        assert (await house.ask("GET", "/v2/_catalog")).status == 200


class DeleteDisabledTests:
    """Deletes are off unless configured."""

    @pytest.mark.parametrize(
        "target", ["manifests/latest", f"manifests/sha256:{'0' * 64}", "blobs/sha256:0"]
    )
    async def test_deletes_are_405(self, house, target):
        """B-094: by tag, by digest, and of blobs."""
        house.serve(delete_enabled=False)
        reply = await house.ask("DELETE", f"/v2/a/{target}")
        assert (reply.status, reply.code) == (405, "UNSUPPORTED")
        assert "GET" in reply.headers["allow"] and "DELETE" not in reply.headers["allow"]

    async def test_cancelling_an_upload_is_no_delete(self, house):
        """B-094: what a client pushes itself it may take back."""
        house.serve(delete_enabled=False)
        started = await house.ask("POST", "/v2/a/blobs/uploads/", body=b"")
        assert (await house.ask("DELETE", started.headers["location"])).status == 204
