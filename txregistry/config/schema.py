# SPDX-License-Identifier: Apache-2.0
"""A JSON Schema of the configuration file, for editors; made of the same rows that read the file.

Room: config. It is as strict about names as the reader is, and less strict about values where a
schema can't say what the reader checks. Source: JSON Schema, draft 2020-12.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import attrs

from txregistry.config.auth_settings import SCHEMES, Auth
from txregistry.config.durations import render_duration
from txregistry.config.foreign import FOREIGN
from txregistry.config.kinds import Kind
from txregistry.config.rows import rows
from txregistry.config.settings import SHIPPED_DRIVERS, Configuration, ExternalDriver, Storage

_SCALAR = ["string", "number", "boolean"]
_NULL = {"type": "null"}


def make_schema(installed: Collection[str]) -> dict[str, Any]:
    """Make the schema.

    Args:
        installed: names of the drivers that can be started.
    """
    schema = _section(Configuration, "")
    schema["properties"] = {
        "version": {"description": "0.1, the only one there is", "enum": [0.1, "0.1"]},
        "storage": _storage(installed),
        "loglevel": {"description": "the old name of log.level", "deprecated": True},
        **schema["properties"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "txregistry",
        "required": ["version", "storage"],
        **schema,
        "type": "object",
    }


def _section(shape: type[Any], path: str) -> dict[str, Any]:
    above = f"{path}." if path else ""
    properties = {name: _row(row, f"{above}{name}") for name, row in rows(shape).items()}
    for foreign, remedy in FOREIGN.items():
        parent, _, name = foreign.rpartition(".")
        if parent == path:
            properties[name] = {
                "description": f"not supported: {remedy.remedy}",
                "deprecated": True,
            }
    schema: dict[str, Any] = {
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": False,
    }
    if shape is Auth:
        return {"anyOf": [{"enum": list(SCHEMES)}, schema]}  # "auth: none"
    return schema


def _row(row: attrs.Attribute[Any], path: str) -> dict[str, Any]:
    if "section" in row.metadata:
        return _section(row.metadata["section"], path)
    if "sections" in row.metadata:
        return {"type": ["array", "null"], "items": _section(row.metadata["sections"], path)}
    kind: Kind[Any] = row.metadata["kind"]
    described: dict[str, Any] = {"description": kind.expects, "anyOf": [_value(kind), _NULL]}
    default = row.default
    if isinstance(default, (bool, int, float, str)) and default != "":
        described["default"] = render_duration(float(default)) if kind.is_duration else default
    return described


def _value(kind: Kind[Any]) -> dict[str, Any]:
    if kind.schema is not None:
        return dict(kind.schema)
    if kind.is_list:
        return {"type": "array"}
    return {"type": "object"} if kind.is_free else {"type": _SCALAR}


def _storage(installed: Collection[str]) -> dict[str, Any]:
    shapes: dict[str, type[Any]] = {**SHIPPED_DRIVERS, "external": ExternalDriver}
    drivers = {
        name: _section(shapes[name], f"storage.{name}")
        if name in shapes
        else {"type": ["object", "null"]}
        for name in sorted({*installed, *shapes})
    }
    section = _section(Storage, "storage")
    section["properties"] = {**drivers, **section["properties"]}
    section["type"] = "object"
    section["oneOf"] = [{"required": [name]} for name in drivers]
    return {"anyOf": [{"enum": list(drivers)}, section]}  # "storage: inmemory"
