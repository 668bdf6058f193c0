# SPDX-License-Identifier: Apache-2.0
"""What the keys of ``auth`` must be together, beyond what each is by itself.

Room: config.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from txregistry.config.auth_settings import ACTIONS, SCHEMES, Auth
from txregistry.config.document import Branch, Items, Node, lookup
from txregistry.config.errors import Origin, refusal
from txregistry.config.settings import Http
from txregistry.config.tls_settings import VERIFYING

#: Least bytes of a secret that tokens are signed with. Source: RFC 7518 section 3.2.
LEAST_SECRET = 32

#: What each scheme can't do without.
_NEEDED = {
    "silly": ("realm", "service"),
    "htpasswd": ("realm", "path"),
    "token": ("realm", "service", "issuer"),
}


def judge_auth(auth: Auth, http: Http, tree: Node, origin: Origin) -> Auth:
    """Return the section with its scheme.

    Args:
        tree: the whole file.
        origin: of the file.

    Raises:
        ConfigError: several schemes are named, one lacks something, or they contradict each other.
    """
    node = lookup(tree, "auth")
    entries = node.entries if isinstance(node, Branch) else {}
    named = [name for name in entries if name in SCHEMES]
    where = node.origin if node else origin
    if len(named) > 1:
        raise refusal(where, f"auth names {len(named)} schemes, {' and '.join(named)}", "keep one")
    scheme = named[0] if named else ""
    if scheme:
        _judge_scheme(auth, scheme, http, entries[scheme].origin)
    elif entries and auth.certificates.name == "none" and not auth.oidc:
        raise refusal(
            where,
            "auth names no scheme, so nobody could log in",
            f"add one of {', '.join(SCHEMES)}",
        )
    for name, is_asked in (
        ("certificates", auth.certificates.name != "none"),
        ("oidc", bool(auth.oidc)),
        ("access", bool(auth.access) and scheme == "none"),
    ):
        if scheme in ("none", "silly") and is_asked:
            raise refusal(
                where, f"auth.{name} has no effect with auth.{scheme}", f"remove auth.{scheme}"
            )
    _judge_oidc(auth, entries)
    _judge_certificates(auth, http, where)
    if auth.token_server.enabled:
        _judge_server(auth, scheme, http, entries["tokenserver"].origin)
    _judge_access(auth, entries)
    return attrs.evolve(auth, scheme=scheme)


def _judge_scheme(auth: Auth, scheme: str, http: Http, origin: Origin) -> None:
    section = getattr(auth, scheme)
    for name in _NEEDED.get(scheme, ()):
        is_made = scheme == "token" and name == "realm" and auth.token.auto_redirect
        if not getattr(section, name) and not is_made:
            raise refusal(origin, f"auth.{scheme}.{name} is missing", "add it")
    if scheme == "token":
        _judge_token(auth, http, origin)


def _judge_token(auth: Auth, http: Http, origin: Origin) -> None:
    if not (auth.token.root_cert_bundle or auth.token.jwks):
        raise refusal(
            origin,
            "auth.token names no keys",
            "add auth.token.rootcertbundle or auth.token.jwks",
        )
    if auth.token.auto_redirect and not http.host:
        raise refusal(
            origin,
            "auth.token.autoredirect needs http.host, since the Host of a request is not trusted",
            "set http.host to the URL that clients use, or auth.token.realm",
        )


def _judge_oidc(auth: Auth, entries: Mapping[str, Node]) -> None:
    listed = entries.get("oidc")
    nodes = listed.nodes if isinstance(listed, Items) else ()
    issuers = {auth.token.issuer, auth.token_server.issuer}
    for index, (provider, node) in enumerate(zip(auth.oidc, nodes, strict=False)):
        for name in ("issuer", "audience", "claims"):
            if not getattr(provider, name):
                raise refusal(node.origin, f"auth.oidc.{index}.{name} is missing", "add it")
        if provider.issuer in issuers:
            raise refusal(
                node.origin, f"auth.oidc.{index}.issuer is there twice", "keep one of both"
            )
        issuers.add(provider.issuer)
    _judge_names(auth, nodes)
    if auth.oidc and not auth.access:
        raise refusal(
            listed.origin if listed else Origin("auth.oidc"),
            "auth.oidc without auth.access would let every job do everything",
            "add rules",
        )


def _judge_names(auth: Auth, nodes: Sequence[Node]) -> None:
    """Refuse names that could be those of people, or of jobs of another provider."""
    beginnings: list[str] = []
    for index, (provider, node) in enumerate(zip(auth.oidc, nodes, strict=False)):
        beginning = provider.name.partition("{")[0]
        if ":" not in beginning:
            raise refusal(
                node.origin,
                f"auth.oidc.{index}.name has no colon before what a token says, so a job could have"
                " the name of somebody with a password",
                f"begin it with text and a colon, for example ci:{provider.name}",
            )
        if any(beginning.startswith(each) or each.startswith(beginning) for each in beginnings):
            raise refusal(
                node.origin,
                f"auth.oidc.{index}.name begins like that of another provider, so a job of one could"
                " have the name of the other's",
                "give each a name that begins with other text and a colon",
            )
        beginnings.append(beginning)


def _judge_certificates(auth: Auth, http: Http, origin: Origin) -> None:
    if auth.certificates.name == "none":
        return
    if not http.tls.client_cas:
        raise refusal(
            origin,
            "auth.certificates needs http.tls.clientcas, since nothing else verifies them",
            "list certificates of authorities in http.tls.clientcas",
        )
    if http.tls.client_authentication not in VERIFYING:
        raise refusal(
            origin,
            f"auth.certificates has no effect with http.tls.clientauth {http.tls.client_auth}, by"
            " which nothing is verified",
            f"set http.tls.clientauth to {' or '.join(VERIFYING)}",
        )


def _judge_server(auth: Auth, scheme: str, http: Http, origin: Origin) -> None:
    if scheme not in ("htpasswd", ""):
        raise refusal(
            origin,
            f"auth.tokenserver has nobody to issue tokens to with auth.{scheme or 'none'}",
            "use auth.htpasswd, or remove it",
        )
    if not (auth.token_server.realm or http.host):
        raise refusal(
            origin,
            "auth.tokenserver needs http.host, since the Host of a request is not trusted",
            "set http.host to the URL that clients use, or auth.tokenserver.realm to that of the"
            " token server",
        )
    if http.secret and len(http.secret.encode("utf-8")) < LEAST_SECRET:
        raise refusal(
            origin,
            f"auth.tokenserver signs with http.secret, which is shorter than {LEAST_SECRET} bytes:"
            " whoever guesses it makes tokens for everybody",
            "make it longer, for example by openssl rand -hex 32, or remove it for one that is made"
            " and kept in the storage",
        )


def _judge_access(auth: Auth, entries: Mapping[str, Node]) -> None:
    """Refuse rules that are for nobody, grant nothing, or let everybody write by mistake."""
    listed = entries.get("access")
    nodes = listed.nodes if isinstance(listed, Items) else ()
    for index, (rule, node) in enumerate(zip(auth.access, nodes, strict=False)):
        path = f"auth.access.{index}"
        if not (rule.users or rule.groups or rule.authenticated or rule.anonymous):
            raise refusal(
                node.origin,
                f"{path} is for nobody",
                "add users, groups, authenticated: true or anonymous: true",
            )
        if not rule.actions:
            raise refusal(
                node.origin, f"{path} grants nothing", f"add actions, of {', '.join(ACTIONS)}"
            )
        written = sorted({*rule.actions} - {"pull", "catalog"})
        if rule.anonymous and written and not auth.allow_anonymous_writes:
            raise refusal(
                node.origin,
                f"{path} grants {written[0]} to everybody, logged in or not",
                "write authenticated: true instead, or set auth.allowanonymouswrites: true if that"
                " is meant",
            )
