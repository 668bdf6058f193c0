# SPDX-License-Identifier: Apache-2.0
"""Descriptors: what a manifest says about another piece of content.

Room: oci. Must not know JSON text (``strict_json`` reads it), nor whether the content is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from txregistry.oci.digests import Digest
from txregistry.oci.media_types import NON_DISTRIBUTABLE
from txregistry.oci.members import (
    optional,
    read_annotations,
    read_artifact_type,
    read_digest,
    read_media_type,
    read_members,
    read_object,
    read_size,
    read_text,
    read_texts,
    spellings,
)

_MEMBERS = spellings(
    (
        "mediaType",
        "digest",
        "size",
        "urls",
        "annotations",
        "data",
        "artifactType",
        "platform",
    )
)


@frozen
class Descriptor:
    """Type, digest and size of some content, with what else was said of it.

    Attributes:
        size: bytes.
        artifact_type: kind of artifact, where the content is a manifest.
        urls: where else the content may be had; never fetched by us.
        platform: what an index says of the machine that a child is for; kept as it came.

    Source: image-spec, "Descriptor".
    """

    media_type: str
    digest: Digest
    size: int
    artifact_type: str | None = None
    annotations: Mapping[str, str] | None = field(default=None, hash=False)
    urls: tuple[str, ...] = ()
    platform: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it need not be here: its type is not to be distributed and it says where it
        is.
        """
        return self.media_type in NON_DISTRIBUTABLE and bool(self.urls)

    def to_json_object(self) -> dict[str, Any]:
        """Return the descriptor as JSON spells it; what is not there is left out."""
        members: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
            "urls": list(self.urls) or None,
            "annotations": None if self.annotations is None else dict(self.annotations),
            "platform": None if self.platform is None else dict(self.platform),
            "artifactType": self.artifact_type,
        }
        return {key: value for key, value in members.items() if value is not None}

    @classmethod
    def from_json_object(cls, members: Mapping[str, Any]) -> Descriptor:
        """Return the descriptor that :meth:`to_json_object` was called on; not for outside text."""
        return cls(
            media_type=members["mediaType"],
            digest=Digest.parse(members["digest"]),
            size=members["size"],
            artifact_type=members.get("artifactType"),
            annotations=members.get("annotations"),
            urls=tuple(members.get("urls", ())),
            platform=members.get("platform"),
        )


def read_descriptor(value: object, where: str) -> Descriptor:
    """Return the descriptor that is at ``where`` in a pushed document.

    ``data`` may be there and is not looked into: whoever uses it in place of the content has to
    verify it.

    Raises:
        OciError: MANIFEST_INVALID.

    Source: image-spec, "Descriptor".
    """
    members = read_members(value, where, _MEMBERS)
    optional(read_text, members.get("data"), f"{where}.data")
    return Descriptor(
        media_type=read_media_type(members.get("mediaType"), f"{where}.mediaType"),
        digest=read_digest(members.get("digest"), f"{where}.digest"),
        size=read_size(members.get("size"), f"{where}.size"),
        artifact_type=read_artifact_type(members.get("artifactType"), f"{where}.artifactType"),
        annotations=optional(read_annotations, members.get("annotations"), f"{where}.annotations"),
        urls=optional(read_texts, members.get("urls"), f"{where}.urls") or (),
        platform=optional(read_object, members.get("platform"), f"{where}.platform"),
    )
