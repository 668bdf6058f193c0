# SPDX-License-Identifier: Apache-2.0
"""Nodes -> settings: a section is read by its class's rows, and everything else in it is refused.

Room: config.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, TypeVar

import attrs

from txregistry.config.document import Branch, Items, Node, Scalar, is_null
from txregistry.config.errors import ConfigError, Mistakes, refusal
from txregistry.config.foreign import FOREIGN, FOREIGN_VALUES
from txregistry.config.kinds import Kind, Misfit
from txregistry.config.rows import rows
from txregistry.config.settings import known_paths

T = TypeVar("T")


def read_section(shape: type[T], node: Node | None, path: str, **given: Any) -> T:
    """Make one section.

    Args:
        path: the section's dotted path, empty for the whole file.
        given: attributes that were read elsewhere.

    Raises:
        ConfigError: keys are unknown, foreign, or of the wrong kind.
    """
    values: dict[str, Any] = dict(given)
    mistakes = Mistakes()
    for name, child in entries_of(node, path).items():
        with mistakes.gathered():
            _read_entry(rows(shape).get(name), child, f"{path}.{name}" if path else name, values)
    mistakes.tell()
    return shape(**values)


def _read_entry(
    row: attrs.Attribute[Any] | None, node: Node, path: str, values: dict[str, Any]
) -> None:
    if row is None:
        check_foreign(path, node)
    elif is_null(node):
        return
    elif "section" in row.metadata:
        values[row.name] = read_section(row.metadata["section"], node, path)
    elif "sections" in row.metadata:
        values[row.name] = _read_sections(row.metadata["sections"], node, path)
    else:
        values[row.name] = _read_value(row.metadata["kind"], node, path)


def _read_sections(shape: type[T], node: Node, path: str) -> tuple[T, ...]:
    if not isinstance(node, Items):
        raise refusal(
            node.origin,
            f"{path} wants a list of sections, not {_shown(node)}",
            "begin each of its sections with a dash",
        )
    sections = []
    mistakes = Mistakes()
    for index, item in enumerate(node.nodes):
        with mistakes.gathered():
            sections.append(read_section(shape, item, f"{path}.{index}"))
    mistakes.tell()
    return tuple(sections)


def entries_of(node: Node | None, path: str) -> dict[str, Node]:
    """The entries of a section; nothing there is an empty one.

    Raises:
        ConfigError: something other than a mapping stands there.
    """
    if isinstance(node, Branch):
        return dict(node.entries)
    if node is None or is_null(node):
        return {}
    raise refusal(
        node.origin,
        f"{path} wants a section of keys, not {_shown(node)}"
        if path
        else "the file is not a mapping of keys",
        "put its keys below it, indented" if path else 'begin with "version: 0.1"',
    )


def _read_value(kind: Kind[Any], node: Node, path: str) -> Any:
    if isinstance(node, Scalar) and (path, node.text.lower()) in FOREIGN_VALUES:
        raise refusal(
            node.origin,
            f"{path}: {node.text.lower()} is not supported",
            FOREIGN_VALUES[path, node.text.lower()],
        )
    try:
        return kind.read(node)
    except Misfit:
        instead = "what stands there" if kind.is_secret else _shown(node)
        raise refusal(
            node.origin,
            f"{path} wants {kind.expects}, not {instead}",
            "correct it, or remove it for the default",
        ) from None


def without_numbers(path: str) -> str:
    """The path of a key, whichever item of a list it stands in."""
    return ".".join(part for part in path.split(".") if not part.isdecimal())


def check_foreign(path: str, node: Node) -> None:
    """Let a key without a row of ours pass if it asks for nothing.

    Raises:
        ConfigError: it belongs to another registry and asks for something, or nobody knows it.
    """
    foreign = FOREIGN.get(path)
    if foreign is None:
        raise _unknown(path, node)
    if not is_null(node) and not foreign.asks_nothing(node):
        raise refusal(node.origin, f"{path} is not supported", foreign.remedy)


def _unknown(path: str, node: Node) -> ConfigError:
    near = nearest(without_numbers(path), [*known_paths(), *FOREIGN])
    remedy = f"did you mean {near}?" if near else "remove it"
    return refusal(node.origin, f"{path} is not a known key", remedy)


def nearest(path: str, known: Iterable[str]) -> str | None:
    """The known path that was probably meant.

    Neighbors in the same section go first, then a path that is much the same as a whole, then the
    same or a similar last part anywhere.
    """
    known = list(known)
    above, _, last = path.rpartition(".")
    neighbors = [candidate for candidate in known if candidate.rpartition(".")[0] == above]
    close = difflib.get_close_matches(path, neighbors, 1, 0.75) or difflib.get_close_matches(
        path, known, 1, 0.9
    )
    if close:
        return close[0]
    elsewhere = {candidate.rpartition(".")[2]: candidate for candidate in reversed(known)}
    close = difflib.get_close_matches(last, elsewhere, 1, 0.8)
    return elsewhere[close[0]] if close else None


def _shown(node: Node) -> str:
    if isinstance(node, Branch):
        return "a mapping"
    if isinstance(node, Items):
        return f"a list of {len(node.nodes)}"
    text = node.text if len(node.text) <= 60 else node.text[:60] + "..."
    return repr(text)
