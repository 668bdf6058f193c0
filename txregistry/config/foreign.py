# SPDX-License-Identifier: Apache-2.0
"""Keys of registry:2 and registry:3 that have nothing behind them here: refused, each with the way
out.

Room: config.

Silence would be worse than a refusal: who asks for something must not be served without it. A
section that asks for nothing (empty, or switched off) is let through, because stock files carry
such ones.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from txregistry.config.document import Branch, Items, Node, Scalar, is_null


def _is_off(*words: str) -> Callable[[Node], bool]:
    """Is the value one of these words?"""
    return lambda node: isinstance(node, Scalar) and node.text.lower() in words


def _is_empty(node: Node) -> bool:
    """Does nothing but nulls, empties, ``enabled: false`` and disabled items stand there?"""
    if isinstance(node, Branch):
        return all(
            _is_empty(child) or _switches_off(name, child) for name, child in node.entries.items()
        )
    if isinstance(node, Items):
        return all(isinstance(item, Branch) and _is_disabled(item) for item in node.nodes)
    return is_null(node) or node.text == ""


def _is_disabled(item: Branch) -> bool:
    switch = item.entries.get("disabled")
    return isinstance(switch, Scalar) and switch.value is True


def _switches_off(name: str, node: Node) -> bool:
    return isinstance(node, Scalar) and (name, node.value) in (
        ("enabled", False),
        ("disabled", True),
    )


@frozen
class Foreign:
    """A key that other registries have.

    Attributes:
        remedy: what to do instead.
        asks_nothing: values with which the key can be ignored.
    """

    remedy: str
    asks_nothing: Callable[[Node], bool] = _is_empty


#: How registry:2 and registry:3 tune their client of Redis; means nothing to ours.
REDIS_TUNING = (
    *("clientname", "protocol", "maxretries", "minretrybackoff", "maxretrybackoff"),
    *("readtimeout", "writetimeout", "contexttimeoutenabled", "poolfifo", "pooltimeout"),
    *("minidleconns", "maxidleconns", "maxactiveconns", "connmaxidletime", "connmaxlifetime"),
    *("maxredirects", "readonly", "routebylatency", "routerandomly"),
    *("disableidentity", "identitysuffix", "unstableresp3", "pool"),
)

FOREIGN: dict[str, Foreign] = {
    "compatibility": Foreign("manifests of schema 1 are not served; remove the section"),
    "http.h2c": Foreign("HTTP/2 is spoken over TLS only; remove the section"),
    "http.tls.letsencrypt": Foreign(
        "let an ACME client such as certbot keep the files of http.tls.certificate, answer its challenges "
        "by http.acme.webroot, and let it send SIGHUP after a renewal"
    ),
    "log.hooks": Foreign("let whatever collects the log send mail, and remove the section"),
    "log.reportcaller": Foreign("remove the key", _is_off("false")),
    "middleware.registry": Foreign("there are only middlewares of storage; remove the section"),
    "middleware.repository": Foreign("there are only middlewares of storage; remove the section"),
    "policy": Foreign("remove the section"),
    "proxy": Foreign("run a pull-through cache with another registry, or remove the section"),
    "redis.addr": Foreign("write redis.addrs: [host:port]"),
    **{
        f"redis.{name}": Foreign("let redis.addrs name the one server itself, and remove the key")
        for name in ("mastername", "sentinelusername", "sentinelpassword")
    },
    **{
        f"redis.{name}": Foreign(
            "remove the key: no request waits for Redis longer than half a second"
        )
        for name in REDIS_TUNING
    },
    **{
        f"redis.tls.{name}": Foreign(
            "write redis.tls.enabled: true, and have the authority among those that the system trusts"
        )
        for name in ("certificate", "key", "rootcas")
    },
    "reporting": Foreign("remove the section"),
    "storage.cache.layerinfo": Foreign(
        "write storage.cache.blobdescriptor: inmemory", _is_off("inmemory")
    ),
    "validation.enabled": Foreign("use validation.disabled", _is_off("true")),
    "validation.manifests.indexes.platformlist": Foreign(
        "use validation.manifests.indexes.platforms: all or none"
    ),
    "validation.manifests.urls": Foreign("remove the section"),
}

#: Values of a known key that other registries have.
FOREIGN_VALUES: dict[tuple[str, str], str] = {
    ("http.tls.minimumtls", "tls1.0"): "use tls1.2, since everything older is broken",
    ("http.tls.minimumtls", "tls1.1"): "use tls1.2, since everything older is broken",
    ("validation.manifests.indexes.platforms", "list"): "use all or none",
}

#: Storage drivers of registry:2 and registry:3 that are not installed with us.
FOREIGN_DRIVERS = ("oss", "rados")

#: Go's names of fields where environment variables spell a key otherwise than the file does.
GO_NAMES: dict[tuple[str, str], str] = {
    ("notifications", "eventconfig"): "events",
    ("health", "filecheckers"): "file",
    ("health", "httpcheckers"): "http",
    ("health", "tcpcheckers"): "tcp",
    ("compatibility.schema1", "trustkey"): "signingkeyfile",
}
