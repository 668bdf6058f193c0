# SPDX-License-Identifier: Apache-2.0
"""The purge of upload sessions."""

from __future__ import annotations

import pytest

from txregistry.oci.names import RepositoryName
from txregistry.registry import PurgeReport, purge_uploads
from txregistry.storage.errors import Missing, Unavailable
from txregistry.storage.memory import MemoryStore

from .world import APP, END, NOW, OTHER, Bytes, Fed, done, started

HOUR = 3600
AGE = 168 * HOUR


def purge(world, dry_run=False):
    return done(purge_uploads(world.driver, world.now, AGE, dry_run))


def begin(world, repository=APP, data=b"abc"):
    upload = done(world.registry.uploads.start(repository))
    if data:
        upload = done(
            world.registry.uploads.append(repository, upload.id, upload.token, None, Bytes(data))
        )
    return upload


class PurgeTests:
    def test_old_session_goes(self, world):
        upload = begin(world)
        world.now = NOW + AGE + 1
        assert purge(world) == PurgeReport(examined=1, removed=1, freed=3)
        assert not world.has(f"APP/_uploads/{upload.id}")

    def test_young_session_stays(self, world):
        begin(world)
        world.now = NOW + AGE - 1
        assert purge(world) == PurgeReport(examined=1)
        assert world.has("APP/_uploads/id-1")

    def test_last_activity_counts(self, world):
        """An upload of weeks over a slow link is not old while bytes come."""
        upload = begin(world)
        for _ in range(3):
            world.now += AGE - HOUR
            upload = done(
                world.registry.uploads.append(APP, upload.id, upload.token, None, Bytes(b"abc"))
            )
            assert purge(world).removed == 0
        world.now += AGE + 1
        assert purge(world).removed == 1

    def test_session_in_use_stays(self, world):
        """A client from which nothing came for very long is still there, and so is its upload."""
        upload = begin(world)
        body = Fed()
        work = started(world.registry.uploads.append(APP, upload.id, upload.token, None, body))
        world.now += AGE + 1
        in_use = world.registry.uploads.is_in_use
        assert done(purge_uploads(world.driver, world.now, AGE, False, in_use)).removed == 0
        body.feed(b"def", END)
        assert work.result.offset == 6
        world.now += AGE + 1
        assert done(purge_uploads(world.driver, world.now, AGE, False, in_use)).removed == 1

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_dry_run_reports_and_removes_nothing(self, world, dry_run):
        begin(world)
        world.now += AGE + 1
        assert purge(world, dry_run) == PurgeReport(examined=1, removed=1, freed=3)
        assert world.has("APP/_uploads/id-1") is dry_run

    def test_all_repositories_are_looked_at(self, world):
        for name in ("a", "a/b", "a-b", "z/y/x"):
            begin(world, RepositoryName(name))
        begin(world, OTHER, b"")
        done(world.image())
        world.now += AGE + 1
        assert purge(world) == PurgeReport(examined=5, removed=5, freed=12)
        assert done(world.registry.manifests.fetch(APP, done(world.image())))

    def test_many_sessions(self, world):
        for number in range(2500):
            world.put(f"APP/_uploads/{number}/startedat", b"")
        world.now += AGE + 1
        assert purge(world).removed == 2500

    @pytest.mark.parametrize("text", [None, b"", b"garbage"])
    def test_missing_or_broken_record_saves_nobody(self, world, text):
        """Age is told by what changed last, so no session stays for ever."""
        world.put("APP/_uploads/x/data", b"abc")
        if text is not None:
            world.put("APP/_uploads/x/startedat", text)
        assert purge(world).removed == 0
        world.now += AGE + 1
        assert purge(world).removed == 1

    def test_what_is_no_session_is_passed_over(self, world):
        world.put("APP/_uploads/file", b"")
        world.put("APP/_uploads/" + "x" * 129 + "/data", b"")
        world.now += AGE + 1
        assert purge(world) == PurgeReport()

    def test_empty_storage(self, world):
        assert purge(world) == PurgeReport()

    def test_one_that_fails_does_not_stop_the_others(self, world):
        begin(world)
        begin(world)
        world.now += AGE + 1
        world.driver.fail("^walk", Unavailable())
        assert purge(world) == PurgeReport(examined=2, removed=1, freed=3, failed=1)
        world.driver.fail("^delete", Unavailable())
        assert purge(world) == PurgeReport(examined=1, failed=1)

    @pytest.mark.parametrize("call", ["^walk", "^delete"])
    def test_session_that_ends_meanwhile(self, world, call):
        begin(world)
        world.now += AGE + 1
        world.driver.fail(call, Missing())
        assert purge(world) == PurgeReport(examined=1)

    def test_repository_that_ends_meanwhile(self, world):
        begin(world)
        world.driver.fail("^list .*_uploads", Missing())
        assert purge(world) == PurgeReport()

    def test_listing_that_fails_is_told(self, world):
        begin(world)
        world.driver.fail("^list", Unavailable())
        with pytest.raises(Unavailable):
            purge(world)

    def test_few_at_a_time(self, world):
        """It is nobody's request and takes no driver's slots from one."""
        for _ in range(10):
            begin(world, data=b"")
        world.driver.forget()
        gates = [world.driver.hold("^walk") for _ in range(10)]
        task = started(purge_uploads(world.driver, world.now, AGE))
        assert len([call for call in world.calls if call.startswith("walk")]) == 4
        for gate in gates:
            gate.callback(None)
        assert task.result.examined == 10


class NoTimesTests:
    """A store that keeps no times."""

    @pytest.fixture
    def timeless(self, world):
        world.store._now = lambda: 0
        assert isinstance(world.store, MemoryStore)
        return world

    def test_beginning_counts_then(self, timeless):
        begin(timeless)
        timeless.now += AGE - 1
        assert purge(timeless).removed == 0
        timeless.now += 2
        assert purge(timeless).removed == 1

    @pytest.mark.parametrize("text", [None, b"garbage"])
    def test_unknown_age_stays(self, timeless, text):
        timeless.put("APP/_uploads/x/data", b"abc")
        if text is not None:
            timeless.put("APP/_uploads/x/startedat", text)
        timeless.now += AGE * 100
        assert purge(timeless) == PurgeReport(examined=1)
