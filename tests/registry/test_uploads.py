# SPDX-License-Identifier: Apache-2.0
"""Sessions: begun, continued, lost and found, cancelled. How they end is in test_uploads_finish."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code, OciError
from txregistry.oci.names import UploadId
from txregistry.oci.ranges import Span
from txregistry.registry import Action, BodyCut, Event, new_upload_id
from txregistry.registry.tokens import Tokens, UploadState
from txregistry.storage.errors import CODES, Internal, NoSpace, Throttled

from ..oci.refusals import refused
from .world import APP, END, NOW, OTHER, Bytes, Fed, World, cut, done, started

AT = "2025-01-31T10:20:30Z"
ID = UploadId("id-1")
DATA = "APP/_uploads/id-1/data"


@pytest.fixture
def upload(world):
    upload = done(world.registry.uploads.start(APP))
    world.driver.forget()
    return upload


@pytest.fixture
def uploads(world):
    return world.registry.uploads


class StartTests:
    def test_session_is_begun_with_one_call(self, world, uploads):
        upload = done(uploads.start(APP))
        assert (upload.repository, upload.id, upload.offset, upload.started_at) == (APP, ID, 0, AT)
        assert world.calls == ["put APP/_uploads/id-1/startedat"]

    def test_algorithm_is_remembered(self, world, uploads):
        """Whatever the client announced is hashed as it arrives, even if it asks for the status
        first.
        """
        upload = done(uploads.start(APP, algorithm="sha512"))
        asked = done(uploads.status(APP, upload.id))
        assert asked.token == upload.token
        done(uploads.append(APP, upload.id, asked.token, None, Bytes(b"abc")))
        assert world.has("APP/_uploads/id-1/hashstates/sha512/3")
        assert not world.has("APP/_uploads/id-1/hashstates/sha256")

    def test_unknown_algorithm_is_refused(self, world, uploads):
        with refused(Code.DIGEST_INVALID):
            done(uploads.start(APP, algorithm="md5"))
        assert world.calls == []

    def test_full_disk_is_said_so(self, world, uploads):
        world.driver.fail("startedat", NoSpace())
        with refused(Code.UNAVAILABLE) as caught:
            done(uploads.start(APP))
        assert caught.value.retry_after == 30


class StatusTests:
    def test_status_tells_what_is_stored(self, world, uploads, upload):
        assert done(uploads.status(APP, ID)) == upload
        done(uploads.append(APP, ID, upload.token, None, Bytes(b"abc")))
        world.driver.forget()
        asked = done(uploads.status(APP, ID))
        assert asked.offset == 3 and asked.started_at == AT
        assert sorted(world.calls) == [
            "get APP/_uploads/id-1/meta",
            "get APP/_uploads/id-1/startedat",
            "stat APP/_uploads/id-1/data",
        ]

    def test_unknown_session(self, uploads):
        with refused(Code.BLOB_UPLOAD_UNKNOWN):
            done(uploads.status(APP, ID))

    def test_session_of_another_repository_is_unknown(self, uploads, upload):
        with refused(Code.BLOB_UPLOAD_UNKNOWN):
            done(uploads.status(OTHER, ID))

    def test_session_of_another_registry(self, world, uploads):
        """An upload that began elsewhere is continued here, with no record of ours."""
        world.put("APP/_uploads/id-1/startedat", b"2024-12-31T23:59:59Z")
        world.put(DATA, b"abc")
        upload = done(uploads.status(APP, ID))
        assert (upload.offset, upload.started_at) == (3, "2024-12-31T23:59:59Z")
        done(uploads.finish(APP, ID, upload.token, Digest.of(b"abcdef"), None, Bytes(b"def")))

    def test_backend_that_asks_for_patience(self, world, uploads, upload):
        world.driver.fail("startedat", Throttled(retry_after=7))
        with refused(Code.UNAVAILABLE) as caught:
            done(uploads.status(APP, ID))
        assert caught.value.retry_after == 7


class AppendTests:
    def test_chunks_follow_each_other(self, world, uploads, upload):
        """A client that goes from Location to Location, with and without Content-Range."""
        upload = done(uploads.append(APP, ID, upload.token, None, Bytes(b"abc")))
        assert upload.offset == 3
        upload = done(uploads.append(APP, ID, upload.token, Span(3, 6), Bytes(b"d", b"ef")))
        upload = done(uploads.append(APP, ID, upload.token, Span(6, 8), Bytes(b"gh", length=None)))
        upload = done(uploads.append(APP, ID, upload.token, None, Bytes(b"i", length=None)))
        assert upload.offset == 9 and upload.started_at == AT
        assert world.get(DATA) == b"abcdefghi"

    def test_calls_of_a_chunk(self, world, uploads, upload):
        upload = done(uploads.append(APP, ID, upload.token, None, Bytes(b"abc")))
        first = world.calls[:]
        world.driver.forget()
        done(uploads.append(APP, ID, upload.token, None, Bytes(b"def")))
        rest = [f"open_writer {DATA}", f"write {DATA}", f"close {DATA}"]
        assert first == [f"stat {DATA}", "stat APP/_uploads/id-1/startedat", *rest]
        assert world.calls == [f"stat {DATA}", *rest]

    def test_running_hash_is_kept(self, world, uploads, upload):
        """Any host goes on without reading the bytes again."""
        done(uploads.append(APP, ID, upload.token, None, Bytes(b"abc")))
        assert world.has("APP/_uploads/id-1/hashstates/sha256/3")

    @pytest.mark.parametrize("body", [Bytes(), Bytes(length=None)])
    def test_empty_chunk_changes_nothing(self, world, uploads, upload, body):
        again = done(uploads.append(APP, ID, upload.token, None, body))
        assert again == upload and not world.has(DATA)

    @pytest.mark.parametrize("token", [None, "", "junk", "of another"])
    def test_without_its_token_nothing_is_done(self, world, uploads, upload, token):
        if token == "of another":
            token = done(uploads.start(APP)).token
            world.driver.forget()
        body = Bytes(b"abc")
        with refused(Code.BLOB_UPLOAD_INVALID):
            done(uploads.append(APP, ID, token, None, body))
        assert world.calls == [] and body.pulls == 0

    def test_token_of_another_repository(self, uploads, upload):
        with refused(Code.BLOB_UPLOAD_INVALID):
            done(uploads.append(OTHER, ID, upload.token, None, Bytes(b"abc")))

    def test_unknown_session(self, world, uploads, upload):
        world.delete("APP/_uploads/id-1")
        body = Bytes(b"abc")
        with refused(Code.BLOB_UPLOAD_UNKNOWN):
            done(uploads.append(APP, ID, upload.token, None, body))
        assert body.pulls == 0

    @pytest.mark.parametrize("span", [None, Span(0, 3), Span(2, 5), Span(4, 7)])
    def test_chunk_out_of_order_is_refused_unread(self, world, uploads, upload, span):
        """A retry of a chunk whose answer was lost is told the true offset; no byte is lost or
        doubled.
        """
        done(uploads.append(APP, ID, upload.token, None, Bytes(b"abc")))
        world.driver.forget()
        body = Bytes(b"abc")
        with refused(Code.RANGE_INVALID) as caught:
            done(uploads.append(APP, ID, upload.token, span, body))
        assert caught.value.offset == 3 and body.pulls == 0
        assert not any("open_writer" in call for call in world.calls)
        assert done(uploads.status(APP, ID)).offset == 3

    def test_content_range_decides_against_a_stale_token(self, uploads, upload):
        done(uploads.append(APP, ID, upload.token, None, Bytes(b"abc")))
        assert done(uploads.append(APP, ID, upload.token, Span(3, 6), Bytes(b"def"))).offset == 6

    def test_length_that_contradicts_the_range(self, uploads, upload):
        body = Bytes(b"abc")
        with refused(Code.SIZE_INVALID) as caught:
            done(uploads.append(APP, ID, upload.token, Span(0, 5), body))
        assert caught.value.offset == 0 and body.pulls == 0

    @pytest.mark.parametrize(
        "chunks, held", [((b"abc",), 3), ((b"abc", b"de", b"f"), 5), ((b"abcdef",), 0)]
    )
    def test_body_that_contradicts_the_range(self, uploads, upload, chunks, held):
        """No success for fewer or more bytes than were said; what was taken is told."""
        with refused(Code.SIZE_INVALID) as caught:
            done(uploads.append(APP, ID, upload.token, Span(0, 5), Bytes(*chunks, length=None)))
        assert caught.value.offset == held and not caught.value.too_large
        assert done(uploads.status(APP, ID)).offset == held

    def test_body_shorter_than_declared(self, uploads, upload):
        """Even if who serves does not notice."""
        with refused(Code.SIZE_INVALID):
            done(uploads.append(APP, ID, upload.token, None, Bytes(b"abc", length=4)))

    def test_client_that_goes_leaves_what_it_sent(self, world, uploads, upload):
        with pytest.raises(BodyCut):
            done(uploads.append(APP, ID, upload.token, None, cut(b"ab", b"c")))
        upload = done(uploads.status(APP, ID))
        assert upload.offset == 3
        assert done(uploads.append(APP, ID, upload.token, None, Bytes(b"def"))).offset == 6

    def test_cancelled_request_leaves_what_was_sent(self, world, uploads, upload):
        """The front end cancels a request when its client hangs up."""
        body = Fed()
        task = started(uploads.append(APP, ID, upload.token, None, body))
        body.feed(b"abc")
        gate = world.driver.hold("^close")
        task.cancel()
        assert task.result.check(CancelledError)
        task.addErrback(lambda _: None)
        settled = started(world.registry.settled())
        assert not settled.called
        gate.callback(None)
        assert settled.called
        assert done(uploads.status(APP, ID)).offset == 3

    def test_driver_that_fails_is_said_so(self, world, uploads, upload):
        done(uploads.append(APP, ID, upload.token, None, Bytes(b"abc")))
        world.driver.fail("^write", NoSpace())
        with refused(Code.UNAVAILABLE):
            done(uploads.append(APP, ID, upload.token, Span(3, 6), Bytes(b"def")))
        assert done(uploads.status(APP, ID)).offset == 3


class OneWriterTests:
    def test_newer_request_ends_the_older(self, world, uploads, upload):
        """A half-open connection of yesterday does not hold an upload up."""
        body = Fed()
        older = started(uploads.append(APP, ID, upload.token, None, body))
        body.feed(b"abc")
        upload = done(uploads.status(APP, ID))
        assert upload.offset == 3
        newer = done(uploads.append(APP, ID, upload.token, None, Bytes(b"def")))
        assert newer.offset == 6
        body.feed(b"xyz")
        with refused(Code.RANGE_INVALID) as caught:
            older.result.raiseException()
        older.addErrback(lambda _: None)
        assert caught.value.offset == 6
        assert world.get(DATA) == b"abcdef"

    def test_session_that_ended_meanwhile(self, uploads, upload):
        body = Fed()
        older = started(uploads.append(APP, ID, upload.token, None, body))
        body.feed(b"abc")
        done(uploads.cancel(APP, ID, upload.token))
        body.feed(b"xyz", END)
        with refused(Code.BLOB_UPLOAD_UNKNOWN):
            older.result.raiseException()
        older.addErrback(lambda _: None)

    def test_stale_retry_fences_nobody(self, uploads, upload):
        """A retry that is late does not break the request that goes on."""
        body = Fed()
        live = started(uploads.append(APP, ID, upload.token, None, body))
        body.feed(b"abc")
        with refused(Code.RANGE_INVALID):
            done(uploads.append(APP, ID, upload.token, None, Bytes(b"abc")))
        body.feed(b"def", END)
        assert live.result.offset == 6

    def test_race_for_the_same_place(self, world, uploads, upload):
        """Two requests were judged before either wrote: one of them is told the true offset."""
        gate = world.driver.hold("^open_writer")
        late = started(uploads.append(APP, ID, upload.token, None, Bytes(b"xyz")))
        done(uploads.append(APP, ID, upload.token, None, Bytes(b"abc")))
        gate.callback(None)
        with refused(Code.RANGE_INVALID) as caught:
            late.result.raiseException()
        late.addErrback(lambda _: None)
        assert caught.value.offset == 3
        assert world.get(DATA) == b"abc"


class CancelTests:
    def test_observer_is_told_of_start_and_cancellation(self, world, uploads, upload):
        done(uploads.cancel(APP, ID, upload.token))
        assert world.witness.events == [
            Event(Action.START, APP, upload=ID),
            Event(Action.CANCEL, APP, upload=ID),
        ]
        assert all(event.action.is_of_upload for event in world.witness.events)

    def test_cancelled_session_is_gone(self, world, uploads, upload):
        done(uploads.append(APP, ID, upload.token, None, Bytes(b"abc")))
        world.driver.forget()
        # The token may be of any moment of the session.
        done(uploads.cancel(APP, ID, upload.token))
        assert world.calls == ["delete APP/_uploads/id-1"]
        with refused(Code.BLOB_UPLOAD_UNKNOWN):
            done(uploads.status(APP, ID))
        with refused(Code.BLOB_UPLOAD_UNKNOWN):
            done(uploads.cancel(APP, ID, upload.token))

    def test_token_is_needed(self, world, uploads, upload):
        with refused(Code.BLOB_UPLOAD_INVALID):
            done(uploads.cancel(APP, ID, None))
        assert world.calls == []

    def test_fault_is_told_as_one(self, world, uploads, upload):
        world.driver.fail("^delete", Internal("secret words"))
        with refused(Code.UNKNOWN) as caught:
            done(uploads.cancel(APP, ID, upload.token))
        assert "secret" not in str(caught.value)


class LimitTests:
    @pytest.fixture
    def world(self):
        return World(blob_limit=5)

    def test_declared_excess_is_refused_unread(self, uploads, upload):
        body = Bytes(b"abcdef")
        with refused(Code.SIZE_INVALID) as caught:
            done(uploads.append(APP, ID, upload.token, None, body))
        assert caught.value.too_large and body.pulls == 0

    def test_undeclared_excess_is_refused_at_the_limit(self, world, uploads, upload):
        """Its disk space is given back at once."""
        with refused(Code.SIZE_INVALID) as caught:
            done(uploads.append(APP, ID, upload.token, None, Bytes(b"abc", b"def", length=None)))
        assert caught.value.too_large
        assert not world.has("APP/_uploads/id-1")

    def test_limit_itself_fits(self, uploads, upload):
        upload = done(uploads.append(APP, ID, upload.token, None, Bytes(b"abcde", length=None)))
        done(uploads.finish(APP, ID, upload.token, Digest.of(b"abcde"), None, None))

    def test_push_beyond_it(self, uploads):
        with refused(Code.SIZE_INVALID):
            done(uploads.push(APP, Digest.of(b"abcdef"), Bytes(b"abcdef")))


class OtherProcessTests:
    def test_token_works_in_another_process(self, world, uploads, upload):
        """Front ends of one storage share the secret; any of them goes on with any upload."""
        other = world.open().uploads
        upload = done(other.append(APP, ID, upload.token, None, Bytes(b"abc")))
        done(uploads.finish(APP, ID, upload.token, Digest.of(b"abc"), None, None))

    def test_token_of_registry_3(self, world, uploads):
        """Its tokens have nanoseconds and lack our members."""
        world.put("APP/_uploads/id-1/startedat", AT.encode())
        token = Tokens(b"asecret").seal(UploadState(APP, ID, 0, "2025-01-31T10:20:30.123456789Z"))
        upload = done(uploads.append(APP, ID, token, None, Bytes(b"abc")))
        assert upload.started_at == "2025-01-31T10:20:30.123456789Z"

    def test_default_ids_are_uuids(self, world):
        """Other registries' purges look for a UUID."""
        assert len({new_upload_id() for _ in range(10)}) == 10
        assert len(new_upload_id()) == 36 and new_upload_id()[14] == "4"

    def test_clock_is_given(self, world, uploads):
        world.now = NOW + 3600
        assert done(uploads.start(APP)).started_at == "2025-01-31T11:20:30Z"

    def test_token_is_not_shown(self, upload):
        """A token in a log would let its reader go on with the upload."""
        assert upload.token not in repr(upload)


def test_every_error_is_the_api_s(world, upload):
    """Whatever a driver refuses at whatever call, the client is told something of the API."""
    uploads = world.registry.uploads
    for error in CODES.values():
        for call in ("^stat .*data", "^open_writer", "^write", "^close"):
            upload = done(uploads.start(APP))
            world.driver.fail(call, error("secret words"))
            try:
                done(uploads.append(APP, upload.id, upload.token, None, Bytes(b"abc")))
            except OciError as caught:
                assert "secret" not in str(caught)
