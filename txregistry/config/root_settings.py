# SPDX-License-Identifier: Apache-2.0
"""``http.root``: what ``GET /`` tells of this registry and of those beside it.

Room: config.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from attrs import frozen

from txregistry.config.document import Branch, Items, Node
from txregistry.config.kinds import FLAG, Kind, Misfit, read_text
from txregistry.config.rows import key

_VERSION = re.compile(r"v[0-9]{1,3}")


@frozen
class OtherEndpoint:
    """Another API under the same name: a registry of V1, say, behind the same proxy."""

    version: str
    url: str
    push: bool


def _read_url(node: Node) -> str:
    text = read_text(node)
    try:
        parts = urlsplit(text)
        # Reading the port is the check of it. Everybody sees this URL, so nobody logs in by it.
        fits = parts.port != 0 and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        raise Misfit from None
    if not fits or parts.scheme not in ("http", "https") or not text.isascii() or " " in text:
        raise Misfit
    return text


def _read_urls(node: Node) -> tuple[str, ...]:
    if not isinstance(node, Items):
        raise Misfit
    return tuple(_read_url(item) for item in node.nodes)


def _read_endpoints(node: Node) -> tuple[OtherEndpoint, ...]:
    if not isinstance(node, Items):
        raise Misfit
    return tuple(_read_endpoint(item) for item in node.nodes)


def _read_endpoint(node: Node) -> OtherEndpoint:
    if not isinstance(node, Branch) or set(node.entries) != {"version", "url", "push"}:
        raise Misfit
    version = read_text(node.entries["version"])
    if not _VERSION.fullmatch(version):
        raise Misfit
    return OtherEndpoint(version, _read_url(node.entries["url"]), FLAG.read(node.entries["push"]))


URLS: Kind[tuple[str, ...]] = Kind(
    "a list of URLs that begin with http:// or https://, without passwords",
    _read_urls,
    is_list=True,
)
ENDPOINTS: Kind[tuple[OtherEndpoint, ...]] = Kind(
    "a list of {version: v1, url: URL, push: true or false}", _read_endpoints, is_list=True
)


@frozen
class Root:
    """``http.root``

    Attributes:
        disabled: ``/`` answers with nothing, as registry:3 does.
        endpoints: other APIs under the same name, ours left out.
        mirrors: where the same content can be pulled.
        fallback: a client that fails at one endpoint may go on to the next.
    """

    disabled: bool = key(FLAG, False)
    endpoints: tuple[OtherEndpoint, ...] = key(ENDPOINTS, ())
    mirrors: tuple[str, ...] = key(URLS, ())
    fallback: bool = key(FLAG, False)
