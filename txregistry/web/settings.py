# SPDX-License-Identifier: Apache-2.0
"""What the web is told by configuration: one frozen value.

Room: web. Must not know the configuration file (``service`` translates its keys into these).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from attrs import field, frozen

from txregistry.auth.asking import Everybody, Identify
from txregistry.auth.immutable import ImmutableTags
from txregistry.auth.issuing import IssueTokens
from txregistry.errand import Errand
from txregistry.oci.manifests import MANIFEST_LIMIT
from txregistry.web.elsewhere import Exempt
from txregistry.web.pages import Pages


@frozen(kw_only=True)
class Limits:
    """What one client, or all together, may ask of us. Times are seconds, sizes bytes.

    All numbers are arbitrary but for ``manifest_size``, the least that the specification wants
    taken.

    Attributes:
        connections: open at once.
        connections_per_address: open at once from one IPv4 address or one IPv6 /64.
        requests: being answered at once, those included whose client has left.
        requests_per_connection: after so many the connection is closed.
        headers: header lines of one request.
        streams: requests in progress on one connection of HTTP/2.
        head_size: request line and headers of one request.
        first_byte: from the connection to its first byte.
        head_timeout: from the first byte of a request to the end of its headers.
        idle: between an answer and the next request.
        body_rate: bytes a second that a body must bring on average, 0 for no such rule. Time in
            which we do not wait for the client does not count.
        body_window: over which that average is taken.
        body_grace: before that rule begins to hold.
        write_stall: in which the client takes nothing of an answer.
        drain_size: of a body that nobody reads any more, before the connection is closed on it.
        drain_time: likewise.
        manifest_size: of a manifest.
        tags_per_push: ``tag`` parameters of one manifest push.
    """

    connections: int = 2000
    connections_per_address: int = 200
    requests: int = 4000
    requests_per_connection: int = 1000
    streams: int = 100
    headers: int = 100
    head_size: int = 16 * 1024
    first_byte: float = 10.0
    head_timeout: float = 15.0
    idle: float = 60.0
    body_rate: int = 1024
    body_window: float = 30.0
    body_grace: float = 30.0
    write_stall: float = 60.0
    drain_size: int = 8 * 1024 * 1024
    drain_time: float = 10.0
    manifest_size: int = MANIFEST_LIMIT
    tags_per_push: int = 100


@frozen
class AccessRecord:
    """One answered request, for the access log.

    Attributes:
        client: the peer's address, or the one that a trusted proxy names; empty if there is none.
        target: the request's path as it came; the query, which may hold a session's token, is left
            out.
        status: 0 if the client left before an answer.
        sent: bytes of the answer's body that were handed to the transport.
        received: bytes of the request's body.
        duration: seconds from the end of the headers to the end of the answer.
        protocol: by which it came.
        is_complete: whether the whole answer was handed to the transport.
        request_id, user, endpoint, repository, reference, digest, error, driver_seconds: see
            ``errand.Errand``.
    """

    client: str
    method: str
    target: str
    status: int
    sent: int
    received: int
    duration: float
    user_agent: str
    referer: str
    is_complete: bool
    request_id: str = ""
    user: str = ""
    endpoint: str = ""
    repository: str = ""
    reference: str = ""
    digest: str = ""
    error: str = ""
    driver_seconds: float = 0.0
    protocol: str = "HTTP/1.1"


@frozen
class Endpoint:
    """Another API under the same name, as ``/`` tells it."""

    version: str
    url: str
    push: bool


@frozen(kw_only=True)
class Metadata:
    """What ``/`` tells besides ourselves.

    Attributes:
        mirrors: URLs where the same content can be pulled.
        fallback: a client that fails at one endpoint may go on to the next.
    """

    endpoints: tuple[Endpoint, ...] = ()
    mirrors: tuple[str, ...] = ()
    fallback: bool = False


class RequestTrace(Protocol):
    """The trace of one request."""

    def end(self, status: int) -> None:
        """It was answered with ``status``; 0 if it never will be."""


class Trace(Protocol):
    """Who traces requests."""

    def begin(
        self, errand: Errand, headers: Mapping[str, str], *, is_from_proxy: bool
    ) -> RequestTrace:
        """A request begins, in the running coroutine.

        Args:
            headers: those of its headers that say to which trace it belongs.
            is_from_proxy: a trusted proxy sent it.
        """


@frozen(kw_only=True)
class WebSettings:
    """What the web is told.

    Attributes:
        prefix: path below which ``v2/`` lies; begins and ends with a slash.
        host: ``scheme://host[:port]`` for absolute Locations, empty for none.
        relative_urls: Locations are paths only, even if ``host`` is known.
        headers: put on every answer: name -> values.
        read_only: clients may change nothing.
        delete_enabled: clients may delete manifests, tags and blobs.
        redirect: ask the registry for a URL at which a client may fetch a blob itself.
        exempt: clients that are served from here all the same.
        catalog_default: names on a page of the catalog if the client does not say.
        catalog_maximum: most names on a page of the catalog.
        tags_maximum: most names on a page of tags.
        referrers_maximum: most descriptors on a page of referrers.
        trusted_proxies: addresses whose ``X-Forwarded-For`` is believed and whose connections are
            not counted by address.
        body_memory: bytes of bodies that wait to be stored, over all connections; while there are
            more, no client is read ahead. Twice as much is for manifests; beyond that they get 503.
        metadata: what ``/`` tells; None: nothing.
        challenge: reads the answer to an ACME challenge, by its token; None: none are served.
        challenges_only: nothing else is served.
        immutable: which tags must stay as they are.
        identifying: makes identities of credentials.
        token_server: issues tokens; None: another one does, or none.
        pages: for those who run the registry; nothing else is served. None: the registry is.
        not_ready: the kinds of what fails now; empty if this host may be sent requests.
        is_closed: whether every request is to be refused now; None: never.
        trace: traces requests, None if nobody does.
        access_log: told of every request that ended, None for no access log.
    """

    prefix: str = "/"
    host: str = ""
    relative_urls: bool = True
    headers: Mapping[str, Sequence[str]] = field(factory=dict)
    read_only: bool = False
    delete_enabled: bool = False
    redirect: bool = False
    exempt: Exempt = field(factory=Exempt)
    catalog_default: int = 100
    catalog_maximum: int = 1000
    tags_maximum: int = 1000
    referrers_maximum: int = 1000
    trusted_proxies: frozenset[str] = frozenset()
    limits: Limits = field(factory=Limits)
    body_memory: int = 24 * 1024 * 1024
    metadata: Metadata | None = field(factory=Metadata)
    challenge: Callable[[str], Awaitable[bytes | None]] | None = None
    challenges_only: bool = False
    immutable: ImmutableTags = field(factory=ImmutableTags)
    identifying: Identify = field(factory=Everybody)
    token_server: IssueTokens | None = None
    pages: Pages | None = None
    not_ready: Callable[[], Sequence[str]] = tuple
    is_closed: Callable[[], bool] | None = None
    trace: Trace | None = None
    access_log: Callable[[AccessRecord], None] | None = None
