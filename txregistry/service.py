# SPDX-License-Identifier: Apache-2.0
"""The wiring: it builds the objects of a registry, starts and stops them.

    privilegedStartService   bind                          StartError: nothing runs
    startService             start the driver              StartError: likewise
      later                  its hello, then serve         when_failed(sentence): the process ends
    stopService              accept no more, drain, settle, stop the driver

Clients that connect between the bind and the driver's hello wait in the backlog.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Protocol

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from txregistry import __version__
from txregistry.authentication import Authentication
from txregistry.challenges import Webroot
from txregistry.config import Configuration, Log
from txregistry.events import Notifications, Spool
from txregistry.fronts import Outlet
from txregistry.listening import ListenError
from txregistry.notifying import open_notifications
from txregistry.oci.names import UploadId
from txregistry.ports import Ports
from txregistry.process.limits import allow_descriptors
from txregistry.process.parsing import ManifestParser
from txregistry.process.spec import StartError
from txregistry.purging import start_purging
from txregistry.redis_cache import RedisCache
from txregistry.registry import (
    Parse,
    Registry,
    SecretRequired,
    load_or_create_secret,
)
from txregistry.reloading import Prepare, Reloading
from txregistry.sharing import SharedFronts
from txregistry.storage.errors import StorageError
from txregistry.systemd import Systemd
from txregistry.tls import TlsError
from txregistry.translation import (
    OpenedDriver,
    build_registry,
    open_cache,
    open_driver,
    web_settings,
)
from txregistry.upkeep import Repeated, end_quietly
from txregistry.watching import Watch
from txregistry.web import (
    AccessRecord,
    RegistrySite,
    WebSettings,
    make_site,
)

#: Seconds between two attempts to learn the token key from a storage that can't be asked: no upload
#: begins before, so a driver that appears late is not to be waited for twice.
SECRET_RETRY = 0.5

#: Seconds for what was begun for clients that have left, at the end. Arbitrary: with the default
#: ``draintimeout`` we end before the ten seconds that container engines give.
SETTLE_TIME = 1.5

_log = Logger()


class Front(Protocol):
    """What serves clients once storage is ready (``web``'s site)."""

    async def drain(self, timeout: float) -> None:
        """Finish the requests in flight within ``timeout`` seconds, close what is left."""


async def find_secret(configuration: Configuration, opened: OpenedDriver) -> bytes:
    """Return the key of upload tokens: the one that is configured, or that the storage holds.

    Raises:
        StartError: hosts could not agree on one here.
        StorageError: the storage can't be asked now.
    """
    try:
        return await load_or_create_secret(
            opened.driver, configuration.http.secret, is_decided=opened.decides_conditions
        )
    except SecretRequired as error:
        raise StartError(
            "http.secret is not set, and hosts can't agree on one in a storage without"
            " conditional puts: set http.secret to the same long random text on all hosts"
        ) from error


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
        queue: Callable[
            [Configuration, Any, Parse], Notifications | Spool | None
        ] = open_notifications,
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
        self._secret_awaited = ""
        self._reloading: Reloading | None = None
        self._ports: Ports | None = None
        self._opened: OpenedDriver | None = None
        self._front: Front | None = None
        self._starting: Deferred[None] | None = None
        self._end_watch: Callable[[], None] = lambda: None
        self._upkeep: list[Repeated] = []
        self._parser = ManifestParser()
        self._cache: RedisCache | None = None
        self._notifications: Notifications | Spool | None = None
        self._registry: Registry | None = None
        self._fronts: SharedFronts | None = None
        self._authentication = Authentication(configuration.auth, configuration.http, reactor)
        self._watch = Watch(
            configuration,
            reactor,
            lambda: {"passwords": self._authentication.hashing, "manifests": self._parser},
        )

    # -- start

    def privilegedStartService(self) -> None:
        """Bind, while the process may still do what its user may not.

        Raises:
            StartError: an address can't be had, or a certificate can't be used.
        """
        allow_descriptors()
        ports = Ports(self._reactor)
        try:
            self._watch.bind()
            ports.bind(self._configuration.http, self._systemd.passed)
        except (ListenError, TlsError) as error:
            self._watch.release()
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
        for warning in self._configuration.warnings:
            _log.warn("{warning}", warning=warning)
        try:
            self._authentication.load()
            self._notifications = self._open_queue(
                self._configuration, self._reactor, self._parser.parse
            )
            self._opened = self._opener(self._configuration, self._reactor)
        except StartError:
            self._release_ports()
            if self._notifications is not None:
                self._notifications.abandon()
            raise
        Service.startService(self)
        queue = self._notifications
        self._watch.start(self._opened, queue if isinstance(queue, Notifications) else None)
        if self._notifications is not None:
            self._notifications.start()
        self._end_watch = self._systemd.watch(self._reactor)
        if not self._has_front_ends:
            self._authentication.start()
        self._starting = Deferred.fromCoroutine(self._start(self._opened))

    async def _start(self, opened: OpenedDriver) -> None:
        try:
            is_ready = bool(await opened.hello())
            if not self.running:
                return  # told to stop meanwhile; to who waits for a driver that is like its end
            use_secret, serve = (
                self._share(opened) if self._has_front_ends else self._furnish(opened)
            )
            # A storage that does not answer for the moment holds up its own requests only.
            is_agreed = is_ready and await self._agree_on_secret(use_secret, opened)
            serve()
            while not is_agreed:
                await deferLater(self._reactor, SECRET_RETRY)
                is_agreed = await self._agree_on_secret(use_secret, opened)
        except CancelledError:
            raise
        except StartError as error:
            self._when_failed(str(error))
        except Exception:  # the owner of the start: the process must not go on without serving
            _log.failure("the start failed")
            self._when_failed(
                "the registry can't be started because of a fault of its own; its log has the traceback"
            )

    async def _agree_on_secret(
        self, use_secret: Callable[[bytes], None], opened: OpenedDriver
    ) -> bool:
        """Learn the key of upload tokens; False if the storage, which holds it, can't be asked
        now.

        Raises:
            StartError: hosts could not agree on one here.
        """
        try:
            use_secret(await self._find_secret(self._configuration, opened))
        except StorageError as error:
            self._say_without_secret(str(error))
            return False
        if self._secret_awaited:
            _log.info("the token key is read: uploads are taken")
        return True

    def _say_without_secret(self, why: str) -> None:
        """Tell why uploads are refused, once for each reason: this goes on for as long as the storage
        is away.
        """
        if why != self._secret_awaited:
            _log.warn("uploads are refused until the token key can be read: {why}", why=why)
        self._secret_awaited = why

    # -- serving, in this process

    def _furnish(self, opened: OpenedDriver) -> tuple[Callable[[bytes], None], Callable[[], None]]:
        """Build the registry; returns what takes its secret, and what serves it."""
        self._cache = open_cache(self._configuration, self._reactor, self._watch.redis_took)
        self._registry = registry = build_registry(
            self._configuration,
            self._watch.measured(opened.driver),
            self._reactor,
            self._parser,
            None if self._notifications is None else self._notifications.observer,
            self._cache,
        )

        def use_secret(secret: bytes) -> None:
            registry.use_secret(secret)
            self._authentication.use_secret(secret)

        return use_secret, lambda: self._serve(registry)

    def _serve(self, registry: Registry) -> None:
        configuration = self._configuration
        site = make_site(
            registry, self._web_settings(configuration, self._authentication), self._reactor
        )
        acme = make_site(registry, attrs.evolve(site.settings, challenges_only=True), self._reactor)
        site.noisy = acme.noisy = False
        assert self._ports is not None
        where = self._ports.where
        self._ports.serve(site, acme)
        self._reloading = self._make_reloading(self._ports, site, acme)
        self._front = site
        self._watch.serving(site, registry, self._cache)
        self._begin_purging(registry.uploads.is_in_use)
        self._tell_ready(where)

    def _begin_purging(self, is_in_use: Callable[[UploadId], Awaitable[bool]]) -> None:
        assert self._opened is not None
        self._upkeep += start_purging(
            self._configuration, self._opened.driver, self._reactor, is_in_use
        )

    def _tell_ready(self, where: str) -> None:
        sentence = (
            f"listening on {where}, storing in {self._configuration.storage.driver.describe()}"
        )
        _log.info("txregistry {version}: {sentence}", version=__version__, sentence=sentence)
        self._announce(sentence)
        self._status = sentence
        self._systemd.ready(sentence)

    # -- serving, in several others

    @property
    def _has_front_ends(self) -> bool:
        return self._configuration.http.workers > 1

    def _share(self, opened: OpenedDriver) -> tuple[Callable[[bytes], None], Callable[[], None]]:
        """Prepare the front ends; returns what takes their secret, and what starts them."""
        ports, queue = self._ports, self._notifications
        assert ports is not None
        self._front = self._fronts = fronts = SharedFronts(
            self._configuration,
            self._reactor,
            entries=ports.shared,
            driver=opened.status().name,
            socket=opened.socket,
            board=self._watch.board,
            notifications=queue if isinstance(queue, Notifications) else None,
            when_up=lambda: self._shared(ports, fronts),
            when_failed=self._when_failed,
            outlet=self._outlet,
        )
        opened.share(fronts)
        return fronts.use_secret, fronts.start

    def _shared(self, ports: Ports, fronts: SharedFronts) -> None:
        """All front ends serve."""
        self._reloading = self._make_shared_reloading(ports, fronts)
        self._watch.serving_by(fronts)
        self._begin_purging(fronts.is_in_use)
        count = self._configuration.http.workers
        self._tell_ready(f"{ports.where} ({count} processes)")

    def _make_shared_reloading(self, ports: Ports, fronts: SharedFronts) -> Reloading:
        def prepare_files(configuration: Configuration) -> Callable[[], None]:
            """Front ends read the same files, and by then they have been found good."""
            Authentication(configuration.auth, configuration.http, self._reactor).load()
            return lambda: None

        parts: list[Prepare] = [
            lambda configuration: ports.prepare(configuration.http),
            prepare_files,
            lambda configuration: lambda: fronts.adopt(configuration),
            lambda configuration: lambda: self._adjust_log(configuration.log),
        ]
        return Reloading(self._configuration, self._reread, parts, (TlsError, StartError))

    # -- what a front end is asked by the main process

    @property
    def registry(self) -> Registry | None:
        """What is served; None before that, and if others serve it."""
        return self._registry

    @property
    def watch(self) -> Watch:
        """What looks at it."""
        return self._watch

    def _web_settings(
        self, configuration: Configuration, authentication: Authentication
    ) -> WebSettings:
        settings = attrs.evolve(
            self._watch.settings_of(web_settings(configuration, self._access_log)),
            identifying=authentication.identifying,
            token_server=authentication.token_server,
        )
        webroot = configuration.http.acme.webroot
        if not webroot:
            return settings
        return attrs.evolve(settings, challenge=Webroot(webroot, self._reactor).read)

    # -- reload

    def reload(self) -> None:
        """Read the configuration again and put to use what can change while serving."""
        if self._reloading is None:
            _log.info("not reloaded: the start has not ended, and reads the files itself")
            return
        self._systemd.reloading()
        self._configuration = self._reloading.reload() or self._configuration
        self._systemd.ready(self._status)

    def _make_reloading(self, ports: Ports, site: RegistrySite, acme: RegistrySite) -> Reloading:
        def prepare_web(configuration: Configuration) -> Callable[[], None]:
            authentication = self._authentication.changed_to(configuration)
            settings = self._web_settings(configuration, authentication)

            def apply() -> None:
                self._authentication = self._authentication.give_way_to(authentication)
                site.adopt(settings)
                acme.adopt(attrs.evolve(settings, challenges_only=True))

            return apply

        parts: list[Prepare] = [
            lambda configuration: ports.prepare(configuration.http),
            prepare_web,
            lambda configuration: lambda: self._adjust_log(configuration.log),
        ]
        return Reloading(self._configuration, self._reread, parts, (TlsError, StartError))

    def stacks(self, interrupted: FrameType | None = None) -> str:
        """Return what every request and every thread of this process is at, as text."""
        if interrupted is not None and self._fronts is not None:
            self._fronts.dump()
        return self._watch.stacks(interrupted)

    # -- stop

    def stopService(self) -> Deferred[None]:
        """Accept nothing more, give requests in flight their time, end the driver."""
        Service.stopService(self)
        self._systemd.stopping()
        _log.info(
            "stopping: requests in progress have {timeout:g} s",
            timeout=self._configuration.http.drain_timeout,
        )
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._starting is not None:
            end_quietly(self._starting)
        self._watch.stopping()
        for work in self._upkeep:
            work.stop()
        if self._ports is not None:
            await self._ports.close()
        if self._front is not None:
            await self._front.drain(self._configuration.http.drain_timeout)
        await self._settle()
        if self._opened is not None:
            await self._opened.stop()
        if self._notifications is not None:
            await self._notifications.stop()
        if self._cache is not None:
            await self._cache.stop()
        await self._parser.stop()
        self._end_watch()
        await self._authentication.stop()
        await self._watch.stop()

    async def _settle(self) -> None:
        """Let what was begun for clients that have left come to its end: a commit, or the bytes of
        a body that we cut.
        """
        if self._registry is None:
            return
        settled = Deferred.fromCoroutine(self._registry.settled())
        with suppress(TimeoutError):
            await settled.addTimeout(SETTLE_TIME, self._reactor)

    def _release_ports(self) -> None:
        if self._ports is not None:
            self._ports.release()
            self._ports = None
        self._watch.release()
