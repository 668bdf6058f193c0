# SPDX-License-Identifier: Apache-2.0
"""Stands between a driver and its S3, and knows how many bytes each connection has brought."""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    """Passes connections on to a port, while the context is entered.

    Attributes:
        brought: bytes from the server, by connection in the order of their opening. Only what the
            client takes is taken from the server, but for the kernel's buffers, which are small.
    """

    def __init__(self, port):
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = []
        self._threads = []
        self.brought = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        self._run(self._accept)
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in self._sockets:
            end.close()

    def _run(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server = socket.create_connection(self._target)
                self._sockets += (client, server)
                number = len(self.brought)
                self.brought.append(0)
                self._run(self._pump, client, server, None)
                self._run(self._pump, server, client, number)

    def _pump(self, source, sink, number):
        """Pass on until either end is gone."""
        with contextlib.suppress(OSError):
            while data := source.recv(64 * 1024):
                sink.sendall(data)
                if number is not None:
                    self.brought[number] += len(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
