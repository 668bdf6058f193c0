# SPDX-License-Identifier: Apache-2.0
"""Hours of deaths, delays and lost links, in seconds: each run is decided by its seed.

``FAULTS_SEED`` of a campaign gives its runs again; a run that fails says its own.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

from tests.census import open_descriptors

from . import simulation
from .campaign import Campaign, is_long, pick_seed
from .simulation import BOOT, WEATHERS, Host, House
from .tenants import Tenant

HOUR = 3600.0

#: Virtual seconds in which all must be well once the weather is over.
RECOVERY = 2 * HOUR

#: Runs in which a planted mistake must show.
MOST_RUNS = 20

#: Upload sessions lie below this.
UPLOADS = "/_uploads/"


class Run:
    """One run.

    Attributes:
        problems: what happened and must not.
    """

    def __init__(self, seed, weather, hours, tenants=3):
        self.choice = random.Random(seed)
        self.host = Host(self.choice, weather)
        self.hours = hours
        self.house = House(self.host)
        self.tenants = [Tenant(self.house, f"t{number}") for number in range(tenants)]
        self.problems = self.house.problems

    def go(self):
        """Let clients live through the weather, then look whether all is well."""
        globalLogPublisher.addObserver(self._observe)
        try:
            self._live()
        except AssertionError as failure:
            self.problems.append(f"{self.host.seconds() - BOOT:.3f}: {failure}")
        finally:
            globalLogPublisher.removeObserver(self._observe)
        return self.problems

    def _observe(self, event):
        failure = event.get("log_failure")
        if failure is not None:
            self.problems.append(f"logged: {failure.getTraceback()}")

    def _live(self):
        until = self.host.seconds() + self.hours * HOUR
        lives = [Deferred.fromCoroutine(one.live(until)) for one in self.tenants]
        self.host.run_until(lambda: self.host.seconds() >= until, self.hours * HOUR + 1, "the end")
        self.host.calm_down()
        for life in lives:
            self._wait(life, "a client's last request")
        for tenant in self.tenants:
            for digest in tenant.blobs:
                self._wait(Deferred.fromCoroutine(tenant.check(digest)), f"{digest}")
        self._wait(Deferred.fromCoroutine(self.house.purge(-1)), "the last purge")
        left = [path for path in self.host.store_paths() if UPLOADS in path]
        self.problems += [f"{path} is left" for path in left]
        if held := self.house.opened.status().windows.used:
            self.problems.append(f"{held} bytes of replay windows are held")
        self._wait(Deferred.fromCoroutine(self.house.stop()), "the stop")
        self.problems += [f"{call} is still to come" for call in self.host.left_behind()]

    def _wait(self, deferred, what):
        outcome = []
        deferred.addBoth(outcome.append)
        self.host.run_until(lambda: outcome, RECOVERY, what)
        if hasattr(outcome[0], "getTraceback"):
            self.problems.append(f"{what}: {outcome[0].getTraceback()}")


@pytest.mark.parametrize("weather", WEATHERS, ids=lambda weather: weather.name)
def test_nothing_is_lost_in_any_weather(weather):
    """What clients were told holds; where the weather is fair they notice nothing at all."""
    count, hours = (15, 4) if is_long() else (4, 0.5)
    with Campaign(f"simulated hours: {weather.name}", strikes="deaths") as campaign:
        runs = refusals = done = 0
        for _ in campaign.within(range(count), least=1, seconds=2.5):
            seed = campaign.choice.getrandbits(32)
            before = open_descriptors()
            run = Run(seed, weather, hours)
            problems = run.go()
            if left := open_descriptors() - before:
                problems.append(f"descriptors are left: {dict(left)}")
            campaign.trial(f"seed {seed}", problems)
            runs += 1
            campaign.struck(run.host.deaths)
            refusals += run.host.refusals
            done += sum(tenant.done for tenant in run.tenants)
        campaign.notes |= {
            "virtual hours": runs * hours,
            "done by clients": done,
            "refused for the time being": refusals,
        }


@pytest.mark.parametrize("mistake", ["nothing is sent again", "uploads in use are purged"])
def test_planted_mistakes_are_noticed(mistake, monkeypatch):
    """The lab tested: a product that is broken on purpose does not get through."""
    weather = WEATHERS[1]
    if mistake == "nothing is sent again":
        weather = replace(weather, budget=0, dies_at_call=0.03)
    else:
        monkeypatch.setattr(simulation, "AGE", 60.0)
    with Campaign(f"simulated hours in which {mistake}", expects_losses=True) as campaign:
        while not campaign.losses and campaign.tried < MOST_RUNS:
            seed = campaign.choice.getrandbits(32)
            campaign.trial(f"seed {seed}", Run(seed, weather, 0.5).go())


def test_seed_is_replay():
    """The same seed gives the same events at the same instants."""
    seed = pick_seed("replay")
    first, second = (Run(seed, WEATHERS[-1], 0.2) for _ in range(2))
    assert first.go() == second.go() == []
    assert first.host.events == second.host.events
    assert len(first.host.events) > 10
