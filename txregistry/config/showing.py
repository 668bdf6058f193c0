# SPDX-License-Identifier: Apache-2.0
"""The effective configuration as YAML that can be read again: what was written, else the default.

Room: config. Secrets are masked, and what may hold one: the options of drivers that are not ours,
and of middlewares, and the user and query of a URL.
"""

from __future__ import annotations

from typing import Any

import attrs
import yaml

from txregistry.config.auth_settings import SCHEMES, Auth
from txregistry.config.document import Branch, Items, Node, Scalar, is_null, lookup, plain
from txregistry.config.durations import render_duration
from txregistry.config.kinds import Kind
from txregistry.config.rows import rows
from txregistry.config.sections import entries_of
from txregistry.config.settings import SHIPPED_DRIVERS, Configuration, ExternalDriver, Storage

MASK = "***"


def show(configuration: Configuration) -> str:
    """Render a configuration that was loaded."""
    tree = configuration.tree
    storage = lookup(tree, "storage") if tree is not None else None
    document = {"version": 0.1, "storage": _storage(storage), **_section(Configuration, tree)}
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _section(shape: type[Any], node: Node | None) -> dict[str, Any]:
    entries = node.entries if isinstance(node, Branch) else {}
    shown: dict[str, Any] = {}
    for name, row in rows(shape).items():
        child = entries.get(name)
        if shape is Auth and name in SCHEMES and name not in entries:
            continue  # to name a scheme is to choose it
        if row.metadata.get("section") is Auth and not entries_of(child, name):
            shown[name] = None  # and what lies beside one is nothing without it
        elif "section" in row.metadata:
            shown[name] = _section(row.metadata["section"], child)
        elif "sections" in row.metadata:
            items = child.nodes if isinstance(child, Items) else ()
            shown[name] = [_section(row.metadata["sections"], item) for item in items]
        else:
            shown[name] = _value(row.metadata["kind"], row, child)
    return shown


def _value(kind: Kind[Any], row: attrs.Attribute[Any], node: Node | None) -> Any:
    if node is None or is_null(node):
        return _default(kind, row.default)
    if kind.is_secret:
        return _masked(node)
    written = _written(node)
    return written if kind.shown is None else kind.shown(str(written))


def _default(kind: Kind[Any], default: Any) -> Any:
    """None where there is none: a key without a value has its default."""
    if default in ("", ()) or default == {}:
        return None
    return render_duration(default) if kind.is_duration else default


def _written(node: Node) -> Any:
    """Numbers and flags as such, other text as it was written, so that nothing is read otherwise."""
    if isinstance(node, Scalar) and not isinstance(node.value, (bool, int)):
        return node.text
    return plain(node)


def _masked(node: Node) -> Any:
    if isinstance(node, Branch):
        return {name: _masked(child) for name, child in node.entries.items()}
    if isinstance(node, Items):
        return [_masked(child) for child in node.nodes]
    return None if is_null(node) else MASK


def _storage(node: Node | None) -> dict[str, Any]:
    entries = node.entries if isinstance(node, Branch) else {}
    [name] = [each for each in entries if each not in rows(Storage)]
    shape = ExternalDriver if name == "external" else SHIPPED_DRIVERS.get(name)
    if shape is None:
        driver = _masked(entries[name])
    elif name == "external":
        driver = _section(shape, entries[name])
        driver = {key: value for key, value in driver.items() if value is not None}
    else:
        driver = _section(shape, entries[name])
    return {name: driver, **_section(Storage, node)}
