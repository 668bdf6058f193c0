# SPDX-License-Identifier: Apache-2.0
"""Uploads over HTTP."""

import re
import uuid

import pytest

from .content import EMPTY_SHA256, digest_of, push_blob
from .raw import chunked, request

DATA = bytes(range(256)) * 16
DIGEST = digest_of(DATA)
LARGE = bytes(range(251)) * 2000


async def start(house, name="a", query=""):
    """Open a session; returns its Location."""
    reply = await house.ask("POST", f"/v2/{name}/blobs/uploads/{query}", body=b"")
    assert reply.status == 202, reply
    return reply.headers["location"]


async def patch(house, location, data, *headers):
    return await house.ask("PATCH", location, headers=headers, body=data)


async def put(house, location, digest, data=b"", *headers):
    return await house.ask("PUT", f"{location}&digest={digest}", headers=headers, body=data)


async def offset_of(house, location):
    """What the server says that it holds."""
    reply = await house.ask("GET", location)
    assert reply.status == 204
    return reply.headers["range"]


class StartTests:
    """POST."""

    @pytest.mark.parametrize("target", ["/v2/lib/app/blobs/uploads/", "/v2/lib/app/blobs/uploads"])
    async def test_session_tells_where_it_goes_on(self, house, target):
        """Location with a token, an id, and that nothing is held."""
        reply = await house.ask("POST", target, body=b"")
        assert (reply.status, reply.body) == (202, b"")
        upload_id = reply.headers["docker-upload-uuid"]
        assert str(uuid.UUID(upload_id)) == upload_id
        pattern = rf"/v2/lib/app/blobs/uploads/{upload_id}\?_state=[A-Za-z0-9_-]+(%3D)*"
        assert re.fullmatch(pattern, reply.headers["location"])
        assert reply.headers["range"] == "0-0"
        assert reply.headers["content-length"] == "0"

    async def test_post_without_content_length_is_taken(self, house):
        """No body is no body."""
        client = await house.client()
        client.send(request("POST", "/v2/a/blobs/uploads/"))
        assert (await client.reply()).status == 202

    @pytest.mark.parametrize("data", [DATA, LARGE, b""], ids=["small", "large", "empty"])
    async def test_whole_blob_in_one_request(self, house, data):
        """POST with a digest is all that it takes."""
        reply = await house.ask("POST", f"/v2/a/blobs/uploads/?digest={digest_of(data)}", body=data)
        assert reply.status == 201
        assert reply.headers["location"] == f"/v2/a/blobs/{digest_of(data)}"
        assert reply.headers["docker-content-digest"] == digest_of(data)
        assert (await house.ask("GET", reply.headers["location"])).body == data

    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    async def test_empty_blob_in_one_request(self, house, algorithm):
        """No bytes are all bytes of the empty blob, by whatever digest."""
        digest = digest_of(b"", algorithm)
        reply = await house.ask("POST", f"/v2/a/blobs/uploads/?digest={digest}", body=b"")
        assert (reply.status, reply.headers["docker-content-digest"]) == (201, digest)
        assert (await house.ask("GET", f"/v2/a/blobs/{digest}")).status == 200

    async def test_digest_without_a_body_is_an_announcement(self, house):
        """Clients that only announce go on with a session."""
        reply = await house.ask("POST", f"/v2/a/blobs/uploads/?digest={DIGEST}", body=b"")
        assert reply.status == 202

    async def test_wrong_digest_in_one_request_is_400(self, house):
        """B-057: nothing is visible."""
        reply = await house.ask("POST", f"/v2/a/blobs/uploads/?digest={DIGEST}", body=DATA + b"x")
        assert (reply.status, reply.code) == (400, "DIGEST_INVALID")
        assert (await house.ask("HEAD", f"/v2/a/blobs/{DIGEST}")).status == 404

    @pytest.mark.parametrize("algorithm", ["md5", "sha-256", "", "../x"])
    async def test_unknown_algorithm_is_400(self, house, algorithm):
        """A hint that can't be followed is refused."""
        reply = await house.ask(
            "POST", f"/v2/a/blobs/uploads/?digest-algorithm={algorithm}", body=b""
        )
        assert (reply.status, reply.code) == (400, "DIGEST_INVALID")

    async def test_sha512_chunks(self, house):
        """The algorithm of a session may be chosen."""
        location = await start(house, query="?digest-algorithm=sha512")
        location = (await patch(house, location, LARGE)).headers["location"]
        digest = digest_of(LARGE, "sha512")
        reply = await put(house, location, digest)
        assert (reply.status, reply.headers["docker-content-digest"]) == (201, digest)
        assert (await house.ask("GET", f"/v2/a/blobs/{digest}")).body == LARGE

    @pytest.mark.parametrize(
        "content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    )
    async def test_forms_are_bytes(self, house, content_type):
        """B-035: parameters come from the query only."""
        await push_blob(house, "b", DATA)
        form = f"mount={DIGEST}&from=b".encode()
        target = f"/v2/a/blobs/uploads/?digest={digest_of(form)}"
        reply = await house.ask(
            "POST", target, headers=[f"Content-Type: {content_type}"], body=form
        )
        assert reply.headers["location"] == f"/v2/a/blobs/{digest_of(form)}"
        reply = await house.ask(
            "POST", "/v2/a/blobs/uploads/", headers=[f"Content-Type: {content_type}"], body=form
        )
        assert reply.status == 202


class MountTests:
    """POST with mount."""

    async def test_blob_of_another_repository_is_mounted(self, house):
        """Nothing is sent again."""
        await push_blob(house, "b", DATA)
        reply = await house.ask("POST", f"/v2/a/blobs/uploads/?mount={DIGEST}&from=b", body=b"")
        assert reply.status == 201
        assert reply.headers["location"] == f"/v2/a/blobs/{DIGEST}"
        assert reply.headers["docker-content-digest"] == DIGEST
        assert (await house.ask("GET", f"/v2/a/blobs/{DIGEST}")).body == DATA

    @pytest.mark.parametrize(
        "query",
        [
            f"mount={DIGEST}&from=none",
            f"mount={DIGEST}",
            f"mount={DIGEST}&from=UPPER",
            "mount=sha256:junk&from=b",
            f"mount={digest_of(b'other')}&from=b",
            f"mount={DIGEST}&from=../b",
        ],
    )
    async def test_what_can_not_be_mounted_is_an_upload(self, house, query):
        """Any trouble is a session, as for registry:3."""
        await push_blob(house, "b", DATA)
        reply = await house.ask("POST", f"/v2/a/blobs/uploads/?{query}", body=b"")
        assert reply.status == 202
        assert "docker-upload-uuid" in reply.headers


class ChunksTests:
    """PATCH, GET, PUT."""

    async def test_chunks_in_order_make_a_blob(self, house):
        """The whole course, with all that it tells."""
        location = await start(house)
        reply = await patch(house, location, LARGE[:1000], "Content-Range: 0-999")
        assert (reply.status, reply.body, reply.headers["range"]) == (202, b"", "0-999")
        location = reply.headers["location"]
        upload_id = reply.headers["docker-upload-uuid"]
        looked = await house.ask("HEAD", location)
        assert (looked.status, looked.headers["range"]) == (204, "0-999")
        assert looked.headers["docker-upload-uuid"] == upload_id
        assert "content-length" not in looked.headers
        reply = await patch(
            house, looked.headers["location"], LARGE[1000:5000], "Content-Range: 1000-4999"
        )
        assert reply.headers["range"] == "0-4999"
        digest = digest_of(LARGE)
        reply = await put(house, reply.headers["location"], digest, LARGE[5000:])
        assert (reply.status, reply.body) == (201, b"")
        assert reply.headers["location"] == f"/v2/a/blobs/{digest}"
        assert (await house.ask("GET", reply.headers["location"])).body == LARGE
        assert (await house.ask("GET", location)).status == 404

    async def test_streamed_chunk_is_appended(self, house):
        """Docker sends one PATCH without a range, chunked."""
        location = await start(house)
        client = await house.client()
        client.send(chunked("PATCH", location, LARGE[:70000], LARGE[70000:70001], LARGE[70001:]))
        reply = await client.reply()
        assert (reply.status, reply.headers["range"]) == (202, f"0-{len(LARGE) - 1}")
        assert (await put(house, reply.headers["location"], digest_of(LARGE))).status == 201

    async def test_empty_blob(self, house):
        """B-059: by an empty PATCH, and by PUT alone."""
        for location in (
            await start(house),
            (await patch(house, await start(house), b"")).headers["location"],
        ):
            assert (await put(house, location, EMPTY_SHA256)).status == 201

    async def test_put_that_was_answered_may_be_repeated(self, house):
        """A 201 that got lost is asked for again."""
        location = await start(house)
        for _ in range(2):
            assert (await put(house, location, DIGEST, DATA)).status == 201

    @pytest.mark.parametrize(
        "method, content_range",
        [
            (method, content_range)
            for method in ("PATCH", "PUT")
            for content_range in ("10-13", "0-3", "6-9", "8-5", f"{2**63}-{2**63 + 3}")
        ],
    )
    async def test_chunk_out_of_order_is_416_with_the_true_offset(
        self, house, method, content_range
    ):
        """B-054, B-055: the client is told where to go on, and nothing was appended."""
        location = (await patch(house, await start(house), b"01234")).headers["location"]
        target = location if method == "PATCH" else f"{location}&digest={digest_of(b'012345678')}"
        reply = await house.ask(
            method, target, headers=[f"Content-Range: {content_range}"], body=b"5678"
        )
        assert (reply.status, reply.code) == (416, "RANGE_INVALID")
        assert reply.headers["range"] == "0-4"
        assert "docker-upload-uuid" in reply.headers
        location = reply.headers["location"]
        assert await offset_of(house, location) == "0-4"
        assert (await put(house, location, digest_of(b"012345678"), b"5678")).status == 201

    async def test_refused_chunk_is_not_asked_for(self, house):
        """A client that waits for 100 never has to send what won't be taken."""
        location = (await patch(house, await start(house), b"01234")).headers["location"]
        client = await house.client()
        client.send(
            request(
                "PATCH",
                location,
                headers=["Expect: 100-continue", "Content-Range: 9-12", "Content-Length: 4"],
            )
        )
        assert (await client.reply()).status == 416

    @pytest.mark.parametrize(
        "content_range", ["bytes 5-8/9", "bytes=5-8", "5-", "-8", "5", "-5--8", "5-8,9-10", "x", ""]
    )
    async def test_malformed_content_range_is_400(self, house, content_range):
        """B-054: and the offset is what it was."""
        location = (await patch(house, await start(house), b"01234")).headers["location"]
        reply = await patch(house, location, b"5678", f"Content-Range: {content_range}")
        assert (reply.status, reply.code) == (400, "SIZE_INVALID")
        assert await offset_of(house, location) == "0-4"

    @pytest.mark.parametrize("content_range", ["5-9", "5-5", "8-5"])
    async def test_range_of_another_length_is_refused(self, house, content_range):
        """B-054: nothing was appended."""
        location = (await patch(house, await start(house), b"01234")).headers["location"]
        reply = await patch(house, location, b"5678", f"Content-Range: {content_range}")
        assert reply.status in (400, 416)
        assert await offset_of(house, location) == "0-4"

    @pytest.mark.parametrize(
        "query",
        [
            "",
            f"&digest={DIGEST}&digest={DIGEST}",
            "&digest=",
            "&digest=sha256:xyz",
            "&digest=md5:" + "0" * 32,
        ],
    )
    async def test_put_needs_one_good_digest(self, house, query):
        """B-057: and the session stays."""
        location = await start(house)
        reply = await house.ask("PUT", location + query, body=DATA)
        assert (reply.status, reply.code) == (400, "DIGEST_INVALID")
        assert await offset_of(house, location) == "0-0"

    async def test_wrong_digest_leaves_the_session_open(self, house):
        """An upload of days may have been closed with a wrong digest: ruling 15."""
        location = (await patch(house, await start(house), DATA)).headers["location"]
        reply = await put(house, location, digest_of(b"other"))
        assert (reply.status, reply.code) == (400, "DIGEST_INVALID")
        assert (await put(house, location, DIGEST)).status == 201


class SessionsTests:
    """Ids and tokens."""

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize(
        "upload_id", [str(uuid.UUID(int=1)), "..", ".", "x" * 10240, "a%2Fb", "a=b"]
    )
    async def test_unknown_id_is_404(self, house, method, upload_id):
        """B-050."""
        reply = await house.ask(method, f"/v2/a/blobs/uploads/{upload_id}")
        assert reply.status == 404
        if method == "GET":
            assert reply.code == "BLOB_UPLOAD_UNKNOWN"

    @pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
    @pytest.mark.parametrize("damage", ["missing", "flipped", "empty", "junk"])
    async def test_bad_token_is_refused(self, house, method, damage):
        """B-051: and the session is untouched."""
        location = await start(house)
        path, _, token = location.partition("?_state=")
        flipped = ("B" if token[0] != "B" else "C") + token[1:]
        query = {
            "missing": "x=1",
            "flipped": f"_state={flipped}",
            "empty": "_state=",
            "junk": "_state=%00",
        }
        reply = await house.ask(method, f"{path}?{query[damage]}&digest={DIGEST}", body=DATA)
        assert (reply.status, reply.code) == (404, "BLOB_UPLOAD_INVALID")
        assert await offset_of(house, location) == "0-0"

    @pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
    async def test_session_belongs_to_its_repository(self, house, method):
        """B-052."""
        location = await start(house)
        elsewhere = location.replace("/v2/a/", "/v2/b/")
        reply = await house.ask(method, f"{elsewhere}&digest={DIGEST}", body=DATA)
        assert reply.status == 404
        assert await offset_of(house, location) == "0-0"

    async def test_cancelled_upload_is_gone(self, house):
        """204, then 404."""
        location = (await patch(house, await start(house), DATA)).headers["location"]
        reply = await house.ask("DELETE", location)
        assert (reply.status, reply.body) == (204, b"")
        assert "docker-upload-uuid" in reply.headers
        assert (await house.ask("GET", location)).status == 404
        assert (await house.ask("DELETE", location)).status == 404


class CutTests:
    """Clients that leave in the middle."""

    @pytest.mark.parametrize("sent", [0, 1, 100, 4095])
    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    async def test_what_arrived_is_kept(self, house, method, sent):
        """B-032, B-056: no 2xx, and the offset is what was sent."""
        location = await start(house)
        target = location if method == "PATCH" else f"{location}&digest={DIGEST}"
        client = await house.client()
        client.send(f"{method} {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(DATA)}\r\n\r\n")
        client.send(DATA[:sent])
        client.transport.loseWriteConnection()
        await client.ended()
        assert client.received == b""
        await house.registry.settled()
        held = await offset_of(house, location)
        assert held == ("0-0" if sent <= 1 else f"0-{sent - 1}")
        location = (await house.ask("GET", location)).headers["location"]
        assert (await put(house, location, DIGEST, DATA[sent:])).status == 201

    async def test_cut_inside_of_a_chunk(self, house):
        """Chunked bodies keep what arrived, too."""
        location = await start(house)
        client = await house.client()
        head = f"PATCH {location} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.send(f"{head}5\r\n01234\r\n10\r\n567")
        client.transport.loseWriteConnection()
        await client.ended()
        await house.registry.settled()
        assert await offset_of(house, location) == "0-7"
