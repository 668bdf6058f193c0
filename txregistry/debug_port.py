# SPDX-License-Identifier: Apache-2.0
"""The port that shows a registry to those who run it (``http.debug.addr``), if they want one.

Must not know what its pages say. It is served from the start to the end, while the registry's own
ports are only open in between::

    bind --> serve --> stop
      `--> release
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from txregistry.config.addresses import Address
from txregistry.listening import Listener, listen
from txregistry.web import Limits, Pages, RegistrySite, WebSettings, make_site

#: Connections at once. Arbitrary: a few collectors and people.
CONNECTIONS = 64

_log = Logger()


class DebugPort:
    """The port of one registry."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._listener: Listener | None = None
        self._served: tuple[IListeningPort, RegistrySite] | None = None

    def bind(self, address: Address | None) -> None:
        """Have the port, if there is to be one.

        Raises:
            ListenError: the address can't be had.
        """
        if address is not None:
            self._listener = listen(address, key="http.debug.addr")

    def release(self) -> None:
        """Give up what was bound and is not served."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def serve(self, make_pages: Callable[[], Pages]) -> None:
        """Show the pages, if it was bound."""
        if self._listener is None:
            return
        _log.info("debug pages are at {where}", where=self._listener.where)
        limits = Limits(connections=CONNECTIONS, connections_per_address=CONNECTIONS)
        settings = WebSettings(pages=make_pages(), limits=limits)
        site = make_site(None, settings, self._reactor)
        site.noisy = False
        self._served = self._listener.serve(self._reactor, site), site
        self._listener = None

    async def stop(self) -> None:
        """Close it, with all connections."""
        self.release()
        if self._served is not None:
            port, site = self._served
            await maybeDeferred(port.stopListening)
            await site.drain(0)
