# SPDX-License-Identifier: Apache-2.0
"""Every key that exists: the sections as frozen classes, a key as one row with its kind and
default.

Room: config. ``docs/configure.md`` says what the keys mean; a test holds both together.

Durations are seconds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from txregistry.config.addresses import Address, Entrance, parse_address
from txregistry.config.auth_settings import PATTERNS, TAG_PATTERNS, Auth
from txregistry.config.document import Node
from txregistry.config.health_settings import Debug, Health
from txregistry.config.kinds import (
    ENTRANCES,
    FLAG,
    HEADERS,
    HOSTS,
    NETWORKS,
    PREFIX,
    PUBLIC_URL,
    SECRET,
    SECRET_TABLE,
    TABLE,
    TEXT,
    TEXTS,
    choice,
    count,
    duration,
    whole,
)
from txregistry.config.middleware_settings import Middleware
from txregistry.config.notification_settings import Notifications
from txregistry.config.redis_settings import Redis
from txregistry.config.root_settings import Root
from txregistry.config.rows import key as _key
from txregistry.config.rows import rows
from txregistry.config.rows import section as _section
from txregistry.config.rows import sections as _sections
from txregistry.config.supervision_settings import Supervision
from txregistry.config.tls_settings import Acme, Http2, Tls
from txregistry.config.tracing_settings import Tracing


@frozen
class AccessLog:
    """``log.accesslog``"""

    disabled: bool = _key(FLAG, False)
    formatter: str = _key(choice("combined", "text", "json", "logstash"), "combined")


@frozen
class Log:
    """``log``"""

    level: str = _key(choice("error", "warn", "info", "debug"), "info")
    formatter: str = _key(choice("text", "json", "logstash"), "text")
    fields: Mapping[str, Any] = _key(TABLE, {})
    access_log: AccessLog = _section(AccessLog)


@frozen
class Limits:
    """``http.limits``: what clients may ask of us, one and all together. Ours; registry:3 has none.

    Names and defaults are those of ``web.settings.Limits``; a test holds both together.
    """

    connections: int = _key(whole(1), 2000)
    connections_per_address: int = _key(whole(1), 200)
    requests: int = _key(whole(1), 4000)
    requests_per_connection: int = _key(whole(1), 1000)
    streams: int = _key(whole(1), 100)
    headers: int = _key(whole(1), 100)
    head_size: int = _key(whole(1024), 16 * 1024)
    first_byte: float = _key(duration(0.001), 10.0)
    head_timeout: float = _key(duration(0.001), 15.0)
    idle: float = _key(duration(0.001), 60.0)
    body_rate: int = _key(whole(0), 1024)
    body_window: float = _key(duration(0.001), 30.0)
    body_grace: float = _key(duration(), 30.0)
    write_stall: float = _key(duration(0.001), 60.0)
    drain_size: int = _key(whole(0), 8 * 1024 * 1024)
    drain_time: float = _key(duration(), 10.0)
    manifest_size: int = _key(whole(1), 4 * 1024 * 1024)
    tags_per_push: int = _key(whole(0), 100)


@frozen
class Http:
    """``http``

    Attributes:
        listeners: where to listen besides ``addr``.
        drain_timeout: seconds that requests in flight are given when we are told to stop.
            Less than the ten that ``docker stop`` waits.
        workers: processes that serve; with one, the main process does.
    """

    addr: str = _key(TEXT, "127.0.0.1:5000")
    net: str = _key(choice("tcp", "unix"), "tcp")
    listeners: tuple[Entrance, ...] = _key(ENTRANCES, ())
    host: str = _key(PUBLIC_URL, "")
    prefix: str = _key(PREFIX, "/")
    secret: str = _key(SECRET, "")
    relative_urls: bool = _key(FLAG, True)
    drain_timeout: float = _key(duration(), 8.0)
    workers: int = _key(whole(1, 64), 1)
    headers: Mapping[str, tuple[str, ...]] = _key(HEADERS, {})
    trusted_proxies: tuple[str, ...] = _key(HOSTS, ())
    root: Root = _section(Root)
    limits: Limits = _section(Limits)
    tls: Tls = _section(Tls)
    http2: Http2 = _section(Http2)
    acme: Acme = _section(Acme)
    debug: Debug = _section(Debug)

    @property
    def address(self) -> Address:
        """``net`` and ``addr`` as one value."""
        return parse_address(self.net, self.addr)


@frozen
class FilesystemOptions:
    """``storage.filesystem``"""

    root_directory: str = _key(TEXT, "/var/lib/registry")
    max_threads: int = _key(whole(1), 100)
    durability: str = _key(choice("strict", "manifest", "none"), "strict")


@frozen
class NoOptions:
    """``storage.memory``, ``storage.inmemory``"""


#: The drivers that come with us, and what they take; other drivers check their options themselves.
SHIPPED_DRIVERS: dict[str, type[FilesystemOptions] | type[NoOptions]] = {
    "filesystem": FilesystemOptions,
    "inmemory": NoOptions,
    "memory": NoOptions,
}


@frozen
class NamedDriver:
    """A storage driver that is installed with us, by the name of its entry point, and its
    options.
    """

    name: str
    options: Mapping[str, Any] = field(
        factory=dict, repr=lambda options: "***" if options else "{}"
    )

    def describe(self) -> str:
        """Where it stores, for people; free of secrets."""
        root = self.options.get("rootdirectory")
        return f"{self.name} {root}" if isinstance(root, str) and root else self.name


@frozen
class ExternalDriver:
    """``storage.external``: any program that speaks the driver protocol, started by us or attached
    to.

    Attributes:
        command: the program and its arguments, or empty.
        socket: the path on which a driver listens that somebody else started, or empty. One of both
            is set.
    """

    command: tuple[str, ...] = _key(TEXTS, ())
    socket: str = _key(TEXT, "")
    options: Mapping[str, Any] = _key(SECRET_TABLE, {})

    def describe(self) -> str:
        """Where it stores, for people; free of secrets."""
        return f"the driver at {self.socket}" if self.socket else f"the driver {self.command[0]}"


@frozen
class Delete:
    """``storage.delete``"""

    enabled: bool = _key(FLAG, False)


@frozen
class Exempt:
    """``storage.redirect.exempt``: clients that are served from here all the same. Ours."""

    networks: tuple[str, ...] = _key(NETWORKS, ())
    user_agents: tuple[str, ...] = _key(TEXTS, ())


@frozen
class Redirect:
    """``storage.redirect``"""

    disable: bool = _key(FLAG, False)
    exempt: Exempt = _section(Exempt)


@frozen
class UploadPurging:
    """``storage.maintenance.uploadpurging``"""

    enabled: bool = _key(FLAG, True)
    age: float = _key(duration(0.001), 168 * 3600.0)
    interval: float = _key(duration(0.001), 24 * 3600.0)
    dry_run: bool = _key(FLAG, False)


@frozen
class ReadOnly:
    """``storage.maintenance.readonly``"""

    enabled: bool = _key(FLAG, False)


@frozen
class Maintenance:
    """``storage.maintenance``"""

    upload_purging: UploadPurging = _section(UploadPurging)
    read_only: ReadOnly = _section(ReadOnly)


@frozen
class Cache:
    """``storage.cache``"""

    blob_descriptor: str = _key(choice("inmemory", "redis"), "inmemory")
    blob_descriptor_size: int = _key(whole(0), 10_000)


@frozen
class TagLookup:
    """``storage.tag``"""

    concurrency_limit: int = _key(whole(1), os.cpu_count() or 1)


@frozen
class OpenUploads:
    """``storage.uploads``: upload sessions that are open, by the count of one process. Ours."""

    sessions: int = _key(whole(1), 10_000)
    sessions_per_client: int = _key(whole(1), 2_500)
    bytes: int = _key(whole(0), 0)
    bytes_per_client: int = _key(whole(0), 0)


@frozen
class Storage:
    """``storage``: one driver, and what holds for every driver.

    Attributes:
        exclusive: nobody else writes to the storage, so what was read of it may be believed for a
            while.
        blob_limit: most bytes of a blob; 0 for no limit.
        isolation: how far the driver's process confines itself.
        user, group: that it runs under, by name or number; empty for ours.
    """

    driver: NamedDriver | ExternalDriver
    exclusive: bool = _key(FLAG, False)
    blob_limit: int = _key(whole(0), 0)
    isolation: str = _key(choice("off", "preferred", "required"), "preferred")
    user: str = _key(TEXT, "")
    group: str = _key(TEXT, "")
    delete: Delete = _section(Delete)
    redirect: Redirect = _section(Redirect)
    uploads: OpenUploads = _section(OpenUploads)
    maintenance: Maintenance = _section(Maintenance)
    cache: Cache = _section(Cache)
    tag: TagLookup = _section(TagLookup)
    supervision: Supervision = _section(Supervision)


@frozen
class Catalog:
    """``catalog``"""

    max_entries: int = _key(count(1000), 1000)


@frozen
class Immutable:
    """One item of ``tags.immutable``: tags that stay as they are once they were made. Ours.

    Attributes:
        repositories: patterns; without any it is about all of them.
        tags: patterns; without any it is about all of them.
        exceptions: patterns of tags that may change all the same.
    """

    repositories: tuple[str, ...] = _key(PATTERNS, ())
    tags: tuple[str, ...] = _key(TAG_PATTERNS, ())
    exceptions: tuple[str, ...] = _key(TAG_PATTERNS, ())


@frozen
class Tags:
    """``tags``"""

    max_tags: int = _key(count(1000, 0), 1000)
    immutable: tuple[Immutable, ...] = _sections(Immutable)


@frozen
class IndexValidation:
    """``validation.manifests.indexes``"""

    platforms: str = _key(choice("all", "none"), "all")


@frozen
class ManifestValidation:
    """``validation.manifests``"""

    indexes: IndexValidation = _section(IndexValidation)


@frozen
class Validation:
    """``validation``"""

    disabled: bool = _key(FLAG, False)
    manifests: ManifestValidation = _section(ManifestValidation)


@frozen
class Configuration:
    """Everything that was configured.

    Attributes:
        source: the file that it came from, or "built-in defaults".
        warnings: sentences for the log: what was ignored, and what is unwise.
        tree: what was written, variables included; it holds secrets.
    """

    storage: Storage
    log: Log = _section(Log)
    http: Http = _section(Http)
    notifications: Notifications = _section(Notifications)
    middleware: Middleware = _section(Middleware)
    redis: Redis = _section(Redis)
    health: Health = _section(Health)
    tracing: Tracing = _section(Tracing)
    catalog: Catalog = _section(Catalog)
    tags: Tags = _section(Tags)
    validation: Validation = _section(Validation)
    auth: Auth = _section(Auth)
    source: str = "built-in defaults"
    warnings: tuple[str, ...] = ()
    tree: Node | None = field(default=None, eq=False, repr=False)

    @property
    def delete_enabled(self) -> bool:
        """Clients may delete manifests, tags and blobs."""
        return self.storage.delete.enabled

    @property
    def read_only(self) -> bool:
        """Clients may change nothing."""
        return self.storage.maintenance.read_only.enabled

    @property
    def upload_purging(self) -> UploadPurging:
        """When uploads that were left behind are removed."""
        return self.storage.maintenance.upload_purging

    @property
    def prefix(self) -> str:
        """The path below which ``v2/`` lies; begins and ends with a slash."""
        return self.http.prefix


def _paths(shape: type[Any], above: str) -> list[str]:
    paths = []
    for name, row in rows(shape).items():
        paths.append(above + name)
        below = row.metadata.get("section") or row.metadata.get("sections")
        if below is not None:
            paths += _paths(below, f"{above}{name}.")
    return paths


def known_paths() -> list[str]:
    """Every key of the file, as dotted paths, sections included."""
    paths = [
        "version",
        "loglevel",
        "storage",
        *_paths(Configuration, ""),
        *_paths(Storage, "storage."),
    ]
    for name, shape in {**SHIPPED_DRIVERS, "external": ExternalDriver}.items():
        paths += [f"storage.{name}", *_paths(shape, f"storage.{name}.")]
    return paths
