# SPDX-License-Identifier: Apache-2.0
"""Connections that threads borrow: one of swiftclient's is for one thread at a time.

Driver: swift. All use one token, which is fetched once; whoever finds that it has ended fetches
another, and the others do when they find out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import swiftclient

from txregistry_drivers.swift.options import SwiftOptions
from txregistry_drivers.swift.refusals import status_of

#: Tries of a call after the first, and seconds before them: doubled up to the second value.
_RETRIES = 4
_BACKOFF, _LONGEST_BACKOFF = 0.25, 4.0

#: Refusals after which a connection is as good as before. That nothing is there is a frequent one.
_PLAIN = (400, 403, 404, 409, 412, 416)


class Connections:
    """As many connections as are borrowed at once, kept for the next who asks."""

    def __init__(self, options: SwiftOptions) -> None:
        self._options = options
        self._idle: list[Any] = []
        self._lock = threading.Lock()
        self._token: tuple[str, str] | None = None

    def login(self) -> str:
        """Fetch the token; returns the URL of the storage.

        Raises:
            swiftclient.ClientException: it is refused.
        """
        url, token = self._made().get_auth()
        self._token = url, token
        return str(url)

    @contextmanager
    def lent(self) -> Iterator[Any]:
        """A connection; one that failed by other than a plain refusal is closed."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._made()
        try:
            yield connection
        except BaseException as err:
            if status_of(err) in _PLAIN:
                self._give_back(connection)
            else:
                connection.close()
            raise
        self._give_back(connection)

    def close(self) -> None:
        """Close those that nobody has."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _give_back(self, connection: Any) -> None:
        with self._lock:
            if connection.token:
                self._token = connection.url, connection.token
            self._idle.append(connection)

    def _made(self) -> Any:
        options = self._options
        url, token = self._token or (None, None)
        more = {
            "region_name": options.region,
            "tenant_name": options.tenant,
            "tenant_id": options.tenantid,
            "user_domain_name": options.domain,
            "user_domain_id": options.domainid,
            "project_domain_name": options.tenantdomain or options.domain,
            "project_domain_id": options.tenantdomainid or options.domainid,
            "trust_id": options.trustid,
            "endpoint_type": f"{options.endpointtype}URL",
        }
        return swiftclient.Connection(
            authurl=options.authurl,
            user=options.username,
            key=options.password,
            auth_version=options.authversion,
            os_options={name: value for name, value in more.items() if value},
            preauthurl=url,
            preauthtoken=token,
            cacert=options.cacert or None,
            insecure=options.insecureskipverify,
            timeout=float(options.timeout),
            retries=_RETRIES,
            starting_backoff=_BACKOFF,
            max_backoff=_LONGEST_BACKOFF,
        )
