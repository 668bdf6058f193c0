# SPDX-License-Identifier: Apache-2.0
"""From a file and the environment to a :class:`Configuration`, in order.

Room: config. The only file here that reads anything: the configuration file, the working
directory's name, and the names of installed drivers.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Mapping
from importlib import metadata
from typing import Any

import attrs

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
from txregistry.config.judging import SOUNDS_SECRET, judged, unwise
from txregistry.config.notification_settings import holds_secret as notifications_hold_secret
from txregistry.config.sections import read_section
from txregistry.config.settings import (
    SHIPPED_DRIVERS,
    Configuration,
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
    configuration = judged(configuration, tree, origin, directory)
    return attrs.evolve(
        configuration,
        source=origin.source,
        warnings=(*warnings, *unwise(configuration, tree)),
        tree=tree,
    )


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
    return storage is not None and any(SOUNDS_SECRET.search(name) for name in _names(storage))


def _names(node: Node) -> Iterable[str]:
    values: Any = node.entries.items() if isinstance(node, Branch) else ()
    for name, child in values:
        yield name
        yield from _names(child)


__all__ = ["ConfigError", "installed_drivers", "load", "load_text"]
