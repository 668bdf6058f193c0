# SPDX-License-Identifier: Apache-2.0
"""From options to a store: log in, make the container, put them together.

Driver: swift.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from txregistry.driver import BadOptions, Denied, StorageError, Store, Unsupported
from txregistry_drivers.objects import ObjectStore, Tuning
from txregistry_drivers.swift.bucket import SwiftBucket
from txregistry_drivers.swift.connections import Connections
from txregistry_drivers.swift.options import SwiftOptions, read_options
from txregistry_drivers.swift.refusals import FAILURES, refusal, status_of

#: Bytes of the largest object unless the server says otherwise: Swift's default.
_LARGEST = 5 * 1024**3 + 2

#: What a server has to have beside objects.
_NEEDED = {"slo": "static large objects (slo)"}


def open_store(options: Mapping[str, object]) -> Store:
    """As :func:`txregistry_drivers.swift.create`."""
    # It logs tracebacks of what it tries again, with headers.
    logging.getLogger("swiftclient").setLevel(logging.CRITICAL)
    chosen = read_options(options)
    connections = Connections(chosen)
    url, largest = _entered(connections, chosen)
    tuning = Tuning(
        part_size=chosen.chunksize,
        flush_after=float(chosen.flushafter),
        memory=chosen.maxmemory,
    )
    return ObjectStore(
        SwiftBucket(connections, chosen, url, largest=largest), chosen.prefix, tuning
    )


def _entered(connections: Connections, options: SwiftOptions) -> tuple[str, int]:
    """Log in; returns the storage's URL and the largest size of an object.

    Raises:
        BadOptions: login or container are refused, or the server lacks what is needed.
        Unavailable: it can't be reached.
    """
    try:
        url = connections.login()
        with connections.lent() as swift:
            known = swift.get_capabilities()
            swift.put_container(options.container)
    except FAILURES as err:
        raise _meaning(refusal(err, "", "the login"), status_of(err), options) from err
    for name, words in _NEEDED.items():
        if name not in known:
            raise BadOptions(f"the server has no {words}, which uploads need: have it enabled")
    return url, int(known.get("swift", {}).get("max_file_size", _LARGEST))


def _meaning(refused: StorageError, status: int, options: SwiftOptions) -> StorageError:
    if isinstance(refused, Denied):
        return BadOptions(
            f"{options.username!r} may not use container {options.container!r}: {refused.message};"
            " correct username, password, tenant or domain"
        )
    if 400 <= status < 500 and not isinstance(refused, Unsupported):
        return BadOptions(
            f"{options.authurl} does not answer as Swift does ({status}): correct authurl"
        )
    return refused
