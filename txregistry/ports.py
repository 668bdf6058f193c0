# SPDX-License-Identifier: Apache-2.0
"""All ports of a configuration: bound together, served together, closed together.

Must not know what is served. Which ports there are::

    http.addr         TLS if http.tls is set; a UNIX socket is plain
    http.listeners    as each says
    http.acme.addr    challenges of an ACME client, plain

Sockets that systemd passes take the place of ``http.addr``: one named ``plain`` speaks no TLS, one
named ``acme`` answers challenges, all others are as ``http.addr`` would be. A UNIX socket is plain
because nobody is on the way to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger

from txregistry.config import Http
from txregistry.listening import Listener, listen, take_over
from txregistry.systemd import Passed
from txregistry.tls import Contexts, TlsFactory, make_contexts

_log = Logger()


@define
class _Port:
    listener: Listener
    is_tls: bool
    is_acme: bool
    served: IListeningPort | None = field(default=None)


class Ports:
    """The ports of one registry."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._ports: list[_Port] = []
        self._contexts: Contexts | None = None
        self._factories: list[TlsFactory] = []

    @property
    def where(self) -> str:
        """What to tell people: where clients are served."""
        return ", ".join(port.listener.where for port in self._ports if not port.is_acme)

    @property
    def shared(self) -> list[tuple[int, str]]:
        """What others may serve in our place: descriptors, with the names of which ``bind`` makes
        the same of them when they are passed.
        """
        return [
            (
                port.listener.descriptor,
                "acme" if port.is_acme else "" if port.is_tls else "plain",
            )
            for port in self._ports
        ]

    # -- start

    def bind(self, http: Http, passed: Sequence[Passed] = ()) -> None:
        """Read the certificates and bind everything, or nothing.

        Args:
            passed: sockets in place of ``http.addr``.

        Raises:
            TlsError: a certificate can't be used.
            ListenError: an address can't be had.
        """
        if http.tls.is_on:
            self._use(make_contexts(http.tls, http2=not http.http2.disabled))
        try:
            self._bind_all(http, passed)
        except BaseException:
            self.release()
            raise

    def _bind_all(self, http: Http, passed: Sequence[Passed]) -> None:
        for each in passed:
            is_tls = http.tls.is_on and each.name not in ("plain", "acme")
            listener = take_over(
                each.descriptor, name=each.name, is_tls=is_tls, is_shared=each.is_shared
            )
            self._add(listener, is_tls, is_acme=each.name == "acme")
        if not passed:
            self._add(listen(http.address, is_tls=http.tls.is_on), http.tls.is_on)
        for index, entrance in enumerate(http.listeners):
            key = f"http.listeners[{index}]"
            is_tls = entrance.is_tls
            self._add(listen(entrance.address, key=key, is_tls=is_tls), is_tls)
        if http.acme.address is not None:
            self._add(listen(http.acme.address, key="http.acme.addr"), False, is_acme=True)

    def _add(self, listener: Listener, is_tls: bool, *, is_acme: bool = False) -> None:
        self._ports.append(_Port(listener, is_tls and not listener.is_local, is_acme))

    def serve(self, site: IProtocolFactory, acme: IProtocolFactory) -> None:
        """Serve what waits and what comes.

        Args:
            site: for clients.
            acme: for the port of ACME challenges.
        """
        for port in self._ports:
            factory = acme if port.is_acme else site
            if port.is_tls:
                assert self._contexts is not None
                factory = TlsFactory(self._contexts, factory, self._reactor)
                self._factories.append(factory)
            port.served = port.listener.serve(self._reactor, factory)
            if port.is_acme:
                _log.info("answering ACME challenges on {where}", where=port.listener.where)

    # -- while serving

    def prepare(self, http: Http) -> Callable[[], None]:
        """Read the certificates anew; what is returned puts them to use.

        Raises:
            TlsError: one can't be used; nothing has changed.
        """
        if self._contexts is None or not http.tls.is_on:
            return lambda: None
        contexts = make_contexts(http.tls, http2=not http.http2.disabled)
        return lambda: self._use(contexts)

    def _use(self, contexts: Contexts) -> None:
        self._contexts = contexts
        for factory in self._factories:
            factory.use(contexts)
        for each in contexts.credentials:
            for problem in each.problems(self._reactor.seconds()):
                _log.warn("http.tls: {problem}", problem=problem)

    # -- stop

    async def close(self) -> None:
        """Accept nothing more."""
        for port in self._ports:
            if port.served is not None:
                await maybeDeferred(port.served.stopListening)
        self.release()

    def release(self) -> None:
        """Give up what was bound and is not served."""
        ports, self._ports = self._ports, []
        for port in ports:
            if port.served is None:
                port.listener.close()
