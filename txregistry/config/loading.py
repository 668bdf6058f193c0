# SPDX-License-Identifier: Apache-2.0
"""From a file and the environment to a :class:`Configuration`, in order.

Room: config. The only file here that reads anything: the configuration file, the working
directory's name, and the names of installed drivers.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable, Mapping
from importlib import metadata
from typing import Any

import attrs

from txregistry.config.auth import judge_auth
from txregistry.config.document import (
    Branch,
    Items,
    Node,
    Scalar,
    is_null,
    load_bytes,
    lookup,
    parse_document,
    replaced,
)
from txregistry.config.environment import PATH_VARIABLE, apply_environment, expand_bare_sections
from txregistry.config.errors import ConfigError, Mistakes, Origin, refusal
from txregistry.config.notification_settings import holds_secret as notifications_hold_secret
from txregistry.config.notification_settings import judge_notifications
from txregistry.config.sections import read_section
from txregistry.config.settings import (
    SHIPPED_DRIVERS,
    Configuration,
    ExternalDriver,
    Http,
    NamedDriver,
    Storage,
)
from txregistry.config.storage import RESERVED, read_storage

#: Entry points of this group are storage drivers: name -> module.
DRIVER_GROUP = "txregistry.drivers"
#: What is stored where when nothing was configured, below the working directory.
DEFAULT_DIRECTORY = "registry-data"

#: Most bytes of the file. Arbitrary; no honest one comes near.
FILE_LIMIT = 1024 * 1024

_SOUNDS_SECRET = re.compile(r"secret|passw|token|accesskey|accountkey|credential", re.IGNORECASE)


def load(path: str | None, environ: Mapping[str, str], *, addr: str | None = None) -> Configuration:
    """Read the configuration.

    Args:
        path: the file; None is the one that REGISTRY_CONFIGURATION_PATH names, else the built-in
            defaults.
        environ: environment variables.
        addr: takes the place of ``http.addr``, as an option of the command line does.

    Raises:
        ConfigError: a sentence for each mistake: where, what, and the way out.
    """
    path = path or environ.get(PATH_VARIABLE) or None
    if path is None:
        return _build(None, environ, addr, Origin("built-in defaults"))
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(FILE_LIMIT + 1)
    except OSError as error:
        raise refusal(
            Origin(path),
            f"the file can't be read ({error.strerror})",
            "name a file that this user may read",
        ) from None
    if len(data) > FILE_LIMIT:
        raise refusal(Origin(path), "the file is larger than 1 MiB", "name a configuration file")
    text = load_bytes(data, path)
    configuration = load_text(text, environ, source=path, addr=addr)
    if mode & stat.S_IROTH and _holds_secret(parse_document(text, path)):
        warning = f"{path} holds a secret and everybody on this host may read it; chmod o-r it"
        configuration = attrs.evolve(configuration, warnings=(*configuration.warnings, warning))
    return configuration


def load_text(
    text: str,
    environ: Mapping[str, str],
    *,
    source: str = "the configuration",
    addr: str | None = None,
    installed: Collection[str] | None = None,
    directory: str | None = None,
) -> Configuration:
    """Read the configuration from text.

    Args:
        source: how messages call the text.
        installed: names of installed drivers; None looks them up.
        directory: what relative paths are relative to; None is the working directory.

    Raises:
        ConfigError: a sentence for each mistake: where, what, and the way out.
    """
    tree = parse_document(text, source)
    if is_null(tree):
        raise refusal(
            Origin(source), "the file is empty", 'begin with "version: 0.1" and a storage section'
        )
    return _build(tree, environ, addr, Origin(source), installed=installed, directory=directory)


def installed_drivers() -> frozenset[str]:
    """Names of the drivers that come with us and of those that other packages bring."""
    return frozenset(
        {*SHIPPED_DRIVERS, *(entry.name for entry in metadata.entry_points(group=DRIVER_GROUP))}
    )


def _build(
    tree: Node | None,
    environ: Mapping[str, str],
    addr: str | None,
    origin: Origin,
    *,
    installed: Collection[str] | None = None,
    directory: str | None = None,
) -> Configuration:
    installed = installed_drivers() if installed is None else installed
    has_file = tree is not None
    tree = Branch({}, origin) if tree is None else _checked_version(tree)
    tree, warnings = apply_environment(expand_bare_sections(tree), environ, installed=installed)
    if addr is not None:
        tree = replaced(tree, ("http", "addr"), Scalar(addr, addr, Origin("--addr")))
    tree = expand_bare_sections(_without_loglevel(tree))
    if not has_file:
        tree = _with_default_driver(tree, origin)
    entries = dict(tree.entries) if isinstance(tree, Branch) else {}
    storage_node = entries.pop("storage", None) or Branch({}, Origin(origin.source))
    directory = directory or os.getcwd()
    mistakes = Mistakes()
    storage = Storage(NamedDriver(""))
    configuration = Configuration(storage)
    with mistakes.gathered():
        storage = read_storage(storage_node, installed=installed, directory=directory)
    with mistakes.gathered():
        configuration = read_section(Configuration, Branch(entries, origin), "", storage=storage)
    mistakes.tell()
    configuration = _judged(configuration, tree, origin, directory)
    return attrs.evolve(
        configuration,
        source=origin.source,
        warnings=(*warnings, *_unwise(configuration, tree)),
        tree=tree,
    )


def _judged(
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
        _check_helpers(configuration, tree, origin)
    with mistakes.gathered():
        auth = judge_auth(configuration.auth, http, tree, origin)
        configuration = attrs.evolve(configuration, auth=auth)
    mistakes.tell()
    return configuration


def _checked_version(tree: Node) -> Node:
    """The tree without ``version``, which must be 0.1; else it is a file of something else, and
    nothing more is said of it.

    Raises:
        ConfigError: it is missing or another.
    """
    version = lookup(tree, "version")
    if not isinstance(tree, Branch):
        raise refusal(tree.origin, "the file is not a mapping of keys", 'begin with "version: 0.1"')
    if not isinstance(version, Scalar) or version.text != "0.1":
        where = tree.origin if version is None else version.origin
        problem = (
            "version is missing" if version is None else "version is not 0.1, the only one there is"
        )
        raise refusal(where, problem, 'write "version: 0.1"')
    return _without(tree, "version")


def _without(tree: Branch, name: str) -> Branch:
    return Branch({key: child for key, child in tree.entries.items() if key != name}, tree.origin)


def _without_loglevel(tree: Node) -> Node:
    """``loglevel``, the old name, as ``log.level`` where that isn't set."""
    old = lookup(tree, "loglevel")
    if old is None or not isinstance(tree, Branch):
        return tree
    tree = _without(tree, "loglevel")
    return replaced(tree, ("log", "level"), old) if is_null(lookup(tree, "log.level")) else tree


def _with_default_driver(tree: Node, origin: Origin) -> Node:
    section = lookup(tree, "storage")
    if isinstance(section, Branch) and set(section.entries) - RESERVED:
        return tree
    return replaced(
        tree,
        ("storage", "filesystem", "rootdirectory"),
        Scalar(DEFAULT_DIRECTORY, DEFAULT_DIRECTORY, origin),
    )


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


def _check_helpers(configuration: Configuration, tree: Node, origin: Origin) -> None:
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


def _unwise(configuration: Configuration, tree: Node) -> Iterable[str]:
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
        _SOUNDS_SECRET.search(argument) and "=" in argument for argument in driver.command
    ):
        yield (
            "storage.external.command seems to hold a secret, and everybody on this host can read a "
            "program's arguments; put it into storage.external.options"
        )


def _holds_secret(tree: Node) -> bool:
    named = ("http.secret", "redis.password", "tracing.headers")
    if any(not is_null(lookup(tree, path)) for path in named) or notifications_hold_secret(tree):
        return True
    checks = lookup(tree, "health.http")
    if isinstance(checks, Items) and not all(
        is_null(lookup(check, "headers")) for check in checks.nodes
    ):
        return True
    storage = lookup(tree, "storage")
    return storage is not None and any(_SOUNDS_SECRET.search(name) for name in _names(storage))


def _names(node: Node) -> Iterable[str]:
    values: Any = node.entries.items() if isinstance(node, Branch) else ()
    for name, child in values:
        yield name
        yield from _names(child)


__all__ = ["ConfigError", "installed_drivers", "load", "load_text"]
