# SPDX-License-Identifier: Apache-2.0
"""``/v2/``, by which clients find out that this is a registry, and ``/``, by which balancers do.

Room: web.

``/`` tells what is here before a client knows any API::

    {"versions": ["v2", "v1"],
     "endpoints": [{"version": "v2", "url": "/v2/", "push": true}, ...],
     "mirrors": ["https://mirror.example/v2/"],
     "fallback": false}
"""

from __future__ import annotations

import json

import attrs

from txregistry.auth.decisions import Action
from txregistry.web.answer import Answer
from txregistry.web.call import Call
from txregistry.web.faults import JSON_TYPE

_CHECKED = Answer(200, (JSON_TYPE,), b"{}")
_ALIVE = Answer(200, (("Cache-Control", "no-cache"),))


async def check(call: Call) -> Answer:
    """GET ``/v2/``: the API is here and you are let in. Source: distribution-spec end-1."""
    return _CHECKED


async def alive(call: Call) -> Answer:
    """GET ``/``: the process answers, and tells which APIs are here and where else to look.

    Source: registry:3 for the 200; the proposal of a "registry metadata endpoint at root".
    """
    metadata = call.settings.metadata
    if metadata is None:
        return _ALIVE
    may_push = call.house.gate.is_offered(Action.PUSH)
    ours = {"version": "v2", "url": call.urls.base(), "push": may_push}
    endpoints = [ours, *map(attrs.asdict, metadata.endpoints)]
    told = {
        "versions": list(dict.fromkeys(str(each["version"]) for each in endpoints)),
        "endpoints": endpoints,
        "mirrors": list(metadata.mirrors),
        "fallback": metadata.fallback,
    }
    return Answer(200, (JSON_TYPE, *_ALIVE.headers), json.dumps(told).encode("ascii"))
