# SPDX-License-Identifier: Apache-2.0
"""Manifests that are odd but right, deletions, and what of a request is not believed."""

from __future__ import annotations

import contextlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor

from ...web.content import OCI_INDEX, OCI_MANIFEST, digest_of, manifest
from ..rows import get, head, send
from ..ward import IMAGE, LAYER

FORWARDED = (
    "X-Forwarded-Host: evil",
    "X-Forwarded-Proto: javascript",
    "Forwarded: host=evil;proto=https",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Prefix: /evil",
    "X-Original-URL: /v2/_catalog",
    "X-Rewrite-URL: /v2/_catalog",
    "X-HTTP-Method-Override: DELETE",
    "X-Forwarded-For: 127.0.0.1",
)

#: What a manifest names as its subject.
SUBJECTS = ("unknown", "elsewhere", "wrong size", "itself's tag", "a blob")

ANNOTATIONS = (
    "x" * (3 * 1024 * 1024),
    "\x01\x1f\x7f",
    "<script>alert(1)</script>",
    "\u202e\ufeff\u0000",
    "\U0001f600" * 1000,
    "",
)


def _put(ward, reference, data, content_type=OCI_MANIFEST, name="a"):
    target = f"/v2/{name}/manifests/{reference}"
    return ward.ask(send("PUT", target, data, f"Content-Type: {content_type}"))


def _delete(ward, data, name="a"):
    assert ward.ask(send("DELETE", f"/v2/{name}/manifests/{digest_of(data)}")).status == 202


def forwarded_is_ignored(ward, header):
    """B-042: what a client says of itself changes neither where we send it nor what is done."""
    reply = ward.ask(head("POST /v2/a/blobs/uploads/ HTTP/1.1", "Host: evil", header))
    assert (reply.status, reply.problems()) == (202, [])
    assert reply.headers["location"].startswith("/v2/a/blobs/uploads/")
    ward.cancel(reply.headers["location"])
    reply = ward.ask(get("/v2/a/manifests/latest", header))
    assert (reply.status, reply.body) == (200, IMAGE)


def no_cross_origin(ward):
    """B-045: no other site's pages may use a registry that was not told so."""
    for method in ("OPTIONS", "GET", "HEAD"):
        reply = ward.ask(
            head(
                f"{method} /v2/ HTTP/1.1",
                "Host: h",
                "Origin: https://evil",
                "Access-Control-Request-Method: PUT",
            )
        )
        assert not [name for name in reply.headers if name.startswith("access-control")]


def many_brackets(ward):
    """B-062: twenty clients whose manifests are all brackets; others are served."""
    body = b"[" + b"[]," * (4 * 1024 * 1024 // 3 - 10) + b"[]]"
    request = send("PUT", "/v2/a/manifests/x", body, f"Content-Type: {OCI_MANIFEST}")

    def push(_):
        with ward.wire() as wire:
            wire.send(request)
            return wire.reply()

    with ThreadPoolExecutor(20) as threads:
        pushes = threads.map(push, range(20))
        assert ward.ask(get("/v2/a/manifests/latest")).body == IMAGE
        # Of those for which there is no room at once, some are told to come again.
        assert {reply.status for reply in pushes} <= {400, 503}


def whitespace_is_kept(ward, space):
    """B-067: what is around and within a document is stored as it came."""
    data = space + IMAGE.replace(b", ", b" ,\n") + space
    assert _put(ward, "spaced", data).status == 201
    assert ward.ask(get("/v2/a/manifests/spaced")).body == data
    _delete(ward, data)


def foreign_layer(ward, url):
    """B-077: nobody is asked for a layer that is said to be elsewhere."""
    document = json.loads(IMAGE)
    document["layers"][0]["urls"] = [url]
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as trap:
        document["layers"][0]["urls"].append(f"http://127.0.0.1:{trap.getsockname()[1]}/")
        data = json.dumps(document).encode()
        reply = _put(ward, "foreign", data)
        assert reply.status in (201, 400), reply
        ward.ask(get("/v2/a/manifests/foreign"))
        trap.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            raise AssertionError(f"asked by {trap.accept()[1]}")
    if reply.status == 201:
        _delete(ward, data)


def odd_subject(ward, kind):
    """B-07C: whatever a manifest is said to be about, it is taken and listed."""
    subject = {
        "unknown": b"unknown",
        "elsewhere": b"of another repository",
        "wrong size": IMAGE,
        "itself's tag": IMAGE,
        "a blob": LAYER,
    }[kind]
    document = json.loads(manifest(LAYER, subject=subject, artifact_type="x/y"))
    if kind == "wrong size":
        document["subject"]["size"] += 1
    data = json.dumps(document).encode()
    reply = _put(ward, "latest-about" if kind == "itself's tag" else digest_of(data), data)
    assert (reply.status, reply.headers["oci-subject"]) == (201, digest_of(subject))
    listed = json.loads(ward.ask(get(f"/v2/a/referrers/{digest_of(subject)}")).body)
    assert digest_of(data) in [each["digest"] for each in listed["manifests"]]
    _delete(ward, data)


def odd_annotation(ward, text):
    """B-07D: annotations are the client's, byte by byte, and never a page of ours."""
    data = manifest(LAYER, annotations={"org.example": text})
    reply = _put(ward, "odd", data)
    assert reply.status in (201, 400), reply
    if reply.status == 201:
        pulled = ward.ask(get("/v2/a/manifests/odd", "Accept: text/html"))
        assert (pulled.status, pulled.body) == (200, data)
        assert pulled.headers["content-type"] == OCI_MANIFEST
        _delete(ward, data)


def delete_twice(ward, kind):
    """B-090: the second time there is nothing."""
    data = manifest(LAYER, annotations={"twice": kind})
    blob = b"twice"
    assert _put(ward, "twice", data).status == 201
    pushed = send("POST", f"/v2/a/blobs/uploads/?digest={digest_of(blob)}", blob)
    assert ward.ask(pushed).status == 201
    target, first = {
        "manifest": (f"/v2/a/manifests/{digest_of(data)}", 202),
        "tag": ("/v2/a/manifests/twice", 202),
        "blob": (f"/v2/a/blobs/{digest_of(blob)}", 202),
        "upload": (ward.session(), 204),
    }[kind]
    assert [ward.ask(send("DELETE", target)).status for _ in range(2)] == [first, 404]
    for digest, place in ((digest_of(data), "manifests"), (digest_of(blob), "blobs")):
        assert ward.ask(send("DELETE", f"/v2/a/{place}/{digest}")).status in (202, 404)
    assert ward.ask(send("DELETE", "/v2/a/manifests/twice")).status in (202, 404)


def deleted_here_stays_there(ward):
    """B-100: what was deleted in one repository is not had through another."""
    blob = b"in two repositories"
    digest = digest_of(blob)
    for name in ("here", "there"):
        pushed = send("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", blob)
        assert ward.ask(pushed).status == 201
    assert ward.ask(send("DELETE", f"/v2/here/blobs/{digest}")).status == 202
    assert ward.ask(get(f"/v2/there/blobs/{digest}")).body == blob
    assert ward.ask(get(f"/v2/here/blobs/{digest}")).status == 404
    for name in ("here", "there"):
        index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
        assert _put(ward, "x", index, OCI_INDEX, name=name).status == 201
    data = json.loads(manifest())
    data["config"] = {"mediaType": "x/y", "digest": digest, "size": len(blob)}
    reply = _put(ward, "y", json.dumps(data).encode(), name="here")
    assert reply.status in (400, 404), reply


def link_of_a_page(ward, text):
    """B-113: what a client says comes back in a Link only as part of a URL of ours."""
    for target in (f"/v2/a/tags/list?n=1&last={text}", f"/v2/_catalog?n=1&last={text}"):
        reply = ward.ask(get(target))
        link = reply.headers.get("link")
        assert reply.status in (200, 400), reply
        assert "x" not in reply.headers
        if link is not None:
            url = link.partition(">")[0].removeprefix("<")
            assert url.startswith("/v2/") and link == f'<{url}>; rel="next"'
            assert not set(url) & set(' "<>\r\n')
