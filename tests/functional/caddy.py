# SPDX-License-Identifier: Apache-2.0
"""Caddy as a server of the tests: a proxy, and a client that speaks as Go's library does."""

from __future__ import annotations

import os

from .servers import Server, need


class Caddy(Server):
    """One that writes nowhere but into its directory."""

    def __init__(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "Caddyfile"
        own = {"XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
        super().__init__(
            directory,
            [need("caddy"), "run", "--config", str(self._path), "--adapter", "caddyfile"],
            {**os.environ, **own},
        )

    def configure(self, text):
        """Write what it is to serve."""
        self._path.write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text)
