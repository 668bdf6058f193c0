# SPDX-License-Identifier: Apache-2.0
"""``middleware``: what stands in front of a store's redirects.

Room: config. What a middleware takes is its own affair, and checked where it runs; only durations
are read here, because their form belongs to this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from txregistry.config.document import Branch, Items, Node, is_null, plain
from txregistry.config.kinds import FLAG, Kind, Misfit, duration, read_text
from txregistry.config.rows import key as _key

#: Options that are durations, by middleware.
_DURATIONS = {"cloudfront": ("duration", "updatefrequency", "updatefrenquency")}

_SECONDS = duration(0.001)


@frozen
class MiddlewareEntry:
    """One entry of ``middleware.storage``."""

    name: str
    options: Mapping[str, Any] = field(
        factory=dict, repr=lambda options: "***" if options else "{}"
    )


def _read_entries(node: Node) -> tuple[MiddlewareEntry, ...]:
    if not isinstance(node, Items):
        raise Misfit
    return tuple(entry for item in node.nodes if (entry := _read_entry(item)) is not None)


def _read_entry(node: Node) -> MiddlewareEntry | None:
    """Read one; None if it is disabled."""
    if not isinstance(node, Branch) or not {"name"} <= set(node.entries) <= {
        "name",
        "disabled",
        "options",
    }:
        raise Misfit
    disabled = node.entries.get("disabled")
    if disabled is not None and not is_null(disabled) and FLAG.read(disabled):
        return None
    name = read_text(node.entries["name"])
    return MiddlewareEntry(name, _read_options(name, node.entries.get("options")))


def _read_options(name: str, node: Node | None) -> dict[str, Any]:
    if node is None or is_null(node):
        return {}
    if not isinstance(node, Branch):
        raise Misfit
    options: dict[str, Any] = plain(node)
    for option in _DURATIONS.get(name, ()):
        if option in node.entries:
            options[option] = _SECONDS.read(node.entries[option])
    return options


ENTRIES: Kind[tuple[MiddlewareEntry, ...]] = Kind(
    "a list of {name, options, disabled}", _read_entries, is_list=True, is_secret=True
)


@frozen
class Middleware:
    """``middleware``"""

    storage: tuple[MiddlewareEntry, ...] = _key(ENTRIES, ())
