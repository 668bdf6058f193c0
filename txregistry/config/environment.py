# SPDX-License-Identifier: Apache-2.0
"""``REGISTRY_*`` variables as changes to the tree of a configuration.

Room: config. Must not read ``os.environ``: variables are given.

A variable's name is ``REGISTRY_`` and the parts of the key's path, joined by ``_``; either the
file's names or those of registry:3's Go fields, in any case. Its value is YAML. Variables apply in
lexical order, so that a section may be set whole and then in part; numbers count as numbers. What
no key answers to is reported and
ignored: container platforms inject variables such as ``REGISTRY_PORT``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from txregistry.config.document import (
    Branch,
    Items,
    Node,
    Scalar,
    is_null,
    lookup,
    parse_document,
    replaced,
)
from txregistry.config.errors import Mistakes
from txregistry.config.foreign import FOREIGN, FOREIGN_DRIVERS, GO_NAMES
from txregistry.config.rows import rows
from txregistry.config.sections import nearest
from txregistry.config.settings import (
    SHIPPED_DRIVERS,
    Configuration,
    ExternalDriver,
    Storage,
    known_paths,
)
from txregistry.config.storage import expand_bare, replace_driver

PREFIX = "REGISTRY_"
#: Names the configuration file itself.
PATH_VARIABLE = "REGISTRY_CONFIGURATION_PATH"


def apply_environment(
    tree: Node, environ: Mapping[str, str], *, installed: Collection[str]
) -> tuple[Node, tuple[str, ...]]:
    """Apply all variables.

    Returns:
        The changed tree, and a sentence for each variable that no key answers to.

    Raises:
        ConfigError: a value is not YAML, or an index is out of range.
    """
    warnings = []
    mistakes = Mistakes()
    names = [name for name in environ if name.startswith(PREFIX) and name != PATH_VARIABLE]
    for name in sorted(names, key=_order):
        parts = [part.lower() for part in name.removeprefix(PREFIX).split("_")]
        path = _resolve(parts, tree, installed)
        if path is None:
            warnings.append(_unknown(name))
        else:
            with mistakes.gathered():
                value = parse_document(environ[name], f"environment variable {name}")
                tree = _apply(tree, path, value)
    mistakes.tell()
    return tree, tuple(warnings)


def _order(name: str) -> list[tuple[bool, int, str]]:
    return [
        (part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in name.split("_")
    ]


def _apply(tree: Node, path: tuple[str, ...], value: Node) -> Node:
    if path == ("storage",) and isinstance(value, Scalar) and not is_null(value):
        return replaced(tree, path, replace_driver(lookup(tree, "storage"), value))
    if path == ("auth",):
        value = expand_bare(value)
    return replaced(tree, path, value)


def _unknown(name: str) -> str:
    spelled = {PREFIX + path.upper().replace(".", "_"): path for path in known_paths()}
    path = name.removeprefix(PREFIX).lower().replace("_", ".")
    near = nearest(path, spelled.values())
    hint = f"; the nearest is {PREFIX}{near.upper().replace('.', '_')}" if near else ""
    return f"environment variable {name} names no known key and is ignored{hint}"


def _resolve(parts: list[str], tree: Node, installed: Collection[str]) -> tuple[str, ...] | None:
    """The path of keys that a variable means, or None."""
    shape: type[Any] = Configuration
    path: list[str] = []
    for index, part in enumerate(parts):
        name = GO_NAMES.get((".".join(path), part), part)
        path.append(name)
        rest = parts[index + 1 :]
        dotted = ".".join(path)
        if dotted in FOREIGN:
            return _resolve_free(path, rest, tree)
        if dotted == "loglevel":
            return None if rest else tuple(path)
        if dotted == "storage":
            shape = Storage
            continue
        row = rows(shape).get(name)
        if row is None:
            if shape is not Storage:
                return None
            if name == "external" or name in SHIPPED_DRIVERS:
                shape = ExternalDriver if name == "external" else SHIPPED_DRIVERS[name]
                continue
            known = name in installed or name in FOREIGN_DRIVERS or lookup(tree, dotted) is not None
            return _resolve_free(path, rest, tree) if known else None
        if "section" in row.metadata:
            shape = row.metadata["section"]
            continue
        if "sections" in row.metadata:
            return _resolve_free(path, rest, tree)
        return _resolve_value(path, rest, tree, row.metadata["kind"])
    return tuple(path)


def _resolve_value(
    path: list[str], rest: list[str], tree: Node, kind: Any
) -> tuple[str, ...] | None:
    if kind.is_free or (kind.is_list and len(rest) == 1 and rest[0].isdecimal()):
        return _resolve_free(path, rest, tree)
    return None if rest else tuple(path)


def _resolve_free(path: list[str], rest: list[str], tree: Node) -> tuple[str, ...]:
    """Below a key whose content is free: existing names as they are, new ones in lower case."""
    node = lookup(tree, ".".join(path))
    found = list(path)
    for part in rest:
        if isinstance(node, Branch):
            name = next((name for name in node.entries if name.lower() == part), part)
            node = node.entries.get(name)
        else:
            name = part
            is_index = isinstance(node, Items) and part.isdecimal() and int(part) < len(node.nodes)
            node = node.nodes[int(part)] if is_index and isinstance(node, Items) else None
        found.append(name)
    return tuple(found)


def expand_bare_sections(tree: Node) -> Node:
    """Write ``storage: name`` and ``auth: name`` out as sections, so that variables can reach into
    them.
    """
    for section in ("storage", "auth"):
        node = lookup(tree, section)
        if node is not None:
            tree = replaced(tree, (section,), expand_bare(node))
    return tree
