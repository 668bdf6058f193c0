# SPDX-License-Identifier: Apache-2.0
"""``redirect``: content is offered below another URL by its path in the store.

Room: middleware. For a web server or a cache that serves the same tree.

Source: registry:3's middleware of that name: ``baseurl``.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import SplitResult

from attrs import frozen

from txregistry.middleware.urls import base_url, join
from txregistry.storage.options import check_option_names
from txregistry.storage.redirecting import Asked, Redirects


@frozen
class Redirect:
    """Sends every client to one base URL."""

    _base: SplitResult
    _below: Redirects

    @classmethod
    def create(cls, options: Mapping[str, object], below: Redirects) -> Redirect:
        """Make it of ``baseurl``.

        Raises:
            BadOptions: that is missing, or no URL.
        """
        check_option_names(options, ("baseurl",))
        return cls(base_url(options, "baseurl"), below)

    def url(self, asked: Asked) -> str | None:
        """The base and the path."""
        return join(self._base, asked.path)

    def key(self, path: str) -> str | None:
        """As below."""
        return self._below.key(path)
