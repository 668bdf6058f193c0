# SPDX-License-Identifier: Apache-2.0
"""Manifests: what a pushed document must be, and what it refers to.

Room: oci. Must not know whether anything that it refers to exists. A manifest's bytes are what its
digest names: they are stored as they came and never made again from the value here, which holds
only what the registry acts upon.

What is taken::

    image manifest   {schemaVersion: 2, mediaType?, config, layers?,
                      artifactType?, subject?, annotations?, ...}
    index            {schemaVersion: 2, mediaType?, manifests,
                      artifactType?, subject?, annotations?, ...}

in OCI's words or Docker's. Members that the registry does not know are kept and mean nothing. A
document that could be taken for both kinds is refused, so that nobody else can be made to take it
for the other one (CVE-2021-41190), and so is one with a member that a parser which minds no case
would take for a known one. ``null`` is as good as nothing in members that may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from txregistry.oci.descriptors import Descriptor, read_descriptor
from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code, OciError, excerpt
from txregistry.oci.media_types import (
    IMAGE_TYPES,
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    SCHEMA1_TYPES,
    SELF_NAMING_TYPES,
    media_type_of,
)
from txregistry.oci.members import (
    invalid,
    optional,
    read_annotations,
    read_array,
    read_artifact_type,
    read_members,
    spellings,
)
from txregistry.oci.strict_json import JsonInvalid, read_stored, read_strict

#: Largest manifest, in bytes: what registry:2 takes and what the distribution-spec asks for at
#: least.
MANIFEST_LIMIT = 4 * 1024 * 1024

#: Most layers of an image manifest. Arbitrary: file systems that stack layers end at a few hundred.
LAYERS_LIMIT = 1000

#: Most children of an index. Arbitrary: as many as can sensibly be looked up for one push.
CHILDREN_LIMIT = 10_000

_MEMBERS = spellings(
    (
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "manifests",
        "subject",
        "annotations",
    )
)


@frozen
class Manifest:
    """What a manifest or an index says.

    Attributes:
        config: of an image manifest; None for an index.
        layers: of an image manifest.
        manifests: the children of an index.
        subject: the manifest that this one refers to; it need not exist.
        artifact_type: its own ``artifactType``.

    Source: image-spec, "Image Manifest", "Image Index"; Docker's schema 2.
    """

    media_type: str
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] | None = field(default=None, hash=False)

    @property
    def is_index(self) -> bool:
        """Whether it lists other manifests."""
        return self.media_type in INDEX_TYPES

    @property
    def referrer_type(self) -> str | None:
        """The ``artifactType`` that a list of referrers gives: its own, else its config's type; an
        index has no config.

        Source: distribution-spec end-12a.
        """
        if self.artifact_type is None and self.config is not None:
            return self.config.media_type
        return self.artifact_type

    @property
    def references(self) -> tuple[Descriptor, ...]:
        """The blobs that must be in the repository, each once, config first."""
        blobs = self.layers if self.config is None else (self.config, *self.layers)
        return tuple(
            {(blob.digest, blob.size): blob for blob in blobs if not blob.is_elsewhere}.values()
        )

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """What an index lists: manifests as a rule, but build caches list their blobs that way."""
        return self.manifests

    def as_referrer(self, digest: Digest, size: int) -> Descriptor:
        """Return the descriptor by which its subject's list of referrers names this manifest.

        Args:
            digest: of the manifest's bytes.
            size: of the manifest in bytes.

        Source: distribution-spec end-12a.
        """
        return Descriptor(self.media_type, digest, size, self.referrer_type, self.annotations)

    def to_plain(self) -> dict[str, Any]:
        """Return a form that JSON can carry between processes; :meth:`from_plain` takes it back."""
        return {
            "media_type": self.media_type,
            "config": _plain(self.config),
            "layers": [blob.to_json_object() for blob in self.layers],
            "manifests": [child.to_json_object() for child in self.manifests],
            "subject": _plain(self.subject),
            "artifact_type": self.artifact_type,
            "annotations": None if self.annotations is None else dict(self.annotations),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Manifest:
        """Return the manifest that :meth:`to_plain` was called on; not for text from outside."""
        read = Descriptor.from_json_object
        return cls(
            media_type=plain["media_type"],
            config=None if plain["config"] is None else read(plain["config"]),
            layers=tuple(read(blob) for blob in plain["layers"]),
            manifests=tuple(read(child) for child in plain["manifests"]),
            subject=None if plain["subject"] is None else read(plain["subject"]),
            artifact_type=plain["artifact_type"],
            annotations=plain["annotations"],
        )


def parse_manifest(data: bytes, content_type: str | None) -> Manifest:
    """Return what a pushed manifest says.

    It takes up to some hundred milliseconds for hostile data of the largest size: not for the
    reactor's thread.

    Args:
        data: the document, whole.
        content_type: the request's header, None if it has none.

    Raises:
        OciError: MANIFEST_INVALID, ``too_large`` if that is why; UNSUPPORTED, ``malformed``, for
            Docker's schema 1.

    Source: distribution-spec end-7; image-spec, "Image Manifest", "Image Index".
    """
    if len(data) > MANIFEST_LIMIT:
        raise OciError(Code.MANIFEST_INVALID, f"larger than {MANIFEST_LIMIT} bytes", too_large=True)
    media_type = media_type_of(content_type)
    if media_type in SCHEMA1_TYPES:
        raise _schema1()
    if media_type not in MANIFEST_TYPES:
        raise invalid("Content-Type", f"{excerpt(content_type or '')!r} is not a manifest's type")
    try:
        document = read_strict(data)
    except JsonInvalid as err:
        raise OciError(Code.MANIFEST_INVALID, str(err)) from err
    return _manifest(read_members(document, "the document", _MEMBERS), media_type)


def stored_media_type(data: bytes) -> str:
    """Return the type that a stored manifest is served as, told by its bytes alone.

    For whatever :func:`parse_manifest` takes this is the type that it was pushed as.

    Raises:
        OciError: MANIFEST_UNKNOWN if this is no manifest, or one of a kind that is not served.

    Source: registry:2's way of finding it, whose storage tree has no other record; its routes for
    manifests do the same.
    """
    if len(data) > MANIFEST_LIMIT:
        raise _unservable("the stored manifest is too large")
    try:
        document = read_stored(data)
    except JsonInvalid as err:
        raise _unservable("what is stored is not a manifest") from err
    if not isinstance(document, dict):
        raise _unservable("what is stored is not a manifest")
    if document.get("schemaVersion") == 1:
        raise _unservable("the stored manifest is of Docker's schema 1, which is not served")
    named = document.get("mediaType")
    if named is None or named == "":
        return OCI_INDEX if "manifests" in document else OCI_MANIFEST
    if not isinstance(named, str) or named not in MANIFEST_TYPES:
        raise _unservable("the stored manifest is of a type that is not served")
    return named


def _manifest(document: Mapping[str, Any], media_type: str) -> Manifest:
    _check_version(document)
    _check_own_type(document, media_type)
    is_image = media_type in IMAGE_TYPES
    for name in ("manifests",) if is_image else ("config", "layers"):
        if name in document:
            raise invalid(name, f"has no place in {media_type}")
    if is_image:
        return Manifest(
            media_type,
            config=read_descriptor(document.get("config"), "config"),
            layers=_descriptors(document.get("layers"), "layers", LAYERS_LIMIT),
            **_common(document),
        )
    if "manifests" not in document:
        raise invalid("manifests", "is missing")
    return Manifest(
        media_type,
        manifests=_descriptors(document["manifests"], "manifests", CHILDREN_LIMIT),
        **_common(document),
    )


def _common(document: Mapping[str, Any]) -> dict[str, Any]:
    """Read the members that both kinds may have."""
    return {
        "subject": optional(read_descriptor, document.get("subject"), "subject"),
        "artifact_type": read_artifact_type(document.get("artifactType"), "artifactType"),
        "annotations": optional(read_annotations, document.get("annotations"), "annotations"),
    }


def _check_version(document: Mapping[str, Any]) -> None:
    version = document.get("schemaVersion")
    # True == 1 and 2.0 == 2 in Python; neither is a version.
    if type(version) is int and version == 1:
        raise _schema1()
    if type(version) is not int or version != 2:
        raise invalid("schemaVersion", "is not 2")


def _check_own_type(document: Mapping[str, Any], media_type: str) -> None:
    named = document.get("mediaType")
    is_missing = named is None or named == ""
    if named != media_type and not (is_missing and media_type not in SELF_NAMING_TYPES):
        raise invalid("mediaType", f"differs from the Content-Type {media_type}")


def _descriptors(value: object, where: str, limit: int) -> tuple[Descriptor, ...]:
    if value is None:
        return ()
    entries = read_array(value, where)
    if len(entries) > limit:
        raise invalid(where, f"has more than {limit} entries")
    return tuple(read_descriptor(each, f"{where}[{place}]") for place, each in enumerate(entries))


def _plain(descriptor: Descriptor | None) -> dict[str, Any] | None:
    return None if descriptor is None else descriptor.to_json_object()


def _schema1() -> OciError:
    return OciError(
        Code.UNSUPPORTED, "manifests of Docker's schema 1 are not taken", malformed=True
    )


def _unservable(why: str) -> OciError:
    return OciError(Code.MANIFEST_UNKNOWN, why)
