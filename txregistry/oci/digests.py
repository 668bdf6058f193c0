# SPDX-License-Identifier: Apache-2.0
"""Digests: which bytes are meant, said by their hash.

Room: oci. Must not know where content lies. Text from outside becomes a :class:`Digest` by
:meth:`Digest.parse` and stays one.

Grammar (image-spec, "Digests")::

    digest    ::= algorithm ":" encoded
    algorithm ::= component ( [+._-] component )*      component ::= [a-z0-9]+
    encoded   ::= [a-zA-Z0-9=_-]+

Of that, the two registered algorithms are taken, whose encoded part is lower-case hex of one
length. Whatever else the grammar allows would name content that nobody here can verify.
"""

from __future__ import annotations

import hashlib
import re

from attrs import frozen

from txregistry.oci.errors import Code, OciError, excerpt

#: algorithm -> number of hex digits
ALGORITHMS = {"sha256": 64, "sha512": 128}

#: The algorithm of everything that names none.
CANONICAL = "sha256"

#: sha256 ":" 64( 0-9 / a-f )  or  sha512 ":" 128( 0-9 / a-f )
_DIGEST = re.compile(
    "|".join(f"{name}:[0-9a-f]{{{length}}}" for name, length in ALGORITHMS.items())
)


@frozen(order=True)
class Digest:
    """The hash of some content. Made by :meth:`parse` or :meth:`of`; the constructor trusts its
    caller."""

    algorithm: str
    encoded: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Return the digest that ``text`` spells.

        Raises:
            OciError: DIGEST_INVALID, for bad grammar and for an algorithm that is not taken.

        Source: image-spec, "Digests"; distribution-spec end-2, end-3.
        """
        if not _DIGEST.fullmatch(text):
            raise OciError(Code.DIGEST_INVALID, excerpt(text), message="invalid digest")
        algorithm, _, encoded = text.partition(":")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes, algorithm: str = CANONICAL) -> Digest:
        """Return the digest of ``data`` under one of :data:`ALGORITHMS`."""
        return cls(algorithm, hashlib.new(algorithm, data).hexdigest())

    def matches(self, data: bytes) -> bool:
        """Say whether ``data`` is what this digest names."""
        return Digest.of(data, self.algorithm) == self

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"


#: The digest of no bytes at all.
EMPTY_SHA256 = Digest("sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def check_algorithm(text: str) -> str:
    """Return ``text`` if it names an algorithm that is taken.

    Raises:
        OciError: DIGEST_INVALID.

    Source: distribution-spec end-4a, ``digest-algorithm``.
    """
    if text not in ALGORITHMS:
        raise OciError(Code.DIGEST_INVALID, excerpt(text), message="unsupported digest algorithm")
    return text
