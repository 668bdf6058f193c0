# SPDX-License-Identifier: Apache-2.0
"""A registry that is served by this process itself: what stands between storage and the ports.

The wiring of ``registry`` and ``web``; ``front`` tells its life. Must not know when storage is
ready, nor in which order all else starts and stops. ``sharing`` is the other way to serve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import attrs
from twisted.internet.defer import Deferred, TimeoutError

from txregistry.authentication import Authentication
from txregistry.challenges import Webroot
from txregistry.config import Configuration
from txregistry.errand import Errand
from txregistry.metrics import Numbers, Sample, cache_samples, handler_of, pool_samples
from txregistry.oci.names import UploadId
from txregistry.ports import Ports
from txregistry.process.parsing import ManifestParser
from txregistry.registry import Observer
from txregistry.storage.contract import Driver
from txregistry.translation import build_registry, open_cache, web_settings
from txregistry.watching import Watch
from txregistry.web import AccessRecord, WebSettings, make_site

#: Seconds for what was begun for clients that have left, at the end. Arbitrary: with the default
#: ``draintimeout`` we end before the ten seconds that container engines give.
SETTLE_TIME = 1.5


class OwnFront:
    """Serves one registry.

    Args:
        driver: its storage.
        ports: bound, and not served yet.
        watch: counts what is done, and knows whether requests are to be refused.
        authentication: its files are read; it ends with this.
        observer: told of what happens to content.
        access_log: told of each answered request.
        when_up: called once clients are served.

    Attributes:
        registry: what is served.
        front_ends, deaths: of other processes that serve for this one.
    """

    front_ends = deaths = 0

    def __init__(
        self,
        configuration: Configuration,
        reactor: Any,
        *,
        driver: Driver,
        ports: Ports,
        watch: Watch,
        parser: ManifestParser,
        authentication: Authentication,
        observer: Observer | None,
        access_log: Callable[[AccessRecord], None] | None,
        when_up: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._ports = ports
        self._watch = watch
        self._authentication = authentication
        self._access_log = access_log
        self._when_up = when_up
        self._cache = open_cache(configuration, reactor, watch.redis_took)
        self.registry = build_registry(
            configuration, watch.measured(driver), reactor, parser, observer, self._cache
        )
        settings = self._settings(configuration, authentication)
        self._site = make_site(self.registry, settings, reactor)
        self._acme = make_site(self.registry, _challenges_only(settings), reactor)
        self._site.noisy = self._acme.noisy = False

    def _settings(
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

    # -- its life

    def use_secret(self, secret: bytes) -> None:
        """Learn the key of upload tokens."""
        self.registry.use_secret(secret)
        self._authentication.use_secret(secret)

    def serve(self) -> None:
        """Answer clients from now on."""
        self._authentication.start()
        self._ports.serve(self._site, self._acme)
        self._when_up()

    def prepare(self, configuration: Configuration) -> Callable[[], None]:
        """Read the files of another configuration; what is returned puts it to use.

        Raises:
            StartError: one can't be used; nothing has changed.
        """
        authentication = self._authentication.changed_to(configuration)
        settings = self._settings(configuration, authentication)

        def apply() -> None:
            self._authentication = self._authentication.give_way_to(authentication)
            self._site.adopt(settings)
            self._acme.adopt(_challenges_only(settings))

        return apply

    async def drain(self, timeout: float) -> None:
        """Finish the requests in progress within ``timeout`` seconds, close what is left, and let
        what was begun for clients that have left come to its end: a commit, or the bytes of a body
        that we cut.
        """
        await self._site.drain(timeout)
        settled = Deferred.fromCoroutine(self.registry.settled())
        with suppress(TimeoutError):
            await settled.addTimeout(SETTLE_TIME, self._reactor)

    async def stop(self) -> None:
        """End what only requests needed."""
        if self._cache is not None:
            await self._cache.stop()
        await self._authentication.stop()

    # -- what it is asked

    async def is_in_use(self, upload_id: UploadId) -> bool:
        """Say whether a request is at work on a session."""
        return await self.registry.uploads.is_in_use(upload_id)

    @property
    def connections(self) -> int:
        """How many clients have one."""
        return len(self._site.channels)

    def errands(self) -> list[Errand]:
        """On whose behalf requests are being answered."""
        return [
            request.errand
            for channel in tuple(self._site.channels)
            for request in channel.requests
            if request.began
        ]

    def samples(self) -> Iterator[Sample]:
        """Say how busy it is."""
        yield from pool_samples({"passwords": self._authentication.hashing})
        site = self._site
        yield Sample("registry_http_connections", (), len(site.channels))
        yield Sample("registry_http_body_memory_bytes", ("queue",), site.queues.used)
        yield Sample("registry_http_body_memory_bytes", ("whole",), site.wholes.used)
        for endpoint, count in site.flights.items():
            yield Sample("registry_http_in_flight_requests", (handler_of(endpoint),), count)
        yield Sample("registry_upload_sessions_open", (), self.registry.uploads.open_count)
        yield from cache_samples(self.registry.caches, self._cache)

    async def numbers(self) -> Sequence[Numbers]:
        """Nothing was counted elsewhere."""
        return ()

    async def stacks(self) -> str:
        """Nothing runs elsewhere."""
        return ""

    def dump(self) -> None:
        """Nothing runs elsewhere that could write what it is at."""


def _challenges_only(settings: WebSettings) -> WebSettings:
    """What the port of ACME challenges serves."""
    return attrs.evolve(settings, challenges_only=True)
