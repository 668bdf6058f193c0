# SPDX-License-Identifier: Apache-2.0
"""Passwords: what is hashed, what is remembered, how often one may fail."""

import io
import os

import bcrypt
import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from txregistry.identify import hasher
from txregistry.identify.basic import Login
from txregistry.identify.failures import BUCKETS, Failures
from txregistry.identify.hashing import PROCESSES, Check, Hashing, dummy_hash
from txregistry.identify.htpasswd import Htpasswd
from txregistry.identify.passwords import Passwords
from txregistry.oci.errors import Code, OciError


def hashed(password, cost=4):
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost))


def compare(check):
    return hasher.compare(check.password, check.stored, check.padding, is_known=check.is_known)


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


class Processes:
    """A reactor that starts nothing: a test does what the processes would."""

    def __init__(self):
        self.started, self.asked, self.killed = [], [], []
        self.failing = False

    def spawnProcess(self, protocol, program, arguments, environment, path, *, childFDs):
        if self.failing:
            raise OSError("no more processes")
        protocol.makeConnection(Process(self, protocol))
        self.started.append(protocol)

    def answer(self, data=b"1"):
        self.asked.pop(0).outReceived(data)


class Process:
    def __init__(self, processes, protocol):
        self.processes, self.protocol = processes, protocol

    def write(self, data):
        self.processes.asked.append(self.protocol)

    def signalProcess(self, signal):
        self.processes.killed.append(self.protocol)
        raise ProcessExitedAlready()


def refused(deferred):
    """The code that a check is refused with."""
    found = []
    deferred.addErrback(lambda failure: found.append(failure.value))
    [error] = found
    return error.code


CHECK = Check(b"x", dummy_hash(4))


class HashingTests:
    @pytest.fixture
    def processes(self):
        return Processes()

    @pytest.fixture
    def hashing(self, processes):
        return Hashing(processes, queue=2)

    def ask(self, hashing, count=1):
        asked = [Deferred.fromCoroutine(hashing.is_right(CHECK)) for _ in range(count)]
        return asked if count > 1 else asked[0]

    def test_queue_is_bounded(self, hashing, processes):
        """Who comes when it is full is told to come back, and nothing is hashed for them."""
        asked = self.ask(hashing, PROCESSES + 2)
        assert len(processes.asked) == len(processes.started) == PROCESSES
        assert refused(self.ask(hashing)) is Code.TOOMANYREQUESTS
        assert (hashing.working, hashing.waiting, hashing.refused) == (PROCESSES, 2, 1)
        asked[0].addErrback(lambda _: None)
        asked[0].cancel()  # a client that leaves frees no process
        assert refused(self.ask(hashing)) is Code.TOOMANYREQUESTS
        while processes.asked:
            processes.answer()
        assert [each.result for each in asked[1:]] == [True] * 3
        assert (hashing.working, hashing.waiting, hashing.refused) == (0, 0, 2)
        again = self.ask(hashing)
        processes.answer(b"0")
        assert again.result is False

    def test_process_that_ends_fails_its_own_check_alone(self, hashing, processes, failures):
        """Another is started for those that wait."""
        first, second, third = self.ask(hashing, 3)
        processes.started[0].processEnded(Failure(ProcessTerminated(signal=11)))
        assert refused(first) is Code.UNAVAILABLE
        assert len(processes.started) == PROCESSES + 1
        del processes.asked[0]
        processes.answer()
        processes.answer(b"0")
        assert (second.result, third.result) == (True, False)
        processes.started[1].processEnded(Failure(ProcessTerminated(signal=11)))
        assert len(processes.started) == PROCESSES + 1  # nobody waits
        assert self.ask(hashing).called is False
        assert len(processes.started) == PROCESSES + 2
        assert all("has ended" in each for each in failures)

    def test_without_any_process_it_is_said_at_once(self, hashing, processes, failures):
        processes.failing = True
        assert refused(self.ask(hashing)) is Code.UNAVAILABLE
        processes.failing = False
        asked = self.ask(hashing, 3)
        processes.failing = True
        for each in processes.started:
            each.processEnded(Failure(ProcessTerminated(signal=9)))
        assert [refused(each) for each in asked] == [Code.UNAVAILABLE] * 3
        assert failures

    def test_end_fails_what_waits_and_kills_what_works(self, hashing, processes):
        asked = self.ask(hashing, 3)
        stopping = Deferred.fromCoroutine(hashing.stop())
        assert refused(asked[2]) is Code.UNAVAILABLE
        assert set(processes.killed) == set(processes.started)
        for each in processes.started:
            assert not stopping.called
            each.processEnded(Failure(ProcessDone(0)))
        assert stopping.called
        assert [refused(each) for each in asked[:2]] == [Code.UNAVAILABLE] * 2
        assert refused(self.ask(hashing)) is Code.UNAVAILABLE

    @pytest.fixture
    def failures(self):
        """What was logged as an error."""
        found = []

        def observe(event):
            if event["log_level"] is LogLevel.error:
                found.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        yield found
        globalLogPublisher.removeObserver(observe)


def test_program_answers_what_it_is_asked():
    asked = b"".join(
        hasher.spell([known, password, hashed("secret"), dummy_hash(4)])
        for known, password in [(b"1", b"secret"), (b"0", b"secret"), (b"1", b""), (b"1", b"x\0")]
    )
    answers = io.BytesIO()
    hasher.serve(io.BytesIO(asked), answers)
    assert answers.getvalue() == b"1000"


@pytest_twisted.ensureDeferred
async def test_real_processes_check_real_passwords():
    """They yield, and none is left behind; what comes after the end is told to come back."""
    from twisted.internet import reactor  # noqa: PLC0415

    hashing = Hashing(reactor)
    assert await hashing.is_right(Check(b"secret", hashed("secret")))
    assert not await hashing.is_right(Check(b"wrong", hashed("secret")))
    numbers = [each.transport.pid for each in hashing._hashers]
    ours = os.getpriority(os.PRIO_PROCESS, 0)  # it may be that of "nice make test"
    allowed = {ours, min(ours + hasher.NICENESS, 19)}
    assert {os.getpriority(os.PRIO_PROCESS, number) for number in numbers} <= allowed
    await hashing.stop()
    await hashing.stop()
    for number in numbers:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)
    with pytest.raises(OciError) as caught:
        await hashing.is_right(Check(b"wrong", hashed("secret")))
    assert caught.value.code is Code.UNAVAILABLE


def test_nothing_shows_a_password():
    assert "secret" not in repr(Check(b"secret", b""))
    assert "$2" not in repr(Htpasswd({"a": b"$2b$"}, 4))
