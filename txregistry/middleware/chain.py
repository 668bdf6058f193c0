# SPDX-License-Identifier: Apache-2.0
"""Builds the chain of middlewares that the options of a driver ask for.

Room: middleware. The list comes with the driver's options, as JSON::

    [{"name": "rewrite", "options": {"host": "cdn.example"}}, ...]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import TypeAlias

from txregistry.middleware.cloudfront import Cloudfront
from txregistry.middleware.redirect import Redirect
from txregistry.middleware.rewrite import Rewrite
from txregistry.storage.contract import Store
from txregistry.storage.errors import BadOptions
from txregistry.storage.redirecting import Asked, Redirects

#: The entry points of middlewares that other packages bring.
GROUP = "txregistry.middlewares"

#: Makes a middleware over another; raises BadOptions.
Factory: TypeAlias = Callable[[Mapping[str, object], Redirects], Redirects]

SHIPPED: dict[str, Factory] = {
    "cloudfront": Cloudfront.create,
    "redirect": Redirect.create,
    "rewrite": Rewrite.create,
}


class StoreRedirects:
    """The store's own answer, at the bottom of every chain."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._has_any = bool(getattr(store, "has_redirects", False))
        self._key: Callable[[str], str | None] | None = getattr(store, "object_key", None)

    def url(self, asked: Asked) -> str | None:
        """As the store says; None from one that has no redirects."""
        if not self._has_any:
            return None
        return self._store.redirect_url(asked.path, asked.method, asked.expires_in)

    def key(self, path: str) -> str | None:
        """As the store says; None from one that has no keys."""
        return None if self._key is None else self._key(path)


def make_chain(configured: object, below: Redirects) -> Redirects:
    """Build the middlewares of a list over ``below``.

    Args:
        configured: members ``name`` and ``options``, each.

    Raises:
        BadOptions: there is none of that name, or it refuses its options.
    """
    if not isinstance(configured, list):
        raise BadOptions("middleware is to be a list")
    for entry in configured:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise BadOptions("each middleware is to have a name")
        options = entry.get("options") or {}
        if not isinstance(options, dict):
            raise BadOptions(f"the options of middleware {entry['name']} are to be a table")
        try:
            below = _find(entry["name"])(options, below)
        except BadOptions as error:
            raise BadOptions(f"middleware {entry['name']}: {error}") from error
    return below


def _find(name: str) -> Factory:
    if name in SHIPPED:
        return SHIPPED[name]
    installed = {point.name: point for point in entry_points(group=GROUP)}
    if name in installed:
        factory: Factory = installed[name].load()
        return factory
    known = sorted({*SHIPPED, *installed})
    near = get_close_matches(name, known, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"known are: {', '.join(known)}"
    raise BadOptions(f"is not installed; {remedy}")
