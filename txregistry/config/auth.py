# SPDX-License-Identifier: Apache-2.0
"""What the keys of ``auth`` must be together, beyond what each is by itself.

Room: config.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from txregistry.config.auth_settings import ACTIONS, SCHEMES, Auth
from txregistry.config.document import Branch, Items, Node, lookup
from txregistry.config.errors import ConfigError, Origin, refusal

#: What each scheme can't do without.
_NEEDED = {
    "silly": ("realm", "service"),
    "htpasswd": ("realm", "path"),
}


def judge_auth(auth: Auth, tree: Node, origin: Origin) -> Auth:
    """Return the section with its scheme.

    Args:
        tree: the whole file.
        origin: of the file.

    Raises:
        ConfigError: several schemes are named, or one lacks something.
    """
    node = lookup(tree, "auth")
    entries = node.entries if isinstance(node, Branch) else {}
    named = [name for name in entries if name in SCHEMES]
    if len(named) > 1:
        raise refusal(
            node.origin if node else origin,
            f"auth names {len(named)} schemes, {' and '.join(named)}",
            "keep one",
        )
    if not named:
        if entries:
            raise _nothing_proves(node.origin if node else origin)
        return auth
    scheme = named[0]
    section = getattr(auth, scheme)
    for name in _NEEDED.get(scheme, ()):
        if not getattr(section, name):
            raise refusal(entries[scheme].origin, f"auth.{scheme}.{name} is missing", "add it")
    _judge_access(auth, entries)
    return attrs.evolve(auth, scheme=scheme)


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


def _nothing_proves(origin: Origin) -> ConfigError:
    return refusal(
        origin,
        "auth names no scheme, so nobody could log in",
        f"add one of {', '.join(SCHEMES)}",
    )
