# SPDX-License-Identifier: Apache-2.0
"""Tokens that an OpenID provider gives to jobs of a continuous integration, as proof of a name.

Room: identify. Must not know how keys are fetched. What such a token lets its bearer do is not in
it: the rules say so, for the name and groups that its claims make::

    issuer, audience, claims as required  -->  name "ci:{repository}", groups [ci]  -->  rules

Keys are fetched when they are first needed, again each hour, and when a token names one that is not
known, but not more often than each minute. What was fetched last stays in use if a fetch fails.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import frozen
from twisted.logger import Logger

from txregistry.auth.decisions import Identity
from txregistry.auth.patterns import matches
from txregistry.auth.rules import Rules
from txregistry.identify.basic import is_name
from txregistry.identify.claims import LEEWAY, check_begun, judge
from txregistry.identify.jwts import Jwt, TokenError, verify
from txregistry.identify.keys import ALGORITHMS, HMAC, Keys, parse_published_jwks
from txregistry.identify.tokens import LAPSED_FOR
from txregistry.identify.watching import FileError
from txregistry.oci.errors import Code, OciError
from txregistry.oci.strict_json import JsonInvalid, read_strict
from txregistry.storage.blocking import Bell, shielded

#: Seconds after which keys are fetched anew, and between two fetches at least.
KEYS_FOR, PAUSE = 3600.0, 60.0

#: Secrets are nobody's to publish.
_ALLOWED = frozenset(ALGORITHMS) - HMAC

_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_.:/-]+)\}")

log = Logger()


class FetchError(Exception):
    """Something could not be fetched; the text says what and why."""


#: URL -> content; raises FetchError.
Fetch = Callable[[str], Awaitable[bytes]]


@frozen(kw_only=True)
class Provider:
    """One provider, and who its tokens prove.

    Attributes:
        issuer: its URL; tokens name it so.
        audience: that tokens must be for.
        jwks: URL of its keys; empty: its discovery document says, on its own origin.
        name: of who shows a token; ``{claim}`` stands for a claim's text.
        claims: claim -> pattern that its text must match.
        groups: that who shows a token is in.
    """

    issuer: str
    audience: str
    jwks: str = ""
    name: str = "oidc:{sub}"
    claims: Mapping[str, str]
    groups: tuple[str, ...] = ()


class OidcCheck:
    """Verifies the tokens of one provider.

    Args:
        fetch: fetches keys.
        seconds: the clock, since the epoch.
    """

    def __init__(
        self, provider: Provider, rules: Rules, fetch: Fetch, seconds: Callable[[], float]
    ) -> None:
        self._provider = provider
        self._rules = rules
        self._seconds = seconds
        self._source = KeySource(provider, fetch, seconds)

    @property
    def issuer(self) -> str:
        """Whose tokens these are."""
        return self._provider.issuer

    async def identify(self, text: str, token: Jwt) -> Identity:
        """Return who shows a token.

        Raises:
            TokenError: it is no good.
            OciError: UNAVAILABLE: the keys can't be had.
        """
        provider = self._provider
        claims = judge(token.claims, provider.issuer, provider.audience)
        for name, pattern in provider.claims.items():
            value = token.claims.get(name)
            if not isinstance(value, str) or not matches(pattern, value):
                raise TokenError(f"its claim {name} is not as required")
        wanted = token.header.get("kid")
        if not isinstance(wanted, str):
            raise TokenError("it names no key")
        keys = await self._source.keys(wanted)
        now = self._seconds()
        verify(token, keys, _ALLOWED, now)
        check_begun(claims, now)
        end = claims.expires + LEEWAY
        if now >= end + LAPSED_FOR:
            raise TokenError("expired long ago")
        name = self._name(token.claims)
        rights = self._rules.rights_of(name, provider.groups)
        lapsed = None if now < end else float(end)
        return Identity(name, rights, lapsed=lapsed, groups=provider.groups)

    def _name(self, claims: Mapping[str, Any]) -> str:
        def value(found: re.Match[str]) -> str:
            text = claims.get(found[1])
            if not isinstance(text, str) or not text:
                raise TokenError(f"it has no claim {found[1]}")
            return text

        name = _PLACEHOLDER.sub(value, self._provider.name)
        if not name or not is_name(name):
            raise TokenError("its claims make no name")
        return name


class KeySource:
    """The keys of a provider, as they were when they were last fetched."""

    def __init__(self, provider: Provider, fetch: Fetch, seconds: Callable[[], float]) -> None:
        self._provider = provider
        self._fetch = fetch
        self._seconds = seconds
        self._keys: Keys | None = None
        self._fetched = self._tried = float("-inf")
        self._fetching = False
        self._bell = Bell()

    async def keys(self, wanted: str) -> Keys:
        """Return the keys, fetched anew if they are old or do not have ``wanted``.

        Raises:
            OciError: UNAVAILABLE: there are none.
        """
        now = self._seconds()
        is_known = self._keys is not None and wanted in self._keys.by_id
        is_due = not is_known or now - self._fetched >= KEYS_FOR
        if self._fetching and not is_known:
            await self._bell.rung()
        elif is_due and not self._fetching and now - self._tried >= PAUSE:
            await shielded(self._refresh())
        if self._keys is None:
            raise OciError(
                Code.UNAVAILABLE, "the keys of the token's issuer can't be had", retry_after=10
            )
        return self._keys

    async def _refresh(self) -> None:
        self._fetching, self._tried = True, self._seconds()
        try:
            url = self._provider.jwks or await self._discover()
            self._keys = parse_published_jwks(await self._fetch(url), url)
            self._fetched = self._tried
        except (FetchError, FileError) as error:
            log.error("keys of {issuer}: {error}", issuer=self._provider.issuer, error=str(error))
        finally:
            self._fetching = False
            self._bell.ring()

    async def _discover(self) -> str:
        """Return where the keys are. Source: OpenID Connect Discovery 1.0 section 4."""
        issuer = self._provider.issuer.rstrip("/")
        place = f"{issuer}/.well-known/openid-configuration"
        try:
            document = read_strict(await self._fetch(place))
        except JsonInvalid as error:
            raise FetchError(f"{place} is not JSON") from error
        found = document.get("jwks_uri") if isinstance(document, dict) else None
        if not isinstance(found, str) or origin_of(found) != origin_of(issuer):
            raise FetchError(
                f"{place} names no keys on its own origin; set auth.oidc.jwks to where they are"
            )
        return found


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL."""
    return "/".join(url.split("/", 3)[:3]).lower()
