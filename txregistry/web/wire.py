# SPDX-License-Identifier: Apache-2.0
"""What the transport of a connection is made of, asked by public interfaces only.

Room: web. Must not know HTTP. A TLS connection is a wrapper round the transport that has the
socket.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import Any

from twisted.internet.interfaces import ISSLTransport, ISystemHandle, ITransport
from twisted.protocols.policies import ProtocolWrapper

from txregistry.web.room import Room

#: By how much a receive buffer grows while a large body comes, in bytes. Twisted's 64 KiB costs
#: twice the processor time per byte; more than this gains nothing.
LARGE_BUFFER = 1024 * 1024


class Wire:
    """One transport and the socket below it.

    Attributes:
        is_plain: what is written leaves as it is, so that the kernel may write to the socket too.
        socket: None if there is none (a transport in memory).
    """

    __slots__ = ("_bottom", "_buffers", "_more", "is_plain", "socket")

    def __init__(self, transport: ITransport) -> None:
        bottom: Any = transport
        while isinstance(bottom, ProtocolWrapper):
            bottom = bottom.transport
        handle = bottom.getHandle() if ISystemHandle.providedBy(bottom) else None
        self._bottom = bottom
        self._buffers: Room | None = None
        self._more = 0
        self.socket = handle if isinstance(handle, socket.socket) else None
        self.is_plain = self.socket is not None and not ISSLTransport.providedBy(transport)

    def enlarge_buffer(self, buffers: Room) -> None:
        """Receive in large pieces from now on, unless too many others do.

        Args:
            buffers: what receive buffers of all wires have above the usual.
        """
        if self._buffers is None and self.socket is not None:
            self._buffers = buffers
            self._more = buffers.share(LARGE_BUFFER)
            buffers.used += self._more
            self._bottom.bufferSize += self._more

    def restore_buffer(self) -> None:
        """Receive in usual pieces again. Repeatable."""
        if self._buffers is not None:
            self._bottom.bufferSize -= self._more
            self._buffers.used -= self._more
            self._buffers = None

    def unacknowledged(self) -> int:
        """Bytes that the kernel holds for the peer; 0 if that can't be known."""
        if self.socket is None or self.socket.fileno() < 0:
            return 0
        try:
            answer = fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0\0\0\0")
        except OSError:
            return 0
        return int(struct.unpack("i", answer)[0])
