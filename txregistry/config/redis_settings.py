# SPDX-License-Identifier: Apache-2.0
"""``redis``: the server that ``storage.cache.blobdescriptor: redis`` keeps content in.

Room: config. Nothing is connected here.
"""

from __future__ import annotations

import re

from attrs import frozen

from txregistry.config.document import Items, Node
from txregistry.config.kinds import FLAG, SECRET, TEXT, Kind, Misfit, duration, read_text, whole
from txregistry.config.rows import key as _key
from txregistry.config.rows import section as _section

#: Redis's own.
PORT = 6379

# "[" IPv6 address "]", or a name or IPv4 address, then maybe ":" port.
_SERVER = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")


@frozen
class Server:
    """Host and port of a server."""

    host: str
    port: int


def _read_server(node: Node) -> Server:
    match = _SERVER.fullmatch(read_text(node))
    if match is None:
        raise Misfit
    port = int(match[3] or PORT)
    if not 0 < port < 65536:
        raise Misfit
    return Server(match[1] or match[2], port)


def _read_servers(node: Node) -> tuple[Server, ...]:
    if not isinstance(node, Items) or len(node.nodes) != 1:
        raise Misfit
    return (_read_server(node.nodes[0]),)


SERVERS: Kind[tuple[Server, ...]] = Kind("a list of one host:port", _read_servers, is_list=True)


@frozen
class RedisTls:
    """``redis.tls``; ours. The server's certificate is verified by its name."""

    enabled: bool = _key(FLAG, False)


@frozen
class Redis:
    """``redis``

    Attributes:
        addrs: one server; registry:3 takes several for a cluster.
    """

    addrs: tuple[Server, ...] = _key(SERVERS, ())
    username: str = _key(TEXT, "")
    password: str = _key(SECRET, "")
    db: int = _key(whole(0), 0)
    pool_size: int = _key(whole(1, 1000), 10)
    dial_timeout: float = _key(duration(0.001), 5.0)
    tls: RedisTls = _section(RedisTls)
