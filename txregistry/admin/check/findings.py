# SPDX-License-Identifier: Apache-2.0
"""What a check may find: one row for each class, and the value that one finding is.

Room: admin. Must not know how anything is found. Names of classes are part of the report's schema:
rows are only added, and ``docs/operate/check.md`` describes each (a test holds both together).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeAlias

from attrs import field, frozen

from txregistry.oci.digests import Digest


class Severity(enum.Enum):
    """How bad it is."""

    #: Something that a client was promised can't be had, or can't be trusted.
    ERROR = "error"
    #: Nothing is lost, but it should not be so.
    WARNING = "warning"


@frozen
class Kind:
    """One class of findings.

    Attributes:
        name: as reports write it.
        meaning: one sentence, as the list of classes has it.
    """

    name: str
    severity: Severity
    meaning: str


KINDS: dict[str, Kind] = {}


def _error(name: str, meaning: str) -> Kind:
    return KINDS.setdefault(name, Kind(name, Severity.ERROR, meaning))


def _warning(name: str, meaning: str) -> Kind:
    return KINDS.setdefault(name, Kind(name, Severity.WARNING, meaning))


BLOB_CORRUPT = _error("blob-corrupt", "Data are not what their digest says.")
BLOB_SIZE = _error("blob-size", "Data are not of the size that was recorded when they were stored.")
BLOB_EMPTY = _error("blob-empty", "Data are empty although their digest is not that of nothing.")
LAYER_DANGLING = _error(
    "layer-dangling", "A repository lists a blob whose data are missing or damaged."
)
MANIFEST_DANGLING = _error(
    "manifest-dangling", "A repository lists a manifest whose data are missing or damaged."
)
MANIFEST_INCOMPLETE = _error(
    "manifest-incomplete", "What a manifest refers to is not in its repository."
)
MANIFEST_UNPARSABLE = _error(
    "manifest-unparsable", "The data of a manifest are not a JSON document."
)
TAG_DANGLING = _error("tag-dangling", "A tag points at a manifest that is missing or damaged.")
LINK_UNREADABLE = _error("link-unreadable", "A link is empty or holds no digest.")
LINK_MISMATCH = _error("link-mismatch", "A link holds another digest than the one in its path.")
UNREADABLE = _error("unreadable", "The driver can't read something.")

SIZE_RECORD = _warning("size-record", "A recorded size is garbage, wrong, or of no data.")
LINK_ALIAS = _warning(
    "link-alias", "A link under one algorithm holds a digest of another, as registry:3 does."
)
MANIFEST_UNSUPPORTED = _warning(
    "manifest-unsupported", "A manifest is of a kind that could not be checked."
)
TAG_INCOMPLETE = _warning("tag-incomplete", "A tag has a directory, and points nowhere.")
TAG_HISTORY = _warning("tag-history", "An entry of a tag's history can't be used.")
TAG_CASE = _warning("tag-case", "Two tags of a repository differ only by case.")
REFERRER_STALE = _warning("referrer-stale", "The list of referrers has an entry that is none.")
REFERRER_MISSING = _warning("referrer-missing", "The list of referrers lacks a manifest.")
UPLOAD_NO_DATA = _warning(
    "upload-no-data", "An upload session has lost its data, or never had any for long."
)
UPLOAD_NO_START = _warning("upload-no-start", "An upload session does not say when it began.")
UPLOAD_STATE = _warning("upload-state", "A saved hash state of an upload can't be used.")
TEMP = _warning("temp", "A temporary file was left behind.")
FOREIGN = _warning("foreign", "Something in the tree does not belong there.")


@frozen
class Move:
    """A repair: put what is at ``path`` into quarantine."""

    path: str


@frozen
class Write:
    """A repair: write a record again that can be told from what is there."""

    path: str
    data: bytes = field(repr=False)


Repair: TypeAlias = Move | Write


@frozen
class Finding:
    """One thing that is wrong.

    Attributes:
        path: where.
        why: the rest of a sentence that begins with the path.
        repair: what ``--repair`` would do; None: nothing.
        damages: the digest whose data don't count any more.
    """

    kind: Kind
    path: str
    why: str
    repair: Repair | None = None
    damages: Digest | None = None

    def to_json_object(self) -> Mapping[str, object]:
        """Return the finding as the report has it."""
        repair = self.repair and {
            "action": "move" if isinstance(self.repair, Move) else "write",
            "path": self.repair.path,
        }
        return {
            "class": self.kind.name,
            "severity": self.kind.severity.value,
            "path": self.path,
            "explanation": f"{self.path} {self.why}.",
            "repair": repair,
        }


def movable(
    kind: Kind, path: str, why: str, moves: str = "", damages: Digest | None = None
) -> Finding:
    """Return a finding that is repaired by moving ``moves``, or ``path`` itself."""
    return Finding(kind, path, why, Move(moves or path), damages)
