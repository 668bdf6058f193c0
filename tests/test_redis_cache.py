# SPDX-License-Identifier: Apache-2.0
"""The shared cache in a real Redis."""

import contextlib
import gc
import shutil
import socket
import subprocess

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from txregistry.oci.digests import Digest
from txregistry.redis_cache import (
    LARGEST,
    MOST_WRITES,
    PAUSE,
    RedisCache,
    RedisServer,
    _has_given_up,
)

from .census import until
from .functional.servers import free_port

DATA = b"\x00\xff" * 100
DIGEST = Digest.of(DATA)


class Server:
    """A Redis of our own."""

    def __init__(self, directory):
        self.directory = directory
        self.process = None
        self.port = free_port()

    def start(self, *options):
        program = shutil.which("redis-server")
        assert program, "redis-server is needed: apt-get install redis-server"
        self.process = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *options],
            cwd=self.directory,
            stdout=subprocess.DEVNULL,
        )

    async def ready(self):
        def is_up():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return True
            return False

        await until(is_up, "Redis")

    def end(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest_twisted.async_yield_fixture
async def server(tmp_path):
    server = Server(tmp_path)
    server.start()
    await server.ready()
    yield server
    server.end()


@pytest.fixture
def caught_by_nobody():
    """What logins failed with that nobody looked at; those that are gone are collected first."""
    failures = []

    def watch(event):
        failure = event.get("log_failure")
        if failure is not None and "could not auth" in str(failure.value):
            failures.append(failure)

    def found():
        gc.collect()
        return failures

    globalLogPublisher.addObserver(watch)
    yield found
    globalLogPublisher.removeObserver(watch)


@pytest_twisted.async_yield_fixture
async def cache(server):
    timed = []
    place = RedisServer("127.0.0.1", server.port, database=1)
    cache = RedisCache(place.connect, reactor, lambda operation, _: timed.append(operation))
    cache.timed = timed
    yield cache
    await cache.stop()


async def answered(cache, digest):
    """What is kept, once Redis is there to say so."""
    while True:
        errors = cache.errors
        cache._silent_until = 0.0  # the tests' patience is not the product's
        found = await cache.get(digest)
        if cache.errors == errors:
            return found


class RedisTests:
    @pytest_twisted.ensureDeferred
    async def test_bytes_come_back_as_they_were(self, cache):
        """Whatever they are."""
        assert await answered(cache, DIGEST) is None
        cache.keep(DIGEST, DATA)
        await until(lambda: not cache._writes, "the write")
        assert await answered(cache, DIGEST) == DATA
        assert (cache.hits, cache.misses) == (1, 1)
        assert cache.requests == cache.timed.count("Get") >= 2
        assert "Set" in cache.timed

    @pytest_twisted.ensureDeferred
    async def test_another_host_sees_them_for_a_day(self, cache, server):
        """That is what it is for; Redis forgets by itself."""
        await answered(cache, DIGEST)
        cache.keep(DIGEST, DATA)
        await until(lambda: not cache._writes, "the write")
        other = RedisCache(RedisServer("127.0.0.1", server.port, database=1).connect, reactor)
        assert await answered(other, DIGEST) == DATA
        life = await other._redis.ttl(f"txregistry::content::{DIGEST}")
        assert 0 < life <= 24 * 3600
        await other.stop()

    @pytest_twisted.ensureDeferred
    async def test_redis_that_goes_away_is_a_miss(self, cache, server):
        """And when it is back it is used again."""
        await answered(cache, DIGEST)
        server.end()
        await until(lambda: cache._redis._factory.size == 0, "the end of its connections")
        assert await cache.get(DIGEST) is None
        cache.keep(DIGEST, DATA)
        assert cache.errors >= 1
        server.start()
        await server.ready()
        await answered(cache, DIGEST)
        cache.keep(DIGEST, DATA)
        await until(lambda: not cache._writes, "the write")
        assert await answered(cache, DIGEST) == DATA

    @pytest_twisted.ensureDeferred
    async def test_password_is_used_and_not_shown(self, tmp_path):
        server = Server(tmp_path)
        server.start("--requirepass", "hunter2")
        await server.ready()
        place = RedisServer("127.0.0.1", server.port, password="hunter2")
        assert "hunter2" not in repr(place)
        cache = RedisCache(place.connect, reactor)
        assert await answered(cache, DIGEST) is None
        assert cache.misses == 1
        await cache.stop()
        server.end()

    @pytest_twisted.ensureDeferred
    async def test_login_that_was_refused_is_tried_again(self, tmp_path, caught_by_nobody):
        """As by a Redis that is loading what it had, or before its password is what we know."""
        server = Server(tmp_path)
        server.start("--requirepass", "not yet")
        await server.ready()
        cache = RedisCache(
            RedisServer("127.0.0.1", server.port, password="hunter2").connect, reactor
        )
        await until(lambda: _has_given_up(cache._redis), "the refusal")
        refused = cache._redis
        assert await cache.get(DIGEST) is None
        assert cache._silent_until > reactor.seconds() + PAUSE
        server.end()
        server.start("--requirepass", "hunter2")
        await server.ready()
        assert await answered(cache, DIGEST) is None
        assert cache.misses == 1 and cache._redis is not refused
        await cache.stop()
        server.end()
        assert caught_by_nobody() == []

    @pytest_twisted.ensureDeferred
    async def test_redis_that_is_full_is_read(self, cache, server):
        """It keeps nothing new for a while; what it has is found."""
        await answered(cache, DIGEST)
        cache.keep(DIGEST, DATA)
        await until(lambda: not cache._writes, "the write")
        await cache._redis.execute_command("CONFIG", "SET", "maxmemory", "1")
        while not cache._full_until:  # it may be slow to say so
            cache._silent_until = 0.0
            cache.keep(Digest.of(b"other"), b"other")
            await until(lambda: not cache._writes, "the refusal")
        assert not cache._is_left_alone()
        assert await answered(cache, DIGEST) == DATA
        cache._full_until = float("inf")
        cache.keep(Digest.of(b"other"), b"other")
        assert not cache._writes


class Slow:
    """A Redis that takes its time."""

    def __init__(self):
        self.asked = []

    def get(self, key):
        return self._asked()

    def set(self, key, data, expire):
        return self._asked()

    def _asked(self):
        self.asked.append(Deferred())
        return self.asked[-1]

    def disconnect(self):
        self.asked.append("disconnected")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def slowed(clock, slow):
    return RedisCache(lambda: slow, clock)


class PatienceTests:
    """On a clock of our own."""

    def test_request_waits_half_a_second_and_the_next_one_not_at_all(self, clock, slow, slowed):
        first = Deferred.fromCoroutine(slowed.get(DIGEST))
        clock.advance(0.4)
        assert not first.called
        clock.advance(0.2)
        assert first.result is None
        second = Deferred.fromCoroutine(slowed.get(DIGEST))
        assert second.result is None
        slowed.keep(DIGEST, DATA)
        assert (len(slow.asked), slowed.errors) == (1, 1)
        clock.advance(PAUSE)
        third = Deferred.fromCoroutine(slowed.get(DIGEST))
        slow.asked[1].callback(DATA)
        assert third.result == DATA

    def test_writes_are_bounded(self, clock, slow, slowed):
        for _ in range(MOST_WRITES + 5):
            slowed.keep(DIGEST, DATA)
        assert len(slow.asked) == MOST_WRITES
        slow.asked[0].callback("OK")
        slowed.keep(DIGEST, bytes(LARGEST + 1))
        assert len(slow.asked) == MOST_WRITES
        slowed.keep(DIGEST, DATA)
        assert len(slow.asked) == MOST_WRITES + 1

    def test_write_that_fails_counts_once(self, clock, slow, slowed):
        """And is told once, however many were under way."""
        for _ in range(3):
            slowed.keep(DIGEST, DATA)
        clock.advance(0.6)
        assert slowed.errors == 3
        assert slowed._silent_until == pytest.approx(0.6 + PAUSE)

    def test_stop_gives_up_what_is_under_way(self, clock, slow, slowed):
        slowed.keep(DIGEST, DATA)
        stopping = Deferred.fromCoroutine(slowed.stop())
        assert stopping.called
        assert slow.asked[-1] == "disconnected"
        assert slowed.errors == 0
        slowed.keep(DIGEST, DATA)
        assert len(slow.asked) == 2
