# SPDX-License-Identifier: Apache-2.0
"""Members of a pushed document, each read as the kind of value that it must be.

Room: oci. Must not know which members there are (``manifests`` and ``descriptors`` do). Everything
takes a value of any kind, as JSON gave it, with ``where`` in the document it was; everything raises
MANIFEST_INVALID with that place and what is wrong there::

    layers[3].size: is not a size

Python's own idea of equal kinds is not JSON's: ``True`` is an ``int`` and ``2.0 == 2``, and neither
is a version or a size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code, OciError, excerpt
from txregistry.oci.media_types import is_media_type

#: Largest size that content may have, in bytes: what a file can have.
SIZE_LIMIT = 2**63 - 1

_T = TypeVar("_T")


def invalid(where: str, why: str) -> OciError:
    """Return the refusal of what is at ``where``."""
    return OciError(Code.MANIFEST_INVALID, f"{where}: {why}")


def spellings(names: Iterable[str]) -> Mapping[str, str]:
    """Return what :func:`read_members` needs to know of the known members' ``names``."""
    return {name.casefold(): name for name in names}


def read_members(value: object, where: str, known: Mapping[str, str]) -> dict[str, Any]:
    """Return an object's members, no other of which a parser could take for a ``known`` one.

    Some parsers mind no case, Go's among them.
    """
    members = read_object(value, where)
    for name in members:
        if known.get(name.casefold(), name) != name:
            raise invalid(where, f"{excerpt(name)!r} is not how that member is spelt")
    return members


def read_object(value: object, where: str) -> dict[str, Any]:
    """Return an object of any members."""
    if not isinstance(value, dict):
        raise invalid(where, "is missing" if value is None else "is not an object")
    return value


def read_array(value: object, where: str) -> list[Any]:
    """Return an array of anything."""
    if not isinstance(value, list):
        raise invalid(where, "is not an array")
    return value


def read_text(value: object, where: str) -> str:
    """Return a string."""
    if not isinstance(value, str):
        raise invalid(where, "is missing" if value is None else "is not a string")
    return value


def read_texts(value: object, where: str) -> tuple[str, ...]:
    """Return an array of strings."""
    return tuple(read_text(each, where) for each in read_array(value, where))


def read_annotations(value: object, where: str) -> dict[str, str]:
    """Return an object whose members are strings.

    Source: image-spec, "Annotations".
    """
    annotations = read_object(value, where)
    for each in annotations.values():
        read_text(each, where)
    return annotations


def read_media_type(value: object, where: str) -> str:
    """Return a media type, as it is written.

    Source: RFC 6838 section 4.2.
    """
    text = read_text(value, where)
    if not is_media_type(text):
        raise invalid(where, "is not a media type")
    return text


def read_artifact_type(value: object, where: str) -> str | None:
    """Return a media type; None for an empty one, which Go programs write where they have none."""
    return None if value is None or value == "" else read_media_type(value, where)


def read_digest(value: object, where: str) -> Digest:
    """Return a digest of an algorithm that is taken.

    Source: image-spec, "Digests".
    """
    text = read_text(value, where)
    try:
        return Digest.parse(text)
    except OciError as err:
        raise invalid(where, f"{excerpt(text)!r} is not a digest") from err


def read_size(value: object, where: str) -> int:
    """Return a size in bytes."""
    if type(value) is not int or not 0 <= value <= SIZE_LIMIT:
        raise invalid(where, "is not a size")
    return value


def optional(read: Callable[[object, str], _T], value: object, where: str) -> _T | None:
    """Return what ``read`` makes of the value; None if it is missing or null."""
    return None if value is None else read(value, where)
