# SPDX-License-Identifier: Apache-2.0
"""``WWW-Authenticate``: how a client is told to log in.

Room: identify. Realm and service come from the configuration alone, never from a request; what else
is in a challenge is a repository's name, which has no quotes.

    Basic realm="R"
    Bearer realm="R",service="S",scope="repository:lib/app:pull,push",error="insufficient_scope"
"""

from __future__ import annotations

from attrs import frozen

from txregistry.auth.decisions import Right, Unauthorized

#: What a client asks for that misses a right: pushing needs pulling, too, as with registry:3.
_ASKED = {"push": "pull,push"}


def scope_of(right: Right) -> str:
    """Return a right as the scope that a client should ask a token for.

    Source: Docker's token scope grammar.
    """
    actions = _ASKED.get(right.action, right.action)
    return f"{right.resource.kind}:{right.resource.name}:{actions}"


@frozen
class BasicChallenge:
    """Asks for a name and a password. Source: RFC 7617 section 2."""

    realm: str

    def spell(self, error: Unauthorized) -> str:
        """Return the header's value."""
        return f'Basic realm="{self.realm}"'


@frozen
class BearerChallenge:
    """Asks for a token of a service. Source: RFC 6750 section 3; Docker's token specification."""

    realm: str
    service: str

    def spell(self, error: Unauthorized) -> str:
        """Return the header's value."""
        parts = [f'Bearer realm="{self.realm}"', f'service="{self.service}"']
        if error.missing is not None:
            parts.append(f'scope="{scope_of(error.missing)}"')
        if error.error:
            parts.append(f'error="{error.error}"')
        return ",".join(parts)
