# SPDX-License-Identifier: Apache-2.0
"""The keys of ``auth``: how clients prove who they are, and what each may do then.

Room: config. What contradicts what is judged by ``auth``; ``docs/operate/auth.md`` has recipes.

At most one scheme is named (``none``, ``silly``, ``htpasswd``, ``token``: registry:3's words);
the rest is ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import field, frozen

from txregistry.config.document import Branch, Items, Node, Scalar
from txregistry.config.kinds import FLAG, TEXT, Kind, Misfit, choice, duration, whole
from txregistry.config.rows import key, section, sections

#: What a rule may grant.
ACTIONS = ("pull", "push", "create", "delete", "catalog", "admin")

#: What tokens may be signed with.
SIGNING_ALGORITHMS = (
    *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)

# What can stand between quotes in a header without escapes: RFC 9110 section 5.6.4, qdtext,
# narrowed to ASCII.
_QUOTABLE = re.compile(r"[ !#-\[\]-~]+")
_HTTPS = re.compile(r"https://[A-Za-z0-9._~:\[\]-]+(?:/[!-~]*)?")
# Parts of a repository's name, in which * is any text without a slash, ** any text, and {user} the
# name of who asks.
_PATTERN = re.compile(r"(?:[a-z0-9._/*-]|\{user\})+")


def _text(node: Node) -> str:
    if not isinstance(node, Scalar) or node.value is None or not node.text:
        raise Misfit
    return node.text


def _list_of(pattern: re.Pattern[str] | tuple[str, ...], expects: str) -> Kind[tuple[str, ...]]:
    """A list of texts, each of which is one of some words or matches an expression."""

    def read(node: Node) -> tuple[str, ...]:
        if not isinstance(node, Items) or not node.nodes:
            raise Misfit
        texts = tuple(_text(item) for item in node.nodes)
        for text in texts:
            fits = text in pattern if isinstance(pattern, tuple) else pattern.fullmatch(text)
            if not fits:
                raise Misfit
        return texts

    return Kind(expects, read, is_list=True)


def _read_quotable(node: Node) -> str:
    text = _text(node)
    if not _QUOTABLE.fullmatch(text):
        raise Misfit
    return text


def _read_members(node: Node) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(node, Branch):
        raise Misfit
    return {name: NAMES.read(members) for name, members in node.entries.items()}


def _read_https(node: Node) -> str:
    text = _text(node)
    if not _HTTPS.fullmatch(text):
        raise Misfit
    return text


def _read_claims(node: Node) -> Mapping[str, str]:
    if not isinstance(node, Branch) or not node.entries:
        raise Misfit
    return {name: _text(pattern) for name, pattern in node.entries.items()}


QUOTABLE: Kind[str] = Kind("ASCII text without quotes or backslashes", _read_quotable)
NAMES: Kind[tuple[str, ...]] = _list_of(re.compile(r"[^\x00-\x1f\x7f]+"), "a list of names")
PATTERNS: Kind[tuple[str, ...]] = _list_of(
    _PATTERN, 'a list of repository patterns such as "team/*" or "public/**"'
)
TAG_PATTERNS: Kind[tuple[str, ...]] = _list_of(
    re.compile(r"[A-Za-z0-9._*-]+"), 'a list of tag patterns such as "v*"'
)
GRANTS: Kind[tuple[str, ...]] = _list_of(ACTIONS, "a list of " + ", ".join(ACTIONS))
SIGNATURES: Kind[tuple[str, ...]] = _list_of(
    SIGNING_ALGORITHMS, "a list of " + ", ".join(SIGNING_ALGORITHMS)
)
HTTPS: Kind[str] = Kind("an https URL", _read_https)
CLAIMS: Kind[Mapping[str, str]] = Kind(
    "a mapping of claims to patterns", _read_claims, is_free=True
)
MEMBERS: Kind[Mapping[str, tuple[str, ...]]] = Kind(
    "a mapping of group names to lists of names", _read_members, is_free=True
)


@frozen
class NoScheme:
    """``auth.none``: said out loud that everybody may do everything."""


@frozen
class Silly:
    """``auth.silly``: whoever sends any credentials is let in; for tests."""

    realm: str = key(QUOTABLE, "")
    service: str = key(QUOTABLE, "")


@frozen
class Htpasswd:
    """``auth.htpasswd``: names and bcrypt hashes in a file."""

    realm: str = key(QUOTABLE, "")
    path: str = key(TEXT, "")


@frozen
class Token:
    """``auth.token``: bearer tokens of another token server.

    Attributes:
        root_cert_bundle, jwks: files of what signs them; at least one.
        signing_algorithms: that may be used; none means all that are known.
    """

    realm: str = key(QUOTABLE, "")
    service: str = key(QUOTABLE, "")
    issuer: str = key(QUOTABLE, "")
    root_cert_bundle: str = key(TEXT, "")
    jwks: str = key(TEXT, "")
    auto_redirect: bool = key(FLAG, False)
    auto_redirect_path: str = key(QUOTABLE, "/auth/token")
    signing_algorithms: tuple[str, ...] = key(SIGNATURES, ())


@frozen
class TokenServer:
    """``auth.tokenserver``: the one that is built in. Ours.

    Attributes:
        realm: the URL at which clients reach it; empty: below ``http.host``.
        lifetime, refresh_lifetime: seconds.
    """

    enabled: bool = key(FLAG, False)
    realm: str = key(QUOTABLE, "")
    service: str = key(QUOTABLE, "registry")
    issuer: str = key(QUOTABLE, "txregistry")
    lifetime: float = key(duration(60.0), 300.0)
    refresh_lifetime: float = key(duration(60.0), 30 * 24 * 3600.0)


@frozen
class Oidc:
    """One item of ``auth.oidc``: tokens that a provider gives to jobs of a continuous integration.
    Ours.

    Attributes:
        issuer: the provider's URL, as its tokens have it.
        jwks: URL of its keys; empty: its discovery document says.
        name: of who shows a token; ``{claim}`` stands for a claim.
        claims: claim -> pattern that it must match.
        groups: that who shows a token is in.
    """

    issuer: str = key(HTTPS, "")
    audience: str = key(QUOTABLE, "")
    jwks: str = key(HTTPS, "")
    name: str = key(QUOTABLE, "oidc:{sub}")
    claims: Mapping[str, str] = key(CLAIMS, {})
    groups: tuple[str, ...] = key(NAMES, ())


@frozen
class Certificates:
    """``auth.certificates``: verified certificates of clients. Ours.

    Attributes:
        name: which of what a certificate says is the name of who holds it.
    """

    name: str = key(choice("none", "commonname", "subject", "dns", "email", "uri"), "none")


@frozen
class Failures:
    """``auth.failures``: wrong passwords that are taken in a minute before 429; 0 for no limit."""

    per_address: int = key(whole(0), 30)
    per_user: int = key(whole(0), 60)


@frozen
class AccessRule:
    """One item of ``auth.access``.

    Attributes:
        users, groups: whom it is for, by name.
        authenticated: it is for everybody who is logged in.
        anonymous: it is for everybody, logged in or not.
        repositories: patterns; without any it is for all of them.
    """

    users: tuple[str, ...] = key(NAMES, ())
    groups: tuple[str, ...] = key(NAMES, ())
    authenticated: bool = key(FLAG, False)
    anonymous: bool = key(FLAG, False)
    repositories: tuple[str, ...] = key(PATTERNS, ())
    actions: tuple[str, ...] = key(GRANTS, ())


@frozen
class Auth:
    """``auth``

    Attributes:
        scheme: which of the schemes is named, empty if none is.
    """

    none: NoScheme = section(NoScheme)
    silly: Silly = section(Silly)
    htpasswd: Htpasswd = section(Htpasswd)
    token: Token = section(Token)
    token_server: TokenServer = section(TokenServer)
    oidc: tuple[Oidc, ...] = sections(Oidc)
    certificates: Certificates = section(Certificates)
    failures: Failures = section(Failures)
    groups: Mapping[str, tuple[str, ...]] = key(MEMBERS, {})
    access: tuple[AccessRule, ...] = sections(AccessRule)
    allow_anonymous_writes: bool = key(FLAG, False)
    scheme: str = field(default="")

    @property
    def is_open(self) -> bool:
        """Everybody may do everything: that was said, or nothing was said of who may do what."""
        if self.scheme:
            return self.scheme == "none"
        return not (self.certificates.name != "none" or self.oidc or self.access)


#: The schemes by their keys.
SCHEMES = ("none", "silly", "htpasswd", "token")
