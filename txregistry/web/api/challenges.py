# SPDX-License-Identifier: Apache-2.0
"""``/.well-known/acme-challenge/<token>``, by which an authority sees that a name is ours.

Room: web. Source: RFC 8555 section 8.3.
"""

from __future__ import annotations

from txregistry.oci.errors import Code, OciError
from txregistry.web.answer import Answer
from txregistry.web.call import Call
from txregistry.web.faults import refusal

_HEADERS = (("Content-Type", "application/octet-stream"), ("Cache-Control", "no-store"))


async def fetch(call: Call) -> Answer:
    """GET: the answer that an ACME client has left."""
    read = call.settings.challenge
    content = None if read is None else await read(call.reference)
    if content is None:
        return refusal(OciError(Code.UNSUPPORTED, message="no such challenge"), status=404)
    return Answer(200, _HEADERS, content)
