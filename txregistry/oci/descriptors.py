# SPDX-License-Identifier: Apache-2.0
"""Descriptors: what a manifest says about another piece of content.

Room: oci. Must not know JSON text (``manifests`` reads it, strictly); a descriptor is the value
that is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from txregistry.oci.digests import Digest
from txregistry.oci.media_types import NON_DISTRIBUTABLE


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
        """Whether it need not be here: its type is not to be distributed and it says where it is."""
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
