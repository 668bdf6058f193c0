# SPDX-License-Identifier: Apache-2.0
"""Which names belong where in the tree.

Room: admin. Must not know storage beyond ``storage.paths``, which makes these paths; here they are
recognised. An area is a directory of the tree with a grammar: a function that says of the parts of
a path below it what is expected there::

    blobs         <alg>/<2 hex>/<hex>/(data|size)
    _layers       <alg>/<hex>/link
    revisions     <alg>/<hex>/link              signatures/ of old registries is left alone
    tags          <tag>/current/link            <tag>/index/<alg>/<hex>/link
    referrers     <alg>/<hex>/<alg>/<hex>/descriptor
    _uploads      <id>/(data|startedat|meta)    <id>/hashstates/<alg>/<offset>
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from typing import TypeAlias

from txregistry.oci.digests import ALGORITHMS, Digest
from txregistry.oci.errors import OciError
from txregistry.oci.names import RepositoryName, Tag, UploadId

#: Algorithms that links are found under, with the number of hex digits: registry:3 takes one more
#: than we do, and stores the data under sha256 all the same.
LINK_ALGORITHMS = {**ALGORITHMS, "sha384": 96}

_HEX = re.compile(r"[0-9a-f]+")

#: Our drivers' temporary files, and those of the Go registry: ``<name>.<uuid4>.tmp``.
_LEFTOVER = re.compile(r"\.txregistry-.*|.+\.[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\.tmp")

#: An offset as the name of a hash state.
_OFFSET = re.compile(r"0|[1-9][0-9]{0,18}")


class Spot(enum.Enum):
    """What is expected at a path."""

    DIRECTORY = "a directory"
    FILE = "a file"
    LEFT_ALONE = "anything"
    NOTHING = "nothing"


Parts: TypeAlias = tuple[str, ...]
Grammar: TypeAlias = Callable[[Parts], Spot]


def is_leftover(name: str) -> bool:
    """Say whether a file of that name is a temporary one."""
    return _LEFTOVER.fullmatch(name) is not None


def is_repository(name: str) -> bool:
    """Say whether ``name`` can be a repository's."""
    return _parses(RepositoryName.parse, name)


def is_hex(algorithm: str, text: str) -> bool:
    """Say whether ``text`` is a digest's second half."""
    return len(text) == LINK_ALGORITHMS.get(algorithm) and _HEX.fullmatch(text) is not None


def digest_at(parts: Parts, index: int) -> Digest:
    """Return the digest that two parts of a path spell, of any algorithm of ``LINK_ALGORITHMS``."""
    return Digest(parts[index], parts[index + 1])


def in_blobs(parts: Parts) -> Spot:
    """``blobs``"""
    algorithm, fan, encoded, name = _padded(parts, 4)
    if algorithm not in ALGORITHMS or (fan and not (len(fan) == 2 and _HEX.fullmatch(fan))):
        return Spot.NOTHING
    if encoded and not (encoded.startswith(fan) and is_hex(algorithm, encoded)):
        return Spot.NOTHING
    return _leaf(parts, 4, name in ("data", "size"))


def in_layers(parts: Parts) -> Spot:
    """``_layers``"""
    algorithm, encoded, name = _padded(parts, 3)
    if not _is_digest(algorithm, encoded):
        return Spot.NOTHING
    return _leaf(parts, 3, name == "link")


def in_revisions(parts: Parts) -> Spot:
    """``_manifests/revisions``"""
    if len(parts) == 3 and parts[2] == "signatures":
        return Spot.LEFT_ALONE
    return in_layers(parts)


def in_tags(parts: Parts) -> Spot:
    """``_manifests/tags``"""
    tag, branch = _padded(parts, 2)
    if not _parses(Tag.parse, tag) or branch not in ("", "current", "index"):
        return Spot.NOTHING
    if branch == "index" and len(parts) > 2:
        return in_layers(parts[2:])
    return _leaf(parts, 3, parts[2:] == ("link",))


def in_referrers(parts: Parts) -> Spot:
    """``_manifests/referrers``"""
    subject_algorithm, subject, algorithm, encoded, name = _padded(parts, 5)
    if not _is_digest(subject_algorithm, subject):
        return Spot.NOTHING
    if algorithm and not _is_digest(algorithm, encoded):
        return Spot.NOTHING
    return _leaf(parts, 5, name == "descriptor")


def in_uploads(parts: Parts) -> Spot:
    """``_uploads``"""
    upload_id, name, algorithm, offset = _padded(parts, 4)
    if not _parses(UploadId.parse, upload_id):
        return Spot.NOTHING
    if name in ("data", "startedat", "meta"):
        return Spot.FILE if len(parts) == 2 else Spot.NOTHING
    if name not in ("", "hashstates") or (algorithm and algorithm not in LINK_ALGORITHMS):
        return Spot.NOTHING
    return _leaf(parts, 4, _OFFSET.fullmatch(offset) is not None)


def _leaf(parts: Parts, depth: int, is_known: bool) -> Spot:
    """Return what is at ``parts`` where directories are right and files are ``depth`` deep."""
    if len(parts) < depth:
        return Spot.DIRECTORY
    return Spot.FILE if len(parts) == depth and is_known else Spot.NOTHING


def _is_digest(algorithm: str, encoded: str) -> bool:
    """Say whether it is a digest, or the beginning of one."""
    return algorithm in LINK_ALGORITHMS and (not encoded or is_hex(algorithm, encoded))


def _padded(parts: Parts, length: int) -> Parts:
    return (*parts, *("",) * length)[:length]


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except OciError:
        return False
    return True
