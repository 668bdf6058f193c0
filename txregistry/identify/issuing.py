# SPDX-License-Identifier: Apache-2.0
"""The built-in token server: tokens for who has proven a name otherwise, by the rules.

Room: identify. Must not know HTTP. Nothing is stored: tokens are signed with a key that is derived
from the registry's secret, which all hosts of one storage have. A refresh token is given for a
password alone, names that, and ends with it; neither a certificate nor another refresh token, which
end by themselves, is exchanged for one::

    access   {"iss","aud": service,              "sub","exp","nbf","iat","jti","access","groups"}
    refresh  {"iss","aud": service + " refresh", "sub","exp",      "iat","jti","mark"}

``groups`` is there if the name was proven by somebody who says which groups it is in.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Container
from typing import Protocol

import jwt
from attrs import frozen

from txregistry.auth.asking import Asker
from txregistry.auth.decisions import Identity, Resource, Right, Unauthorized
from txregistry.auth.issuing import Issued, TokenRequest
from txregistry.identify.claims import LEEWAY, check_begun, judge
from txregistry.identify.jwts import TokenError, take_apart, verify
from txregistry.identify.keys import HMAC, Keys, keys_of, secret_key
from txregistry.identify.scopes import SCOPES_LIMIT, Scope, parse_scopes
from txregistry.oci.errors import Code, OciError

_ALGORITHM = "HS256"
_KEY_ID = "built-in"

#: Seconds after which a client may try again while the key is not known yet. Arbitrary.
RETRY_AFTER = 5


class Prove(Protocol):
    """What makes identities of passwords and certificates (``schemes.Schemes``)."""

    async def identify(self, asker: Asker) -> Identity:
        """Return who asks."""

    def identity_of(self, name: str) -> Identity:
        """Return somebody whose name was proven before."""


@frozen(kw_only=True)
class IssuerSettings:
    """What may be chosen.

    Attributes:
        realm: what a client is asked a password for.
        lifetime, refresh_lifetime: seconds.
    """

    realm: str
    issuer: str
    service: str
    lifetime: int
    refresh_lifetime: int


class TokenIssuer:
    """Issues tokens.

    Args:
        marks: name -> what stands for its present password, None if it has none.
        seconds: the clock, since the epoch.
    """

    def __init__(
        self,
        settings: IssuerSettings,
        prove: Prove,
        marks: Callable[[str], str | None],
        seconds: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._prove = prove
        self._marks = marks
        self._seconds = seconds
        self._key = b""
        self._keys = Keys()

    @property
    def realm(self) -> str:
        """What a client is asked a password for."""
        return self._settings.realm

    def use_secret(self, secret: bytes) -> None:
        """Sign with a key that is derived from ``secret`` from now on."""
        self._key = hmac.digest(secret, b"txregistry: key of tokens", "sha256")
        self._keys = keys_of([secret_key(self._key, _KEY_ID)])

    def keys(self) -> Keys:
        """Return what verifies these tokens; nothing does before the secret is known.

        Raises:
            OciError: UNAVAILABLE: the secret is not known yet.
        """
        if not self._key:
            raise OciError(
                Code.UNAVAILABLE, "the storage can't be asked yet", retry_after=RETRY_AFTER
            )
        return self._keys

    async def issue(self, request: TokenRequest) -> Issued:
        """Return a token with those of the rights asked for that may be had.

        Raises:
            Unauthorized: the credentials are not good.
            OciError: UNSUPPORTED, malformed; TOOMANYREQUESTS; UNAVAILABLE.
        """
        settings = self._settings
        self.keys()
        if request.service not in ("", settings.service):
            raise _malformed("tokens are issued for another service")
        if len(request.scopes) > SCOPES_LIMIT:
            raise _malformed("too many scopes")
        if request.refresh_token:
            identity = self._redeem(request.refresh_token)
        else:
            identity = await self._prove.identify(request.asker)
        if identity.lapsed is not None:
            # It may finish an upload, and must not be exchanged for a token that has not lapsed.
            raise Unauthorized(error="invalid_token")
        now = int(self._seconds())
        granted = _granted(request.scopes, identity.rights)
        claims = {
            **self._claims(identity.name, settings.service, now, settings.lifetime),
            "nbf": now,
            "access": [
                {"type": each.kind, "name": each.name, "actions": list(each.actions)}
                for each in granted
            ],
        }
        if identity.groups:
            claims["groups"] = list(identity.groups)
        is_lasting = request.is_offline and identity.by_password
        mark = self._marks(identity.name) if is_lasting else None
        return Issued(
            token=self._sign(claims),
            expires_in=settings.lifetime,
            issued_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
            scope=" ".join(f"{each.kind}:{each.name}:{','.join(each.actions)}" for each in granted),
            refresh_token="" if mark is None else self._refresh_token(identity.name, mark, now),
        )

    def _refresh_token(self, name: str, mark: str, now: int) -> str:
        lifetime = self._settings.refresh_lifetime
        return self._sign({**self._claims(name, self._refresh, now, lifetime), "mark": mark})

    def _redeem(self, text: str) -> Identity:
        """Return whose a refresh token is, if their password is still the same."""
        now = self._seconds()
        try:
            token = take_apart(text)
            claims = judge(token.claims, self._settings.issuer, self._refresh)
            verify(token, self.keys(), HMAC, now)
            check_begun(claims, now)
        except TokenError as error:
            raise Unauthorized(error="invalid_grant") from error
        mark, given = self._marks(claims.subject), token.claims.get("mark")
        is_same = mark is not None and isinstance(given, str) and hmac.compare_digest(mark, given)
        if not is_same or now >= claims.expires + LEEWAY:
            raise Unauthorized(error="invalid_grant")
        return self._prove.identity_of(claims.subject)

    @property
    def _refresh(self) -> str:
        return self._settings.service + " refresh"

    def _claims(self, name: str, audience: str, now: int, lifetime: int) -> dict[str, object]:
        return {
            "iss": self._settings.issuer,
            "aud": audience,
            "sub": name,
            "iat": now,
            "exp": now + lifetime,
            "jti": secrets.token_hex(16),
        }

    def _sign(self, claims: dict[str, object]) -> str:
        return jwt.encode(claims, self._key, _ALGORITHM, headers={"kid": _KEY_ID})


def _granted(scopes: tuple[str, ...], rights: Container[Right]) -> list[Scope]:
    """Return those of the actions asked for that ``rights`` has."""
    granted = []
    for scope in parse_scopes(scopes):
        resource = Resource(scope.kind, scope.name)
        actions = [word for word in scope.wanted if Right(resource, word) in rights]
        if "push" in scope.wanted and "push" not in actions:
            # Clients know no word for it; the token says what it is.
            actions += ["create"] if Right(resource, "create") in rights else []
        if actions:
            granted.append(Scope(scope.kind, scope.name, tuple(actions)))
    return granted


def _malformed(message: str) -> OciError:
    return OciError(Code.UNSUPPORTED, message=message, malformed=True)
