# SPDX-License-Identifier: Apache-2.0
"""Conditional requests: whether what the client holds is what we would send.

Room: oci. Must not know what is answered. Content is named by its digest, so the entity tag is the
digest, and equal tags mean equal bytes: the weak and the strong comparison differ only where the
client says ``W/`` itself.

Grammar (RFC 9110 sections 8.8.3 and 13.1)::

    If-None-Match = "*" / #entity-tag
    If-Range      = entity-tag / HTTP-date
    entity-tag    = [ %s"W/" ] DQUOTE *etagc DQUOTE
    etagc         = %x21 / %x23-7E / obs-text
"""

from __future__ import annotations

import re

from txregistry.oci.digests import Digest

#: One entity-tag, or a bare word, which registry:2's clients send for a digest. A comma inside of
#: the quotes belongs to the tag.
_TAG_OR_WORD = re.compile(r'(W/)?"([^"]*)"|([^\s,"]+)')


def etag_of(digest: Digest) -> str:
    """Return the ETag header of the content that ``digest`` names.

    Source: RFC 9110 section 8.8.3.
    """
    return f'"{digest}"'


def matches_etag(header: str | None, digest: Digest) -> bool:
    """Say whether an If-None-Match header names ``digest``, so that the answer is 304.

    Args:
        header: lists, weak tags, ``*`` and a bare digest are understood; None if there is none.
        digest: of content that exists.

    Source: RFC 9110 section 13.1.2 (weak comparison).
    """
    if header is None:
        return False
    if header.strip() == "*":
        return True
    wanted = str(digest)
    return any(wanted in match.group(2, 3) for match in _TAG_OR_WORD.finditer(header))


def allows_range(header: str | None, digest: Digest) -> bool:
    """Say whether an If-Range header lets the Range header count, rather than asking for
    everything.

    A date never does: no Last-Modified is ever sent that it could be compared with.

    Args:
        header: None if there is none, which asks nothing.
        digest: of content that exists.

    Source: RFC 9110 section 13.1.5 (strong comparison).
    """
    return header is None or header.strip() in (etag_of(digest), str(digest))
