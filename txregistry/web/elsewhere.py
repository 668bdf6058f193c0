# SPDX-License-Identifier: Apache-2.0
"""Which clients are served from here although content could be had elsewhere.

Room: web. A client behind a firewall may reach the registry and not the bucket, and some clients
follow no redirect.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from attrs import field, frozen

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Read networks (``10.0.0.0/8``) or single addresses.

    Raises:
        ValueError: one is neither.
    """
    return tuple(ipaddress.ip_network(text) for text in texts)


def _lowered(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


@frozen
class Exempt:
    """Clients that are not sent elsewhere.

    Attributes:
        networks: that they are in.
        user_agents: what their ``User-Agent`` contains, whatever its case.
    """

    networks: tuple[Network, ...] = ()
    user_agents: tuple[str, ...] = field(default=(), converter=_lowered)

    def has(self, client: str, user_agent: str) -> bool:
        """Say whether a client is one of them.

        Args:
            client: its address; empty if it has none (a UNIX socket).
        """
        agent = user_agent.lower()
        if any(name in agent for name in self.user_agents):
            return True
        if not self.networks:
            return False
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self.networks)
