# SPDX-License-Identifier: Apache-2.0
"""Blobs over HTTP."""

import pytest

from txregistry.web.elsewhere import Exempt, networks

from .content import EMPTY_SHA256, digest_of, push_blob

DATA = bytes(range(256)) * 4
DIGEST = digest_of(DATA)
LARGE = bytes(range(251)) * 1000
LARGE_DIGEST = digest_of(LARGE)


class FetchTests:
    """GET and HEAD."""

    @pytest.mark.parametrize("data", [DATA, LARGE, b""], ids=["small", "large", "empty"])
    @pytest.mark.parametrize("digest_form", ["{}:{}", "{}%3a{}"])
    async def test_content_comes_back(self, house, data, digest_form):
        """What was pushed can be pulled."""
        digest = await push_blob(house, "lib/app", data)
        reply = await house.ask(
            "GET", f"/v2/lib/app/blobs/{digest_form.format(*digest.split(':'))}"
        )
        assert (reply.status, reply.body) == (200, data)
        assert reply.headers["content-type"] == "application/octet-stream"
        assert reply.headers["docker-content-digest"] == digest
        assert reply.headers["etag"] == f'"{digest}"'
        assert reply.headers["accept-ranges"] == "bytes"
        assert reply.headers["cache-control"] == "max-age=31536000"

    @pytest.mark.parametrize("data", [DATA, LARGE, b""], ids=["small", "large", "empty"])
    async def test_head_is_get_without_the_body(self, house, data):
        """Clients ask for the size before they pull."""
        digest = await push_blob(house, "a", data)
        headers = ["X-Request-Id: 1"]
        got = await house.ask("GET", f"/v2/a/blobs/{digest}", headers=headers)
        headers.append("Range: bytes=0-1")
        looked = await house.ask("HEAD", f"/v2/a/blobs/{digest}", headers=headers)
        assert (looked.status, looked.headers, looked.body) == (200, got.headers, b"")

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_known_content_is_304(self, house, method):
        """A client that has it already gets no body."""
        await push_blob(house, "a", DATA)
        reply = await house.ask(
            method,
            f"/v2/a/blobs/{DIGEST}",
            headers=['If-None-Match: "x"', f'If-None-Match: "{DIGEST}"'],
        )
        assert (reply.status, reply.body) == (304, b"")
        assert reply.headers["etag"] == f'"{DIGEST}"'

    async def test_thousand_tags_are_read_quickly_and_weakly(self, house):
        """B-039."""
        await push_blob(house, "a", DATA)
        tags = ", ".join(f'W/"{number}"' for number in range(1000))
        reply = await house.ask("GET", f"/v2/a/blobs/{DIGEST}", headers=[f"If-None-Match: {tags}"])
        assert reply.status == 200

    @pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
    async def test_blob_of_another_repository_is_404(self, house, method):
        """B-102: a digest alone opens nothing."""
        await push_blob(house, "a", DATA)
        assert (await house.ask(method, f"/v2/b/blobs/{DIGEST}")).status == 404

    async def test_redirect_is_passed_on_with_the_digest(self, house):
        """Storage may serve content itself."""
        digest = await push_blob(house, "a", DATA)
        house.serve(registry=_Redirecting(house.registry), redirect=True)
        reply = await house.ask("GET", f"/v2/a/blobs/{digest}")
        assert (reply.status, reply.headers["location"]) == (307, "https://elsewhere/GET")
        assert reply.headers["docker-content-digest"] == digest

    @pytest.mark.parametrize(
        "exempt, is_exempt",
        [
            (Exempt(networks=networks(["127.0.0.0/8"])), True),
            (Exempt(networks=networks(["10.0.0.0/8", "::1/128"])), False),
            (Exempt(user_agents=("OldClient/",)), True),
            (Exempt(user_agents=("newclient",)), False),
        ],
    )
    async def test_some_clients_are_served_from_here(self, house, exempt, is_exempt):
        """They can't reach the storage, or follow no redirect."""
        digest = await push_blob(house, "a", DATA)
        house.serve(registry=_Redirecting(house.registry), redirect=True, exempt=exempt)
        agent = ["User-Agent: oldclient/1.2"]
        reply = await house.ask("GET", f"/v2/a/blobs/{digest}", headers=agent)
        assert (reply.status, reply.body) == ((200, DATA) if is_exempt else (307, b""))


class _Redirecting:
    """A registry whose storage serves blobs itself."""

    def __init__(self, registry):
        self.blobs = self
        self.registry = registry

    async def redirect(self, repository, digest, method, *, client):
        return f"https://elsewhere/{method}"

    def __getattr__(self, name):
        return getattr(self.registry.blobs, name)


class RangesTests:
    """GET with Range."""

    @pytest.fixture(params=["small", "large"])
    def data(self, request):
        return {"small": DATA, "large": LARGE}[request.param]

    @pytest.mark.parametrize(
        "asked, start, stop",
        [
            ("0-4", 0, 5),
            ("100-", 100, None),
            ("-7", -7, None),
            ("1000-99999999", 1000, None),
            ("0-0", 0, 1),
        ],
    )
    async def test_one_range_is_206(self, house, data, asked, start, stop):
        """A part, and where it lies."""
        digest = await push_blob(house, "a", data)
        reply = await house.ask("GET", f"/v2/a/blobs/{digest}", headers=[f"Range: bytes={asked}"])
        expected = data[start:stop]
        first = start if start >= 0 else len(data) + start
        assert (reply.status, reply.body) == (206, expected)
        last = first + len(expected) - 1
        assert reply.headers["content-range"] == f"bytes {first}-{last}/{len(data)}"
        assert reply.headers["docker-content-digest"] == digest
        assert reply.headers["content-type"] == "application/octet-stream"

    @pytest.mark.parametrize("asked", ["bytes=999999999-", "bytes=5-4", "bytes=-0"])
    async def test_what_can_not_be_satisfied_is_416(self, house, data, asked):
        """With the true size."""
        digest = await push_blob(house, "a", data)
        reply = await house.ask("GET", f"/v2/a/blobs/{digest}", headers=[f"Range: {asked}"])
        assert (reply.status, reply.code) == (416, "RANGE_INVALID")
        assert reply.headers["content-range"] == f"bytes */{len(data)}"

    @pytest.mark.parametrize("asked", ["items=0-4", "bytes=", "bytes=x-y", "bytes=0-1," * 9, "0-4"])
    async def test_what_is_no_range_is_ignored(self, house, data, asked):
        """The whole content is always a right answer."""
        digest = await push_blob(house, "a", data)
        reply = await house.ask("GET", f"/v2/a/blobs/{digest}", headers=[f"Range: {asked}"])
        assert (reply.status, reply.body) == (200, data)

    async def test_several_ranges_are_one_multipart_body(self, house, data):
        """Each with its place."""
        digest = await push_blob(house, "a", data)
        reply = await house.ask(
            "GET", f"/v2/a/blobs/{digest}", headers=["Range: bytes=0-9,100-109,-5"]
        )
        assert reply.status == 206
        kind, _, boundary = reply.headers["content-type"].partition("; boundary=")
        assert kind == "multipart/byteranges"
        _, *parts, end = reply.body.split(f"--{boundary}".encode())
        assert end == b"--\r\n"
        size = len(data)
        assert [part.strip(b"\r\n").split(b"\r\n\r\n", 1)[0] for part in parts] == [
            f"Content-Type: application/octet-stream\r\nContent-Range: bytes {place}/{size}".encode()
            for place in ("0-9", "100-109", f"{size - 5}-{size - 1}")
        ]
        assert [part[:-2].split(b"\r\n\r\n", 1)[1] for part in parts] == [
            data[:10],
            data[100:110],
            data[-5:],
        ]

    @pytest.mark.parametrize(
        "validator, status", [('"{}"', 206), ('"other"', 200), ('W/"{}"', 200)]
    )
    async def test_if_range_guards_the_part(self, house, data, validator, status):
        """A part of other content would be useless."""
        digest = await push_blob(house, "a", data)
        headers = ["Range: bytes=0-4", f"If-Range: {validator.format(digest)}"]
        assert (await house.ask("GET", f"/v2/a/blobs/{digest}", headers=headers)).status == status


class DeleteTests:
    """DELETE."""

    async def test_blob_leaves_its_repository_only(self, house):
        """B-090, B-100: 202, then 404; another repository keeps it."""
        await push_blob(house, "a", DATA)
        await push_blob(house, "b", DATA)
        reply = await house.ask("DELETE", f"/v2/a/blobs/{DIGEST}")
        assert (reply.status, reply.body) == (202, b"")
        again = await house.ask("DELETE", f"/v2/a/blobs/{DIGEST}")
        assert (again.status, again.code) == (404, "BLOB_UNKNOWN")
        assert (await house.ask("GET", f"/v2/a/blobs/{DIGEST}")).status == 404
        assert (await house.ask("GET", f"/v2/b/blobs/{DIGEST}")).status == 200


async def test_empty_blob_can_be_pulled_everywhere(house):
    """No bytes are content, too."""
    await push_blob(house, "a", b"")
    reply = await house.ask("GET", f"/v2/a/blobs/{EMPTY_SHA256}", headers=["Range: bytes=0-"])
    assert (reply.status, reply.body) == (200, b"")
