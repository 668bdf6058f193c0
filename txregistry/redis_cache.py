# SPDX-License-Identifier: Apache-2.0
"""Content by digest in Redis, for several hosts on one store (``registry.contents.SharedCache``).

Must not know what it keeps. Nothing waits for Redis for long: whatever goes wrong is a miss, and
after that it is left alone for a while. Entries expire, and the operator bounds their sum by
Redis's own ``maxmemory``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import txredisapi
from attrs import field, frozen
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txregistry.oci.digests import Digest
from txregistry.outgoing import CheckedConnections

#: Before a digest in the name of a key. Other registries' keys begin with "blobs::" and
#: "repository::".
PREFIX = "txregistry::content::"

#: Seconds that an entry is kept.
LIFE = 24 * 3600

#: Bytes of the largest entry: a manifest may be as large.
LARGEST = 4 * 1024 * 1024

#: Seconds that a request waits for Redis, and for which it is left alone after it failed.
#: Arbitrary: a store in the same data center takes about as long.
PATIENCE = 0.5
PAUSE = 5.0

#: Seconds after which a login is tried again that Redis did not take: the password is wrong, or it
#: is still loading what it had. Arbitrary: each try costs a line of the log for each connection.
REFUSED_PAUSE = 30.0

#: Writes that may be under way; what is above is not kept.
MOST_WRITES = 64

_log = Logger()


@frozen
class RedisServer:
    """Where Redis is.

    Attributes:
        username: empty for the default user.
        password: empty for none.
        connect_timeout: seconds.
        is_tls: speak TLS, and verify that the server has a certificate for ``host``.
    """

    host: str
    port: int = 6379
    database: int = 0
    username: str = ""
    password: str = ""
    connections: int = 10
    connect_timeout: float = 5.0
    is_tls: bool = field(default=False, kw_only=True)

    def __repr__(self) -> str:
        return f"RedisServer({self.host}:{self.port}/{self.database})"

    def connect(self) -> Any:
        """Return txredisapi's handle, which connects in the background, again and again."""
        return txredisapi.lazyConnectionPool(
            self.host,
            self.port,
            dbid=self.database,
            poolsize=self.connections,
            charset=None,  # bytes in, bytes out
            username=self.username or None,
            password=self.password or None,
            connectTimeout=self.connect_timeout,
            convertNumbers=False,
            ssl_context_factory=CheckedConnections(self.host) if self.is_tls else False,
        )


class RedisCache:
    """A shared cache that is never more than a help.

    Args:
        connect: makes txredisapi's handle.
        clock: bounds the waiting.
        timed: told of each operation, ``Get`` or ``Set``, and the seconds until its answer or
            until it was given up.

    Attributes:
        requests: reads, counted since the start; those of the time in which Redis is left alone
            are not.
        hits, misses, errors: likewise; a miss is an answer that there is nothing, an error may be a
            write's.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        clock: IReactorTime,
        timed: Callable[[str, float], None] = lambda operation, seconds: None,
    ) -> None:
        self._clock = clock
        self._timed = timed
        self._connect = connect
        self._redis = self._begin()
        self._silent_until = 0.0
        self._full_until = 0.0
        self._writes: set[Deferred[Any]] = set()
        self.requests = self.hits = self.misses = self.errors = 0

    async def get(self, digest: Digest) -> bytes | None:
        """Return what is kept, None if nothing is or if Redis does not say so soon."""
        if self._is_left_alone():
            return None
        self.requests += 1
        try:
            data = await self._soon("Get", self._connected().get(_key(digest)))
        except (txredisapi.RedisError, DeferredTimeout) as error:
            self._failed(error)
            return None
        if not isinstance(data, bytes):
            self.misses += 1
            return None
        self.hits += 1
        return data

    def keep(self, digest: Digest, data: bytes) -> None:
        """Begin to keep it."""
        if len(data) > LARGEST or len(self._writes) >= MOST_WRITES or self._is_left_alone():
            return
        if self._clock.seconds() < self._full_until:
            return
        writing = self._soon("Set", self._connected().set(_key(digest), data, expire=LIFE))
        self._writes.add(writing)
        writing.addErrback(self._write_failed)
        writing.addBoth(lambda _: self._writes.discard(writing))

    async def stop(self) -> None:
        """End the connections; what is being written is given up."""
        self._silent_until = float("inf")
        for writing in tuple(self._writes):
            writing.cancel()
        await maybeDeferred(self._redis.disconnect)

    def _begin(self) -> Any:
        redis = self._connect()
        first = getattr(redis, "_connected", None)
        if first is not None:  # why a login failed is in the log already
            first.addErrback(lambda _: None)
        return redis

    def _connected(self) -> Any:
        """The connections; new ones in the place of those that nobody will make again."""
        if _has_given_up(self._redis):
            self._redis.disconnect()
            self._redis = self._begin()
        return self._redis

    def _soon(self, operation: str, asking: Deferred[Any]) -> Deferred[Any]:
        began = self._clock.seconds()

        def pass_on(result: Any) -> Any:
            self._timed(operation, self._clock.seconds() - began)
            return result

        return asking.addTimeout(PATIENCE, self._clock).addBoth(pass_on)

    def _is_left_alone(self) -> bool:
        return self._clock.seconds() < self._silent_until

    def _write_failed(self, failure: Any) -> None:
        if failure.check(CancelledError) is None:
            failure.trap(txredisapi.RedisError, DeferredTimeout)
            if failure.check(txredisapi.ResponseError) is None:
                self._failed(failure.value)
            else:
                self._refused(failure.value)

    def _refused(self, error: Exception) -> None:
        """A write was, by a Redis that answers: it is full, or a replica. Reads go on."""
        self.errors += 1
        if self._clock.seconds() >= self._full_until:
            self._full_until = self._clock.seconds() + PAUSE
            _log.warn("Redis keeps nothing new ({error})", error=str(error))

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        if not self._is_left_alone():
            pause = REFUSED_PAUSE if _has_given_up(self._redis) else PAUSE
            self._silent_until = self._clock.seconds() + pause
            _log.warn(
                "Redis does not answer ({error}): the store is asked instead", error=_told(error)
            )


def _has_given_up(redis: Any) -> bool:
    """Whether txredisapi will connect no more: for ever, after one login that failed."""
    return bool(getattr(getattr(redis, "_factory", None), "stopped", False))


def _key(digest: Digest) -> bytes:
    return f"{PREFIX}{digest}".encode("ascii")


def _told(error: Exception) -> str:
    return "it is too slow" if isinstance(error, DeferredTimeout) else str(error)
