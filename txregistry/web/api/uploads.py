# SPDX-License-Identifier: Apache-2.0
"""``/v2/<name>/blobs/uploads/``: blobs on their way in.

Room: web. An upload's true offset is told in ``Range``, what it goes on with in ``Location``; a
refusal about the offset carries both, so that the client can go on from there.
"""

from __future__ import annotations

from txregistry.oci.digests import Digest, check_algorithm
from txregistry.oci.errors import Code, OciError
from txregistry.oci.names import RepositoryName, UploadId
from txregistry.oci.ranges import Span, parse_content_range, render_upload_range
from txregistry.registry import Upload
from txregistry.web.answer import Answer, Header
from txregistry.web.call import Call
from txregistry.web.faults import refusal


async def start(call: Call) -> Answer:
    """POST: open a session, mount a blob from elsewhere, or take a whole blob at once.

    Source: end-4a, end-4b, end-11.
    """
    algorithm = call.parameter("digest-algorithm")
    if algorithm is not None:
        check_algorithm(algorithm)
    if call.parameters("digest"):
        digest = Digest.parse(call.single_digest())
        # Without a body it is only announced what is going to be pushed, but for the empty blob.
        if call.body.length != 0 or digest.matches(b""):
            stored = await call.registry.uploads.push(call.repository, digest, call.body)
            return _created(call, stored)
    mounted = await _mount(call)
    if mounted is not None:
        return _created(call, mounted)
    upload = await call.registry.uploads.start(
        call.repository, algorithm=algorithm, owner=call.owner, by=call.uploader
    )
    return Answer(202, _progress(call, upload))


async def status(call: Call) -> Answer:
    """GET and HEAD: how far it is. Source: end-13."""
    upload_id = UploadId.parse(call.reference)
    upload = await call.registry.uploads.status(call.repository, upload_id, by=call.uploader)
    return Answer(204, _progress(call, upload))


async def append(call: Call) -> Answer:
    """PATCH: more bytes. Source: end-5."""
    upload_id = UploadId.parse(call.reference)
    try:
        upload = await call.registry.uploads.append(
            call.repository,
            upload_id,
            call.parameter("_state"),
            _span(call),
            call.body,
            by=call.uploader,
        )
    except OciError as error:
        return await _with_progress(call, upload_id, error)
    return Answer(202, _progress(call, upload))


async def finish(call: Call) -> Answer:
    """PUT: the last bytes, if any, and the digest of all of them. Source: end-6."""
    upload_id = UploadId.parse(call.reference)
    digest = Digest.parse(call.single_digest())
    body = None if call.body.length == 0 else call.body
    try:
        stored = await call.registry.uploads.finish(
            call.repository,
            upload_id,
            call.parameter("_state"),
            digest,
            _span(call),
            body,
            by=call.uploader,
        )
    except OciError as error:
        return await _with_progress(call, upload_id, error)
    return _created(call, stored)


async def cancel(call: Call) -> Answer:
    """DELETE: forget the upload. Source: end-14."""
    upload_id = UploadId.parse(call.reference)
    state = call.parameter("_state")
    await call.registry.uploads.cancel(call.repository, upload_id, state, by=call.uploader)
    return Answer(204, (("Docker-Upload-UUID", str(upload_id)),))


async def _mount(call: Call) -> Digest | None:
    """Return the digest that was mounted, None if an upload is needed after all.

    A mount that names something malformed is as good as one of something unknown: registry:3.
    """
    wanted = call.parameter("mount")
    if wanted is None:
        return None
    source = call.parameter("from")
    try:
        digest = Digest.parse(wanted)
        name = None if source is None else RepositoryName.parse(source)
    except OciError:
        return None
    may_read = call.house.gate.reader(call.identity)
    is_mounted = await call.registry.blobs.mount(call.repository, digest, name, may_read=may_read)
    return digest if is_mounted else None


def _span(call: Call) -> Span | None:
    text = call.header(b"Content-Range")
    return None if text is None else parse_content_range(text)


def _created(call: Call, digest: Digest) -> Answer:
    location = call.urls.blob(call.repository, digest)
    return Answer(201, (("Location", location), ("Docker-Content-Digest", str(digest))))


def _progress(call: Call, upload: Upload) -> tuple[Header, ...]:
    return (
        ("Location", call.urls.upload(call.repository, str(upload.id), upload.token)),
        ("Range", render_upload_range(upload.offset)),
        ("Docker-Upload-UUID", str(upload.id)),
    )


async def _with_progress(call: Call, upload_id: UploadId, error: OciError) -> Answer:
    """Return the refusal; if it is about the offset, with where the upload truly is."""
    if error.offset is None and error.code is not Code.RANGE_INVALID:
        raise error
    upload = await call.registry.uploads.status(call.repository, upload_id, by=call.uploader)
    return refusal(error).with_headers(*_progress(call, upload))
