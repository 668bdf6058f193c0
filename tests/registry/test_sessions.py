# SPDX-License-Identifier: Apache-2.0
"""What is recorded of upload sessions."""

from __future__ import annotations

import pytest

from txregistry.oci.names import UploadId
from txregistry.registry.sessions import Place, Record, Sessions, read_started, rfc3339
from txregistry.storage.contract import Content
from txregistry.storage.errors import Missing, Unavailable

from .world import APP, NOW, done, started

PLACE = Place(APP, UploadId("id"))
AT = "2025-01-31T10:20:30Z"


@pytest.fixture
def sessions(world):
    return Sessions(world.driver, now=lambda: world.now)


class SessionsTests:
    def test_session_begins_as_the_tree_demands(self, world, sessions):
        """The other registry finds the time where it looks for it, in whole seconds."""
        assert done(sessions.create(PLACE)) == Record(0, AT, "sha256")
        assert world.get("APP/_uploads/id/startedat") == AT.encode()
        assert world.calls == ["put APP/_uploads/id/startedat"]

    def test_another_algorithm_is_recorded_first(self, world, sessions):
        """A session that is there knows its algorithm."""
        done(sessions.create(PLACE, "sha512"))
        assert world.calls == ["put APP/_uploads/id/meta", "put APP/_uploads/id/startedat"]
        assert done(sessions.recall(PLACE)) == Record(0, AT, "sha512")

    def test_owner_is_recorded(self, world, sessions):
        """Another host, and a client without its token, know whose it is."""
        done(sessions.create(PLACE, owner="alice"))
        assert world.calls == ["put APP/_uploads/id/meta", "put APP/_uploads/id/startedat"]
        assert done(sessions.recall(PLACE)) == Record(0, AT, "sha256", "alice")

    def test_held_is_what_is_stored(self, world, sessions):
        assert done(sessions.held(PLACE)) is None
        assert done(sessions.held(PLACE, is_new=True)) is None
        done(sessions.create(PLACE))
        assert done(sessions.held(PLACE)) == 0
        assert done(sessions.held(PLACE, is_new=True)) == 0
        world.put(PLACE.data, b"12345")
        assert done(sessions.held(PLACE)) == 5
        assert done(sessions.held(PLACE, is_new=True)) == 5

    def test_held_asks_once_where_bytes_are(self, world, sessions):
        world.put(PLACE.data, b"12345")
        done(sessions.held(PLACE))
        assert world.calls == ["stat APP/_uploads/id/data"]

    def test_new_session_is_asked_about_at_once(self, world, sessions):
        gate = world.driver.hold("data")
        task = started(sessions.held(PLACE, is_new=True))
        assert world.calls == ["stat APP/_uploads/id/data", "stat APP/_uploads/id/startedat"]
        gate.callback(None)
        assert task.called

    def test_bytes_without_a_record_are_a_session(self, world, sessions):
        """A session of another registry whose startedat was lost can be finished."""
        world.put(PLACE.data, b"12345")
        world.now += 100
        assert done(sessions.recall(PLACE)) == Record(5, AT, "sha256")

    def test_meta_alone_is_no_session(self, world, sessions):
        world.put(PLACE.meta, b'{"algorithm":"sha512"}')
        assert done(sessions.recall(PLACE)) is None

    @pytest.mark.parametrize(
        "text", [b"", b"yesterday", b"\xff", b"2025-01-31", AT.encode() + b"\n"]
    )
    def test_garbage_for_a_time_is_the_time_of_the_look(self, world, sessions, text):
        world.put(PLACE.started, text)
        assert done(sessions.recall(PLACE)).started_at == AT

    @pytest.mark.parametrize(
        "text",
        [b"", b"{", b"[]", b'{"algorithm":"md5"}', b'{"algorithm":["sha256"]}', b"\xff", b"{}"],
    )
    def test_garbage_for_an_algorithm_is_sha256(self, world, sessions, text):
        done(sessions.create(PLACE))
        world.put(PLACE.meta, text)
        assert done(sessions.recall(PLACE)).algorithm == "sha256"

    def test_removed_session_is_gone(self, world, sessions):
        done(sessions.create(PLACE, "sha512"))
        world.put(PLACE.data, b"12345")
        done(sessions.remove(PLACE))
        assert not world.has("APP/_uploads/id")
        with pytest.raises(Missing):
            done(sessions.remove(PLACE))

    def test_clearing_does_not_mind(self, world, sessions):
        """A blob that was pushed is not refused for what its session leaves behind."""
        done(sessions.clear(PLACE))
        done(sessions.create(PLACE))
        world.driver.fail("^delete", Unavailable())
        done(sessions.clear(PLACE))
        assert world.has(PLACE.started)


class TimesTests:
    def test_time_is_utc_in_whole_seconds(self):
        assert rfc3339(NOW) == AT

    @pytest.mark.parametrize(
        "text, seconds",
        [
            (AT, int(NOW)),
            ("2025-01-31T10:20:30.123456789Z", int(NOW) + 0.123456),
            ("2025-01-31T11:20:30+01:00", int(NOW)),
            ("2025-13-31T10:20:30Z", None),
            ("", None),
        ],
    )
    def test_time_is_read_as_go_writes_it(self, text, seconds):
        found = read_started(Content(text.encode(), "1"))
        assert found == (None if seconds is None else pytest.approx(seconds, abs=1e-5))

    def test_no_record_is_no_time(self):
        assert read_started(None) is None
