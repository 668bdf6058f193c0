# SPDX-License-Identifier: Apache-2.0
"""The pages of ``http.debug.addr``, for those who run the registry.

Room: web. Source: registry:3, whose paths ``/debug/health`` and ``/debug/vars`` are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from txregistry.web.answer import Answer
from txregistry.web.api.health import ready_answer
from txregistry.web.call import Call
from txregistry.web.faults import JSON_TYPE
from txregistry.web.pages import Pages


async def readyz(call: Call) -> Answer:
    """GET ``/readyz``: as on the registry's own port, with everything that is known."""
    return ready_answer(dict(_pages(call).problems()))


async def health(call: Call) -> Answer:
    """GET ``/debug/health``: what fails, by its name; 200 if nothing does, else 503."""
    problems = _pages(call).problems()
    return _json(503 if problems else 200, problems)


async def variables(call: Call) -> Answer:
    """GET ``/debug/vars``: counts and states."""
    return _json(200, _pages(call).variables())


async def stacks(call: Call) -> Answer:
    """GET ``/debug/stacks``: what every thread and every request is at."""
    text = await _pages(call).stacks()
    body = text.encode("utf-8", "backslashreplace")
    return Answer(200, (("Content-Type", "text/plain; charset=utf-8"),), body)


async def metrics(call: Call) -> Answer:
    """GET: all metrics, in the form that the collector asks for."""
    collect = _pages(call).metrics
    assert collect is not None
    content_type, text = await collect(call.header(b"Accept") or "")
    return Answer(200, (("Content-Type", content_type),), text)


def _json(status: int, document: Mapping[str, Any]) -> Answer:
    body = json.dumps(document, indent=1, default=str).encode() + b"\n"
    return Answer(status, (JSON_TYPE, ("Cache-Control", "no-store")), body)


def _pages(call: Call) -> Pages:
    pages = call.settings.pages
    assert pages is not None
    return pages
