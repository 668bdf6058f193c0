# SPDX-License-Identifier: Apache-2.0
# mypy: allow-untyped-calls
# (a class of twisted.internet that is extended here has no annotations)
"""Listening sockets: bound at once, or refused at once with a sentence; served later.

Must not know HTTP. Binding apart from serving has two reasons. A port that is taken must stop the
start, while Twisted's endpoint service only logs it. And whoever connects while the storage driver
still starts waits in the backlog instead of being refused.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import Any, Protocol

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.python.failure import Failure

from txregistry.config import Address, TcpAddress, UnixAddress

#: Connections that may wait to be accepted. Twisted's 50 refuses bursts of connects.
BACKLOG = 1024

# What binding "::" answers where the kernel or the container has no IPv6.
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class ListenError(Exception):
    """An address can't be listened on; one sentence that names it and the way out."""


class PortAdopter(Protocol):
    """The part of ``IReactorSocket`` that is used here."""

    def adoptStreamPort(
        self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory
    ) -> IListeningPort: ...


class Listener:
    """One bound, listening socket that nobody serves yet.

    Args:
        is_tls: what is served there will be HTTPS.
        is_passed: somebody else has made it, and keeps it: its path is not ours to remove.
        is_shared: other processes serve it too.

    Attributes:
        where: what to tell people: a URL, or the path of a UNIX socket.
        is_local: it is a UNIX socket.
    """

    def __init__(
        self,
        bound: socket.socket,
        *,
        is_tls: bool = False,
        is_passed: bool = False,
        is_shared: bool = False,
    ) -> None:
        self._socket = bound
        self._is_shared = is_shared
        self._is_passed = is_passed
        self.is_local = bound.family == socket.AF_UNIX
        self.where = _describe(bound, "https" if is_tls else "http")

    @property
    def descriptor(self) -> int:
        """Of the socket, while nobody serves it."""
        return self._socket.fileno()

    def serve(self, reactor: PortAdopter, factory: IProtocolFactory) -> IListeningPort:
        """Hand the socket to the reactor; what waits in the backlog is served at once."""
        if self.is_local and self._is_passed:
            shape = _SharedUnixPort if self._is_shared else _PassedPort
            port: IListeningPort = shape.adopt(self._socket, reactor, factory)
        elif self._is_shared:
            port = _SharedPort.adopt(self._socket, reactor, factory)
        else:
            port = reactor.adoptStreamPort(self._socket.fileno(), self._socket.family, factory)
            if self.is_local:
                self._socket.listen(BACKLOG)  # Twisted has made it 50
        self._socket.close()
        return port

    def close(self) -> None:
        """Give the address up without having served it."""
        path = self._socket.getsockname() if self.is_local and not self._is_passed else ""
        self._socket.close()
        if path:
            os.unlink(path)


class _PassedPort(unix.Port):
    """A UNIX socket that is not ours: its path and its mode stay as they are.

    ``IReactorSocket.adoptStreamPort`` would change the one and remove the other.
    """

    @classmethod
    def adopt(cls, bound: socket.socket, reactor: Any, factory: IProtocolFactory) -> _PassedPort:
        port: _PassedPort = cls._fromListeningDescriptor(reactor, bound.fileno(), factory)
        port.mode = stat.S_IMODE(os.stat(bound.getsockname()).st_mode)
        port.backlog = BACKLOG
        port.startListening()
        return port

    def connectionLost(self, reason: Failure) -> None:
        tcp.Port.connectionLost(self, reason)


class _OneByOne:
    """A port that takes one connection at a time.

    Twisted takes up to a hundred that wait, so that of a burst one of several processes would have
    all and the others none.
    """

    @property
    def numberAccepts(self) -> int:
        return 1

    @numberAccepts.setter
    def numberAccepts(self, number: int) -> None:
        """Twisted would change it by how many it got."""


class _SharedUnixPort(_OneByOne, _PassedPort):
    """A UNIX socket that other processes serve too."""


class _SharedPort(_OneByOne, tcp.Port):
    """A TCP socket that other processes serve too."""

    @classmethod
    def adopt(cls, bound: socket.socket, reactor: Any, factory: IProtocolFactory) -> _SharedPort:
        port: _SharedPort = cls._fromListeningDescriptor(
            reactor, bound.fileno(), bound.family, factory
        )
        port.startListening()
        return port


def take_over(
    descriptor: int, *, name: str, is_tls: bool = False, is_shared: bool = False
) -> Listener:
    """Take a listening socket that somebody has passed to this process.

    Args:
        name: of it, for messages.
        is_tls: what is served there will be HTTPS, unless it is a UNIX socket.
        is_shared: other processes serve it too.

    Raises:
        ListenError: it is something else.
    """
    try:
        bound = socket.socket(fileno=descriptor)
        is_fine = bound.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX) and bool(
            bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        )
    except OSError:
        is_fine = False
    if not is_fine or bound.type != socket.SOCK_STREAM:
        raise ListenError(
            f"descriptor {descriptor} ({name or 'without a name'}), which systemd has passed, is not a "
            "listening stream socket; write ListenStream= and no Accept= in its socket unit"
        )
    bound.setblocking(False)
    return Listener(bound, is_tls=is_tls, is_passed=True, is_shared=is_shared)


def listen(address: Address, *, key: str = "http.addr", is_tls: bool = False) -> Listener:
    """Bind and listen.

    Args:
        key: that names the address, for messages.
        is_tls: what is served there will be HTTPS.

    Raises:
        ListenError: the address is taken, forbidden, or not of this host.
    """
    if isinstance(address, UnixAddress):
        return Listener(_listen_unix(address, key))
    return Listener(_listen_tcp(address, key), is_tls=is_tls)


def _listen_tcp(address: TcpAddress, key: str) -> socket.socket:
    try:
        # An empty host is every interface: "::" takes IPv4 too, where the host has IPv6.
        candidates = [(socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")]  # noqa: S104  # the operator asks for it
        if address.host:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            candidates = [(found[0][0], str(found[0][4][0]))]
    except OSError as error:
        raise ListenError(
            f"{key}: the host {address.host!r} has no address ({error.strerror}); correct it, or leave "
            "it empty for every interface"
        ) from None
    for family, host in candidates:
        try:
            return _bound(family, (host, address.port))
        except OSError as error:
            if family == socket.AF_INET6 and not address.host and error.errno in _NO_IPV6:
                continue
            raise ListenError(_reason(key, str(address), error)) from None
    raise AssertionError("the last candidate returns or raises")


def _bound(family: int, where: tuple[str, int]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(where[0] != "::"))
        bound.bind(where)
        bound.listen(BACKLOG)
    except BaseException:
        bound.close()
        raise
    return bound


def _listen_unix(address: UnixAddress, key: str) -> socket.socket:
    path = os.path.abspath(address.path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        bound.setblocking(False)
        bound.bind(path)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise ListenError(_reason(key, path, error)) from None
    return bound


def _remove_stale(path: str) -> None:
    """Remove a socket that a killed server left behind; leave one that is served, and any file."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)


def _reason(key: str, where: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{key}: {where} is in use; stop the other program, or choose another address"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{key}: {where} is not an address of this host; correct it, or write :port for all"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{key}: this user may not listen on {where}; choose a port above 1023, or another place"
    return f"{key}: can't listen on {where} ({error.strerror}); choose another address"


def _describe(bound: socket.socket, scheme: str) -> str:
    name = bound.getsockname()
    if bound.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{scheme}://{host}:{name[1]}"
