# SPDX-License-Identifier: Apache-2.0
"""YAML text as a tree of nodes, each of which knows where it was written.

Room: config. Must not know which keys exist.

Only what a configuration needs is taken: one document, mappings with unique keys, sequences,
scalars, anchors and ``<<``. A scalar keeps its text beside its YAML 1.1 value, so that ``secret:
0123`` stays those four characters for a key that wants text. Messages never quote a broken
document: it may hold a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from attrs import field, frozen

from txregistry.config.errors import ConfigError, Origin, refusal

#: Nesting and number of nodes of a document, aliases counted as often as used.
#: Arbitrary; no honest file comes near.
DEPTH_LIMIT = 32
NODE_LIMIT = 20_000

_STANDARD = "tag:yaml.org,2002:"


@frozen
class Scalar:
    """One value: its text, and what YAML 1.1 makes of it (text where YAML would make a date)."""

    value: bool | int | float | str | None = field(repr=False)
    text: str = field(repr=False)
    origin: Origin


@frozen
class Items:
    """A sequence."""

    nodes: tuple[Node, ...]
    origin: Origin


@frozen
class Branch:
    """A mapping with text keys; each entry's origin is the line of its key."""

    entries: Mapping[str, Node]
    origin: Origin


Node = Scalar | Items | Branch


def parse_document(text: str, source: str) -> Node:
    """Read one YAML document.

    Args:
        source: how messages call the place of the text.

    Raises:
        ConfigError: it isn't YAML, is more than one document, has a key twice, or is nested without
            end.
    """
    lined = not source.startswith("environment variable ")

    def origin_at(mark: Any) -> Origin:
        return Origin(source, mark.line + 1 if mark is not None and lined else None)

    try:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise refusal(
            origin_at(error.problem_mark or error.context_mark),
            "this is not YAML that can be read" + _reason(error),
            "check the indentation and put values with special characters in quotes",
        ) from None
    except yaml.YAMLError:
        raise refusal(
            Origin(source),
            "the text holds a character that YAML forbids",
            "remove control characters",
        ) from None
    if root is None:
        return Scalar(None, "", Origin(source))
    return _Conversion(source, lined).node(root, origin_at(root.start_mark), 0)


def _reason(error: yaml.MarkedYAMLError) -> str:
    # The composer's sentences quote anchors and aliases, and an unquoted password may look like
    # one.
    if isinstance(error, yaml.composer.ComposerError):
        return " (a second document, or an anchor '&' or alias '*' that doesn't fit)"
    return f" ({error.problem})" if error.problem else ""


class _Conversion:
    """Turns PyYAML's nodes into ours, with bounds on depth and number."""

    def __init__(self, source: str, lined: bool) -> None:
        self._source = source
        self._lined = lined
        self._left = NODE_LIMIT
        self._values = yaml.constructor.SafeConstructor()

    def _origin(self, node: yaml.Node) -> Origin:
        return Origin(self._source, node.start_mark.line + 1 if self._lined else None)

    def node(self, node: yaml.Node, origin: Origin, depth: int) -> Node:
        self._left -= 1
        if depth > DEPTH_LIMIT or self._left < 0:
            raise refusal(
                origin,
                "the document is nested too deeply or too large",
                "remove aliases that repeat",
            )
        if isinstance(node, yaml.MappingNode):
            return Branch(self._entries(node, depth), origin)
        if isinstance(node, yaml.SequenceNode):
            return Items(
                tuple(self.node(item, self._origin(item), depth + 1) for item in node.value), origin
            )
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, origin)

    def _scalar(self, node: yaml.ScalarNode, origin: Origin) -> Scalar:
        kind = node.tag.removeprefix(_STANDARD)
        try:
            if kind == "null":
                return Scalar(None, node.value, origin)
            if kind == "bool":
                return Scalar(self._values.construct_yaml_bool(node), node.value, origin)
            if kind == "int":
                return Scalar(self._values.construct_yaml_int(node), node.value, origin)
            if kind == "float":
                return Scalar(self._values.construct_yaml_float(node), node.value, origin)
        except (ValueError, LookupError):  # "!!int x", "0x_"
            return Scalar(node.value, node.value, origin)
        if kind in ("str", "timestamp", "value", "merge", "binary"):
            return Scalar(node.value, node.value, origin)
        raise refusal(
            origin,
            "a value has a tag of its own",
            "write it without the '!' tag, in quotes if need be",
        )

    def _entries(self, node: yaml.MappingNode, depth: int) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in node.value:
            origin = self._origin(key)
            if key.tag == _STANDARD + "merge":
                for entries in self._merges(value, origin, depth):
                    merged = {**entries, **merged}
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise refusal(origin, "a key is a list or a mapping", "keys are plain words")
            if key.value in own:
                raise refusal(
                    origin,
                    f"the key {key.value!r} is there twice in one section",
                    "remove one of them",
                )
            own[key.value] = self.node(value, origin, depth + 1)
        return {**merged, **own}

    def _merges(self, value: yaml.Node, origin: Origin, depth: int) -> Iterator[Mapping[str, Node]]:
        for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            branch = self.node(part, origin, depth + 1)
            if not isinstance(branch, Branch):
                raise refusal(
                    origin,
                    "'<<' merges something that is not a mapping",
                    "name an anchored section",
                )
            yield branch.entries


def lookup(tree: Node, path: str) -> Node | None:
    """The node at a dotted path, or None."""
    node: Node | None = tree
    for part in path.split("."):
        node = node.entries.get(part) if isinstance(node, Branch) else None
    return node


def is_null(node: Node | None) -> bool:
    """Nothing was written there: no node, or YAML's null."""
    return node is None or (isinstance(node, Scalar) and node.value is None)


def plain(node: Node) -> Any:
    """The node as dictionaries, lists and scalars, for parts whose keys are free."""
    if isinstance(node, Branch):
        return {key: plain(child) for key, child in node.entries.items()}
    if isinstance(node, Items):
        return [plain(child) for child in node.nodes]
    return node.value


def replaced(tree: Node | None, path: tuple[str, ...], leaf: Node) -> Node:
    """A copy of the tree with ``leaf`` at ``path``; missing sections on the way are made.

    Null counts as an empty section. A numeric part is an index where a sequence stands; the index
    after the last appends.

    Raises:
        ConfigError: the path runs through a value, or beyond the end of a sequence.
    """
    if not path:
        return leaf
    head, rest = path[0], path[1:]
    if tree is None or is_null(tree):
        tree = Items((), leaf.origin) if head == "0" else Branch({}, leaf.origin)
    if isinstance(tree, Items):
        if not head.isdecimal() or int(head) > len(tree.nodes):
            raise refusal(
                leaf.origin,
                f"{head!r} is no index of a list of {len(tree.nodes)}",
                "count from 0, and append with the index after the last",
            )
        index = int(head)
        child = tree.nodes[index] if index < len(tree.nodes) else None
        changed = replaced(child, rest, leaf)
        return Items((*tree.nodes[:index], changed, *tree.nodes[index + 1 :]), tree.origin)
    if isinstance(tree, Branch):
        return Branch(
            {**tree.entries, head: replaced(tree.entries.get(head), rest, leaf)}, tree.origin
        )
    raise refusal(
        leaf.origin,
        f"{head!r} lies below a plain value",
        "override the value itself, or give a mapping",
    )


def load_bytes(data: bytes, source: str) -> str:
    """Decode a file's bytes: UTF-8, with or without a byte order mark.

    Raises:
        ConfigError: it is not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise refusal(Origin(source, line), "the file is not UTF-8", "save it as UTF-8") from None


__all__ = [
    "Branch",
    "ConfigError",
    "Items",
    "Node",
    "Scalar",
    "is_null",
    "load_bytes",
    "lookup",
    "parse_document",
    "plain",
    "replaced",
]
