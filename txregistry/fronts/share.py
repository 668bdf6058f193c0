# SPDX-License-Identifier: Apache-2.0
"""What of a configuration one of several front ends is told.

Room: fronts. Pure. Three things are done to it:

- What the driver alone needs, and what receivers of notifications alone need, is left out: no
  front end holds a secret that it does not use.
- What must have one owner (debug port, health checks, purges) is switched off: the main process
  does it.
- Bounds for all clients together are divided, so that a host keeps the bounds that were configured.
  Those of one client are not: its connections may all come to one process. Wrong passwords are
  divided all the same, since guessing must not get cheaper.
"""

from __future__ import annotations

import attrs

from txregistry.config import Auth, Configuration, ExternalDriver, Http, NamedDriver, Storage
from txregistry.config.health_settings import Health
from txregistry.config.middleware_settings import Middleware

#: Options of a driver that are no secret, and by which the registry in front of it behaves.
_TOLD = ("durability",)

#: In place of receivers' addresses, which may hold passwords: front ends only queue.
_NOWHERE = "http://localhost/"


def share_of(configuration: Configuration, count: int, number: int) -> Configuration:
    """Return what front end ``number`` of ``count`` is told."""
    return attrs.evolve(
        configuration,
        storage=_storage(configuration.storage, count),
        http=_http(configuration.http, count),
        auth=_auth(configuration.auth, count),
        notifications=attrs.evolve(
            configuration.notifications,
            endpoints=tuple(
                attrs.evolve(each, url=_NOWHERE, secret="", headers={})
                for each in configuration.notifications.endpoints
            ),
        ),
        middleware=Middleware(),
        health=Health(close_on_failure=configuration.health.close_on_failure),
        # What it writes is told apart by this.
        log=attrs.evolve(
            configuration.log, fields={**configuration.log.fields, "process": f"front-{number}"}
        ),
        warnings=(),
        tree=None,
    )


def part(whole: int, count: int) -> int:
    """Return one of ``count`` parts, rounded up; nothing stays nothing (which is: no bound)."""
    return -(-whole // count)


def _storage(storage: Storage, count: int) -> Storage:
    told = storage.supervision
    maintenance = storage.maintenance
    return attrs.evolve(
        storage,
        driver=_driver(storage.driver),
        # Other processes write to it: what one deletes must not be served by another.
        exclusive=False,
        supervision=attrs.evolve(
            told,
            replay_budget=part(told.replay_budget, count),
            operations=part(told.operations, count),
            queue=part(told.queue, count),
        ),
        maintenance=attrs.evolve(
            maintenance, upload_purging=attrs.evolve(maintenance.upload_purging, enabled=False)
        ),
    )


def _driver(driver: NamedDriver | ExternalDriver) -> NamedDriver | ExternalDriver:
    options = {name: driver.options[name] for name in _TOLD if name in driver.options}
    return attrs.evolve(driver, options=options)


def _http(http: Http, count: int) -> Http:
    limits = http.limits
    return attrs.evolve(
        http,
        workers=1,
        # All sockets are inherited.
        listeners=(),
        acme=attrs.evolve(http.acme, addr=""),
        debug=attrs.evolve(http.debug, addr=""),
        limits=attrs.evolve(
            limits,
            connections=part(limits.connections, count),
            requests=part(limits.requests, count),
        ),
    )


def _auth(auth: Auth, count: int) -> Auth:
    failures = auth.failures
    return attrs.evolve(
        auth,
        failures=attrs.evolve(
            failures,
            per_address=part(failures.per_address, count),
            per_user=part(failures.per_user, count),
        ),
    )
