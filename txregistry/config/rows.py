# SPDX-License-Identifier: Apache-2.0
"""How a section's class says its keys: an attribute is a row, with its kind and default, or a
section.

Room: config. Must not know which keys exist.

The name of a key is the attribute's without underscores (``drain_timeout`` is ``draintimeout``),
because ``_`` separates the parts of an environment variable.
"""

from __future__ import annotations

from typing import Any, TypeVar

import attrs
from attrs import field

from txregistry.config.kinds import Kind

T = TypeVar("T")


def key(kind: Kind[T], default: T) -> T:
    """A row: one key with its kind and default; what is secret is masked in ``repr``."""
    shown = kind.shown
    masked: dict[str, Any] = {}
    if kind.is_secret:
        masked = {"repr": lambda value: "***" if value else repr(value)}
    elif shown is not None:
        masked = {"repr": lambda value: repr(shown(value))}
    row: T = field(default=default, metadata={"kind": kind}, **masked)
    return row


def section(shape: type[T]) -> T:
    """A row: a section with keys of its own."""
    row: T = field(factory=shape, metadata={"section": shape})
    return row


def sections(shape: type[T]) -> tuple[T, ...]:
    """A row: a list of sections, none by default; its items have numbers, from 0."""
    row: tuple[T, ...] = field(default=(), metadata={"sections": shape})
    return row


def key_name(attribute: str) -> str:
    """The key in the file for an attribute."""
    return attribute.replace("_", "")


def rows(shape: type[Any]) -> dict[str, attrs.Attribute[Any]]:
    """The keys of a section: name in the file -> attribute; attributes that are no keys are left
    out.
    """
    return {key_name(row.name): row for row in attrs.fields(shape) if row.metadata}
