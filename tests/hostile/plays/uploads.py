# SPDX-License-Identifier: Apache-2.0
"""Upload sessions that are not the client's, and other misuse of them."""

from __future__ import annotations

import hashlib
import hmac
import os
import subprocess
import sys
import time

from ...functional.servers import SECRET
from ...web.content import EMPTY_SHA256, digest_of
from ..rows import get, send
from ..ward import LAYER
from ..wire import PATIENCE

#: (mount, from): what can't be mounted.
MOUNTS = (
    (digest_of(b"nothing"), "a"),
    (digest_of(LAYER), "UPPER"),
    (digest_of(LAYER), "../a"),
    (digest_of(LAYER), "none"),
    ("sha256:../../x", "a"),
    ("", ""),
    ("x" * 5000, "y" * 5000),
    (digest_of(b"nothing"), "a&from=b"),
)


def _request(method, target, data=b"x"):
    """A request of each method that would be right with the right token."""
    if method == "PUT":
        target = f"{target}&digest={digest_of(b'abc' + data)}"
    return send(method, target, data if method in ("PATCH", "PUT") else b"")


def flip_bits_of_the_token(ward, method):
    """B-051: a token with a single bit changed is none."""
    target = ward.session()
    path, _, token = target.partition("?_state=")
    for place in (*range(0, len(token), 23), len(token) - 2):
        flipped = chr(ord(token[place]) ^ 1)
        if not (flipped.isalnum() or flipped in "-_="):
            flipped = "A" if token[place] != "A" else "B"
        changed = f"{path}?_state={token[:place]}{flipped}{token[place + 1 :]}"
        assert ward.ask(_request(method, changed)).status in (400, 404)
    assert ward.held(target) == 3
    ward.cancel(target)


def token_of_another_session(ward, method):
    """B-051: a token opens its own session only; both go on."""
    mine, other = ward.session(), ward.session()
    borrowed = f"{mine.partition('?')[0]}?{other.partition('?')[2]}"
    assert ward.ask(_request(method, borrowed)).status in (400, 404)
    assert (ward.held(mine), ward.held(other)) == (3, 3)
    ward.cancel(mine)
    ward.cancel(other)


def token_of_another_key(ward):
    """B-051: who does not know the secret can't make a token, whatever else is right in it."""
    target = ward.session()
    path, _, token = target.partition("?_state=")
    for key in (b"", b"another", SECRET.encode()[:-1]):
        mac = hmac.new(key, token.encode(), hashlib.sha256).hexdigest()
        for forged in (f"{token}{mac}", f"{mac}{token}", mac):
            assert ward.ask(_request("PATCH", f"{path}?_state={forged}")).status in (400, 404)
    assert ward.held(target) == 3
    ward.cancel(target)


def session_of_another_repository(ward, method):
    """B-052: a session belongs to one repository."""
    target = ward.session()
    elsewhere = target.replace("/v2/a/", "/v2/other/")
    assert ward.ask(_request(method, elsewhere)).status == 404
    assert ward.held(target) == 3
    ward.cancel(target)


def _await_held(ward, target, size):
    deadline = time.monotonic() + PATIENCE
    while ward.held(target) != size:
        assert time.monotonic() < deadline, "what was sent does not arrive"
        time.sleep(0.01)


def short_patch(ward, how):
    """B-056: five of ten bytes; a retry from where it is goes on."""
    target = ward.session(b"")
    with ward.wire() as wire:
        wire.send(send("PATCH", target, b"01234", length=10))
        _await_held(ward, target, 5)
        if how == "rst":
            wire.reset()
    location = ward.ask(get(target)).headers["location"]
    reply = ward.ask(send("PATCH", location, b"56789", "Content-Range: 5-9"))
    assert (reply.status, reply.headers["range"]) == (202, "0-9")
    ward.cancel(target)


def empty_blob(ward, way):
    """B-059: nothing at all is a blob like any other."""
    if way == "post":
        ends = send("POST", f"/v2/a/blobs/uploads/?digest={EMPTY_SHA256}")
    else:
        location = ward.session(b"")
        if way == "patch":
            reply = ward.ask(send("PATCH", location))
            assert reply.status == 202, reply
            location = reply.headers["location"]
        ends = send("PUT", f"{location}&digest={EMPTY_SHA256}")
    assert ward.ask(ends).status == 201
    reply = ward.ask(get(f"/v2/a/blobs/{EMPTY_SHA256}"))
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", "0")
    assert ward.ask(send("DELETE", f"/v2/a/blobs/{EMPTY_SHA256}")).status == 202


def mount_of_what_is_not_there(ward, digest, name):
    """B-05A: what can't be mounted is uploaded; that it exists elsewhere is not told."""
    reply = ward.ask(send("POST", f"/v2/mine/blobs/uploads/?mount={digest}&from={name}"))
    assert reply.status == 202, reply
    ward.cancel(reply.headers["location"])


def two_writers(ward):
    """B-05E: of two clients at one session one goes on, and every byte is where it belongs."""
    target = ward.session(b"")
    with ward.wire() as first:
        first.send(send("PATCH", target, b"01234", length=10))
        _await_held(ward, target, 5)
        location = ward.ask(get(target)).headers["location"]
        reply = ward.ask(send("PATCH", location, b"56789"))
        assert (reply.status, reply.headers["range"]) == (202, "0-9")
        first.send(b"56789")
        reply = first.reply()
        assert (reply.status, reply.headers["range"]) == (416, "0-9")
    location = ward.ask(get(target)).headers["location"]
    digest = digest_of(b"0123456789")
    assert ward.ask(send("PUT", f"{location}&digest={digest}")).status == 201
    assert ward.ask(send("DELETE", f"/v2/a/blobs/{digest}")).status == 202


def abandon_uploads(ward):
    """B-05B: one client has its share of uploads; others go on, and it does once some have ended."""
    opened = [ward.session(b"") for _ in range(5)]
    refused = send("POST", "/v2/a/blobs/uploads/", b"", "Expect: 100-continue", length=10**10)
    with ward.wire() as wire:
        wire.send(refused)
        reply = wire.reply()
        assert (reply.status, reply.code, wire.ended()) == (429, "TOOMANYREQUESTS", b"")
    assert not reply.problems()
    assert int(reply.headers["retry-after"]) >= 1
    with ward.wire(source="127.0.0.2") as wire:
        wire.send(send("POST", "/v2/a/blobs/uploads/"))
        opened.append(wire.reply().headers["location"])
        wire.send(send("POST", "/v2/a/blobs/uploads/"))
        reply = wire.reply()
        assert (reply.status, reply.code) == (503, "UNAVAILABLE")
    assert ward.ask(send("PATCH", opened[0], b"abc")).status == 202
    ward.cancel(opened.pop())
    ward.cancel(opened.pop())
    opened.append(ward.session(b""))
    for target in opened:
        ward.cancel(target)


def fill_uploads(ward):
    """B-05B: one client's unfinished uploads hold so much; others go on, up to what all may hold."""
    mine = [ward.session(b"x" * 30), ward.session(b"")]
    with ward.wire() as wire:
        wire.send(send("PATCH", mine[1], b"", "Expect: 100-continue", length=10**10))
        reply = wire.reply()
        assert (reply.status, reply.code, wire.ended()) == (429, "TOOMANYREQUESTS", b"")
    assert not reply.problems()
    assert int(reply.headers["retry-after"]) >= 1
    assert ward.held(mine[1]) == 0
    with ward.wire(source="127.0.0.2") as wire:
        wire.send(send("POST", "/v2/a/blobs/uploads/"))
        theirs = wire.reply().headers["location"]
        wire.send(send("PATCH", theirs, b"y" * 30))
        reply = wire.reply()
        assert reply.status == 202
        theirs = reply.headers["location"]
        wire.send(send("PATCH", theirs, b"y" * 10, "Expect: 100-continue"))
        reply = wire.reply()
        assert (reply.status, reply.code) == (503, "UNAVAILABLE")
    ward.cancel(mine.pop(0))
    assert ward.ask(send("PATCH", mine[0], b"z" * 20)).status == 202
    ward.cancel(mine[0])
    ward.cancel(theirs)


def purge_beside_a_writer(ward):
    """B-05F: purges that come all the time leave an upload alone that a request is at work on."""
    busy, left = ward.session(b""), ward.session(b"")
    with ward.wire() as wire:
        wire.send(send("PATCH", busy, b"01234", length=10))
        deadline = time.monotonic() + PATIENCE
        while ward.held(left) is not None:
            assert time.monotonic() < deadline, "nothing is purged"
            time.sleep(0.05)
        assert ward.held(busy) == 5
        wire.send(b"56789")
        reply = wire.reply()
    assert (reply.status, reply.headers["range"]) == (202, "0-9")
    while ward.held(busy) is not None:
        assert time.monotonic() < deadline, "what is no longer in use is not purged"
        time.sleep(0.05)
    with ward.wire() as wire:
        wire.send(send("PATCH", reply.headers["location"], b"x"))
        assert wire.reply().status == 404


def purge_by_another_process(ward):
    """B-05G: what an operator's purge removes under a writer is not acknowledged any more."""
    target = ward.session(b"")
    with ward.wire() as wire:
        wire.send(send("PATCH", target, b"01234", length=10))
        _await_held(ward, target, 5)
        upload_id = target.partition("?")[0].rpartition("/")[2]
        for path in ward.server.root.rglob(f"{upload_id}/**/*"):
            os.utime(path, (10**9, 10**9))
        purge = ["uploads", "purge", "--older-than", "1h", "--config", ward.server.configuration]
        subprocess.run([sys.executable, "-m", "txregistry.cli", *purge], check=True)
        wire.send(b"56789")
        reply = wire.reply()
    assert (reply.status, reply.code) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert not reply.problems()
    assert ward.held(target) is None
