# SPDX-License-Identifier: Apache-2.0
"""Counting connections."""

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from txregistry.web.connections import Census, group_of, host_of


@pytest.mark.parametrize(
    "host, group",
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::7", "2001:db8:1:2::"),
        ("::1", "::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("junk:x", "junk:x"),
        ("", ""),
    ],
)
def test_addresses_are_grouped_by_who_owns_them(host, group):
    """An IPv6 client has a whole /64 to come from."""
    assert group_of(host) == group


def test_host_of_other_than_tcp_is_empty():
    """UNIX sockets have no address to count by."""
    assert host_of(IPv4Address("TCP", "192.0.2.1", 5)) == "192.0.2.1"
    assert host_of(IPv6Address("TCP", "2001:db8::1", 5)) == "2001:db8::1"
    assert host_of(UNIXAddress(b"/x")) == ""
    assert host_of(None) == ""


@pytest.mark.parametrize("host", ["::ffff:192.0.2.1", "::FFFF:192.0.2.1"])
def test_ipv4_peer_of_a_socket_for_both_families_is_ipv4(host):
    """Else ``trustedproxies: [192.0.2.1]`` would not be meant by it."""
    assert host_of(IPv6Address("TCP", host, 5)) == "192.0.2.1"


class CensusTests:
    """Two caps."""

    def test_total_holds_for_all(self):
        """One more than all is refused, and one that leaves makes room."""
        census = Census(2, 2, frozenset())
        first = census.admit("192.0.2.1")
        assert census.admit("192.0.2.2") is not None
        assert census.admit("192.0.2.3") is None
        census.leave(first)
        assert census.admit("192.0.2.3") is not None

    def test_one_address_has_its_own_cap(self):
        """One client can't take all the places."""
        census = Census(10, 1, frozenset())
        first = census.admit("192.0.2.1")
        assert census.admit("192.0.2.1") is None
        assert census.admit("192.0.2.2") is not None
        census.leave(first)
        assert census.admit("192.0.2.1") is not None
        assert census.count == 2

    def test_proxies_and_unix_sockets_count_in_all_only(self):
        """Behind a proxy are many clients."""
        census = Census(3, 1, frozenset({"192.0.2.9"}))
        assert census.admit("192.0.2.9") == census.admit("192.0.2.9") == census.admit("") == ""
        assert census.admit("192.0.2.9") is None
        census.leave("")
        assert census.admit("") == ""
