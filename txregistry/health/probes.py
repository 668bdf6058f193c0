# SPDX-License-Identifier: Apache-2.0
"""What a check may look at.

Room: health. Each function makes a probe, which raises ``Unhealthy`` with a sentence that holds no
secret: neither a header nor the user of a URL.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import treq
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.web.client import Agent, ResponseFailed
from twisted.web.http_headers import Headers

from txregistry.health.checks import Probe, Unhealthy
from txregistry.outgoing import CheckedCertificates, Untrusted
from txregistry.storage.contract import Driver
from txregistry.storage.errors import Missing, StorageError


def probe_storage(driver: Driver) -> Probe:
    """Look at the root of the storage; that nothing is there is fine."""

    async def probe() -> None:
        try:
            await driver.stat("/")
        except Missing:
            return
        except StorageError as error:
            raise Unhealthy(f"{type(error).__name__}: {error.message}") from None

    return probe


def probe_file(path: str) -> Probe:
    """Fail while a file exists, by which an operator takes a host out of service."""

    async def probe() -> None:
        if os.path.lexists(path):
            raise Unhealthy("the file exists")

    return probe


def probe_tcp(reactor: Any, host: str, port: int) -> Probe:
    """Connect, and hang up at once."""

    async def probe() -> None:
        endpoint = HostnameEndpoint(reactor, host, port)
        try:
            protocol = await connectProtocol(endpoint, Protocol())
        except CancelledError:
            raise
        except Exception as error:  # whatever Twisted has for "no": DNS, refusals, routes
            raise Unhealthy(f"no connection: {type(error).__name__}") from None
        assert protocol.transport is not None
        protocol.transport.loseConnection()

    return probe


def probe_http(reactor: Any, uri: str, headers: Mapping[str, Sequence[str]], status: int) -> Probe:
    """Ask for the head of a page; any answer but ``status`` fails. Redirects are answers."""
    agent = Agent(reactor, CheckedCertificates())

    async def probe() -> None:
        try:
            response = await treq.head(
                uri,
                headers=Headers({name: list(values) for name, values in headers.items()}),
                agent=agent,
                allow_redirects=False,
            )
        except CancelledError:
            raise
        except ResponseFailed as error:
            raise Unhealthy(f"no answer: {_why(error)}") from None
        except Exception as error:  # likewise, and what a broken answer raises
            raise Unhealthy(f"no answer: {type(error).__name__}") from None
        if response.code != status:
            raise Unhealthy(f"the answer is {response.code}, not {status}")

    return probe


def _why(error: ResponseFailed) -> str:
    """Return what is wrong with a certificate, or which kind of failure it was."""
    inner = error.reasons[0].value if error.reasons else error
    return str(inner) if isinstance(inner, Untrusted) else type(inner).__name__


def shown(uri: str) -> str:
    """Return a URL without the user, password and query, which may be secret."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
