# SPDX-License-Identifier: Apache-2.0
"""How many upload sessions are open, and which are in use."""

from __future__ import annotations

import pytest

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code, OciError
from txregistry.oci.names import UploadId
from txregistry.registry.open_sessions import IDLE, LONGEST_WAIT, OpenSessions
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
        assert self.is_full(small)
        done(small.registry.uploads.cancel(APP, upload.id, upload.token))
        assert not self.is_full(small)

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
