# SPDX-License-Identifier: Apache-2.0
"""JSON from strangers, read so that it can cost only so much and mean only one thing.

Room: oci. Must not know what the document is for (``manifests`` does).

``json.loads`` alone is too kind: it takes ``NaN``, makes infinity of ``1e999``, lets the last of
two equal keys win while other parsers take the first, runs out of stack at about 1,000 levels, and
builds a hundred megabytes out of four. So the bytes are looked at first, without recursion: strings
are cut out, and what is left are the brackets and commas to be counted::

    {"a":["}",{}],"b":1}   ->   {:[,{}],:1}   ->   {[{}]}   ->   depth 3, 3 containers, 2 commas

That pass is linear in the input whatever it holds; whether the input is JSON at all is left to
``json.loads``.
"""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate, count
from operator import sub
from typing import Any

#: Deepest nesting of arrays and objects. Arbitrary: a manifest needs four.
DEPTH_LIMIT = 64

#: Most arrays and objects in a document. Arbitrary: an index of 10,000 children needs 50,000.
CONTAINERS_LIMIT = 100_000

#: Most commas in a document, so about the number of its values. Arbitrary: an index of 10,000
#: children needs 100,000. It is for memory: a value costs some hundred bytes while it is read.
COMMAS_LIMIT = 300_000

#: Most digits of an integer: those of 2**63 - 1.
DIGITS_LIMIT = 19

#: Longest number with a fraction or an exponent, in characters. Arbitrary: a double needs 24 at
#: most.
FLOAT_LIMIT = 64

#: string = quotation-mark *char quotation-mark        (RFC 8259 section 7)
#: One whose end is missing goes to the end of the text, and none is tried twice (the "+" after each
#: quantifier): both keep hostile input from making this quadratic.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)

#: An opening bracket counts 2 and a closing one 0; from their running sum the position is taken,
#: which leaves the depth.
_WEIGHTS = bytes.maketrans(b"[{]}", b"\x02\x02\x00\x00")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))

#: unescaped surrogate: %x5C %x75 "D" ( "8" - "F" ) 2HEXDIG        (RFC 8259 sections 7 and 8.2)
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class JsonInvalid(ValueError):
    """The text is not JSON, or is JSON of a kind that is not taken; its text says why."""


def read_strict(data: bytes) -> Any:
    """Return the document, in which every name, number and string has one meaning only.

    Raises:
        JsonInvalid: not UTF-8, a byte order mark, not JSON, more than one document, over a limit of
            this module, equal names in an object, a number that is not finite, ``-0``, or half of a
            surrogate pair.

    Source: RFC 8259; RFC 7493 (I-JSON) sections 2.1 to 2.3.
    """
    document = _read(
        data,
        object_pairs_hook=_object,
        parse_int=_integer,
        parse_float=_fraction,
        parse_constant=_constant,
    )
    if _SURROGATE_ESCAPE.search(data):
        _refuse_lone_surrogates(document)
    return document


def read_stored(data: bytes) -> Any:
    """Return a document that somebody accepted once, by whatever rules were his.

    Raises:
        JsonInvalid: not UTF-8, not JSON, or over a limit of this module.

    Source: RFC 8259.
    """
    return _read(data, parse_constant=_constant)


def _read(data: bytes, **hooks: Any) -> Any:
    if data.startswith(b"\xef\xbb\xbf"):
        raise JsonInvalid("a byte order mark")
    _check_shape(data)
    try:
        return json.loads(data.decode("utf-8"), **hooks)
    except JsonInvalid:
        raise
    except ValueError as err:
        # Both what is not JSON and what is not UTF-8. Their texts name positions, and do not repeat
        # the input.
        raise JsonInvalid(str(err)) from err


def _check_shape(data: bytes) -> None:
    """Refuse what would cost too much to read."""
    # As Latin-1, in which all that counts here is as in UTF-8: joining the pieces of bytes would
    # take ten times the memory that joining those of a text does.
    skeleton = _STRING.sub("", data.decode("latin-1")).encode("latin-1")
    if skeleton.count(b",") > COMMAS_LIMIT:
        raise JsonInvalid(f"more than {COMMAS_LIMIT} values")
    weights = skeleton.translate(_WEIGHTS, _NO_BRACKETS)
    if weights.count(2) > CONTAINERS_LIMIT:
        raise JsonInvalid(f"more than {CONTAINERS_LIMIT} arrays and objects")
    if max(map(sub, accumulate(weights), count(1)), default=0) > DEPTH_LIMIT:
        raise JsonInvalid(f"nested deeper than {DEPTH_LIMIT} levels")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise JsonInvalid("a name is twice in one object")
    return members


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > DIGITS_LIMIT:
        raise JsonInvalid(f"an integer of more than {DIGITS_LIMIT} digits")
    if text == "-0":
        raise JsonInvalid("a negative zero")
    return int(text)


def _fraction(text: str) -> float:
    number = float(text) if len(text) <= FLOAT_LIMIT else math.inf
    if not math.isfinite(number):
        raise JsonInvalid("a number out of range")
    return number


def _constant(text: str) -> Any:
    raise JsonInvalid(f"{text} is not JSON")


def _refuse_lone_surrogates(document: object) -> None:
    try:
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as err:
        raise JsonInvalid("half of a surrogate pair") from err
