# SPDX-License-Identifier: Apache-2.0
"""Where to listen: ``host:port`` as Go reads it, or the path of a UNIX socket.

Room: config. Nothing is resolved or bound here.
"""

from __future__ import annotations

import re

from attrs import frozen

# "[" IPv6 address "]" ":" port, or a name or IPv4 address before ":" port.
# An empty host means every interface.
_TCP = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%a-z]+)\]|(?P<host>[^:\[\]/\s]*)):(?P<port>[0-9]{1,5})")


@frozen
class TcpAddress:
    """A TCP address; an empty host is every interface, port 0 is any free port."""

    host: str
    port: int

    @property
    def is_everywhere(self) -> bool:
        """It is every interface, however that is written."""
        return self.host in ("", "0.0.0.0", "::")  # noqa: S104  # it is not bound here

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@frozen
class UnixAddress:
    """The path of a UNIX socket."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress


@frozen
class Entrance:
    """One more place to listen on, and whether TLS is spoken there."""

    address: Address
    is_tls: bool


def parse_address(net: str, text: str) -> Address:
    """Read an address of the network ``tcp`` or ``unix``.

    Raises:
        ValueError: with what was expected.
    """
    if net == "unix":
        # 107 bytes and a NUL are what sockaddr_un holds on Linux.
        if not text or "\0" in text or len(text.encode()) > 107:
            raise ValueError("the path of a socket, at most 107 bytes")
        return UnixAddress(text)
    return parse_tcp(text)


def parse_tcp(text: str) -> TcpAddress:
    """Read ``host:port``.

    Raises:
        ValueError: with what was expected.
    """
    match = _TCP.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ValueError("host:port, or :port for every interface")
    return TcpAddress(match["v6"] or match["host"] or "", int(match["port"]))


def parse_entrance(text: str) -> Entrance:
    """Read ``http://host:port``, ``https://host:port`` or ``unix:/path``.

    Raises:
        ValueError: with what was expected.
    """
    scheme, separator, rest = text.partition(":")
    if scheme == "unix" and separator:
        return Entrance(parse_address("unix", rest), False)
    if scheme in ("http", "https") and rest.startswith("//"):
        return Entrance(parse_address("tcp", rest[2:]), scheme == "https")
    raise ValueError("http://host:port, https://host:port or unix:/path")
