# SPDX-License-Identifier: Apache-2.0
"""How many connections are open, in all and by address.

Room: web. Must not know what happens on a connection. An IPv6 client owns a whole /64, so that is
what is counted for it.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address

from twisted.internet.interfaces import IAddress


def host_of(address: IAddress | None) -> str:
    """Return the address of a TCP peer as text, empty for any other peer."""
    host = getattr(address, "host", "")
    return without_mapping(host) if isinstance(host, str) else ""


def without_mapping(host: str) -> str:
    """Return an IPv4 address as itself: a socket for both families has it as ``::ffff:192.0.2.1``,
    which no list of addresses names.

    Source: RFC 4291 section 2.5.5.2.
    """
    return host[7:] if "." in host and host[:7].lower() == "::ffff:" else host


def group_of(host: str) -> str:
    """Return what connections of ``host`` are counted under."""
    if ":" not in host:
        return host
    try:
        parsed = IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> 64 << 64))


class Census:
    """Counts connections against two caps.

    Args:
        total: most in all.
        per_address: most from one address.
        uncounted: hosts whose connections count in all only: proxies, behind which many clients
            are.
    """

    def __init__(self, total: int, per_address: int, uncounted: frozenset[str]) -> None:
        self.count = 0
        self._by_group: Counter[str] = Counter()
        self.adopt(total, per_address, uncounted)

    def adopt(self, total: int, per_address: int, uncounted: frozenset[str]) -> None:
        """Count against other caps from now on; connections that are open stay."""
        self._total = total
        self._per_address = per_address
        self._uncounted = uncounted

    def admit(self, host: str) -> str | None:
        """Count one more connection.

        Returns:
            What to give to :meth:`leave` when it closes; None if a cap is reached, and nothing was
            counted.
        """
        group = "" if host in self._uncounted else group_of(host)
        if self.count >= self._total or (group and self._by_group[group] >= self._per_address):
            return None
        self.count += 1
        if group:
            self._by_group[group] += 1
        return group

    def leave(self, group: str) -> None:
        """Count one less."""
        self.count -= 1
        if group:
            self._by_group[group] -= 1
            if not self._by_group[group]:
                del self._by_group[group]
