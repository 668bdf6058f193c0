# SPDX-License-Identifier: Apache-2.0
"""Records for the access log.

Room: web. Must not know where they go. Text is as the client sent it; who writes it down escapes
it.
"""

from __future__ import annotations

from txregistry.web.request import RegistryRequest
from txregistry.web.settings import AccessRecord


def record_of(request: RegistryRequest, now: float) -> AccessRecord:
    """Return what is recorded of a request that ended.

    Args:
        now: seconds, by the clock that the request began by.
    """
    # A request that could not be parsed has neither method nor target.
    came = request.began > 0.0
    errand = request.errand
    return AccessRecord(
        client=errand.client,
        method=errand.method if came else "",
        target=request.path.decode("ascii") if came else "",
        status=request.status,
        sent=request.sentLength,
        received=request.body.received,
        duration=now - request.began if came else 0.0,
        user_agent=errand.user_agent,
        referer=request.header(b"Referer") or "",
        is_complete=not request.is_over,
        request_id=errand.id,
        user=errand.user,
        endpoint=errand.endpoint,
        repository=errand.repository,
        reference=errand.reference,
        digest=errand.digest,
        error=errand.error,
        driver_seconds=errand.driver_seconds,
        protocol=request.clientproto.decode("ascii"),
    )
