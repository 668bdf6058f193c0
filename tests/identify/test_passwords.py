# SPDX-License-Identifier: Apache-2.0
"""Passwords: what is hashed, what is remembered, how often one may fail."""

import bcrypt
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from txregistry.identify.basic import Login
from txregistry.identify.failures import BUCKETS, Failures
from txregistry.identify.hashing import Check, Hashing, compare, dummy_hash
from txregistry.identify.htpasswd import Htpasswd
from txregistry.identify.passwords import Passwords
from txregistry.oci.errors import Code, OciError


def hashed(password, cost=4):
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost))


class CountingHasher:
    """Compares at once, and remembers what it was asked."""

    def __init__(self):
        self.checks = []

    async def is_right(self, check):
        self.checks.append(check)
        return compare(check)


class World:
    """Passwords over a file in memory, with a clock that only tests move."""

    def __init__(self, per_address=0, per_name=0):
        self.clock = Clock()
        self.file = Htpasswd({"alice": hashed("secret"), "bob": hashed("hunter2", 5)}, 5)
        self.hasher = CountingHasher()
        self.passwords = Passwords(
            lambda: self.file,
            self.hasher,
            by_address=Failures(per_address, self.clock.seconds),
            by_name=Failures(per_name, self.clock.seconds),
            seconds=self.clock.seconds,
        )

    async def login(self, name, password, address="10.0.0.1"):
        return await self.passwords.is_good(Login(name, password), address)


@pytest_twisted.ensureDeferred
async def test_right_password_is_good_and_others_are_not():
    world = World()
    assert await world.login("alice", "secret")
    for name, password in [
        *(("alice", "Secret"), ("alice", ""), ("Alice", "secret"), ("", "secret")),
        *(("alice", "hunter2"), ("carol", "secret"), ("alice", "secret\x00"), ("alice", "s" * 73)),
    ]:
        assert not await world.login(name, password)


@pytest_twisted.ensureDeferred
async def test_long_password_is_not_cut():
    """bcrypt looks at 72 bytes; a longer password is wrong rather than as good as its beginning."""
    world = World()
    world.file = Htpasswd({"alice": hashed("x" * 72)}, 4)
    assert await world.login("alice", "x" * 72)
    assert not await world.login("alice", "x" * 73)
    assert len(world.hasher.checks) == 2


@pytest_twisted.ensureDeferred
async def test_good_password_is_hashed_once_in_five_minutes():
    """A pull of many layers does not cost a hash for each."""
    world = World()
    for _ in range(3):
        assert await world.login("alice", "secret")
    assert len(world.hasher.checks) == 1
    world.clock.advance(300)
    assert await world.login("alice", "secret")
    assert len(world.hasher.checks) == 2


@pytest_twisted.ensureDeferred
async def test_same_login_many_times_at_once_is_hashed_once():
    """A cluster that starts pulls with one account, and the queue of checks is short."""
    world, release = World(), Deferred()

    class SlowHasher(CountingHasher):
        async def is_right(self, check):
            self.checks.append(check)
            await release
            return compare(check)

    world.passwords._hasher = slow = SlowHasher()
    logins = [Deferred.fromCoroutine(world.login("alice", "secret")) for _ in range(50)]
    wrong = [Deferred.fromCoroutine(world.login("alice", "wrong")) for _ in range(2)]
    assert len(slow.checks) == 2
    release.callback(None)
    assert [await each for each in logins] == [True] * 50
    assert [await each for each in wrong] == [False] * 2
    assert len(slow.checks) == 3


@pytest.mark.parametrize("name", ["alice", "carol"])
@pytest_twisted.ensureDeferred
async def test_wrong_logins_at_once_wait_for_one_another_whoever_they_are_for(name):
    """Else two at once would tell whether there is such a name: it takes twice as long, or not."""
    world, releases = World(), []

    class SlowHasher(CountingHasher):
        async def is_right(self, check):
            releases.append(Deferred())
            await releases[-1]
            return compare(check)

    world.passwords._hasher = SlowHasher()
    logins = [Deferred.fromCoroutine(world.login(name, "wrong")) for _ in range(2)]
    assert len(releases) == 1
    releases[0].callback(None)
    assert len(releases) == 2
    releases[1].callback(None)
    assert [await each for each in logins] == [False] * 2


@pytest_twisted.ensureDeferred
async def test_changed_hash_forgets_who_was_let_in():
    """A password that was changed or taken away ceases to work at once."""
    world = World()
    assert await world.login("alice", "secret")
    world.file = Htpasswd({"alice": hashed("other")}, 4)
    assert not await world.login("alice", "secret")
    world.file = Htpasswd({"bob": hashed("other")}, 4)
    assert not await world.login("alice", "secret")
    assert world.passwords.mark_of("alice") is None


@pytest_twisted.ensureDeferred
async def test_unknown_name_costs_what_a_wrong_password_does():
    """Counted in rounds of bcrypt: nobody learns from the time which names there are."""
    world = World()
    rounds = set()
    for name in ("alice", "bob", "carol", ""):
        await world.login(name, "wrong")
        check = world.hasher.checks[-1]
        rounds.add(sum(2 ** int(each[4:6]) for each in (check.stored, *check.padding)))
    assert rounds == {2**5}


def test_dummy_fits_no_password():
    """Not even if one did."""
    assert not compare(Check(b"x", dummy_hash(4)))
    assert not compare(Check(b"secret", hashed("secret"), is_known=False))


@pytest_twisted.ensureDeferred
async def test_failures_from_one_address_are_limited():
    """Others go on, and so does who was let in before."""
    world = World(per_address=3)
    assert await world.login("alice", "secret")
    for _ in range(3):
        assert not await world.login("alice", "wrong")
    with pytest.raises(OciError) as caught:
        await world.login("bob", "hunter2")
    assert (caught.value.code, caught.value.retry_after) == (Code.TOOMANYREQUESTS, 20)
    assert await world.login("alice", "secret")
    assert await world.login("bob", "hunter2", "10.0.0.2")
    world.clock.advance(20)
    assert not await world.login("alice", "wrong")
    with pytest.raises(OciError):
        await world.login("alice", "wrong")


@pytest_twisted.ensureDeferred
async def test_failures_for_one_name_are_limited_wherever_they_come_from():
    world = World(per_name=2)
    for number in range(2):
        assert not await world.login("alice", "wrong", f"10.0.1.{number}")
    with pytest.raises(OciError):
        await world.login("alice", "wrong", "10.0.2.1")
    assert not await world.login("bob", "wrong", "10.0.2.1")


def test_failures_at_the_same_time_are_paid_for_later():
    """Six that were let through together, where three in a minute are allowed."""
    clock = Clock()
    failures = Failures(3, clock.seconds)
    failures.check("a")
    for _ in range(6):
        failures.count("a")
    for left, passed in ((80, 20), (60, 40), (20, 20)):
        with pytest.raises(OciError) as caught:
            failures.check("a")
        assert caught.value.retry_after == left
        clock.advance(passed)
    failures.check("a")


def test_failures_of_many_are_kept_within_bounds():
    clock = Clock()
    failures = Failures(1, clock.seconds)
    for number in range(BUCKETS + 1):
        failures.count(str(number))
    failures.check("0")  # forgotten
    with pytest.raises(OciError):
        failures.check(str(BUCKETS))


@pytest_twisted.ensureDeferred
async def test_queue_of_checks_is_bounded(monkeypatch):
    """Who comes when it is full is told to come back, and nothing is hashed for them."""
    waiting = []

    def in_pool(reactor, pool, work, check):
        waiting.append(Deferred())
        return waiting[-1]

    monkeypatch.setattr("txregistry.identify.hashing.deferToThreadPool", in_pool)
    monkeypatch.setattr("twisted.python.threadpool.ThreadPool.start", lambda self: None)
    hashing = Hashing(None, queue=2)
    check = Check(b"x", dummy_hash(4))
    asked = [Deferred.fromCoroutine(hashing.is_right(check)) for _ in range(4)]
    with pytest.raises(OciError) as caught:
        await hashing.is_right(check)
    assert caught.value.code is Code.TOOMANYREQUESTS
    asked[0].addErrback(lambda _: None)
    asked[0].cancel()  # a client that leaves frees no thread
    with pytest.raises(OciError):
        await hashing.is_right(check)
    for each in waiting:
        each.callback(True)
    assert [await each for each in asked[1:]] == [True] * 3
    again = Deferred.fromCoroutine(hashing.is_right(check))
    waiting[-1].callback(False)
    assert await again is False


@pytest_twisted.ensureDeferred
async def test_real_threads_check_real_passwords():
    from twisted.internet import reactor  # noqa: PLC0415

    hashing = Hashing(reactor)
    assert await hashing.is_right(Check(b"secret", hashed("secret")))
    assert not await hashing.is_right(Check(b"wrong", hashed("secret")))
    await hashing.stop()
    await hashing.stop()


@pytest.mark.parametrize("is_used", [True, False])
@pytest_twisted.ensureDeferred
async def test_what_comes_after_the_end_is_told_to_come_back(is_used):
    """Of a reload, after which others check; no thread is left behind by who comes late."""
    from twisted.internet import reactor  # noqa: PLC0415

    hashing = Hashing(reactor)
    if is_used:
        assert not await hashing.is_right(Check(b"wrong", hashed("secret")))
    await hashing.stop()
    with pytest.raises(OciError) as caught:
        await hashing.is_right(Check(b"wrong", hashed("secret")))
    assert caught.value.code is Code.UNAVAILABLE
    assert not any(thread.is_alive() for thread in hashing._pool.threads)


def test_nothing_shows_a_password():
    assert "secret" not in repr(Check(b"secret", b""))
    assert "$2" not in repr(Htpasswd({"a": b"$2b$"}, 4))
