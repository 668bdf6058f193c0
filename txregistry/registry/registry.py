# SPDX-License-Identifier: Apache-2.0
"""A registry: all of its parts over one driver.

Room: registry. Must not know configuration, which ``service`` reads into :class:`Options`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from txregistry.registry.blobs import Blobs
from txregistry.registry.cache import BoundedCache
from txregistry.registry.catalog import Catalog
from txregistry.registry.contents import Contents, SharedCache
from txregistry.registry.links import Links
from txregistry.registry.manifest_reader import ManifestReader, Parse
from txregistry.registry.manifests import Manifests
from txregistry.registry.needed import Needed
from txregistry.registry.observer import Nobody, Observer
from txregistry.registry.open_sessions import OpenSessions
from txregistry.registry.publication import Publication
from txregistry.registry.references import References
from txregistry.registry.referrer_index import ReferrerIndex
from txregistry.registry.referrers import Referrers
from txregistry.registry.sessions import Sessions
from txregistry.registry.tags import Tags
from txregistry.registry.tasks import Finishing
from txregistry.registry.tokens import Tokens
from txregistry.registry.uploads import Uploads
from txregistry.storage.contract import Driver

MIB = 1024 * 1024


@frozen(kw_only=True)
class Options:
    """What may be chosen.

    Attributes:
        allow_sparse_indexes: take an index although manifests that it lists are missing.
        exclusive: no other process writes to the storage, so links that were read are believed.
        manifest_cache: bytes of manifests that are kept in memory.
        blob_cache: bytes of small blobs that are kept in memory.
        link_cache: bytes of links that are kept in memory, if ``exclusive``.
        blob_limit: most bytes of a blob; None for no limit.
        redirect_seconds: how long a URL to which a client is sent works; 0: none is sent away.
        sessions: most upload sessions that are open in all; None for no cap.
        sessions_per_client: likewise of one client.
        session_bytes: most bytes that open sessions hold in all; None for no cap.
        session_bytes_per_client: likewise those of one client.
        sync_references: make what a manifest refers to durable before it is answered; for storage
            that does not do so when a blob is committed.
    """

    allow_sparse_indexes: bool = False
    exclusive: bool = False
    manifest_cache: int = 64 * MIB
    blob_cache: int = 32 * MIB
    link_cache: int = 16 * MIB
    blob_limit: int | None = None
    redirect_seconds: int = 0
    sessions: int | None = None
    sessions_per_client: int | None = None
    session_bytes: int | None = None
    session_bytes_per_client: int | None = None
    sync_references: bool = False


@frozen
class Registry:
    """The parts, each of which serves the routes of its name.

    Attributes:
        caches: what is kept in memory, by what it is of.
    """

    uploads: Uploads
    blobs: Blobs
    manifests: Manifests
    tags: Tags
    referrers: Referrers
    catalog: Catalog
    needed: Needed
    caches: Mapping[str, BoundedCache[Any, Any]]
    _finishing: Finishing
    _tokens: Tokens

    def use_secret(self, secret: bytes) -> None:
        """Sign tokens of uploads with ``secret`` from now on."""
        self._tokens.secret = secret

    async def settled(self) -> None:
        """Wait until nothing is under way that was to be finished although its client had gone."""
        await self._finishing.settled()


def new_upload_id() -> str:
    """Return an id that nobody had: a random UUID, which other registries' purges look for."""
    return str(uuid.uuid4())


def open_registry(
    driver: Driver,
    *,
    secret: bytes | None,
    now: Callable[[], float],
    parse: Parse,
    new_id: Callable[[], str] = new_upload_id,
    observer: Observer | None = None,
    options: Options | None = None,
    shared_cache: SharedCache | None = None,
) -> Registry:
    """Build a registry over ``driver``. Nothing is asked of the driver.

    Args:
        secret: see ``secret.load_or_create_secret``; None: uploads are refused until
            ``use_secret``.
        now: the clock, seconds since the epoch.
        parse: reads a manifest; see ``manifest_reader.Parse``.
        new_id: makes ids of uploads.
        shared_cache: keeps manifests and small blobs for several hosts; None for none.
    """
    options = options or Options()
    observer = observer or Nobody()
    finishing = Finishing()
    links = Links(driver, cache_limit=options.link_cache if options.exclusive else 0)
    sessions = Sessions(driver, now=now)
    contents = Contents(driver, shared_cache)
    reader = ManifestReader(contents, links, parse, cache_limit=options.manifest_cache)
    referrers = ReferrerIndex(driver, links, reader)
    tags = Tags(driver, links)
    tokens = Tokens(secret)
    blobs = Blobs(
        driver,
        links=links,
        contents=contents,
        observer=observer,
        finishing=finishing,
        cache_limit=options.blob_cache,
        redirect_seconds=options.redirect_seconds,
    )
    return Registry(
        uploads=Uploads(
            driver,
            sessions=sessions,
            publication=Publication(driver, links, sessions, observer),
            tokens=tokens,
            new_id=new_id,
            observer=observer,
            finishing=finishing,
            open_sessions=OpenSessions(
                now,
                total=options.sessions,
                per_owner=options.sessions_per_client,
                total_bytes=options.session_bytes,
                bytes_per_owner=options.session_bytes_per_client,
            ),
            limit=options.blob_limit,
        ),
        blobs=blobs,
        manifests=Manifests(
            driver,
            links=links,
            reader=reader,
            references=References(links, allow_sparse=options.allow_sparse_indexes),
            referrers=referrers,
            tags=tags,
            parse=parse,
            observer=observer,
            finishing=finishing,
            sync_references=options.sync_references,
        ),
        tags=tags,
        referrers=Referrers(referrers),
        catalog=Catalog(driver),
        needed=Needed(tags, reader),
        caches={
            "manifests": reader.cache,
            "blobs": blobs.cache,
            **({} if links.cache is None else {"links": links.cache}),
        },
        finishing=finishing,
        tokens=tokens,
    )
