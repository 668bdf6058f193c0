# SPDX-License-Identifier: Apache-2.0
"""The key that upload tokens are signed with: the same on all hosts of one storage.

Room: registry. Must not know tokens. A configured secret is used as it is. Else the storage itself
holds one, made by whoever comes first, so that every process on one storage agrees and uploads
survive a restart; two that come at once are told apart by a conditional put. It is text, so that it
can be given to another registry as its ``http.secret``.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable

from txregistry.registry.tasks import if_there
from txregistry.storage.contract import Driver
from txregistry.storage.errors import Changed, Exists, Missing
from txregistry.storage.paths import TOKEN_KEY

#: 32 random bytes as hex; whatever else is found there was never a key.
_KEY = re.compile(rb"[0-9a-f]{64}")

#: How often a key that others replace meanwhile is looked at again. Arbitrary: once is usual.
_ATTEMPTS = 5


class SecretRequired(Exception):
    """None is configured or stored, and two hosts that make one here might not agree."""


async def _always() -> bool:
    return True


async def load_or_create_secret(
    driver: Driver,
    configured: str | None = None,
    *,
    new_key: Callable[[], str] = secrets.token_hex,
    is_decided: Callable[[], Awaitable[bool]] = _always,
) -> bytes:
    """Return the key. No driver call if one is configured, 1 if one is stored, 2 or 3 to make one.

    Args:
        new_key: makes 32 random bytes as hex.
        is_decided: whether the storage itself decides a conditional put, for all hosts; asked
            before one is made, once the storage has answered.

    Raises:
        SecretRequired: one would have to be made, and it does not.
        StorageError: the storage can't be asked.
    """
    if configured:
        return configured.encode("utf-8")
    for _ in range(_ATTEMPTS):
        stored = await if_there(driver.get(TOKEN_KEY))
        if stored is not None and _KEY.fullmatch(stored.data):
            return stored.data
        if not await is_decided():
            raise SecretRequired
        key = new_key().encode("ascii")
        try:
            if stored is None:
                await driver.put(TOKEN_KEY, key, if_absent=True)
            else:
                # Garbage, say of a crash: nothing was ever signed with it.
                await driver.put(TOKEN_KEY, key, if_version=stored.version)
        except (Exists, Changed, Missing):
            continue
        return key
    raise Changed("the token key changes each time it is looked at", path=TOKEN_KEY)
