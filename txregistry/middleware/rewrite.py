# SPDX-License-Identifier: Apache-2.0
"""``rewrite``: the URL that was made below leads through another host.

Room: middleware.

Source: registry:3's middleware of that name: ``scheme``, ``host``, ``trimpathprefix``.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from attrs import frozen

from txregistry.storage.errors import BadOptions
from txregistry.storage.options import check_option_names, choice_option, text_option
from txregistry.storage.redirecting import Asked, Redirects


@frozen
class Rewrite:
    """Changes parts of a URL; what is empty is left as it was."""

    _scheme: str
    _host: str
    _prefix: str
    _below: Redirects

    @classmethod
    def create(cls, options: Mapping[str, object], below: Redirects) -> Rewrite:
        """Make it of its options.

        Raises:
            BadOptions: one of them is wrong, or there is none.
        """
        names = ("scheme", "host", "trimpathprefix")
        check_option_names(options, names)
        given = {name: options[name] for name in names if options.get(name) not in (None, "")}
        if not given:
            raise BadOptions(f"changes nothing: give it one of {', '.join(names)}")
        host = text_option(given, "host", "-")
        if any(character in "/?#@\\" or character <= " " for character in host):
            raise BadOptions(f"host is to be a host with or without a port, not {host!r}")
        return cls(
            choice_option(given, "scheme", ("http", "https"), "https") if "scheme" in given else "",
            host if "host" in given else "",
            text_option(given, "trimpathprefix", "-") if "trimpathprefix" in given else "",
            below,
        )

    def url(self, asked: Asked) -> str | None:
        """The URL from below, changed; None if there is none."""
        url = self._below.url(asked)
        if url is None:
            return None
        parts = urlsplit(url)
        return parts._replace(
            scheme=self._scheme or parts.scheme,
            netloc=self._host or parts.netloc,
            path=parts.path.removeprefix(self._prefix),
        ).geturl()

    def key(self, path: str) -> str | None:
        """As below."""
        return self._below.key(path)
