# SPDX-License-Identifier: Apache-2.0
"""``/v2/<name>/blobs/<digest>``: blobs.

Room: web.
"""

from __future__ import annotations

from txregistry.oci.conditions import allows_range, etag_of, matches_etag
from txregistry.oci.digests import Digest
from txregistry.oci.media_types import OCTET_STREAM
from txregistry.registry import BlobContent
from txregistry.web.answer import Answer, Header
from txregistry.web.api.manifests import FOREVER
from txregistry.web.call import Call
from txregistry.web.ranges import ranged, whole

_ACCEPT_RANGES: Header = ("Accept-Ranges", "bytes")


async def fetch(call: Call) -> Answer:
    """GET and HEAD: the content, whole or in part. Source: end-2; registry:3's headers."""
    digest = Digest.parse(call.reference)
    elsewhere = await _elsewhere(call, digest)
    if elsewhere is not None:
        return Answer(307, (("Location", elsewhere), ("Docker-Content-Digest", str(digest))))
    headers = (
        ("Docker-Content-Digest", str(digest)),
        ("ETag", etag_of(digest)),
        FOREVER,
        _ACCEPT_RANGES,
    )
    is_known = matches_etag(call.header(b"If-None-Match"), digest)
    if call.is_head or is_known:
        size = await call.registry.blobs.stat(call.repository, digest)
        if is_known:
            return Answer(304, headers)
        return Answer(200, (("Content-Type", OCTET_STREAM), *headers), length=size)
    content = await call.registry.blobs.open(call.repository, digest)
    return _content(call, content, headers)


async def _elsewhere(call: Call, digest: Digest) -> str | None:
    """Return where this client can have the blob, None if it is served from here."""
    settings = call.settings
    if not settings.redirect or settings.exempt.has(call.client, call.header(b"User-Agent") or ""):
        return None
    method = "HEAD" if call.is_head else "GET"
    return await call.registry.blobs.redirect(call.repository, digest, method, client=call.client)


async def delete(call: Call) -> Answer:
    """DELETE: take the blob out of this repository. Source: end-10."""
    digest = Digest.parse(call.reference)
    await call.check_unneeded(digest)
    await call.registry.blobs.delete(call.repository, digest)
    return Answer(202)


def _content(call: Call, content: BlobContent, headers: tuple[Header, ...]) -> Answer:
    asked = call.header(b"Range")
    if asked is not None and allows_range(call.header(b"If-Range"), content.digest):
        return ranged(content, content.size, OCTET_STREAM, headers, asked).out_of(content.data)
    if content.data is not None:
        return Answer(200, (("Content-Type", OCTET_STREAM), *headers), content.data)
    return whole(content, content.size, OCTET_STREAM, headers)
