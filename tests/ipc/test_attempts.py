# SPDX-License-Identifier: Apache-2.0
"""Operations through the deaths of drivers: which are repeated, and which are given up."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from txregistry.ipc import attempts as attempts_module
from txregistry.ipc.admission import Admission
from txregistry.ipc.attempts import (
    POISON_DEATHS,
    SUSPECT_DEATHS,
    Attempts,
    GivenUp,
    Operation,
    Repeated,
)
from txregistry.ipc.link import LinkLost
from txregistry.storage.errors import Missing, StorageError, Unavailable


class House:
    """Attempts over a link that is there; what each attempt comes to is the test's to say."""

    def __init__(self):
        self.clock = Clock()
        self.attempts = Attempts(self, self.clock, POISON_DEATHS, Admission())
        self.made = []

    async def link(self):
        return self

    def issue(self, name, outcome, timeout=30.0, deaths=None):
        async def attempt(link, left):
            self.made.append((name, left))
            found = outcome(len([one for one, _ in self.made if one == name]))
            if isinstance(found, StorageError):
                raise found
            return await found if isinstance(found, Deferred) else found

        operation = Operation("Stat", f"/{name}", timeout, deaths=deaths)
        return Deferred.fromCoroutine(self.attempts.issue(operation, attempt))

    def count(self, name):
        return len([one for one, _ in self.made if one == name])


@pytest.fixture
def house():
    return House()


async def refusal_of(asked):
    with pytest.raises(StorageError) as caught:
        await asked
    return caught.value


class RepetitionTests:
    @pytest_twisted.ensureDeferred
    async def test_operation_is_repeated_after_a_death(self, house):
        """Whoever asked sees only the answer."""
        answer = await house.issue("a", lambda count: "yes" if count == 3 else LinkLost())
        assert answer == "yes"
        assert house.attempts.given_up == 0

    @pytest_twisted.ensureDeferred
    async def test_deadline_is_one_for_all_repetitions(self, house):
        """A repetition has what is left, and there is none after the end."""

        def outcome(count):
            house.clock.advance(20)
            return LinkLost()

        refusal = await refusal_of(house.issue("a", outcome))
        assert type(refusal) is Unavailable
        assert "deadline" in str(refusal)
        assert [left for _, left in house.made] == [30, 10]

    @pytest_twisted.ensureDeferred
    async def test_wait_for_a_place_counts(self, house):
        """An operation that could not begin in time is not begun."""
        house.attempts.admission = Admission(1, 10)
        hold = Deferred()
        first = house.issue("a", lambda _: hold)
        second = house.issue("b", lambda _: "yes")
        house.clock.advance(30)
        hold.callback("yes")
        assert await first == "yes"
        assert type(await refusal_of(second)) is Unavailable
        assert house.count("b") == 0

    @pytest_twisted.ensureDeferred
    async def test_refusal_of_a_repetition_is_told_apart(self, house):
        """The first attempt may be its reason."""
        refusal = await refusal_of(
            house.issue("a", lambda count: Missing() if count == 2 else LinkLost())
        )
        assert isinstance(refusal, Repeated)
        assert isinstance(refusal.refusal, Missing)
        assert type(await refusal_of(house.issue("b", lambda _: Missing()))) is Missing


class PoisonTests:
    @pytest_twisted.ensureDeferred
    async def test_operation_in_flight_at_five_deaths_is_given_up(self, house):
        """It does not keep the driver from everybody for ever; the client is told to come much
        later.
        """
        refusal = await refusal_of(house.issue("a", lambda _: LinkLost()))
        assert isinstance(refusal, GivenUp)
        assert refusal.retry_after == 30
        assert house.count("a") == POISON_DEATHS
        assert house.attempts.given_up == 1

    @pytest_twisted.ensureDeferred
    async def test_death_before_it_left_is_not_its_fault(self, house):
        """What waited for its turn is not poison."""
        answer = await house.issue(
            "a",
            lambda count: "yes" if count > 2 * POISON_DEATHS else LinkLost(was_in_flight=False),
        )
        assert answer == "yes"

    @pytest_twisted.ensureDeferred
    async def test_suspects_are_tried_one_at_a_time(self, house):
        """The guilty one dies alone: another that was in flight with it gets its answer."""
        guilty_dies = [Deferred() for _ in range(POISON_DEATHS)]
        guilty = house.issue("guilty", lambda count: guilty_dies[count - 1])
        bystander_dies = [Deferred() for _ in range(SUSPECT_DEATHS)]
        bystander = house.issue(
            "bystander",
            lambda count: bystander_dies[count - 1] if count <= SUSPECT_DEATHS else "yes",
        )
        for death in range(SUSPECT_DEATHS):
            guilty_dies[death].errback(LinkLost())
            bystander_dies[death].errback(LinkLost())
        assert house.count("bystander") == SUSPECT_DEATHS  # while the other one is tried
        for death in range(SUSPECT_DEATHS, POISON_DEATHS):
            guilty_dies[death].errback(LinkLost())
        assert isinstance(await refusal_of(guilty), GivenUp)
        assert await bystander == "yes"

    @pytest_twisted.ensureDeferred
    async def test_poison_that_comes_again_is_tried_once(self, house):
        """A client in a loop costs one death at a time; an answer clears the suspicion."""
        await refusal_of(house.issue("a", lambda _: LinkLost()))
        house.made.clear()
        assert isinstance(await refusal_of(house.issue("a", lambda _: LinkLost())), GivenUp)
        assert house.count("a") == 1
        assert await house.issue("a", lambda _: "yes") == "yes"
        house.made.clear()
        assert await house.issue("a", lambda count: "yes" if count == 2 else LinkLost()) == "yes"

    @pytest_twisted.ensureDeferred
    async def test_what_was_given_up_is_remembered_within_a_bound(self, house, monkeypatch):
        """Memory does not grow with the number of poisons."""
        monkeypatch.setattr(attempts_module, "_REMEMBERED", 1)
        for name in "ab":
            await refusal_of(house.issue(name, lambda _: LinkLost()))
        house.made.clear()
        await refusal_of(house.issue("a", lambda _: LinkLost()))
        assert house.count("a") == POISON_DEATHS

    @pytest_twisted.ensureDeferred
    async def test_what_is_tried_in_another_way_is_no_poison_yet(self, house):
        """A batch is split up before anything in it is accused."""
        refusal = await refusal_of(house.issue("a", lambda _: LinkLost(), deaths=2))
        assert isinstance(refusal, GivenUp)
        assert (house.count("a"), house.attempts.given_up) == (2, 0)
