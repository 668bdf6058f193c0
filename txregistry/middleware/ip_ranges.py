# SPDX-License-Identifier: Apache-2.0
"""The addresses that Amazon uses, read from the list that it publishes.

Room: middleware. The list is read by a thread of its own, at first and whenever it is old; until
one was read, and while a newer one can't be, nothing waits: the last one is believed, or nobody is
inside.

Source: Amazon's "AWS IP address ranges": ``prefixes[].ip_prefix``, ``ipv6_prefixes[].ipv6_prefix``,
``region``.
"""

from __future__ import annotations

import ipaddress
import json
import threading
import time
import urllib.error
import urllib.request
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Protocol

from attrs import frozen
from twisted.logger import Logger

URL = "https://ip-ranges.amazonaws.com/ip-ranges.json"

#: Seconds until a server that does not answer is given up.
_TIMEOUT = 30.0

#: Seconds until it is tried again after that.
_RETRY = 60.0

#: Bytes of the longest list that is read: ten times today's.
_LIMIT = 32 * 1024 * 1024

_log = Logger()

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Ranges(Protocol):
    """A set of addresses."""

    def __contains__(self, client: str) -> bool: ...


class NoRanges:
    """Nobody is inside."""

    def __contains__(self, client: str) -> bool:
        return False


@frozen
class _Spans:
    """Sorted, disjoint spans of one address family: [start, stop]."""

    starts: tuple[int, ...]
    stops: tuple[int, ...]

    @classmethod
    def of(cls, networks: Iterable[Network]) -> _Spans:
        merged = sorted(
            (int(network.network_address), int(network.broadcast_address)) for network in networks
        )
        starts: list[int] = []
        stops: list[int] = []
        for start, stop in merged:
            if stops and start <= stops[-1] + 1:
                stops[-1] = max(stops[-1], stop)
            else:
                starts.append(start)
                stops.append(stop)
        return cls(tuple(starts), tuple(stops))

    def has(self, address: int) -> bool:
        index = bisect_right(self.starts, address) - 1
        return index >= 0 and address <= self.stops[index]


def read_list(document: bytes, regions: frozenset[str]) -> dict[int, _Spans]:
    """Return the spans of a published list by IP version.

    Args:
        regions: those that count, in lower case; empty for all.

    Raises:
        ValueError: it is not such a list.
    """
    try:
        tables = json.loads(document)
        rows = [(4, row["ip_prefix"], row["region"]) for row in tables["prefixes"]] + [
            (6, row["ipv6_prefix"], row["region"]) for row in tables.get("ipv6_prefixes", ())
        ]
        networks: dict[int, list[Network]] = {4: [], 6: []}
        for version, prefix, region in rows:
            if not regions or region.lower() in regions:
                networks[version].append(ipaddress.ip_network(prefix))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("it is not a list of address ranges") from error
    return {version: _Spans.of(found) for version, found in networks.items()}


class ServedRanges:
    """The ranges of a list that is served somewhere.

    Args:
        url: of the list.
        regions: see :func:`read_list`.
        interval: seconds after which it is read again.
        start: runs the reading elsewhere.
    """

    def __init__(
        self,
        url: str,
        regions: frozenset[str],
        interval: float,
        *,
        now: Callable[[], float] = time.monotonic,
        start: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._url = url
        self._regions = regions
        self._interval = interval
        self._now = now
        self._start = start or _in_background
        self._spans: dict[int, _Spans] = {}
        self._due = now()
        self._is_reading = False
        self._lock = threading.Lock()

    def __contains__(self, client: str) -> bool:
        with self._lock:
            is_due = not self._is_reading and self._now() >= self._due
            if is_due:  # whatever comes of it, the next try is not before then
                self._is_reading = True
                self._due = self._now() + max(_RETRY, _TIMEOUT)
        if is_due:
            self._start(self.refresh)
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        spans = self._spans.get(mapped.version)
        return spans is not None and spans.has(int(mapped))

    def refresh(self) -> None:
        """Read the list now. Blocks; a failure is logged and the last list stays."""
        try:
            # Only http and https get here.
            with urllib.request.urlopen(self._url, timeout=_TIMEOUT) as answer:  # noqa: S310
                document = answer.read(_LIMIT + 1)
            if len(document) > _LIMIT:
                raise ValueError("it is too long")
            self._spans = read_list(document, self._regions)
        except (OSError, ValueError) as error:  # URLError is an OSError
            _log.warn(
                "the address ranges at {url} can't be read: {error}; the last ones are used",
                url=self._url,
                error=str(error),
            )
        else:
            with self._lock:
                self._due = self._now() + self._interval
        finally:
            self._is_reading = False


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="address ranges", daemon=True).start()
