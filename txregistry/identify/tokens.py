# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens of one issuer: who shows one, and what it lets them do.

Room: identify. Must not know how tokens are made. What was verified is remembered under a hash of
the token until it has expired, and forgotten when the keys change; the clock is asked each time.

A token that has expired is not worthless for a week: an upload that was begun while it was valid
may be finished (``Identity.lapsed``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable

from attrs import frozen

from txregistry.auth.decisions import Identity, Right
from txregistry.auth.rules import Rules
from txregistry.identify.claims import LEEWAY, Claims, check_begun, groups_of, judge, rights_of
from txregistry.identify.jwts import GiveKeys, Jwt, TokenError, verify
from txregistry.identify.keys import ALGORITHMS
from txregistry.identify.remembered import Remembered

#: Seconds after its end for which a token can serve to finish uploads: as long as these are kept.
LAPSED_FOR = 168 * 3600

#: How many tokens are remembered. Arbitrary.
REMEMBERED = 10_000


class _All(Container[Right]):
    """Every right."""

    def __contains__(self, right: object) -> bool:
        return True


EVERYTHING = _All()


@frozen
class _Verified:
    claims: Claims
    rights: frozenset[Right]
    groups: tuple[str, ...]


class TokenCheck:
    """Verifies the tokens of one issuer.

    Args:
        keys: gives those that are trusted at present.
        rules: by which the catalog is filtered for who holds a token, in the groups that it names;
            None: not at all, since its issuer let them see the catalog.
        seconds: the clock, since the epoch.
    """

    def __init__(
        self,
        issuer: str,
        service: str,
        keys: GiveKeys,
        seconds: Callable[[], float],
        *,
        algorithms: Iterable[str] = ALGORITHMS,
        rules: Rules | None = None,
    ) -> None:
        self.issuer = issuer
        self._service = service
        self._keys = keys
        self._seconds = seconds
        self._algorithms = frozenset(algorithms)
        self._rules = rules
        self._remembered: Remembered[bytes, _Verified] = Remembered(REMEMBERED, seconds)

    def forget(self) -> None:
        """Verify every token anew: the keys have changed."""
        self._remembered.clear()

    async def identify(self, text: str, token: Jwt) -> Identity:
        """Return who shows a token.

        Args:
            text: the token as it came.
            token: the same, taken apart.

        Raises:
            TokenError: it is no good.
        """
        now = self._seconds()
        verified = self._verify(text, token, now)
        check_begun(verified.claims, now)
        end = verified.claims.expires + LEEWAY
        if now >= end + LAPSED_FOR:
            raise TokenError("expired long ago")
        name = verified.claims.subject
        return Identity(
            name,
            verified.rights,
            by_token=True,
            lapsed=None if now < end else float(end),
            groups=verified.groups,
            visible=self._visible(name, verified.groups),
        )

    def _visible(self, name: str, groups: tuple[str, ...]) -> Container[Right]:
        return EVERYTHING if self._rules is None else self._rules.rights_of(name, groups)

    def _verify(self, text: str, token: Jwt, now: float) -> _Verified:
        mark = hashlib.sha256(text.encode()).digest()
        verified = self._remembered.get(mark)
        if verified is None:
            claims = judge(token.claims, self.issuer, self._service)
            verify(token, self._keys(), self._algorithms, now)
            # Only those of our own tokens count: what they mean is for our rules to say.
            groups = () if self._rules is None else groups_of(token.claims)
            verified = _Verified(claims, rights_of(token.claims), groups)
            left = claims.expires + LEEWAY - now
            if left > 0:
                self._remembered.put(mark, verified, left)
        return verified
