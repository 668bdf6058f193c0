# SPDX-License-Identifier: Apache-2.0
"""What the keys of ``auth`` must be together, beyond what each is by itself.

Room: config.
"""

from __future__ import annotations

import attrs

from txregistry.config.auth_settings import SCHEMES, Auth
from txregistry.config.document import Branch, Node, lookup
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
    return attrs.evolve(auth, scheme=scheme)


def _nothing_proves(origin: Origin) -> ConfigError:
    return refusal(
        origin,
        "auth names no scheme, so nobody could log in",
        f"add one of {', '.join(SCHEMES)}",
    )
