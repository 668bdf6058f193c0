# SPDX-License-Identifier: Apache-2.0
"""Clients that take their time, on a server whose deadlines are a second or two."""

from __future__ import annotations

import contextlib
import time

from ...web.content import digest_of
from ..rows import get, send
from ..wire import PATIENCE

MIB = 1024 * 1024


def _drip(wire, data=b"x"):
    """Send a byte now and then until the server has had enough."""
    deadline = time.monotonic() + PATIENCE
    sent = 0
    while wire.send(data) and time.monotonic() < deadline:
        sent += len(data)
        time.sleep(0.1)
    assert time.monotonic() < deadline, "the server waits for ever"
    return sent


def silent_connection(ward, said):
    """B-028: neither a connection nor a head waits for ever."""
    with ward.wire() as wire:
        wire.send(said.encode())
        if said:
            reply = wire.reply()
            assert (reply.status, reply.problems()) == (408, [])
        assert wire.ended() == b""


def dripping_head(ward):
    """B-028: bytes that come now and then don't lengthen the deadline."""
    with ward.wire() as wire:
        wire.send(b"GET /v2/ HTTP/1.1\r\nHost: h\r\nX: ")
        _drip(wire)


def dripping_body(ward):
    """B-028: a body below the least rate is cut; what came of it stays."""
    target = ward.session(b"")
    with ward.wire() as wire:
        wire.send(send("PATCH", target, b"", length=10_000))
        sent = _drip(wire)
    assert 0 < ward.held(target) <= sent
    ward.cancel(target)


def idle_connection(ward):
    """B-028: a connection is not kept for nothing."""
    with ward.wire() as wire:
        wire.send(get("/v2/"))
        assert wire.reply().status == 200
        assert wire.ended() == b""


def reader_that_stops(ward):
    """B-029: a client that takes nothing of what it asked for is let go, and costs no memory."""
    data = bytes(8 * MIB)
    digest = digest_of(data)
    pushed = send("POST", f"/v2/large/blobs/uploads/?digest={digest}", data)
    assert ward.ask(pushed).status == 201
    before, descriptors = ward.resident(), ward.descriptors()
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            wire = stack.enter_context(ward.wire(receive_buffer=4096))
            wire.send(get(f"/v2/large/blobs/{digest}"))
            wire.first()
        # Each has a connection and the content's file; they go when the stall was long enough.
        deadline = time.monotonic() + PATIENCE
        while ward.descriptors() > descriptors:
            assert ward.resident() - before < 32 * MIB
            assert time.monotonic() < deadline, "the server waits for ever"
            time.sleep(0.05)
    assert ward.ask(send("DELETE", f"/v2/large/blobs/{digest}")).status == 202


def refused_body_without_end(ward):
    """B-037: a body that nobody wants is not read for ever, however slowly it comes."""
    with ward.wire() as wire:
        wire.send(send("PUT", "/v2/UP/manifests/x", b"", length=10**10))
        assert wire.reply().status == 400
        _drip(wire)
