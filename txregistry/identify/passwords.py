# SPDX-License-Identifier: Apache-2.0
"""Names and passwords: are they good?

Room: identify. Must not know where they came from, nor what they open.

    was the same let in lately?          yes -> good             (5 minutes; nothing is hashed)
    is the same just being hashed?       yes -> wait for that
    did the address, or the name, fail
    too often?                           yes -> TOOMANYREQUESTS
    is it right?   hashed, whether or not there is such a name
                                         no  -> counted, Unauthorized

What was let in is remembered under an HMAC with a key of this process, of the name, the password
and the stored hash: a changed hash forgets it. An unknown name costs a hash of the file's highest
cost; a wrong password for a hash of a lower one is followed by dummies until it has cost as much:
cost c takes twice as long as c-1, so c + c + (c+1) + ... + (max-1) = max. Whether several at once
wait for one another tells nothing either: they do for names that there are not, too.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Protocol

from txregistry.identify.basic import Login
from txregistry.identify.failures import Failures
from txregistry.identify.hashing import Check, dummy_hash
from txregistry.identify.htpasswd import Htpasswd
from txregistry.identify.remembered import Remembered
from txregistry.storage.blocking import Bell

#: Seconds for which somebody who was let in is let in again unchecked.
REMEMBERED_FOR = 300.0
#: How many of them. Arbitrary.
REMEMBERED = 10_000


class Hasher(Protocol):
    """What compares passwords (``hashing.Hashing``)."""

    async def is_right(self, check: Check) -> bool:
        """Compare one password."""


class Passwords:
    """Checks against a file of names and hashes.

    Args:
        file: gives the file's present content.
        by_address, by_name: count failures.
        seconds: the clock.
    """

    def __init__(
        self,
        file: Callable[[], Htpasswd],
        hasher: Hasher,
        *,
        by_address: Failures,
        by_name: Failures,
        seconds: Callable[[], float],
    ) -> None:
        self._file = file
        self._hasher = hasher
        self._by_address = by_address
        self._by_name = by_name
        self._key = secrets.token_bytes(32)
        self._remembered: Remembered[bytes, bool] = Remembered(REMEMBERED, seconds)
        self._checking: dict[bytes, Bell] = {}

    async def is_good(self, login: Login, address: str) -> bool:
        """Say whether name and password belong together.

        Args:
            address: of the client, under which failures are counted.

        Raises:
            OciError: TOOMANYREQUESTS.
        """
        file = self._file()
        stored = file.hashes.get(login.name)
        proof = self._proof(login, stored or b"")
        while True:
            if self._remembered.get(proof):
                return True
            if proof not in self._checking:
                break
            await self._checking[proof].rung()
        self._by_address.check(address)
        self._by_name.check(login.name)
        if await self._is_right(_check_of(login, stored, file.cost), proof):
            return True
        self._by_address.count(address)
        self._by_name.count(login.name)
        return False

    async def _is_right(self, check: Check, proof: bytes) -> bool:
        bell = self._checking[proof] = Bell()
        try:
            is_right = await self._hasher.is_right(check)
            if is_right:
                # The file may have changed meanwhile; then this is never found again.
                self._remembered.put(proof, True, REMEMBERED_FOR)
            return is_right
        finally:
            del self._checking[proof]
            bell.ring()

    def mark_of(self, name: str) -> str | None:
        """Return what stands for a name's present password: another one if that changes; None if
        there is no such name. Not the hash itself, nor anything that tells of it.
        """
        stored = self._file().hashes.get(name)
        return None if stored is None else hashlib.sha256(b"mark of " + stored).hexdigest()[:32]

    def _proof(self, login: Login, stored: bytes) -> bytes:
        parts = (login.name.encode(), login.password.encode(), stored)
        framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._key, framed, "sha256")


def _check_of(login: Login, stored: bytes | None, highest: int) -> Check:
    password = login.password.encode()
    if stored is None:
        return Check(password, dummy_hash(highest), is_known=False)
    return Check(password, stored, [dummy_hash(cost) for cost in range(_cost(stored), highest)])


def _cost(stored: bytes) -> int:
    return int(stored[4:6])
