# SPDX-License-Identifier: Apache-2.0
"""``/v2/_catalog``: the repositories that the caller may pull from.

Room: web.
"""

from __future__ import annotations

from txregistry.oci.pages import parse_page
from txregistry.web.answer import Answer
from txregistry.web.api.listing import link, listing
from txregistry.web.call import Call


async def page(call: Call) -> Answer:
    """GET: one page of repository names. Source: registry:3."""
    request = parse_page(
        call.parameter("n"),
        call.parameter("last"),
        maximum=call.settings.catalog_maximum,
        default=min(call.settings.catalog_default, call.settings.catalog_maximum),
        clamp=False,
    )
    sight = call.house.gate.sight(call.identity)
    found = await call.registry.catalog.page(request, sight=sight, owner=call.owner)
    headers = []
    if found.has_more and found.names:
        next_page = [("last", found.names[-1]), ("n", str(request.limit))]
        headers.append(link(call.urls.page("_catalog"), next_page))
    return listing({"repositories": found.names}, *headers)
