# SPDX-License-Identifier: Apache-2.0
"""The URL below which content is offered, as an option.

Room: middleware.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import SplitResult, quote, urlsplit

from txregistry.storage.errors import BadOptions
from txregistry.storage.options import text_option


def base_url(options: Mapping[str, object], name: str, *, assumed: str = "") -> SplitResult:
    """Return an http or https URL with a host, and nothing after its path.

    Args:
        assumed: the scheme of a text that has none; empty: it must have one.

    Raises:
        BadOptions: it is something else, or missing.
    """
    if name not in options:
        raise BadOptions(f"{name} is missing")
    text = text_option(options, name, "")
    if assumed and "://" not in text:
        text = f"{assumed}://{text}"
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, has_host = SplitResult("", "", "", "", ""), False
    is_bare = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not has_host or not is_bare:
        raise BadOptions(f"{name} is to be an http or https URL without a query, not {text!r}")
    return parts


def join(base: SplitResult, path: str) -> str:
    """Return the URL of ``path`` below ``base``."""
    below = f"{base.path.rstrip('/')}/{quote(path.lstrip('/'))}"
    return base._replace(path=below).geturl()
