# SPDX-License-Identifier: Apache-2.0
"""What the configuration says, in each room's own words.

Must not know in which order things start. The wiring asks here for what it builds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from txregistry.auth.immutable import ImmutableRule, ImmutableTags
from txregistry.config import Configuration, NamedDriver
from txregistry.config import Storage as StorageSettings
from txregistry.config.kinds import LOCAL
from txregistry.config.middleware_settings import MiddlewareEntry
from txregistry.config.root_settings import Root
from txregistry.config.tracing_settings import Tracing
from txregistry.ipc.deadlines import Deadlines
from txregistry.process.opening import OpenDriver
from txregistry.process.parsing import ManifestParser
from txregistry.process.relief import Elsewhere
from txregistry.process.spec import MIDDLEWARE, DriverSpec, StartError, find_driver, user_ids
from txregistry.process.status import DriverStatus
from txregistry.process.supervision import Supervision
from txregistry.redis_cache import RedisCache, RedisServer
from txregistry.registry import (
    Observer,
    Registry,
    SharedCache,
    open_registry,
)
from txregistry.registry import Options as RegistryOptions
from txregistry.storage.contract import Driver
from txregistry.web import (
    AccessRecord,
    Endpoint,
    Exempt,
    Limits,
    Metadata,
    WebSettings,
    networks,
)

#: How long a URL works at which a client may fetch a blob itself. registry:3 has the same twenty
#: minutes.
REDIRECT_SECONDS = 1200


class OpenedDriver(Protocol):
    """A driver that was started or attached to (``process.opening.OpenDriver``)."""

    driver: Driver

    @property
    def socket(self) -> str:
        """The path at which other processes reach it."""

    @property
    def answered(self) -> int:
        """Operations that it answered to this process, since it was started or replaced."""

    def share(self, elsewhere: Elsewhere) -> None:
        """Other processes are given its socket."""

    async def change_over(self, limit: float) -> None:
        """Go over to the process that has taken its place at its socket."""

    async def hello(self) -> object:
        """Wait until it is ready."""

    async def decides_conditions(self) -> bool:
        """Whether its conditional puts hold between hosts."""

    def status(self) -> DriverStatus:
        """How it is now."""

    def time_commands(self, told: Callable[[str, float], None]) -> None:
        """Have ``told`` called with the name of each command that was answered, and its seconds."""

    async def stop(self) -> None:
        """End it."""


def open_driver(configuration: Configuration, reactor: Any) -> OpenedDriver:
    """Start the configured driver, or attach to it.

    Raises:
        StartError: its program is not there.
    """
    spec = driver_spec(configuration.storage, configuration.middleware.storage)
    return OpenDriver(spec, reactor, supervision=supervision_of(configuration.storage))


def attach_driver(
    configuration: Configuration, reactor: Any, *, name: str, socket: str
) -> OpenedDriver:
    """Attach to the driver that another process has started.

    Args:
        name: of it, for messages and metrics.
        socket: where it listens.
    """
    spec = DriverSpec(name, socket=socket)
    return OpenDriver(spec, reactor, supervision=supervision_of(configuration.storage))


def supervision_of(storage: StorageSettings) -> Supervision:
    """How the driver is to be watched."""
    told = attrs.asdict(storage.supervision, recurse=False)
    deadlines = Deadlines(**attrs.asdict(told.pop("deadlines")))
    return Supervision(**told, deadlines=deadlines)


def driver_spec(
    storage: StorageSettings, middlewares: Sequence[MiddlewareEntry] = ()
) -> DriverSpec:
    """Which program the configuration names.

    Args:
        middlewares: before the store's own redirects; the driver's process runs them.

    Raises:
        StartError: there is no driver of that name.
    """
    driver = storage.driver
    user, group = user_ids(storage.user, storage.group)
    if isinstance(driver, NamedDriver):
        spec = find_driver(driver.name, driver.options)
    else:
        spec = DriverSpec("external", driver.command or None, driver.socket or None, driver.options)
    if middlewares:
        chain = [{"name": entry.name, "options": dict(entry.options)} for entry in middlewares]
        spec = attrs.evolve(spec, options={**spec.options, MIDDLEWARE: chain})
    return attrs.evolve(spec, isolation=storage.isolation, user=user, group=group)


def open_cache(
    configuration: Configuration, reactor: Any, timed: Callable[[str, float], None]
) -> RedisCache | None:
    """The cache that hosts share, if one is configured.

    Args:
        timed: told what its operations took.
    """
    redis = configuration.redis
    if configuration.storage.cache.blob_descriptor != "redis":
        return None
    [server] = redis.addrs
    place = RedisServer(
        server.host,
        server.port,
        redis.db,
        redis.username,
        redis.password,
        redis.pool_size,
        redis.dial_timeout,
        is_tls=redis.tls.enabled,
    )
    return RedisCache(place.connect, reactor, timed)


def open_tracing(settings: Tracing) -> Any:
    """Return what traces requests (``tracing.Tracing``), None if nothing is to be traced.

    Raises:
        StartError: what makes traces is not installed.
    """
    if not settings.endpoint:
        return None
    try:
        # An extra of the package: most do without it.
        from txregistry.tracing import make_tracing  # noqa: PLC0415
    except ImportError as error:
        raise StartError(
            f"tracing.endpoint is set and OpenTelemetry is not installed ({error.name} is missing);"
            " pip install 'txregistry[otel]', or remove the section"
        ) from error
    headers = {name: ", ".join(values) for name, values in settings.headers.items()}
    return make_tracing(
        settings.endpoint,
        headers,
        ratio=settings.ratio,
        service=settings.service,
        trust=settings.trust,
    )


def build_registry(
    configuration: Configuration,
    driver: Driver,
    reactor: Any,
    parser: ManifestParser,
    observer: Observer | None = None,
    shared_cache: SharedCache | None = None,
) -> Registry:
    """The registry over a driver; without the secret, which the storage may hold."""
    return open_registry(
        driver,
        secret=None,
        now=reactor.seconds,
        parse=parser.parse,
        observer=observer,
        options=registry_options(configuration),
        shared_cache=shared_cache,
    )


def web_settings(
    configuration: Configuration, access_log: Callable[[AccessRecord], None] | None
) -> WebSettings:
    """What the web is told of a configuration."""
    http, redirect = configuration.http, configuration.storage.redirect
    return WebSettings(
        prefix=http.prefix,
        host=http.host,
        # registry:3 has it so too: whoever names the host wants it in Locations.
        relative_urls=not http.host,
        headers=http.headers,
        read_only=configuration.read_only,
        delete_enabled=configuration.delete_enabled,
        redirect=not redirect.disable,
        exempt=Exempt(networks(redirect.exempt.networks), redirect.exempt.user_agents),
        catalog_maximum=configuration.catalog.max_entries,
        tags_maximum=configuration.tags.max_tags,
        immutable=immutable_tags(configuration),
        # A peer on a UNIX socket has no address.
        trusted_proxies=frozenset("" if each == LOCAL else each for each in http.trusted_proxies),
        limits=Limits(**attrs.asdict(http.limits)),
        metadata=_metadata(http.root),
        access_log=access_log,
    )


def _metadata(root: Root) -> Metadata | None:
    if root.disabled:
        return None
    endpoints = tuple(Endpoint(**attrs.asdict(each)) for each in root.endpoints)
    return Metadata(endpoints=endpoints, mirrors=root.mirrors, fallback=root.fallback)


def immutable_tags(configuration: Configuration) -> ImmutableTags:
    """Which tags must stay as they are."""
    return ImmutableTags(
        tuple(
            ImmutableRule(rule.tags or ("*",), rule.repositories, rule.exceptions)
            for rule in configuration.tags.immutable
        )
    )


def registry_options(configuration: Configuration) -> RegistryOptions:
    """What the registry is told of a configuration."""
    storage, validation = configuration.storage, configuration.validation
    takes_sparse = validation.disabled or validation.manifests.indexes.platforms == "none"
    return RegistryOptions(
        allow_sparse_indexes=takes_sparse,
        exclusive=storage.exclusive,
        blob_limit=storage.blob_limit or None,
        sessions=storage.uploads.sessions,
        sessions_per_client=storage.uploads.sessions_per_client,
        session_bytes=storage.uploads.bytes or None,
        session_bytes_per_client=storage.uploads.bytes_per_client or None,
        redirect_seconds=0 if storage.redirect.disable else REDIRECT_SECONDS,
        sync_references=storage.driver.options.get("durability") == "manifest",
    )
