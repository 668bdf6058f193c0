# SPDX-License-Identifier: Apache-2.0
"""Media types: the ones that mean something to a registry, and how to read a Content-Type.

Room: oci. Must not know what a document of a type looks like (``manifests`` does).
"""

from __future__ import annotations

import re

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

#: What every blob is served as, whatever a descriptor calls it.
OCTET_STREAM = "application/octet-stream"
JSON = "application/json"

#: Types of documents with a config and layers.
IMAGE_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

#: Types of documents that list other manifests.
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})

#: All that can be pushed as a manifest.
MANIFEST_TYPES = IMAGE_TYPES | INDEX_TYPES

#: Types whose documents must name their own type; OCI's may leave that out.
SELF_NAMING_TYPES = frozenset({DOCKER_MANIFEST, DOCKER_LIST})

#: The old Docker format: recognised so that it can be refused by its name.
SCHEMA1_TYPES = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)

#: Layers that may live elsewhere, at the URLs of their descriptor.
NON_DISTRIBUTABLE = frozenset(
    {
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    }
)

#: type-name "/" subtype-name    (RFC 6838 section 4.2)
#: restricted-name = restricted-name-first *126restricted-name-chars
#: restricted-name-first = ALPHA / DIGIT
#: restricted-name-chars = ALPHA / DIGIT / "!" / "#" / "$" / "&" / "-" / "^" / "_" / "." / "+"
_RESTRICTED = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"

#: media-type = type "/" subtype *( OWS ";" OWS [ parameter ] )    (RFC 9110 section 8.3.1)
#: What the parameters say is not looked at, beyond that it is printable.
_MEDIA_TYPE = re.compile(rf"({_RESTRICTED}/{_RESTRICTED})(?:[ \t]*;[\t -~]*)?")

#: Longest text that is taken for a media type, in characters. Arbitrary: twice the names' own
#: limit, and some parameters.
MEDIA_TYPE_LIMIT = 512


def media_type_of(header: str | None) -> str:
    """Return the type that a Content-Type header names: lower case, without parameters.

    Empty if it names none.

    Source: RFC 9110 section 8.3.1.
    """
    text = (header or "").strip(" \t")
    match = _MEDIA_TYPE.fullmatch(text) if len(text) <= MEDIA_TYPE_LIMIT else None
    return match[1].lower() if match else ""


def is_media_type(text: str) -> bool:
    """Say whether ``text`` is of the grammar, parameters allowed.

    Source: RFC 6838 section 4.2; image-spec, "Descriptor", ``mediaType``.
    """
    return len(text) <= MEDIA_TYPE_LIMIT and _MEDIA_TYPE.fullmatch(text) is not None
