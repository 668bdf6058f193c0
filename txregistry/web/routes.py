# SPDX-License-Identifier: Apache-2.0
"""The routing table: which function answers what.

Room: web. Must not answer anything. One row per resource: a pattern over the raw path - neither
decoded nor cleaned, so nothing is ever redirected - and for each method what it does (for the gate)
and the function that answers.

Names are matched greedily, as registry:3 does: ``/v2/a/manifests/b/manifests/c`` is tag ``c`` of
``a/manifests/b``. The patterns take anything for a name or a reference; whether it is one is for
the parsers in ``oci`` to say, which answer 400 where "no such route" would mislead. Rows are tried
from the top, the most used first.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from attrs import frozen

from txregistry.auth.decisions import Action
from txregistry.web.answer import Answer
from txregistry.web.api import (
    base,
    blobs,
    catalog,
    challenges,
    debug,
    health,
    manifests,
    referrers,
    tags,
    token,
    uploads,
)
from txregistry.web.call import Call
from txregistry.web.pages import Pages
from txregistry.web.settings import WebSettings

Route: TypeAlias = Callable[[Call], Awaitable[Answer]]


@frozen
class Method:
    """What a method on a resource does, and who answers it."""

    action: Action
    route: Route


@frozen
class Row:
    """One resource.

    Attributes:
        endpoint: its name, for Klein and the log.
        pattern: over the whole raw path; groups ``name`` and ``reference``.
        methods: HTTP method -> what it does.
        segment_count: for Klein, which would count path segments with it.
    """

    endpoint: str
    pattern: re.Pattern[str]
    methods: Mapping[str, Method]
    segment_count: int = 0

    def allow(self, is_offered: Callable[[Action], bool]) -> str:
        """Return the Allow header: the methods whose action is offered."""
        offered = [name for name, method in self.methods.items() if is_offered(method.action)]
        return ", ".join(sorted([*offered, "OPTIONS"]))


_PULL_MANIFEST = Method(Action.PULL, manifests.fetch)
_PULL_BLOB = Method(Action.PULL, blobs.fetch)
_UPLOAD_STATUS = Method(Action.STATUS, uploads.status)
_REFERRERS = Method(Action.PULL, referrers.page)
_CHECK = Method(Action.LOGIN, base.check)

_MANIFEST = {
    "GET": _PULL_MANIFEST,
    "HEAD": _PULL_MANIFEST,
    "PUT": Method(Action.PUSH, manifests.put),
    "DELETE": Method(Action.DELETE, manifests.delete),
}
_BLOB = {
    "GET": _PULL_BLOB,
    "HEAD": _PULL_BLOB,
    "DELETE": Method(Action.DELETE, blobs.delete),
}
_UPLOAD = {
    "GET": _UPLOAD_STATUS,
    "HEAD": _UPLOAD_STATUS,
    "PATCH": Method(Action.CONTINUE, uploads.append),
    "PUT": Method(Action.CONTINUE, uploads.finish),
    "DELETE": Method(Action.CANCEL, uploads.cancel),
}

#: (endpoint, pattern below v2, methods). The last three take references that no row above takes
#: because a slash is in them: they are malformed, not unknown.
_TABLE: tuple[tuple[str, str, Mapping[str, Method]], ...] = (
    ("manifest", r"/(?P<name>.+)/manifests/(?P<reference>[^/]+)", _MANIFEST),
    ("uploads", r"/(?P<name>.+)/blobs/uploads/?", {"POST": Method(Action.PUSH, uploads.start)}),
    ("upload", r"/(?P<name>.+)/blobs/uploads/(?P<reference>[^/]+)", _UPLOAD),
    ("blob", r"/(?P<name>.+)/blobs/(?P<reference>[^/]+)", _BLOB),
    ("base", r"/?", {"GET": _CHECK, "HEAD": _CHECK}),
    ("tags", r"/(?P<name>.+)/tags/list", {"GET": Method(Action.PULL, tags.page)}),
    (
        "referrers",
        r"/(?P<name>.+)/referrers/(?P<reference>[^/]+)",
        {"GET": _REFERRERS, "HEAD": _REFERRERS},
    ),
    ("catalog", r"/_catalog", {"GET": Method(Action.CATALOG, catalog.page)}),
    ("manifest", r"/(?P<name>.+)/manifests/(?P<reference>.+)", _MANIFEST),
    ("blob", r"/(?P<name>.+)/blobs/(?P<reference>.+)", _BLOB),
    (
        "referrers",
        r"/(?P<name>.+)/referrers/(?P<reference>.+)",
        {"GET": _REFERRERS, "HEAD": _REFERRERS},
    ),
)


def rows_for(settings: WebSettings) -> tuple[Row, ...]:
    """Return the table of a site: a registry's, or that of a port for something else."""
    if settings.pages is not None:
        return _debug_rows(settings.pages)
    answer = Method(Action.ASK, challenges.fetch)
    path = re.compile(r"/\.well-known/acme-challenge/(?P<reference>[^/]+)")
    row = Row("challenge", path, {"GET": answer, "HEAD": answer})
    if settings.challenges_only:
        return (row,)
    rows = make_rows(settings.prefix)
    if settings.token_server is not None:
        rows += (_token_row(settings.prefix),)
    return rows + ((row,) if settings.challenge is not None else ())


def _token_row(prefix: str) -> Row:
    methods = {"GET": Method(Action.ASK, token.get), "POST": Method(Action.ASK, token.post)}
    return Row("token", re.compile(re.escape(prefix) + "auth/token"), methods)


def make_rows(prefix: str) -> tuple[Row, ...]:
    """Return the table for a registry that is mounted below ``prefix``.

    Args:
        prefix: begins and ends with a slash.
    """
    root = re.escape(prefix) + "v2"
    rows = [Row(endpoint, re.compile(root + below), methods) for endpoint, below, methods in _TABLE]
    alive = Method(Action.ASK, base.alive)
    rows.append(Row("liveness", re.compile("/"), {"GET": alive, "HEAD": alive}))
    rows += [
        _open_row("livez", "/livez", health.livez),
        _open_row("readyz", "/readyz", health.readyz),
    ]
    return tuple(rows)


def _debug_rows(pages: Pages) -> tuple[Row, ...]:
    """Return the table of the port for those who run the registry."""
    rows = [
        _open_row("livez", "/livez", health.livez),
        _open_row("readyz", "/readyz", debug.readyz),
        _open_row("health", "/debug/health", debug.health),
        _open_row("vars", "/debug/vars", debug.variables),
        _open_row("stacks", "/debug/stacks", debug.stacks),
    ]
    if pages.metrics is not None:
        rows.append(_open_row("metrics", pages.metrics_path, debug.metrics))
    return tuple(rows)


def _open_row(endpoint: str, path: str, route: Route) -> Row:
    """Return a row for one path at which nobody is asked who he is."""
    method = Method(Action.ASK, route)
    return Row(endpoint, re.compile(re.escape(path)), {"GET": method, "HEAD": method})


#: What is answered even while the registry is closed.
PROBES = frozenset({"livez", "readyz"})


#: What is found where nothing is.
NOWHERE = Row("nowhere", re.compile(r"(?!)"), {})
