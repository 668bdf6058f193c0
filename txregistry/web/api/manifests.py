# SPDX-License-Identifier: Apache-2.0
"""``/v2/<name>/manifests/<reference>``: manifests, by tag or digest.

Room: web.
"""

from __future__ import annotations

from txregistry.oci.conditions import etag_of, matches_etag
from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code, OciError
from txregistry.oci.names import Reference, Tag, parse_reference
from txregistry.web.answer import Answer, Header
from txregistry.web.call import Call
from txregistry.web.faults import refusal

#: Content never changes under its digest; what a tag names may change at any time.
FOREVER: Header = ("Cache-Control", "max-age=31536000")
_ASK_AGAIN: Header = ("Cache-Control", "no-cache")


async def fetch(call: Call) -> Answer:
    """GET and HEAD: the bytes that were pushed, as the type that they are. Source: end-3."""
    reference = _stored_reference(call.reference)
    known = call.header(b"If-None-Match")
    manifest = await call.registry.manifests.fetch(
        call.repository, reference, is_known=lambda digest: matches_etag(known, digest)
    )
    digest = str(manifest.digest)
    headers = (
        ("Docker-Content-Digest", digest),
        ("ETag", etag_of(manifest.digest)),
        _ASK_AGAIN if isinstance(reference, Tag) else FOREVER,
    )
    if matches_etag(known, manifest.digest):
        return Answer(304, headers)
    return Answer(200, (("Content-Type", manifest.media_type), *headers), manifest.data)


async def put(call: Call) -> Answer:
    """PUT: store a manifest, under a tag, or under its digest and any number of tags. Source:
    end-7.
    """
    reference = parse_reference(call.reference)
    if call.header(b"Content-Encoding") not in (None, "identity"):
        return refusal(
            OciError(Code.UNSUPPORTED, "manifests are taken without Content-Encoding"), status=415
        )
    names = call.parameters("tag") if isinstance(reference, Digest) else []
    most = call.settings.limits.tags_per_push
    if len(names) > most:
        return refusal(OciError(Code.UNSUPPORTED, f"at most {most} tags at once"), status=414)
    tags = tuple(dict.fromkeys(Tag.parse(name) for name in names))
    data = await call.body.read_whole(call.settings.limits.manifest_size)
    stored = await call.registry.manifests.put(
        call.repository,
        reference,
        call.header(b"Content-Type"),
        data,
        tags=tags,
        check_tag=call.house.gate.tag_check(call.identity, call.repository),
    )
    headers = [
        ("Location", call.urls.manifest(call.repository, stored.digest)),
        ("Docker-Content-Digest", str(stored.digest)),
    ]
    if stored.subject is not None:
        headers.append(("OCI-Subject", str(stored.subject)))
    headers += [("OCI-Tag", str(tag)) for tag in stored.tags]
    return Answer(201, tuple(headers))


async def delete(call: Call) -> Answer:
    """DELETE: a tag, or a manifest with all its tags. Source: end-9."""
    reference = _stored_reference(call.reference)
    await call.check_unneeded(reference)
    await call.registry.manifests.delete(call.repository, reference)
    return Answer(202)


def _stored_reference(text: str) -> Reference:
    """Return the reference; under what is no tag nothing can be stored."""
    try:
        return parse_reference(text)
    except OciError as error:
        if error.code is Code.TAG_INVALID:
            raise OciError(Code.MANIFEST_UNKNOWN, error.detail) from error
        raise
