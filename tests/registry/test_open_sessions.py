# SPDX-License-Identifier: Apache-2.0
"""How many upload sessions are open, and which are in use."""

from __future__ import annotations

import pytest

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code, OciError
from txregistry.oci.names import UploadId
from txregistry.registry.open_sessions import (
    IDLE,
    LONGEST_WAIT,
    TELL_EVERY,
    Change,
    OpenSessions,
)
from txregistry.storage.errors import Unavailable

from .world import APP, Bytes, World, done

A, B, C = UploadId("a"), UploadId("b"), UploadId("c")


class Time:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Time()


class OpenSessionsTests:
    def test_owner_has_its_share(self, time):
        """Others are let in, and so is the owner once one of its own has ended."""
        sessions = OpenSessions(time, per_owner=1)
        sessions.admit(A, "one")
        with pytest.raises(OciError) as caught:
            sessions.admit(B, "one")
        assert (caught.value.code, caught.value.retry_after) == (
            Code.TOOMANYREQUESTS,
            LONGEST_WAIT,
        )
        sessions.admit(B, "two")
        sessions.ended(A)
        sessions.admit(C, "one")

    def test_end_of_one_leaves_the_others_counted(self, time):
        """An owner can't have more of them by ending one."""
        sessions = OpenSessions(time, per_owner=2)
        sessions.admit(A, "one")
        sessions.admit(B, "one")
        sessions.ended(A)
        sessions.admit(C, "one")
        with pytest.raises(OciError):
            sessions.admit(UploadId("d"), "one")

    def test_all_have_a_cap(self, time):
        sessions = OpenSessions(time, total=1)
        sessions.admit(A, "one")
        with pytest.raises(OciError) as caught:
            sessions.admit(B, "two")
        assert caught.value.code is Code.UNAVAILABLE
        sessions.ended(A)
        sessions.admit(B, "two")

    def test_nobody_in_particular_counts_in_all_only(self, time):
        sessions = OpenSessions(time, total=2, per_owner=1)
        sessions.admit(A, "")
        sessions.admit(B, "")
        with pytest.raises(OciError):
            sessions.admit(C, "")

    def test_what_is_idle_for_long_no_longer_counts(self, time):
        """A client whose pushes keep failing is not kept out until the purge."""
        sessions = OpenSessions(time, per_owner=2)
        sessions.admit(A, "one")
        time.now += IDLE / 2
        sessions.admit(B, "one")
        time.now += IDLE / 2 - 7
        with pytest.raises(OciError) as caught:
            sessions.admit(C, "one")
        assert caught.value.retry_after == 7
        time.now += 8
        sessions.admit(C, "one")

    def test_requests_keep_it_counted(self, time):
        sessions = OpenSessions(time, per_owner=1)
        sessions.admit(A, "one")
        time.now += IDLE - 1
        with sessions.attending(A):
            time.now += IDLE - 1
        time.now += IDLE - 1
        with pytest.raises(OciError):
            sessions.admit(B, "one")

    def test_one_request_that_lasts_for_days_keeps_it_counted(self, time):
        sessions = OpenSessions(time, per_owner=1, total_bytes=10)
        sessions.admit(A, "one")
        with sessions.attending(A):
            sessions.resize(A, 10)
            time.now += 48 * IDLE
            assert sessions.count == 1
            sessions.admit(B, "other")
            with pytest.raises(OciError):
                sessions.resize(B, 1)
        time.now += IDLE + 1
        assert sessions.count == 0

    def test_end_of_what_is_not_counted(self, time):
        """Sessions of earlier processes end, too."""
        OpenSessions(time).ended(A)

    def test_attended_as_long_as_any_request_is_at_work(self, time):
        sessions = OpenSessions(time)
        with sessions.attending(A):
            with sessions.attending(A):
                assert sessions.is_attended(A)
            assert sessions.is_attended(A)
            assert not sessions.is_attended(B)
        assert not sessions.is_attended(A)


class BytesTests:
    """What open sessions hold."""

    def test_owner_has_its_share(self, time):
        """What is refused is not counted; others have theirs, and an end gives all back."""
        sessions = OpenSessions(time, bytes_per_owner=10)
        sessions.admit(A, "one")
        sessions.admit(B, "one")
        sessions.resize(A, 6)
        sessions.resize(B, 4)
        for _ in range(2):
            with pytest.raises(OciError) as caught:
                sessions.resize(B, 5)
            assert caught.value.code is Code.TOOMANYREQUESTS
        assert caught.value.retry_after == LONGEST_WAIT
        sessions.admit(C, "two")
        sessions.resize(C, 10)
        sessions.ended(A)
        sessions.resize(B, 10)

    def test_all_have_a_cap(self, time):
        sessions = OpenSessions(time, total_bytes=10)
        sessions.admit(A, "one")
        sessions.admit(B, "")
        sessions.resize(A, 6)
        sessions.resize(B, 4)
        with pytest.raises(OciError) as caught:
            sessions.resize(B, 5)
        assert caught.value.code is Code.UNAVAILABLE
        sessions.resize(A, 5)  # a driver's death may cost some
        sessions.resize(B, 5)

    def test_left_ones_no_longer_count(self, time):
        sessions = OpenSessions(time, total_bytes=10)
        sessions.admit(A, "one")
        sessions.resize(A, 10)
        time.now += IDLE + 1
        sessions.admit(B, "two")
        sessions.resize(B, 10)

    def test_session_of_another_process_is_not_counted(self, time):
        OpenSessions(time, total_bytes=10).resize(A, 11)

    def test_question_counts_nothing(self, time):
        sessions = OpenSessions(time, total_bytes=10)
        sessions.admit(A, "one")
        sessions.check_size(A, 10)
        sessions.admit(B, "two")
        sessions.resize(B, 10)


class UploadBytesTests:
    """Bodies against the caps."""

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            ({"session_bytes_per_client": 10}, Code.TOOMANYREQUESTS),
            ({"session_bytes": 10}, Code.UNAVAILABLE),
        ],
    )
    def test_body_that_says_its_length_is_not_read(self, options, code):
        """It is refused before it is sent."""
        world = World(**options)
        upload = done(world.registry.uploads.start(APP, owner="one"))
        body = Bytes(b"x" * 11)
        with pytest.raises(OciError) as caught:
            done(world.registry.uploads.append(APP, upload.id, upload.token, None, body))
        assert (caught.value.code, body.pulls) == (code, 0)
        assert done(world.registry.uploads.status(APP, upload.id)).offset == 0

    def test_what_came_before_the_bound_stays(self):
        """A body without a length is taken up to it, and goes on when there is room."""
        world = World(session_bytes_per_client=10)
        other = done(world.registry.uploads.start(APP, owner="one"))
        done(world.registry.uploads.append(APP, other.id, other.token, None, Bytes(b"y" * 4)))
        upload = done(world.registry.uploads.start(APP, owner="one"))
        body = Bytes(b"abc", b"def", b"ghi", length=None)
        with pytest.raises(OciError) as caught:
            done(world.registry.uploads.append(APP, upload.id, upload.token, None, body))
        assert caught.value.code is Code.TOOMANYREQUESTS
        held = done(world.registry.uploads.status(APP, upload.id))
        assert held.offset == 6
        done(world.registry.uploads.cancel(APP, other.id, other.token))
        digest = Digest.of(b"abcdefghi")
        done(world.registry.uploads.finish(APP, upload.id, held.token, digest, None, Bytes(b"ghi")))


class UploadsTests:
    """What of an upload counts."""

    @pytest.fixture
    def small(self):
        return World(sessions_per_client=1)

    def start(self, world, owner="one"):
        return done(world.registry.uploads.start(APP, owner=owner))

    def is_full(self, world):
        """Whether the client may begin no other upload."""
        try:
            upload = self.start(world)
        except OciError as error:
            assert error.code is Code.TOOMANYREQUESTS
            return True
        done(world.registry.uploads.cancel(APP, upload.id, upload.token))
        return False

    def test_open_upload_counts_until_it_is_cancelled(self, small):
        upload = self.start(small)
        assert (self.is_full(small), small.registry.uploads.open_count) == (True, 1)
        assert small.registry.uploads.open_sessions.count == 1
        done(small.registry.uploads.cancel(APP, upload.id, upload.token))
        assert (self.is_full(small), small.registry.uploads.open_count) == (False, 0)

    def test_upload_that_was_left_for_long_is_not_told_of(self, small):
        """Whoever watches sees those that hold up others, not those that nobody will come back to."""
        self.start(small)
        small.now += IDLE + 1
        assert small.registry.uploads.open_count == 0

    @pytest.mark.parametrize("data", [b"abc", bytes(100_000)])
    def test_open_upload_counts_until_it_is_finished(self, small, data):
        upload = self.start(small)
        digest = Digest.of(data)
        done(small.registry.uploads.finish(APP, upload.id, upload.token, digest, None, Bytes(data)))
        assert not self.is_full(small)

    def test_upload_that_failed_to_begin_does_not_count(self, small):
        small.driver.fail("put", Unavailable("gone"))
        with pytest.raises(OciError) as caught:
            self.start(small)
        assert caught.value.code is Code.UNAVAILABLE
        assert not self.is_full(small)

    def test_upload_over_the_limit_is_gone(self):
        world = World(sessions_per_client=1, blob_limit=10)
        upload = self.start(world)
        body = Bytes(b"x" * 11, length=None)
        with pytest.raises(OciError):
            done(world.registry.uploads.append(APP, upload.id, upload.token, None, body))
        assert not self.is_full(world)


class SharedTests:
    """Several processes count the same, by what they tell each other."""

    @pytest.fixture
    def pair(self, time):
        one, other = (OpenSessions(time, per_owner=1, total_bytes=100) for _ in range(2))
        one.tell, other.tell = other.learn, one.learn
        return one, other

    def test_owner_has_one_share_in_all(self, pair):
        one, other = pair
        one.admit(A, "one")
        with pytest.raises(OciError):
            other.admit(B, "one")
        other.ended(A)
        one.admit(B, "one")
        assert (one.count, other.count) == (1, 1)

    def test_bytes_are_those_that_any_of_them_took(self, pair):
        one, other = pair
        one.admit(A, "one")
        with other.attending(A):
            other.resize(A, 90)
        one.admit(B, "two")
        with pytest.raises(OciError):
            one.check_size(B, 20)
        one.ended(A)
        other.check_size(B, 20)

    def test_growth_is_told_now_and_then_while_it_lasts(self, time):
        told = []
        sessions = OpenSessions(time)
        sessions.admit(A, "one")
        sessions.tell = told.append
        with sessions.attending(A):
            for size in (1, TELL_EVERY, TELL_EVERY + 1):
                sessions.resize(A, size)
            assert [change.size for change in told] == [TELL_EVERY]
        assert [change.size for change in told] == [TELL_EVERY, TELL_EVERY + 1]

    def test_what_comes_late_about_a_session_that_ended_is_nothing(self, pair):
        one, other = pair
        one.admit(A, "one")
        other.ended(A)
        one.learn(Change("a", "one", 5))
        one.learn(Change("a", "", None))
        assert (one.count, other.count) == (0, 0)
