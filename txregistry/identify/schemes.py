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

from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.logger import Logger

from txregistry.auth.asking import Asker, Certificate
from txregistry.auth.decisions import Identity, Unauthorized
from txregistry.auth.rules import Rules
from txregistry.identify.basic import Login, parse_basic, split
from txregistry.identify.challenges import BearerChallenge
from txregistry.identify.jwts import Jwt, TokenError, looks_like_jwt, take_apart

log = Logger()


class Challenge(Protocol):
    """How to log in (``challenges``)."""

    def spell(self, error: Unauthorized) -> str:
        """Return the header's value."""


class PasswordCheck(Protocol):
    """What judges passwords (``passwords.Passwords``)."""

    async def is_good(self, login: Login, address: str) -> bool:
        """Say whether name and password belong together."""


class BearerCheck(Protocol):
    """What verifies the tokens of one issuer (``tokens.TokenCheck``, ``oidc.OidcCheck``)."""

    @property
    def issuer(self) -> str:
        """Whose."""

    async def identify(self, text: str, token: Jwt) -> Identity:
        """Return who shows a token; raises TokenError."""


#: A certificate's name for who holds it, None if it has none.
NameOf = Callable[[Certificate], str | None]


class Schemes:
    """Makes identities of what is shown.

    Args:
        rules: what each identity may do, unless its token says so.
        bearers: by issuer.
        name_of: the name in a certificate; None: certificates prove nothing.
    """

    def __init__(
        self,
        challenge: Challenge,
        rules: Rules,
        *,
        passwords: PasswordCheck | None = None,
        bearers: Sequence[BearerCheck] = (),
        name_of: NameOf | None = None,
    ) -> None:
        self._challenge = challenge
        self._rules = rules
        self._passwords = passwords
        self._bearers = {bearer.issuer: bearer for bearer in bearers}
        self._name_of = name_of

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
            return self._by_certificate(asker)
        scheme, rest = split(asker.authorization)
        if scheme == "basic":
            return await self._by_password(rest, asker)
        if scheme == "bearer":
            return await self._by_token(rest)
        raise Unauthorized()

    def identity_of(self, name: str) -> Identity:
        """Return somebody whose name was proven; the empty one is nobody's."""
        return Identity(name, self._rules.rights_of(name))

    def _by_certificate(self, asker: Asker) -> Identity:
        if asker.certificate is None or self._name_of is None:
            return self.identity_of("")
        return self.identity_of(self._name_of(asker.certificate) or "")

    async def _by_password(self, text: str, asker: Asker) -> Identity:
        login = parse_basic(text)
        if login is None:
            raise Unauthorized()
        if login == Login("", ""):
            return self._by_certificate(asker)
        if self._bearers and looks_like_jwt(login.password):
            # Clients that know names and passwords only bring a token as the password.
            return await self._by_token(login.password)
        if self._passwords is None or not await self._passwords.is_good(login, asker.address):
            raise Unauthorized()
        return Identity(login.name, self._rules.rights_of(login.name), by_password=True)

    async def _by_token(self, text: str) -> Identity:
        try:
            token = take_apart(text)
            issuer = token.claims.get("iss")
            bearer = self._bearers.get(issuer) if isinstance(issuer, str) else None
            if bearer is None:
                raise TokenError("of an issuer that is not known")
            return await bearer.identify(text, token)
        except TokenError as error:
            log.debug("a token is refused: {reason}", reason=str(error))
            raise Unauthorized(error="invalid_token") from error


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
