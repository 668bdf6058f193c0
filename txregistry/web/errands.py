# SPDX-License-Identifier: Apache-2.0
"""What a request says of itself, as an errand.

Room: web. Must not know routes.
"""

from __future__ import annotations

import random
import re
from typing import Any, Protocol

from txregistry.errand import Errand
from txregistry.web.connections import host_of, without_mapping

#: What a client's own request id may be: nothing that a log, a header or a terminal minds.
_ACCEPTABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/=@-]{0,127}")

# An address with a port, as some proxies write it.
_WITH_PORT = re.compile(r"(?:\[([^\[\]]+)\]|([0-9.]+))(?::[0-9]{1,5})?")

#: By which a request id comes and goes.
REQUEST_ID = b"X-Request-Id"


class Bearer(Protocol):
    """The request that an errand is made of."""

    method: bytes
    client: Any

    def header(self, name: bytes) -> str | None:
        """Return the value of a header, None if there is none."""


def errand_of(request: Bearer, trusted: frozenset[str]) -> Errand:
    """Return the errand of a request whose head is complete.

    Args:
        trusted: proxies that are believed about where a request came from.
    """
    peer = host_of(request.client)
    client = _client_behind(peer, request, trusted) if peer in trusted else peer
    return Errand(
        id=_id_of(request.header(REQUEST_ID)),
        method=request.method.decode("ascii"),
        client=client,
        port=getattr(request.client, "port", 0) if client == peer else 0,
        host=request.header(b"Host") or "",
        user_agent=request.header(b"User-Agent") or "",
    )


def new_id() -> str:
    """Return a request id that nobody else has; it is no secret."""
    return f"{random.getrandbits(128):032x}"


def _id_of(given: str | None) -> str:
    if given is not None and _ACCEPTABLE.fullmatch(given):
        return given
    return new_id()


def _client_behind(proxy: str, request: Bearer, trusted: frozenset[str]) -> str:
    """Return the last address before our own proxies, that of ``proxy`` if it names none."""
    for hop in reversed((request.header(b"X-Forwarded-For") or "").split(",")):
        address = _without_port(hop.strip())
        if address and address not in trusted:
            return address
    return proxy


def _without_port(hop: str) -> str:
    """Return a hop as an address alone: with a port each connection would be another client."""
    found = _WITH_PORT.fullmatch(hop)
    return without_mapping(hop if found is None else found[1] or found[2])
