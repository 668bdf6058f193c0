# SPDX-License-Identifier: Apache-2.0
"""The names in a request's path: repositories, tags, references, uploads.

Room: oci. Must not know URLs (``web`` has split and decoded them) nor storage paths. Each name is
parsed once, at the door. Patterns are anchored by ``fullmatch``; ``$`` would let a newline through.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from attrs import frozen

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code, OciError, excerpt

#: Longest repository name, in characters: what registry:2 takes, whose tree we share.
NAME_LIMIT = 255

#: <name> = [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*
#: (distribution-spec, "Pull")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")

#: <reference> as a tag = [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}     (distribution-spec, "Pull")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")

#: registry:2's route takes [a-zA-Z0-9-_.=]+ and only ever issues UUIDs. "=" can't be part of a
#: driver path and 128 is arbitrary; an id outside of this was never issued by anybody.
_UPLOAD_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@frozen(order=True)
class RepositoryName:
    """The name of a repository. Made by :meth:`parse`; the constructor trusts its caller.

    Order is that of the ASCII text.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> RepositoryName:
        """Return the name that ``text`` spells; a leading ``host:port`` is not part of a name.

        Raises:
            OciError: NAME_INVALID.

        Source: distribution-spec, "Pull".
        """
        if len(text) > NAME_LIMIT or not _NAME.fullmatch(text):
            raise OciError(Code.NAME_INVALID, excerpt(text))
        return cls(text)

    def __str__(self) -> str:
        return self.text


@frozen(order=True)
class Tag:
    """A name that somebody gave to a manifest. Made by :meth:`parse`; the constructor trusts its
    caller.

    Order is that of the ASCII text, which is the order of tag lists.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> Tag:
        """Return the tag that ``text`` spells.

        Raises:
            OciError: TAG_INVALID.

        Source: distribution-spec, "Pull".
        """
        if not _TAG.fullmatch(text):
            raise OciError(Code.TAG_INVALID, excerpt(text))
        return cls(text)

    def __str__(self) -> str:
        return self.text


#: What a manifest is asked for by.
Reference: TypeAlias = Tag | Digest


def parse_reference(text: str) -> Reference:
    """Return the digest or the tag that ``text`` spells; a colon, which no tag holds, tells which.

    Raises:
        OciError: DIGEST_INVALID or TAG_INVALID.

    Source: distribution-spec end-3, end-7, end-9.
    """
    return Digest.parse(text) if ":" in text else Tag.parse(text)


def fallback_tag(subject: Digest) -> Tag:
    """Return the tag of the index in which clients list the referrers of ``subject`` by themselves.

    They do so where a registry has no referrers API.

    Source: distribution-spec, "Referrers Tag Schema": the algorithm cut to 32 characters, ``-``,
    the encoded part cut to 64.
    """
    return Tag(f"{subject.algorithm[:32]}-{subject.encoded[:64]}")


@frozen
class UploadId:
    """The id of an upload session. Made by :meth:`parse`; the constructor trusts its caller."""

    text: str

    @classmethod
    def parse(cls, text: str) -> UploadId:
        """Return the id that ``text`` spells.

        Raises:
            OciError: BLOB_UPLOAD_UNKNOWN: no such id was ever issued.

        Source: distribution-spec end-5, end-6.
        """
        if text in (".", "..") or not _UPLOAD_ID.fullmatch(text):
            raise OciError(Code.BLOB_UPLOAD_UNKNOWN, excerpt(text))
        return cls(text)

    def __str__(self) -> str:
        return self.text
