# SPDX-License-Identifier: Apache-2.0
"""All ways to prove who one is that were configured, in one.

Room: identify. What a request shows is tried in this order, and the first that is there counts::

    Authorization: Basic     a name and a password
    Authorization: Bearer    a token
    a client certificate     verified by the connection
    nothing                  nobody

A Basic header without name and password is nothing: that is what some clients send who were given
none.
"""

from __future__ import annotations

from typing import Protocol

from txregistry.auth.asking import Asker
from txregistry.auth.decisions import Identity, Unauthorized
from txregistry.auth.rules import Rules
from txregistry.identify.basic import Login, parse_basic, split
from txregistry.identify.challenges import BearerChallenge


class Challenge(Protocol):
    """How to log in (``challenges``)."""

    def spell(self, error: Unauthorized) -> str:
        """Return the header's value."""


class PasswordCheck(Protocol):
    """What judges passwords (``passwords.Passwords``)."""

    async def is_good(self, login: Login, address: str) -> bool:
        """Say whether name and password belong together."""


class Schemes:
    """Makes identities of what is shown.

    Args:
        rules: what each identity may do, unless its token says so.
    """

    def __init__(
        self,
        challenge: Challenge,
        rules: Rules,
        *,
        passwords: PasswordCheck | None = None,
    ) -> None:
        self._challenge = challenge
        self._rules = rules
        self._passwords = passwords

    def challenge(self, error: Unauthorized) -> str:
        """Return the value of ``WWW-Authenticate``."""
        return self._challenge.spell(error)

    async def identify(self, asker: Asker) -> Identity:
        """Return who asks.

        Raises:
            Unauthorized: what was shown is not good.
            OciError: TOOMANYREQUESTS; UNAVAILABLE.
        """
        if not asker.authorization:
            return self._unshown()
        scheme, rest = split(asker.authorization)
        if scheme == "basic":
            return await self._by_password(rest, asker)
        raise Unauthorized()

    def _unshown(self) -> Identity:
        return Identity("", self._rules.rights_of(""))

    async def _by_password(self, text: str, asker: Asker) -> Identity:
        login = parse_basic(text)
        if login is None or self._passwords is None:
            raise Unauthorized()
        if login == Login("", ""):
            return self._unshown()
        if not await self._passwords.is_good(login, asker.address):
            raise Unauthorized()
        return Identity(login.name, self._rules.rights_of(login.name))


class Silly:
    """Lets in whoever sends any credentials, and looks at none of them: for tests. As registry:3.

    Args:
        rules: what somebody called ``silly`` may do.
    """

    def __init__(self, realm: str, service: str, rules: Rules) -> None:
        self._challenge = BearerChallenge(realm, service)
        self._rules = rules

    def challenge(self, error: Unauthorized) -> str:
        """Return the value of ``WWW-Authenticate``."""
        return self._challenge.spell(error)

    async def identify(self, asker: Asker) -> Identity:
        """Return ``silly``, or nobody."""
        name = "silly" if asker.authorization else ""
        return Identity(name, self._rules.rights_of(name))
