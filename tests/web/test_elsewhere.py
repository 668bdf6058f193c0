# SPDX-License-Identifier: Apache-2.0
"""Which clients are served from here."""

import pytest

from txregistry.web.elsewhere import Exempt, networks

OFFICE = Exempt(networks=networks(["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"]))


class ExemptTests:
    @pytest.mark.parametrize(
        "client, is_exempt",
        [
            ("192.0.2.200", True),
            ("::ffff:192.0.2.200", True),
            ("192.0.3.1", False),
            ("2001:db8::1", True),
            ("2001:db9::1", False),
            ("198.51.100.7", True),
            ("198.51.100.8", False),
            ("", False),
            ("not an address", False),
        ],
    )
    def test_networks(self, client, is_exempt):
        """Addresses of both families, and those of a socket that takes both."""
        assert OFFICE.has(client, "docker/27") is is_exempt

    @pytest.mark.parametrize("agent", ["Docker-Client/1.9 (linux)", "xx docker-client/1.9"])
    def test_user_agents_are_found_in_any_case(self, agent):
        assert Exempt(user_agents=("DOCKER-CLIENT/1.9",)).has("", agent)

    def test_nobody_is_exempt_by_default(self):
        assert not Exempt().has("192.0.2.1", "docker/27")

    def test_what_is_no_network_is_refused(self):
        with pytest.raises(ValueError, match="host bits"):
            networks(["192.0.2.1/24"])
