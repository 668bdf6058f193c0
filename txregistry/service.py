# SPDX-License-Identifier: Apache-2.0
"""The wiring: it builds the objects of a registry, starts and stops them.

    privilegedStartService   bind                          StartError: nothing runs
    startService             start the driver              StartError: likewise
      later                  its hello, then serve         when_failed(sentence): the process ends
    stopService              accept no more, drain, settle, stop the driver

Clients that connect between the bind and the driver's hello wait in the backlog. Who answers them
is a *front*: this process (``own_front``), or several that it starts (``sharing``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, TypeAlias

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from txregistry import __version__
from txregistry.authentication import Authentication
from txregistry.config import Configuration, Log
from txregistry.events import Notifications, Spool
from txregistry.front import Front
from txregistry.fronts import Outlet
from txregistry.listening import ListenError
from txregistry.notifying import open_notifications
from txregistry.own_front import OwnFront
from txregistry.ports import Ports
from txregistry.process.limits import allow_descriptors
from txregistry.process.parsing import ManifestParser
from txregistry.process.spec import StartError
from txregistry.purging import start_purging
from txregistry.registry import Parse, Registry
from txregistry.reloading import Prepare, Reloading
from txregistry.sharing import SharedFronts
from txregistry.systemd import Systemd
from txregistry.tls import TlsError
from txregistry.token_key import TokenKey, find_secret
from txregistry.translation import OpenedDriver, open_driver
from txregistry.upkeep import Repeated, end_quietly
from txregistry.watching import Watch
from txregistry.web import AccessRecord

#: Opens the queue of notifications, None if nobody is to be notified.
OpenQueue: TypeAlias = Callable[[Configuration, Any, Parse], Notifications | Spool | None]

_log = Logger()


class RegistryService(Service):
    """One registry: its sockets, its storage driver, its upkeep.

    Args:
        when_failed: told a sentence if the start fails after ``startService`` has returned.
        announce: told where it listens and where it stores, once it does.
        access_log: told of each answered request.
        opener: opens the driver.
        queue: opens the queue of notifications.
        secret: finds the key of upload tokens.
        outlet: takes the lines of front ends; None: they write to where this process does.
        reread: reads the configuration again, for a reload.
        adjust_log: puts other settings of the log to use.
        systemd: what started us, if it did.

    Attributes:
        watch: what looks at it.
    """

    def __init__(
        self,
        configuration: Configuration,
        reactor: Any,
        *,
        when_failed: Callable[[str], None],
        announce: Callable[[str], None] = lambda sentence: None,
        access_log: Callable[[AccessRecord], None] | None = None,
        opener: Callable[[Configuration, Any], OpenedDriver] = open_driver,
        queue: OpenQueue = open_notifications,
        secret: Callable[[Configuration, OpenedDriver], Awaitable[bytes]] = find_secret,
        outlet: Outlet | None = None,
        reread: Callable[[], Configuration] | None = None,
        adjust_log: Callable[[Log], None] = lambda settings: None,
        systemd: Systemd = Systemd(),  # noqa: B008  # frozen
    ) -> None:
        self._configuration = configuration
        self._reactor = reactor
        self._when_failed = when_failed
        self._announce = announce
        self._access_log = access_log
        self._opener = opener
        self._open_queue = queue
        self._find_secret = secret
        self._outlet = outlet
        self._reread = reread or (lambda: configuration)
        self._adjust_log = adjust_log
        self._systemd = systemd
        self._status = ""
        self._ports: Ports | None = None
        self._opened: OpenedDriver | None = None
        self._front: Front | None = None
        self._reloading: Reloading | None = None
        self._starting: Deferred[None] | None = None
        self._end_watch: Callable[[], None] = lambda: None
        self._upkeep: list[Repeated] = []
        self._parser = ManifestParser()
        self._notifications: Notifications | Spool | None = None
        self.watch = Watch(configuration, reactor, {"manifests": self._parser})

    # -- start

    def privilegedStartService(self) -> None:
        """Bind, while the process may still do what its user may not.

        Raises:
            StartError: an address can't be had, or a certificate can't be used.
        """
        allow_descriptors()
        ports = Ports(self._reactor)
        try:
            self.watch.bind()
            ports.bind(self._configuration.http, self._systemd.passed)
        except (ListenError, TlsError) as error:
            self.watch.release()
            raise StartError(str(error)) from error
        self._ports = ports

    def startService(self) -> None:
        """Start the driver; serve as soon as it is ready.

        Raises:
            StartError: the address, the driver's program, the queue of notifications or a file of
                passwords or keys can't be had.
        """
        if self._ports is None:
            self.privilegedStartService()
        configuration, reactor = self._configuration, self._reactor
        for warning in configuration.warnings:
            _log.warn("{warning}", warning=warning)
        authentication = Authentication(configuration.auth, configuration.http, reactor)
        try:
            authentication.load()
            self._notifications = self._open_queue(configuration, reactor, self._parser.parse)
            self._opened = self._opener(configuration, reactor)
        except StartError:
            self._release_ports()
            if self._notifications is not None:
                self._notifications.abandon()
            raise
        Service.startService(self)
        queue = self._notifications
        self.watch.start(self._opened, queue if isinstance(queue, Notifications) else None)
        if self._notifications is not None:
            self._notifications.start()
        self._end_watch = self._systemd.watch(reactor)
        self._starting = Deferred.fromCoroutine(self._start(self._opened, authentication))

    async def _start(self, opened: OpenedDriver, authentication: Authentication) -> None:
        try:
            self._front = front = self._make_front(opened, authentication)
            is_ready = bool(await opened.hello())
            if not self.running:
                return  # told to stop meanwhile; to who waits for a driver that is like its end
            # A storage that does not answer for the moment holds up its own requests only.
            token_key = TokenKey(
                lambda: self._find_secret(self._configuration, opened), front.use_secret
            )
            is_known = is_ready and await token_key.learn()
            front.serve()
            if not is_known:
                await token_key.learn_in_the_end(self._reactor)
        except CancelledError:
            raise
        except StartError as error:
            self._when_failed(str(error))
        except Exception:  # the owner of the start: the process must not go on without serving
            _log.failure("the start failed")
            self._when_failed(
                "the registry can't be started because of a fault of its own; its log has the traceback"
            )

    # -- serving

    def _make_front(self, opened: OpenedDriver, authentication: Authentication) -> Front:
        ports, queue = self._ports, self._notifications
        assert ports is not None
        where, count = ports.where, self._configuration.http.workers
        if count == 1:
            return OwnFront(
                self._configuration,
                self._reactor,
                driver=opened.driver,
                ports=ports,
                watch=self.watch,
                parser=self._parser,
                authentication=authentication,
                observer=None if queue is None else queue.observer,
                access_log=self._access_log,
                when_up=lambda: self._serves(where),
            )
        fronts = SharedFronts(
            self._configuration,
            self._reactor,
            entries=ports.shared,
            driver=opened.status().name,
            socket=opened.socket,
            board=self.watch.board,
            notifications=queue if isinstance(queue, Notifications) else None,
            when_up=lambda: self._serves(f"{where} ({count} processes)"),
            when_failed=self._when_failed,
            outlet=self._outlet,
        )
        opened.share(fronts)
        return fronts

    def _serves(self, where: str) -> None:
        """Clients are served."""
        configuration, reactor = self._configuration, self._reactor
        ports, front, opened = self._ports, self._front, self._opened
        assert ports is not None and front is not None and opened is not None
        parts: list[Prepare] = [
            lambda configuration: ports.prepare(configuration.http),
            front.prepare,
            lambda configuration: lambda: self._adjust_log(configuration.log),
        ]
        self._reloading = Reloading(configuration, self._reread, parts, (TlsError, StartError))
        self.watch.serving(front)
        self._upkeep += start_purging(configuration, opened.driver, reactor, front.is_in_use)
        sentence = f"listening on {where}, storing in {configuration.storage.driver.describe()}"
        _log.info("txregistry {version}: {sentence}", version=__version__, sentence=sentence)
        self._announce(sentence)
        self._status = sentence
        self._systemd.ready(sentence)

    @property
    def registry(self) -> Registry | None:
        """What is served; None before the start, and if others serve it."""
        return None if self._front is None else self._front.registry

    # -- reload

    def reload(self) -> None:
        """Read the configuration again and put to use what can change while serving."""
        if self._reloading is None:
            _log.info("not reloaded: the start has not ended, and reads the files itself")
            return
        self._systemd.reloading()
        self._configuration = self._reloading.reload() or self._configuration
        self._systemd.ready(self._status)

    def stacks(self, interrupted: FrameType | None = None) -> str:
        """Return what every request and every thread of this process is at, as text."""
        if interrupted is not None and self._front is not None:
            self._front.dump()
        return self.watch.stacks(interrupted)

    # -- stop

    def stopService(self) -> Deferred[None]:
        """Accept nothing more, give requests in flight their time, end the driver."""
        Service.stopService(self)
        self._systemd.stopping()
        if self._status:  # else nobody was served
            _log.info(
                "stopping: requests in progress have {timeout:g} s",
                timeout=self._configuration.http.drain_timeout,
            )
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._starting is not None:
            end_quietly(self._starting)
        self.watch.stopping()
        for work in self._upkeep:
            work.stop()
        if self._ports is not None:
            await self._ports.close()
        if self._front is not None:
            await self._front.drain(self._configuration.http.drain_timeout)
        if self._opened is not None:
            await self._opened.stop()
        if self._notifications is not None:
            await self._notifications.stop()
        await self._parser.stop()
        self._end_watch()
        if self._front is not None:
            await self._front.stop()
        await self.watch.stop()

    def _release_ports(self) -> None:
        if self._ports is not None:
            self._ports.release()
            self._ports = None
        self.watch.release()
