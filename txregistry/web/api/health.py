# SPDX-License-Identifier: Apache-2.0
"""``/livez`` and ``/readyz``: what balancers and kubelets ask.

Room: web. Anybody may ask on the registry's own port, so there an answer tells of what kind a
trouble is and nothing more.
"""

from __future__ import annotations

import json

from txregistry.web.answer import Answer, Header
from txregistry.web.call import Call
from txregistry.web.faults import JSON_TYPE

_HEADERS: tuple[Header, ...] = (JSON_TYPE, ("Cache-Control", "no-store"))
_ALIVE = Answer(200, _HEADERS, b'{"status": "alive"}\n')
_READY = Answer(200, _HEADERS, b'{"status": "ready"}\n')


async def livez(call: Call) -> Answer:
    """GET ``/livez``: the process answers; a new start would help nobody."""
    return _ALIVE


async def readyz(call: Call) -> Answer:
    """GET ``/readyz``: 200 if this host may be sent requests, else 503 with the kinds of trouble."""
    return ready_answer(sorted(set(call.settings.not_ready())))


def ready_answer(failing: object) -> Answer:
    """Return the answer about readiness.

    Args:
        failing: what is wrong, to be told as JSON; empty for nothing.
    """
    if not failing:
        return _READY
    body = json.dumps({"status": "not ready", "failing": failing}).encode() + b"\n"
    return Answer(503, (*_HEADERS, ("Retry-After", "1")), body)
