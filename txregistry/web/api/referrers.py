# SPDX-License-Identifier: Apache-2.0
"""``/v2/<name>/referrers/<digest>``: the manifests that name a digest as their subject.

Room: web.
"""

from __future__ import annotations

from txregistry.oci.digests import Digest
from txregistry.oci.media_types import OCI_INDEX
from txregistry.oci.pages import parse_page
from txregistry.web.answer import Answer
from txregistry.web.api.listing import link, listing
from txregistry.web.call import Call


async def page(call: Call) -> Answer:
    """GET: an image index of the referrers, empty if there are none. Source: distribution-spec
    end-12.
    """
    subject = Digest.parse(call.reference)
    maximum = call.settings.referrers_maximum
    wanted = parse_page(
        call.parameter("n"), call.parameter("last"), maximum=maximum, default=maximum, clamp=True
    )
    artifact_type = _artifact_type(call)
    found = await call.registry.referrers.page(
        call.repository, subject, artifact_type, last=wanted.last, limit=wanted.limit
    )
    headers = []
    if artifact_type is not None:
        headers.append(("OCI-Filters-Applied", "artifactType"))
    if found.has_more:
        next_page = [("last", found.last), ("n", str(wanted.limit))]
        if artifact_type is not None:
            next_page.append(("artifactType", artifact_type))
        headers.append(link(call.urls.page(f"{call.repository}/referrers/{subject}"), next_page))
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor.to_json_object() for descriptor in found.descriptors],
    }
    return listing(index, *headers, content_type=("Content-Type", OCI_INDEX))


def _artifact_type(call: Call) -> str | None:
    """Return the filter. No media type has a blank, so one is a ``+`` that was not encoded."""
    asked = call.parameter("artifactType")
    return asked.replace(" ", "+") if asked else None
