# SPDX-License-Identifier: Apache-2.0
"""What the value of a key may be: a reader for each kind, and the words for it in messages and
documents.

Room: config. Must not know which keys exist.

Readers are given scalars, sequences or mappings, never null: a key without a value has its default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, Generic, TypeVar

from attrs import frozen

from txregistry.config.addresses import Entrance, parse_entrance
from txregistry.config.document import Branch, Items, Node, Scalar, plain
from txregistry.config.durations import from_nanoseconds, parse_duration, render_duration

T = TypeVar("T")

# RFC 9110 section 5.6.2: token = 1*tchar
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_USER = re.compile(r"//[^/?#]*@")
_AFTER_PATH = re.compile(r"([?#]).+", re.DOTALL)


class Misfit(Exception):
    """A node is not of the kind that the key wants."""


@frozen
class Kind(Generic[T]):
    """A kind of value.

    Attributes:
        expects: what is written there, for people: "true or false".
        read: node -> value, or Misfit.
        is_free: the names below the key are the operator's own.
        is_list: variables may set one item, by its index.
        is_secret: messages must not quote the value.
        shown: text -> what people are shown of it, where a part is secret; None: all of it.
        is_duration: the value is seconds, and written as a duration.
        schema: what JSON Schema can say of it; None: what the other attributes say.
    """

    expects: str
    read: Callable[[Node], T]
    is_free: bool = False
    is_list: bool = False
    is_secret: bool = False
    shown: Callable[[str], str] | None = None
    is_duration: bool = False
    schema: Mapping[str, Any] | None = None


def _scalar(node: Node) -> Scalar:
    if isinstance(node, Scalar) and node.value is not None:
        return node
    raise Misfit


def _read_flag(node: Node) -> bool:
    value = _scalar(node).value
    # YAML takes "true" in quotes for text; people who set variables from other YAML files write it
    # so.
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if isinstance(value, bool):
        return value
    raise Misfit


def read_text(node: Node) -> str:
    """Text on one line; for kinds that are made of texts.

    Raises:
        Misfit: it is something else.
    """
    text = _scalar(node).text
    if "\0" in text or "\n" in text:
        raise Misfit
    return text


def without_secrets(url: str) -> str:
    """Return a URL with the user, the password, the query and the fragment masked.

    Source: RFC 3986 section 3.
    """
    return _AFTER_PATH.sub(r"\1***", _USER.sub("//***@", url))


def _either(*names: str) -> str:
    """An expression for one of some words, in any case; JSON Schema's have no flag for that."""
    words = (
        "".join(
            f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else re.escape(letter)
            for letter in name
        )
        for name in names
    )
    return "^(?:" + "|".join(words) + ")$"


_FLAG_SCHEMA = {
    "anyOf": [{"type": "boolean"}, {"type": "string", "pattern": _either("true", "false")}]
}

FLAG: Kind[bool] = Kind("true or false", _read_flag, schema=_FLAG_SCHEMA)
TEXT: Kind[str] = Kind("text", read_text)
URL_OF_OTHERS: Kind[str] = Kind("text", read_text, shown=without_secrets)
SECRET: Kind[str] = Kind("text", read_text, is_secret=True)


def choice(*names: str) -> Kind[str]:
    """One of some words, in any case."""

    def read(node: Node) -> str:
        text = read_text(node).lower()
        if text not in names:
            raise Misfit
        return text

    # The first is for completion.
    schema = {"anyOf": [{"enum": list(names)}, {"type": "string", "pattern": _either(*names)}]}
    return Kind("one of " + ", ".join(names), read, schema=schema)


def whole(minimum: int | None = None, maximum: int | None = None) -> Kind[int]:
    """A whole number within bounds."""

    def read(node: Node) -> int:
        value = _scalar(node).value
        if isinstance(value, bool) or not isinstance(value, int):
            raise Misfit
        if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
            raise Misfit
        return value

    bounds = "" if minimum is None else f" of at least {minimum}"
    bounds += "" if maximum is None else f" and at most {maximum}"
    schema: dict[str, Any] = {"type": "integer"}
    schema |= {} if minimum is None else {"minimum": minimum}
    schema |= {} if maximum is None else {"maximum": maximum}
    return Kind("a whole number" + bounds, read, schema=schema)


def count(default: int, minimum: int | None = None) -> Kind[int]:
    """A whole number; zero and what is below it (where ``minimum`` allows that) mean the
    default.
    """
    kind = whole(minimum)
    return Kind(
        kind.expects,
        lambda node: value if (value := kind.read(node)) > 0 else default,
        schema=kind.schema,
    )


def duration(minimum: float = 0.0) -> Kind[float]:
    """A duration, as seconds, of at least ``minimum`` seconds."""

    def read(node: Node) -> float:
        scalar = _scalar(node)
        if isinstance(scalar.value, int) and not isinstance(scalar.value, bool):
            seconds = from_nanoseconds(scalar.value)
        else:
            try:
                seconds = parse_duration(scalar.text)
            except ValueError:
                raise Misfit from None
        if seconds < minimum:
            raise Misfit
        return seconds

    floor = f" of at least {render_duration(minimum)}" if minimum else ""
    return Kind(
        f'a duration{floor} such as "90s" or "1h30m" (a bare number is nanoseconds)',
        read,
        is_duration=True,
        schema={"type": ["string", "integer"]},
    )


# What stands before "v2/" in every path: unreserved characters of RFC 3986, no empty or dot
# segment.
_PREFIX = re.compile(r"/(?:(?!\.{1,2}/)[A-Za-z0-9._~-]+/)*")
_PUBLIC_URL = re.compile(r"(https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::[0-9]{1,5})?)/?")


def _read_prefix(node: Node) -> str:
    inner = read_text(node).strip("/")
    prefix = f"/{inner}/" if inner else "/"
    if not _PREFIX.fullmatch(prefix):
        raise Misfit
    return prefix


def _read_public_url(node: Node) -> str:
    match = _PUBLIC_URL.fullmatch(read_text(node))
    if match is None:
        raise Misfit
    return match[1]


PREFIX: Kind[str] = Kind("a path such as /registry/", _read_prefix)
PUBLIC_URL: Kind[str] = Kind(
    "a URL without a path, such as https://registry.example", _read_public_url
)


def _read_texts(node: Node) -> tuple[str, ...]:
    if not isinstance(node, Items) or not node.nodes:
        raise Misfit
    return tuple(read_text(item) for item in node.nodes)


_TEXTS_SCHEMA = {
    "type": "array",
    "items": {"type": ["string", "number", "boolean"]},
    "minItems": 1,
}

TEXTS: Kind[tuple[str, ...]] = Kind(
    "a list of texts", _read_texts, is_list=True, schema=_TEXTS_SCHEMA
)


#: Whoever connects by a UNIX socket, where addresses are listed.
LOCAL = "unix"


def _read_hosts(node: Node) -> tuple[str, ...]:
    try:
        return tuple(text if text == LOCAL else str(ip_address(text)) for text in _read_texts(node))
    except ValueError:
        raise Misfit from None


HOSTS: Kind[tuple[str, ...]] = Kind(
    f"a list of IP addresses, or {LOCAL}", _read_hosts, is_list=True
)


def _read_networks(node: Node) -> tuple[str, ...]:
    try:
        return tuple(str(ip_network(text)) for text in _read_texts(node))
    except ValueError:
        raise Misfit from None


NETWORKS: Kind[tuple[str, ...]] = Kind(
    "a list of networks such as 10.0.0.0/8", _read_networks, is_list=True
)


def _read_entrances(node: Node) -> tuple[Entrance, ...]:
    try:
        return tuple(parse_entrance(text) for text in _read_texts(node))
    except ValueError:
        raise Misfit from None


ENTRANCES: Kind[tuple[Entrance, ...]] = Kind(
    "a list of http://host:port, https://host:port or unix:/path", _read_entrances, is_list=True
)


def _read_table(node: Node) -> Mapping[str, Any]:
    if not isinstance(node, Branch):
        raise Misfit
    table: dict[str, Any] = plain(node)
    return table


TABLE: Kind[Mapping[str, Any]] = Kind("a mapping", _read_table, is_free=True)
SECRET_TABLE: Kind[Mapping[str, Any]] = Kind("a mapping", _read_table, is_free=True, is_secret=True)


#: What HTTP itself says of a message and a connection; set by somebody else it breaks both.
#: Source: RFC 9110 sections 7.6.1, 8.6 and 10.1.1, RFC 9112 section 6.
_FRAMING = frozenset(
    (
        *("connection", "content-length", "expect", "keep-alive", "proxy-connection", "te"),
        *("trailer", "transfer-encoding", "upgrade"),
    )
)


def _read_headers(node: Node) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(node, Branch):
        raise Misfit
    headers = {}
    for name, values in node.entries.items():
        lines = (read_text(values),) if isinstance(values, Scalar) else _read_texts(values)
        # RFC 9110 section 5.5: no control characters in a field's value.
        is_name = _TOKEN.fullmatch(name) and name.lower() not in _FRAMING
        if not is_name or any(not line.isprintable() for line in lines):
            raise Misfit
        headers[name] = lines
    return headers


HEADERS: Kind[Mapping[str, tuple[str, ...]]] = Kind(
    "a mapping of header names (not Content-Length and its like) to lists of values",
    _read_headers,
    is_free=True,
)
