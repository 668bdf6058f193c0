# SPDX-License-Identifier: Apache-2.0
"""``/v2/``, by which clients find out that this is a registry, and ``/``, by which balancers do.

Room: web.
"""

from __future__ import annotations

from txregistry.web.answer import Answer
from txregistry.web.call import Call
from txregistry.web.faults import JSON_TYPE

_CHECKED = Answer(200, (JSON_TYPE,), b"{}")
_ALIVE = Answer(200, (("Cache-Control", "no-cache"),))


async def check(call: Call) -> Answer:
    """GET ``/v2/``: the API is here and you are let in. Source: distribution-spec end-1."""
    return _CHECKED


async def alive(call: Call) -> Answer:
    """GET ``/``: the process answers. Source: registry:3."""
    return _ALIVE
