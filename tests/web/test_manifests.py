# SPDX-License-Identifier: Apache-2.0
"""Manifests over HTTP."""

import pytest

from .content import (
    EMPTY_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    digest_of,
    manifest,
    push_blob,
    push_image,
    push_manifest,
)
from .raw import chunked


class FetchTests:
    """GET and HEAD."""

    @pytest.mark.parametrize("by", ["tag", "digest", "encoded digest"])
    async def test_bytes_and_type_are_those_that_were_pushed(self, house, by):
        """What was pushed comes back, with its digest."""
        data = await push_image(house, "lib/app", "v1", b"layer")
        digest = digest_of(data)
        reference = {"tag": "v1", "digest": digest, "encoded digest": digest.replace(":", "%3A")}[
            by
        ]
        reply = await house.ask("GET", f"/v2/lib/app/manifests/{reference}")
        assert (reply.status, reply.body) == (200, data)
        assert reply.headers["content-type"] == OCI_MANIFEST
        assert reply.headers["docker-content-digest"] == digest
        assert reply.headers["etag"] == f'"{digest}"'
        assert reply.headers["cache-control"] == ("no-cache" if by == "tag" else "max-age=31536000")

    async def test_head_is_get_without_the_body(self, house):
        """Clients look before they pull."""
        await push_image(house, "a", "v1")
        headers = ["X-Request-Id: 1"]
        got = await house.ask("GET", "/v2/a/manifests/v1", headers=headers)
        looked = await house.ask("HEAD", "/v2/a/manifests/v1", headers=headers)
        assert (looked.status, looked.headers, looked.body) == (200, got.headers, b"")

    @pytest.mark.parametrize("condition", ['"{}"', "{}", 'W/"{}"', '"x", "{}"', "*"])
    async def test_known_content_is_304(self, house, condition):
        """A client that has it already gets no body."""
        data = await push_image(house, "a", "v1")
        reply = await house.ask(
            "GET",
            "/v2/a/manifests/v1",
            headers=[f"If-None-Match: {condition.format(digest_of(data))}"],
        )
        assert (reply.status, reply.body) == (304, b"")
        assert reply.headers["docker-content-digest"] == digest_of(data)
        assert "content-length" not in reply.headers

    async def test_condition_on_what_is_not_there_is_404(self, house):
        """A digest in If-None-Match proves nothing."""
        digest = digest_of(b"nothing")
        reply = await house.ask(
            "GET", f"/v2/a/manifests/{digest}", headers=[f'If-None-Match: "{digest}"']
        )
        assert reply.status == 404

    @pytest.mark.parametrize(
        "accept", ["text/html", "*/*", OCI_INDEX, "*/*;q=foo", ",".join(["a/b"] * 500)]
    )
    async def test_accept_changes_nothing(self, house, accept):
        """B-038, B-075: stored bytes are served as what they are."""
        data = await push_image(house, "a", "v1")
        reply = await house.ask(
            "GET", "/v2/a/manifests/v1", headers=[f"Accept: {accept}", "Accept-Encoding: gzip"]
        )
        assert (reply.status, reply.body) == (200, data)
        assert "content-encoding" not in reply.headers

    @pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
    @pytest.mark.parametrize(
        "reference", ["none", ".bad", "a+b", digest_of(b"none"), "x/y", "a%20b"]
    )
    async def test_what_is_not_there_is_404(self, house, method, reference):
        """Also under what is no tag at all."""
        reply = await house.ask(method, f"/v2/a/manifests/{reference}")
        assert reply.status == 404
        if method != "HEAD":
            assert reply.code == "MANIFEST_UNKNOWN"


class PutTests:
    """PUT."""

    async def test_pushed_manifest_is_located_by_digest(self, house):
        """201 says where it is and what it is."""
        await push_blob(house, "lib/app", EMPTY_CONFIG)
        data = manifest()
        reply = await push_manifest(house, "lib/app", "v1", data)
        assert (reply.status, reply.body) == (201, b"")
        assert reply.headers["location"] == f"/v2/lib/app/manifests/{digest_of(data)}"
        assert reply.headers["docker-content-digest"] == digest_of(data)
        assert "oci-subject" not in reply.headers and "oci-tag" not in reply.headers

    async def test_chunked_body_is_taken(self, house):
        """A client need not know the length beforehand."""
        await push_blob(house, "a", EMPTY_CONFIG)
        data = manifest()
        client = await house.client()
        pieces = [data[:10], data[10:11], data[11:]]
        client.send(
            chunked("PUT", "/v2/a/manifests/v1", *pieces, headers=[f"Content-Type: {OCI_MANIFEST}"])
        )
        assert (await client.reply()).status == 201
        assert (await house.ask("GET", "/v2/a/manifests/v1")).body == data

    async def test_subject_is_told_back(self, house):
        """OCI-Subject tells the client that it need not keep an index of its own."""
        subject = await push_image(house, "a", "v1")
        await push_image(house, "a", "v2", subject=subject, artifact_type="application/x")
        reply = await push_manifest(
            house, "a", "v2", manifest(subject=subject, artifact_type="application/x")
        )
        assert reply.headers["oci-subject"] == digest_of(subject)

    async def test_tags_may_come_with_the_digest(self, house):
        """PUT by digest with tags makes them all, each named in the answer."""
        await push_blob(house, "a", EMPTY_CONFIG)
        data = manifest()
        digest = digest_of(data)
        query = "&".join(f"tag=t{number}" for number in range(10))
        reply = await push_manifest(house, "a", f"{digest}?{query}&tag=t0", data)
        assert reply.status == 201
        assert reply.all("OCI-Tag") == [f"t{number}" for number in range(10)]
        assert (await house.ask("GET", "/v2/a/manifests/t7")).body == data

    async def test_too_many_tags_are_414(self, house):
        """There is a bound, and it has a status of its own."""
        await push_blob(house, "a", EMPTY_CONFIG)
        data = manifest()
        query = "&".join(f"tag=t{number}" for number in range(101))
        reply = await push_manifest(house, "a", f"{digest_of(data)}?{query}", data)
        assert reply.status == 414

    async def test_bad_tag_among_them_is_400_and_nothing_is_stored(self, house):
        """All or nothing."""
        await push_blob(house, "a", EMPTY_CONFIG)
        data = manifest()
        reply = await push_manifest(house, "a", f"{digest_of(data)}?tag=ok&tag=.bad", data)
        assert (reply.status, reply.code) == (400, "TAG_INVALID")
        assert (await house.ask("GET", f"/v2/a/manifests/{digest_of(data)}")).status == 404

    @pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
    async def test_encoded_body_is_415_and_never_inflated(self, house, coding):
        """B-063."""
        reply = await house.ask(
            "PUT",
            "/v2/a/manifests/v1",
            headers=[f"Content-Type: {OCI_MANIFEST}", f"Content-Encoding: {coding}"],
            body=manifest(),
        )
        assert (reply.status, reply.code) == (415, "UNSUPPORTED")

    async def test_wrong_digest_is_400(self, house):
        """B-07B: a digest names its own bytes only."""
        await push_blob(house, "a", EMPTY_CONFIG)
        reply = await push_manifest(house, "a", digest_of(b"other"), manifest())
        assert (reply.status, reply.code) == (400, "DIGEST_INVALID")

    async def test_missing_blobs_are_all_told(self, house):
        """One entry for each that is missing."""
        reply = await push_manifest(house, "a", "v1", manifest(b"one", b"two"))
        assert reply.status in (400, 404)
        assert reply.code == "MANIFEST_BLOB_UNKNOWN"
        assert digest_of(b"one").encode() in reply.body and digest_of(b"two").encode() in reply.body

    async def test_body_cut_short_stores_nothing(self, house):
        """B-032: a manifest is whole or not there."""
        await push_blob(house, "a", EMPTY_CONFIG)
        data = manifest()
        client = await house.client()
        head = f"PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: h\r\nContent-Length: {len(data)}\r\n"
        client.send(f"{head}Content-Type: {OCI_MANIFEST}\r\n\r\n")
        client.send(data[:-1])
        client.transport.loseWriteConnection()
        await client.ended()
        assert client.received == b""
        assert (await house.ask("GET", "/v2/a/manifests/v1")).status == 404


class DeleteTests:
    """DELETE."""

    async def test_tag_goes_alone(self, house):
        """The manifest stays under its digest."""
        data = await push_image(house, "a", "v1")
        reply = await house.ask("DELETE", "/v2/a/manifests/v1")
        assert (reply.status, reply.body) == (202, b"")
        assert (await house.ask("DELETE", "/v2/a/manifests/v1")).status == 404
        assert (await house.ask("GET", f"/v2/a/manifests/{digest_of(data)}")).status == 200

    async def test_manifest_goes_with_its_tags(self, house):
        """No tag is left that leads nowhere."""
        data = await push_image(house, "a", "v1")
        assert (await house.ask("DELETE", f"/v2/a/manifests/{digest_of(data)}")).status == 202
        assert (await house.ask("GET", "/v2/a/manifests/v1")).status == 404
