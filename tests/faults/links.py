# SPDX-License-Identifier: Apache-2.0
"""A slow, broken link: a TCP proxy that limits, delays, cuts and stalls what passes through it.

    client  ----upstream---->  Link  ---->  server
            <---downstream---        <----

Each direction of each connection is a thread. What a link does is said when it is made, and can be changed
while it works; what breaks, breaks the connections that are open and counts the bytes of each by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import threading
import time
from dataclasses import dataclass

_PIECE = 16 * 1024

_LIBC = ctypes.CDLL(None)

#: How a connection ends.
RESET, FINISH, STALL = "reset", "finish", "stall"


@dataclass
class Behaviour:
    """What a link does to one direction.

    Attributes:
        rate: bytes a second; 0 for no limit.
        latency: seconds by which each piece is late.
        cut_at: bytes of a connection after which it is broken; None for never.
        cut_how: ``RESET`` and ``FINISH`` end it for both sides, ``STALL`` lets it stand and passes
            nothing any more, in either direction: half-open, as when a cable is drawn.
        piece: most bytes that are passed at once.
    """

    rate: float = 0
    latency: float = 0
    cut_at: int | None = None
    cut_how: str = RESET
    piece: int = _PIECE


class Link:
    """A proxy on 127.0.0.1 in front of a server.

    Use as a context. The number of cuts can be limited, so that a client gets through at last.

    Args:
        target: port of the server.
        cuts: how many connections may be broken; None for any number.

    Attributes:
        port: to connect to.
        upstream, downstream: what is done to either direction of connections to come.
        was_cut: how many connections were broken.
    """

    def __init__(self, target, *, upstream=None, downstream=None, cuts=None):
        self.target = target
        self.upstream = upstream or Behaviour()
        self.downstream = downstream or Behaviour()
        self.cuts = cuts
        self.was_cut = 0
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._threads = []
        self._sockets = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self._is_over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for one in self._sockets:
                _end(one)
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        for one in self._sockets:
            one.close()

    def cut_all(self):
        """Draw the plug of every connection that is open."""
        with self._lock:
            for one in self._sockets:
                _reset(one)

    def _start(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while not self._is_over.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=20)
            except OSError:
                _reset(client)
                client.close()
                continue
            server.settimeout(None)
            stalled = threading.Event()
            with self._lock:
                self._sockets += [client, server]
            for source, sink, does in (
                (client, server, self.upstream),
                (server, client, self.downstream),
            ):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._start(self._pass, source, sink, does, stalled)

    def _pass(self, source, sink, does, stalled):
        """Pass one direction, until it ends or is broken."""
        passed, free_at = 0, time.monotonic()
        with contextlib.suppress(OSError):
            while piece := source.recv(min(does.piece, self._until_cut(does, passed))):
                if does.latency and self._is_over.wait(does.latency):
                    return
                if does.rate:
                    free_at = max(free_at, time.monotonic()) + len(piece) / does.rate
                    if self._is_over.wait(max(0.0, free_at - time.monotonic())):
                        return
                if stalled.is_set():
                    self._is_over.wait()
                    return
                sink.sendall(piece)
                passed += len(piece)
                if does.cut_at is not None and passed >= does.cut_at and self._may_cut():
                    self._cut(source, sink, does.cut_how, stalled)
                    return
            sink.shutdown(socket.SHUT_WR)
            return
        _reset(source)
        _reset(sink)

    def _until_cut(self, does, passed):
        if does.cut_at is None or passed >= does.cut_at:
            return does.piece
        return does.cut_at - passed

    def _may_cut(self):
        with self._lock:
            if self.cuts is not None and self.was_cut >= self.cuts:
                return False
            self.was_cut += 1
            return True

    def _cut(self, source, sink, how, stalled):
        if how == STALL:
            stalled.set()
            self._is_over.wait()
        elif how == FINISH:
            for one in (source, sink):
                _end(one)
        else:
            for one in (source, sink):
                _reset(one)


def _end(one):
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


def _reset(one):
    """Abort a connection at once, so that the other side sees a reset, whoever waits for bytes here.

    Connecting to "nothing" (AF_UNSPEC) does that; closing would wait for the other thread.
    """
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        _LIBC.connect(one.fileno(), bytes(16), 16)
