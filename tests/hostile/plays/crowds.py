# SPDX-License-Identifier: Apache-2.0
"""More connections than are wanted."""

from __future__ import annotations

import contextlib
import time

from ..rows import get
from ..wire import PATIENCE, Cut

#: Idle connections beside which a new client is served.
THOUSAND = 1000


def _opened(ward, stack, count, source):
    """Connections from one address, each of which is known to be served."""
    wires = [stack.enter_context(ward.wire(source=source)) for _ in range(count)]
    for wire in wires:
        wire.send(get("/v2/"))
        assert wire.reply().status == 200
    return wires


def _refused(ward, source):
    """The answer to one connection more; it comes before a request, and is not lost."""
    with ward.wire(source=source) as wire:
        reply = wire.reply()
        assert wire.ended() == b""
    assert not reply.problems()
    assert int(reply.headers["retry-after"]) >= 1
    return reply.status


def _served(ward, source):
    """Wait until a connection from there is served again."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(Cut, OSError), ward.wire(source=source) as wire:
            wire.send(get("/v2/"))
            if wire.reply().status == 200:
                return
        time.sleep(0.05)
    raise AssertionError("no connection is served any more")


def too_many_connections(ward):
    """B-033: over the cap of all a connection is told so; the others are served on."""
    with contextlib.ExitStack() as stack:
        wires = _opened(ward, stack, 6, "127.0.0.2") + _opened(ward, stack, 6, "127.0.0.3")
        assert [_refused(ward, f"127.0.0.{number}") for number in (2, 4, 5)] == [503] * 3
        for wire in wires:
            wire.send(get("/v2/"))
            assert wire.reply().status == 200
    _served(ward, "127.0.0.4")


def too_many_of_one_address(ward):
    """B-033: one address has its share; others are served as if nothing were."""
    with contextlib.ExitStack() as stack:
        _opened(ward, stack, 8, "127.0.0.2")
        assert _refused(ward, "127.0.0.2") == 503
        _opened(ward, stack, 1, "127.0.0.3")
        assert ward.ask(get("/v2/")).status == 200
    _served(ward, "127.0.0.2")


def thousand_idle_connections(ward):
    """B-033: a thousand connections that say nothing keep nobody out."""
    with contextlib.ExitStack() as stack:
        for _ in range(THOUSAND):
            stack.enter_context(ward.wire())
        for _ in range(5):
            assert ward.ask(get("/v2/a/manifests/latest")).status == 200
