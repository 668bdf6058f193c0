# SPDX-License-Identifier: Apache-2.0
"""Fetches small documents from https origins that the configuration names.

Room: identify. Must not know what is in them. Certificates are always checked; redirects are not
followed, nothing of ours is sent along, and an answer may be neither slow nor large.
"""

from __future__ import annotations

from typing import Any

import treq
from twisted.internet.defer import CancelledError
from twisted.internet.defer import TimeoutError as CollectTimeout
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.web.client import Agent, ResponseFailed

from txregistry.identify.oidc import FetchError
from txregistry.outgoing import CheckedCertificates

#: Seconds for a whole fetch, and most bytes of an answer. Arbitrary.
TIMEOUT = 10
SIZE_LIMIT = 1024 * 1024


_FAILURES = (
    *(ResponseFailed, ConnectError, ConnectTimeout, DNSLookupError),
    *(CancelledError, CollectTimeout),
    ValueError,  # a URL that is none; a discovery document may name anything below its origin
)


class Fetcher:
    """Fetches by one reactor.

    Args:
        trust: authorities for certificates; None is the system's.
    """

    def __init__(self, reactor: Any, trust: Any = None) -> None:
        agent = Agent(reactor, CheckedCertificates(trust), connectTimeout=TIMEOUT)
        self._client = treq.client.HTTPClient(agent)
        self._reactor = reactor

    async def fetch(self, url: str) -> bytes:
        """Return what is at ``url``.

        Raises:
            FetchError: it can't be had, or is too large.
        """
        if not url.startswith("https://"):
            raise FetchError(f"{url} is no https URL")
        try:
            response = await self._client.get(
                url, allow_redirects=False, timeout=TIMEOUT, unbuffered=True
            )
            if response.code != 200:
                raise FetchError(f"{url} answers {response.code}")
            return await self._collect(response, url)
        except _FAILURES as error:
            raise FetchError(f"{url} can't be fetched ({type(error).__name__})") from error

    async def _collect(self, response: Any, url: str) -> bytes:
        chunks: list[bytes] = []
        size = 0

        def take(chunk: bytes) -> None:
            nonlocal size
            size += len(chunk)
            if size > SIZE_LIMIT:
                raise FetchError(f"{url} is larger than {SIZE_LIMIT} bytes")
            chunks.append(chunk)

        collecting = treq.collect(response, take)
        collecting.addTimeout(TIMEOUT, self._reactor)
        await collecting
        return b"".join(chunks)
