# SPDX-License-Identifier: Apache-2.0
"""``/v2/<name>/tags/list``: the tags of a repository.

Room: web.
"""

from __future__ import annotations

from txregistry.oci.pages import parse_page
from txregistry.web.answer import Answer
from txregistry.web.api.listing import link, listing
from txregistry.web.call import Call


async def page(call: Call) -> Answer:
    """GET: one page of tags, all of them if no number is asked for. Source: distribution-spec
    end-8.
    """
    request = parse_page(
        call.parameter("n"),
        call.parameter("last"),
        maximum=call.settings.tags_maximum,
        default=None,
        clamp=True,
    )
    found = await call.registry.tags.page(call.repository, request)
    headers = []
    if found.has_more and found.names and request.limit is not None:
        next_page = [("last", found.names[-1]), ("n", str(request.limit))]
        headers.append(link(call.urls.page(f"{call.repository}/tags/list"), next_page))
    return listing({"name": call.repository.text, "tags": found.names}, *headers)
