# SPDX-License-Identifier: Apache-2.0
"""Puts and deletes under a condition, whether the bucket decides it or not.

Drivers: objects. The calls of this process take turns by key: some servers look at a condition first
and change the object later. Where the bucket decides, an answer that was lost is recognised: what is
there holds the token that was put. Where it does not, we look before we change something; between
processes there is a gap then.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping

from txregistry.driver import Changed, Exists, Missing
from txregistry_drivers.objects.bucket import Bucket, ObjectHead
from txregistry_drivers.objects.record import TOKEN

#: Locks that keys share. Arbitrary: many more than threads.
_STRIPES = 256


def new_token() -> str:
    """A name that nobody else has."""
    return secrets.token_hex(8)


class Conditions:
    """Conditional changes of one bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._locks = tuple(threading.Lock() for _ in range(_STRIPES))

    def create(self, key: str, data: bytes, metadata: Mapping[str, str]) -> str:
        """Put what is not there yet; returns its version.

        Raises:
            Exists: something is.
        """
        marked = {TOKEN: new_token(), **metadata}
        with self._lock(key):
            if not self._bucket.capabilities.if_absent:
                if self._look(key) is not None:
                    raise Exists(path=key)
                return self._bucket.put(key, data, metadata=marked)
            try:
                return self._bucket.put(key, data, metadata=marked, if_absent=True)
            except Exists:
                return self._own(key, marked, Exists(path=key))

    def replace(self, key: str, data: bytes, version: str, metadata: Mapping[str, str]) -> str:
        """Put over one version; returns the new one.

        Raises:
            Changed: another version is there, or nothing.
        """
        marked = {TOKEN: new_token(), **metadata}
        with self._lock(key):
            if not self._bucket.capabilities.if_version:
                self._check(key, version)
                return self._bucket.put(key, data, metadata=marked)
            try:
                return self._bucket.put(key, data, metadata=marked, if_version=version)
            except (Changed, Missing):
                return self._own(key, marked, Changed(path=key))

    def put(self, key: str, data: bytes) -> str:
        """Put without a condition; in turn with those that have one."""
        if self._bucket.capabilities.if_absent and self._bucket.capabilities.if_version:
            return self._bucket.put(key, data, metadata={})
        with self._lock(key):
            return self._bucket.put(key, data, metadata={})

    def delete(self, key: str, version: str) -> None:
        """Remove one version.

        Raises:
            Changed: another is there.
        """
        if self._bucket.capabilities.delete_if_version:
            self._bucket.delete(key, if_version=version)
            return
        with self._lock(key):
            self._check(key, version)
            self._bucket.delete(key)

    def _own(self, key: str, metadata: Mapping[str, str], refusal: Exists | Changed) -> str:
        """The version of what we put after all, and never heard of; else the refusal."""
        found = self._look(key)
        if found is None or found.metadata.get(TOKEN) != metadata[TOKEN]:
            raise refusal
        return found.version

    def _check(self, key: str, version: str) -> None:
        found = self._look(key)
        if found is None or found.version != version:
            raise Changed(path=key)

    def _look(self, key: str) -> ObjectHead | None:
        try:
            return self._bucket.head(key)
        except Missing:
            return None

    def _lock(self, key: str) -> threading.Lock:
        return self._locks[hash(key) % _STRIPES]
