# SPDX-License-Identifier: Apache-2.0
"""What keys of a configuration must be together, beyond what each is by itself, and what is allowed
and probably not meant.

Room: config.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from txregistry.config.auth import judge_auth
from txregistry.config.document import Node, lookup
from txregistry.config.errors import ConfigError, Mistakes, Origin, refusal
from txregistry.config.notification_settings import judge_notifications
from txregistry.config.settings import Configuration, ExternalDriver, Http

#: What a word is called that nobody else should read.
SOUNDS_SECRET = re.compile(r"secret|passw|token|accesskey|accountkey|credential", re.IGNORECASE)


def judged(
    configuration: Configuration, tree: Node, origin: Origin, directory: str
) -> Configuration:
    """A configuration whose keys make sense together.

    Raises:
        ConfigError: they don't.
    """
    http = configuration.http
    mistakes = Mistakes()
    for check in (_check_address, _check_tls):
        with mistakes.gathered():
            check(http, tree, origin)
    for name, part in (("health", configuration.health), ("tracing", configuration.tracing)):
        for key, problem, remedy in part.contradictions():
            node = lookup(tree, f"{name}.{key.partition('.')[0]}")
            where = node.origin if node else origin
            mistakes.add(refusal(where, f"{name}.{key} {problem}", remedy))
    with mistakes.gathered():
        told = judge_notifications(configuration.notifications, tree, origin, directory=directory)
        configuration = attrs.evolve(configuration, notifications=told)
    with mistakes.gathered():
        _check_cache_and_middlewares(configuration, tree, origin)
    with mistakes.gathered():
        auth = judge_auth(configuration.auth, http, tree, origin)
        configuration = attrs.evolve(configuration, auth=auth)
    mistakes.tell()
    return configuration


def _check_address(http: Http, tree: Node, origin: Origin) -> None:
    try:
        http.address  # noqa: B018  # parsing it is the check
    except ValueError as error:
        node = lookup(tree, "http.addr")
        raise refusal(
            node.origin if node else origin,
            f"http.addr wants {error} (http.net is {http.net}), not {http.addr!r}",
            "correct it, for example 127.0.0.1:5000",
        ) from None


def _check_tls(http: Http, tree: Node, origin: Origin) -> None:
    """Refuse what can't be meant together.

    Raises:
        ConfigError: for the first such thing.
    """

    def refuse(path: str, problem: str, remedy: str) -> ConfigError:
        node = lookup(tree, path)
        return refusal(node.origin if node else origin, f"{path} {problem}", remedy)

    for name, section in (("tls", http.tls), ("acme", http.acme), ("debug", http.debug)):
        for key, problem, remedy in section.contradictions():
            raise refuse(f"http.{name}.{key}", problem, remedy)
    if not http.tls.is_on and any(entrance.is_tls for entrance in http.listeners):
        raise refuse(
            "http.listeners",
            "names an https:// address, and there is no certificate",
            "add http.tls.certificate and http.tls.key, or write http://",
        )


def _check_cache_and_middlewares(configuration: Configuration, tree: Node, origin: Origin) -> None:
    """Refuse a cache that is nowhere, and middlewares that nobody would run.

    Raises:
        ConfigError: for the first such thing.
    """
    storage = configuration.storage
    if storage.cache.blob_descriptor == "redis" and not configuration.redis.addrs:
        node = lookup(tree, "storage.cache.blobdescriptor")
        raise refusal(
            node.origin if node else origin,
            "storage.cache.blobdescriptor is redis, and no server is named",
            "add redis.addrs: [host:port], or write inmemory",
        )
    is_attached = isinstance(storage.driver, ExternalDriver) and bool(storage.driver.socket)
    if configuration.middleware.storage and is_attached:
        node = lookup(tree, "middleware")
        raise refusal(
            node.origin if node else origin,
            "middleware.storage can't be handed to a driver on a socket",
            "give that driver its middlewares where it is started, in the member middleware of its options",
        )


def unwise(configuration: Configuration, tree: Node) -> Iterable[str]:
    """Sentences about what is allowed and probably not meant."""
    http = configuration.http
    if not http.relative_urls and not http.host:
        yield (
            "http.relativeurls: false has no effect without http.host, because the Host header of a request "
            "is not trusted; set http.host to the URL that clients use"
        )
    debug = http.debug.address
    if debug is not None and debug.is_everywhere:
        yield (
            f"http.debug.addr is {http.debug.addr}: on every address of this host anybody sees health, "
            "variables, stacks and metrics, without TLS and without being asked who he is; "
            f"write 127.0.0.1:{debug.port}, or the address of a network that only collectors reach"
        )
    if not http.http2.disabled and not http.tls.is_on:
        # A warning rather than a refusal: with registry:3 it is the default, also without TLS.
        yield (
            "http.http2.disabled: false has no effect without http.tls.certificate, because HTTP/2 is "
            "spoken over TLS only; add http.tls.certificate and http.tls.key, or remove http.http2"
        )
    driver = configuration.storage.driver
    if isinstance(driver, ExternalDriver) and any(
        SOUNDS_SECRET.search(argument) and "=" in argument for argument in driver.command
    ):
        yield (
            "storage.external.command seems to hold a secret, and everybody on this host can read a "
            "program's arguments; put it into storage.external.options"
        )
