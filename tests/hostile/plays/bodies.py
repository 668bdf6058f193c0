# SPDX-License-Identifier: Apache-2.0
"""Bodies that are refused, cut, or not what they seem."""

from __future__ import annotations

import time

from ...web.content import OCI_MANIFEST, digest_of, manifest
from ..rows import chunk, chunked, get, head, send
from ..ward import IMAGE, LAYER
from ..wire import PATIENCE

#: (method, target, status) of requests that are refused whatever their body is.
REFUSED_WITH_A_BODY = (
    ("PUT", "/v2/UP/manifests/x", 400),
    ("PUT", "/v2/a/manifests/.bad", 400),
    ("PUT", "/v2/a/manifests/big", 413),
    ("PUT", "/v2/a/nowhere", 404),
    ("POST", "/v2/a/tags/list", 405),
    ("POST", "/v2/UP/blobs/uploads/?digest=x", 400),
    ("POST", "/v2/a/blobs/uploads/?digest=x", 400),
    ("PATCH", "/v2/a/blobs/uploads/none?_state=x", 404),
    ("PUT", "/v2/a/blobs/uploads/none?_state=x&digest=x", 400),
)
_HUGE = 10 * 1024**3

FORMS = (
    ("application/x-www-form-urlencoded", b"mount=x&digest=y&from=a&" * 1000),
    ("application/x-www-form-urlencoded", b"a=b&" * 1_500_000),
    ("multipart/form-data; boundary=x", b"--x\r\n\r\na\r\n" * 600_000),
    ("multipart/form-data", b"--x\r\n"),
    ("multipart/form-data; boundary=" + "x" * 5000, b""),
)


def pipeline(ward):
    """B-026: a download, a push and a check at once are answered in order."""
    data = b"pipelined"
    target = f"/v2/a/blobs/uploads/?digest={digest_of(data)}"
    with ward.wire() as wire:
        wire.send(
            get(f"/v2/a/blobs/{digest_of(LAYER)}")
            + send("POST", target, data)
            + send("PUT", "/v2/a/manifests/.bad", IMAGE)
            + get("/v2/a/manifests/latest")
        )
        answers = [wire.reply() for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 201, 400, 200]
    assert (answers[0].body, answers[3].body) == (LAYER, IMAGE)


def refuse_before_continue(ward, method, target, status):
    """B-030: the refusal of a body that waits for 100 Continue comes without it."""
    with ward.wire() as wire:
        wire.send(send(method, target, b"", "Expect: 100-continue", length=_HUGE))
        reply = wire.reply()
        assert (reply.status, wire.ended()) == (status, b"")
    assert not reply.problems()


def answer_while_sending(ward, method, target, status):
    """B-031: a client that sends on without reading gets to read the refusal."""
    with ward.wire() as wire:
        wire.send(send(method, target, b"", length=_HUGE))
        for _ in range(60):
            if not wire.send(b"x" * 100_000):
                break
        reply = wire.reply()
        assert (reply.status, wire.ended()) == (status, b"")
    assert not reply.problems()


def _leave(wire, how):
    if how == "rst":
        wire.reset()


def _held_at_last(ward, target, wanted):
    """What a session holds once all that was sent for it is stored."""
    deadline = time.monotonic() + PATIENCE
    while (held := ward.held(target)) != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    return held


def cut_a_patch(ward, cut, how):
    """B-032, B-056: what came is kept, and the upload goes on from there."""
    target = ward.session(b"")
    with ward.wire() as wire:
        wire.send(send("PATCH", target, b"0123456789"[:cut], length=10))
        if how == "rst":
            # A reset may overtake what was sent before it; then less arrives.
            _wait_for_the_head(ward)
        _leave(wire, how)
    held = _held_at_last(ward, target, cut)
    assert held == cut if how == "fin" else held <= cut
    location = ward.ask(get(target)).headers["location"]
    digest = digest_of(b"0123456789")
    finished = send("PUT", f"{location}&digest={digest}", b"0123456789"[held:])
    assert ward.ask(finished).status == 201
    assert ward.ask(get(f"/v2/a/blobs/{digest}")).body == b"0123456789"
    assert ward.ask(send("DELETE", f"/v2/a/blobs/{digest}")).status == 202


def _wait_for_the_head(ward):
    ward.ask(get("/v2/"))


def cut_a_chunked_patch(ward, cut):
    """B-032: cut at every edge of the chunks; what came of the data is kept."""
    target = ward.session(b"")
    framed = chunk(b"0123") + chunk(b"456789") + b"0\r\n\r\n"
    with ward.wire() as wire:
        wire.send(chunked("PATCH", target)[: -len(b"0\r\n\r\n")] + framed[:cut])
        is_whole = cut >= len(framed)
        if is_whole:
            assert wire.reply().status == 202
    arrived = framed[3 : min(cut, 7)] + framed[12 : max(min(cut, 18), 12)]
    assert _held_at_last(ward, target, len(arrived)) == len(arrived)
    ward.cancel(target)


def cut_a_manifest(ward, cut, how):
    """B-032: a manifest that is not whole is none."""
    data = manifest(LAYER, annotations={"cut": str(cut)})
    with ward.wire() as wire:
        request = send("PUT", "/v2/a/manifests/cut", data, f"Content-Type: {OCI_MANIFEST}")
        wire.send(request[: len(request) - len(data) + cut])
        _leave(wire, how)
    assert not ward.has("/v2/a/manifests/cut")
    assert not ward.has(f"/v2/a/manifests/{digest_of(data)}")


def cut_a_closing_put(ward, cut, how):
    """B-032: a last piece that is not whole closes nothing."""
    target, data = ward.session(), b"0123456789"
    digest = digest_of(b"abc" + data)
    with ward.wire() as wire:
        wire.send(send("PUT", f"{target}&digest={digest}", data[:cut], length=len(data)))
        _leave(wire, how)
    held = _held_at_last(ward, target, 3 + cut) if how == "fin" else ward.held(target)
    assert held == 3 + cut if how == "fin" else 3 <= held <= 3 + cut
    assert not ward.has(f"/v2/a/blobs/{digest}")
    ward.cancel(target)


def cut_a_whole_push(ward, cut, how):
    """B-032: nothing of a push in one request stays if it is cut."""
    data = bytes(100_000)
    digest = digest_of(data)
    before = ward.store().keys()
    with ward.wire() as wire:
        target = f"/v2/a/blobs/uploads/?digest={digest}"
        wire.send(send("POST", target, data[:cut], length=len(data)))
        _leave(wire, how)
    assert not ward.has(f"/v2/a/blobs/{digest}")
    deadline = time.monotonic() + PATIENCE
    while left := ward.store().keys() - before:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def cut_a_head(ward, cut):
    """B-032: a head that is not whole is nothing."""
    request = head("DELETE /v2/a/manifests/latest HTTP/1.1", "Host: registry.test")
    with ward.wire() as wire:
        wire.send(request[:cut])
    assert ward.has("/v2/a/manifests/latest")


def send_a_form(ward, kind, body):
    """B-035: a form is a body like any other; only the query has parameters."""
    with ward.wire() as wire:
        wire.send(send("POST", "/v2/a/blobs/uploads/", body, f"Content-Type: {kind}"))
        reply = wire.reply()
    assert not reply.problems()
    assert reply.status == 202, reply
    target = reply.headers["location"]
    assert ward.held(target) == 0
    ward.cancel(target)
