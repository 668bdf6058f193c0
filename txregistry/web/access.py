# SPDX-License-Identifier: Apache-2.0
"""Records of requests: for the access log, and for whoever is told what the registry does.

Room: web. Must not know where they go. Text is as the client sent it; who writes it down escapes
it.
"""

from __future__ import annotations

import uuid

from txregistry.auth.decisions import Identity
from txregistry.registry import RequestRecord
from txregistry.web.connections import host_of
from txregistry.web.request import RegistryRequest
from txregistry.web.settings import AccessRecord


def record_of(request: RegistryRequest, now: float, trusted: frozenset[str]) -> AccessRecord:
    """Return what is recorded of a request that ended.

    Args:
        now: seconds, by the clock that the request began by.
        trusted: proxies that are believed about where a request came from.
    """
    # A request that could not be parsed has neither method nor target.
    came = request.began > 0.0
    return AccessRecord(
        client=client_of(request, trusted),
        method=request.method.decode("ascii") if came else "",
        target=request.path.decode("ascii") if came else "",
        status=request.status,
        sent=request.sentLength,
        received=request.body.received,
        duration=now - request.began if came else 0.0,
        user_agent=request.header(b"User-Agent") or "",
        referer=request.header(b"Referer") or "",
        is_complete=not request.is_over,
    )


def asked_by(
    request: RegistryRequest, identity: Identity, trusted: frozenset[str]
) -> RequestRecord:
    """Return what is told of an admitted request to those who are told what it did."""
    client = client_of(request, trusted)
    if client and client == host_of(request.client):
        port: int = getattr(request.client, "port", 0)
        client = f"[{client}]:{port}" if ":" in client else f"{client}:{port}"
    return RequestRecord(
        id=str(uuid.uuid4()),
        actor=identity.name,
        address=client,
        host=request.header(b"Host") or "",
        method=request.method.decode("ascii"),
        user_agent=request.header(b"User-Agent") or "",
    )


def client_of(request: RegistryRequest, trusted: frozenset[str]) -> str:
    """Return the peer, or the last address before our own proxies if the peer is one of them."""
    host = host_of(request.client)
    if host in trusted:
        for hop in reversed((request.header(b"X-Forwarded-For") or "").split(",")):
            if hop.strip() and hop.strip() not in trusted:
                return hop.strip()
    return host
