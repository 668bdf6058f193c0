# SPDX-License-Identifier: Apache-2.0
"""How uploads end: as a blob of a repository, or not yet."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError

from txregistry.oci.digests import EMPTY_SHA256, Digest
from txregistry.oci.errors import Code
from txregistry.oci.names import UploadId
from txregistry.oci.ranges import Span
from txregistry.registry import Action, BodyCut, Event
from txregistry.registry.uploads import SMALL
from txregistry.storage.errors import Missing, NoSpace, Unavailable, Unsupported

from ..oci.refusals import refused
from .world import APP, END, OTHER, Bytes, Fed, cut, done, short, started

ID = UploadId("id-1")
SESSION = "APP/_uploads/id-1"
DATA = f"{SESSION}/data"
DIGEST = Digest.of(b"abcdef")
LARGE = b"x" * (SMALL + 1)


@pytest.fixture
def uploads(world):
    return world.registry.uploads


@pytest.fixture
def upload(world, uploads):
    """A session that holds ``abc``."""
    upload = done(uploads.start(APP))
    upload = done(uploads.append(APP, ID, upload.token, None, Bytes(b"abc")))
    world.driver.forget()
    return upload


@pytest.fixture
def fresh(world, uploads):
    """A session that holds nothing."""
    upload = done(uploads.start(APP))
    world.driver.forget()
    return upload


def blob_path(digest):
    return f"blobs/{digest.algorithm}/{digest.encoded[:2]}/{digest.encoded}/data"


def link_path(digest):
    return f"APP/_layers/{digest.algorithm}/{digest.encoded}/link"


def assert_blob(world, data, digest=None):
    """The tree holds what the other registry would have written, and nothing of the session."""
    digest = digest or Digest.of(data)
    assert world.get(blob_path(digest)) == data
    assert world.get(link_path(digest)) == str(digest).encode()
    assert not world.has("APP/_uploads")


class FinishTests:
    def test_last_chunk_closes(self, world, uploads, upload):
        assert done(uploads.finish(APP, ID, upload.token, DIGEST, None, Bytes(b"def"))) == DIGEST
        assert_blob(world, b"abcdef")

    @pytest.mark.parametrize("body", [None, Bytes(), Bytes(length=None)])
    def test_nothing_more_closes(self, world, uploads, upload, body):
        done(uploads.finish(APP, ID, upload.token, Digest.of(b"abc"), None, body))
        assert_blob(world, b"abc")

    def test_last_chunk_with_its_range(self, world, uploads, upload):
        done(uploads.finish(APP, ID, upload.token, DIGEST, Span(3, 6), Bytes(b"def", length=None)))
        assert_blob(world, b"abcdef")

    def test_order_of_writes(self, world, uploads, upload):
        """Bytes, then the link, and the session last: a crash in between loses nothing."""
        done(uploads.finish(APP, ID, upload.token, Digest.of(b"abc"), None, None))
        digits = Digest.of(b"abc").encoded[:4]
        assert world.calls == [
            f"stat {DATA}",
            f"commit {DATA}",
            f"put APP/_layers/sha256/{digits}/link",
            f"delete {SESSION}",
        ]

    def test_sha512(self, world, uploads, fresh):
        """What is pushed as sha512 is kept and answered as sha512."""
        digest = Digest.of(b"abcdef", "sha512")
        assert done(uploads.finish(APP, ID, fresh.token, digest, None, Bytes(b"abcdef"))) == digest
        assert_blob(world, b"abcdef", digest)

    def test_digest_decides_on_the_algorithm(self, world, uploads, upload):
        """A session that was begun for sha256 may be closed by a sha512 digest."""
        digest = Digest.of(b"abcdef", "sha512")
        done(uploads.finish(APP, ID, upload.token, digest, None, Bytes(b"def")))
        assert_blob(world, b"abcdef", digest)

    def test_observer_is_told_before_the_answer(self, world, uploads, upload):
        digest = Digest.of(b"abc")
        done(uploads.finish(APP, ID, upload.token, digest, None, None))
        assert world.witness.told_of == [("lib/app", digest)]
        blob = (APP, digest, "application/octet-stream", 3)
        assert world.witness.events[1:] == [
            Event(Action.PUSH, *blob),
            Event(Action.FINISH, *blob, upload=ID),
        ]

    def test_good_push_heals_a_corrupt_blob(self, world, uploads, upload):
        """Data of another size are replaced by what was just verified."""
        world.put(blob_path(DIGEST), b"")
        done(uploads.finish(APP, ID, upload.token, DIGEST, None, Bytes(b"def")))
        assert_blob(world, b"abcdef")


class EmptyBlobTests:
    @pytest.mark.parametrize("body", [None, Bytes(), Bytes(length=None)])
    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    def test_session_without_a_byte(self, world, uploads, fresh, body, algorithm):
        digest = Digest.of(b"", algorithm)
        done(uploads.finish(APP, ID, fresh.token, digest, None, body))
        assert_blob(world, b"", digest)
        assert done(world.registry.blobs.stat(APP, digest)) == 0

    def test_session_with_an_empty_file(self, world, uploads, fresh):
        """The other registry makes the file at once."""
        world.put(DATA, b"")
        done(uploads.finish(APP, ID, fresh.token, EMPTY_SHA256, None, None))
        assert_blob(world, b"")

    def test_in_one_request(self, world, uploads):
        done(uploads.push(APP, EMPTY_SHA256, Bytes()))
        assert_blob(world, b"")

    def test_nothing_is_not_something(self, world, uploads, fresh):
        with refused(Code.DIGEST_INVALID):
            done(uploads.finish(APP, ID, fresh.token, DIGEST, None, None))
        assert done(uploads.status(APP, ID)).offset == 0
        assert not world.has("blobs")


class WrongDigestTests:
    @pytest.mark.parametrize("length", [3, None])
    def test_session_stays_open_with_all_its_bytes(self, world, uploads, upload, length):
        """An upload of days is not thrown away for a wrong digest at its end."""
        with refused(Code.DIGEST_INVALID):
            done(
                uploads.finish(
                    APP, ID, upload.token, EMPTY_SHA256, None, Bytes(b"def", length=length)
                )
            )
        assert not world.has("blobs") and not world.has("APP/_layers")
        upload = done(uploads.status(APP, ID))
        assert upload.offset == 6
        done(uploads.finish(APP, ID, upload.token, DIGEST, None, None))
        assert_blob(world, b"abcdef")

    @pytest.mark.parametrize("data", [b"abcdef", LARGE])
    def test_single_chunk_is_kept(self, world, uploads, fresh, data):
        with refused(Code.DIGEST_INVALID):
            done(uploads.finish(APP, ID, fresh.token, Digest.of(b"other"), None, Bytes(data)))
        upload = done(uploads.status(APP, ID))
        assert upload.offset == len(data)
        done(uploads.finish(APP, ID, upload.token, Digest.of(data), None, None))
        assert_blob(world, data)

    def test_digest_of_other_content_that_is_here(self, world, uploads, upload):
        """That somebody has such a blob does not make these bytes it."""
        other = done(world.blob(b"other", OTHER))
        with refused(Code.DIGEST_INVALID):
            done(uploads.finish(APP, ID, upload.token, other, None, None))
        assert not world.has("APP/_layers")

    def test_algorithm_that_the_driver_lacks(self, world, uploads, upload):
        world.driver.fail("^commit", Unsupported())
        with refused(Code.DIGEST_INVALID):
            done(uploads.finish(APP, ID, upload.token, DIGEST, None, Bytes(b"def")))


class RefusedFinishTests:
    @pytest.mark.parametrize("span", [Span(0, 3), Span(2, 5), Span(4, 7)])
    def test_last_chunk_out_of_order(self, uploads, upload, span):
        body = Bytes(b"def")
        with refused(Code.RANGE_INVALID) as caught:
            done(uploads.finish(APP, ID, upload.token, DIGEST, span, body))
        assert caught.value.offset == 3 and body.pulls == 0
        assert done(uploads.status(APP, ID)).offset == 3

    def test_stale_token(self, uploads, fresh):
        done(uploads.append(APP, ID, fresh.token, None, Bytes(b"abc")))
        with refused(Code.RANGE_INVALID) as caught:
            done(uploads.finish(APP, ID, fresh.token, Digest.of(b"abc"), None, None))
        assert caught.value.offset == 3

    def test_no_token(self, uploads, upload):
        with refused(Code.BLOB_UPLOAD_INVALID):
            done(uploads.finish(APP, ID, None, DIGEST, None, Bytes(b"def")))

    def test_unknown_session(self, world, uploads, upload):
        world.delete(SESSION)
        with refused(Code.BLOB_UPLOAD_UNKNOWN):
            done(uploads.finish(APP, ID, upload.token, DIGEST, None, Bytes(b"def")))

    @pytest.mark.parametrize("body", [cut(b"de"), cut(b"de", length=None)])
    def test_body_that_is_cut(self, world, uploads, upload, body):
        """No success for a part; the part stays."""
        with pytest.raises(BodyCut):
            done(uploads.finish(APP, ID, upload.token, Digest.of(b"abcde"), None, body))
        assert done(uploads.status(APP, ID)).offset == 5
        assert not world.has("blobs")

    @pytest.mark.parametrize("sent", [b"", b"a", b"abcde"])
    def test_small_body_that_is_cut(self, world, uploads, fresh, sent):
        """What was only held in memory is stored when the client goes."""
        chunks = [sent] if sent else []
        with pytest.raises(BodyCut):
            done(
                uploads.finish(APP, ID, fresh.token, Digest.of(sent), None, cut(*chunks, length=6))
            )
        assert done(uploads.status(APP, ID)).offset == len(sent)
        assert not world.has("blobs")

    def test_small_body_of_a_cancelled_request(self, world, uploads, fresh):
        body = Fed(length=6)
        task = started(uploads.finish(APP, ID, fresh.token, DIGEST, None, body))
        body.feed(b"abc")
        task.cancel()
        assert task.result.check(CancelledError)
        task.addErrback(lambda _: None)
        assert done(uploads.status(APP, ID)).offset == 3

    def test_small_body_shorter_than_declared(self, uploads, fresh):
        with refused(Code.SIZE_INVALID):
            done(
                uploads.finish(
                    APP, ID, fresh.token, Digest.of(b"abc"), None, Bytes(b"abc", length=4)
                )
            )
        assert done(uploads.status(APP, ID)).offset == 3


class SmallBlobTests:
    def test_small_blob_is_stored_by_one_call(self, world, uploads, fresh):
        """POST and PUT of a config cost no writer, no staged file, no hash state."""
        done(uploads.finish(APP, ID, fresh.token, DIGEST, None, Bytes(b"abc", b"def")))
        assert world.calls == [
            f"stat {DATA}",
            f"stat {SESSION}/startedat",
            f"put {short(world.path(blob_path(DIGEST)))}",
            f"put {short(world.path(link_path(DIGEST)))}",
            f"delete {SESSION}",
        ]
        assert_blob(world, b"abcdef")

    def test_larger_one_is_staged(self, world, uploads, fresh):
        done(uploads.finish(APP, ID, fresh.token, Digest.of(LARGE), None, Bytes(LARGE)))
        assert f"commit {DATA}" in world.calls
        assert_blob(world, LARGE)


class RepeatedFinishTests:
    def test_answer_that_was_lost_is_given_again(self, world, uploads, upload):
        """A client that never saw its 201 gets it now; the push is told again, because nobody knows
        whether it was told before.
        """
        for _ in range(2):
            done(uploads.finish(APP, ID, upload.token, DIGEST, None, Bytes(b"def")))
        assert_blob(world, b"abcdef")
        assert len(world.witness.told_of) == 2
        actions = [event.action for event in world.witness.events[1:]]
        assert actions == [Action.PUSH, Action.FINISH] * 2

    def test_only_with_the_token(self, uploads, upload):
        done(uploads.finish(APP, ID, upload.token, DIGEST, None, Bytes(b"def")))
        with refused(Code.BLOB_UPLOAD_INVALID):
            done(uploads.finish(APP, ID, "x", DIGEST, None, Bytes(b"def")))

    def test_only_for_what_the_repository_has(self, world, uploads, upload):
        other = done(world.blob(b"other", OTHER))
        done(uploads.finish(APP, ID, upload.token, DIGEST, None, Bytes(b"def")))
        with refused(Code.BLOB_UPLOAD_UNKNOWN):
            done(uploads.finish(APP, ID, upload.token, other, None, None))

    @pytest.mark.parametrize("call", [r"^put .*_layers", rf"^delete {SESSION}$"])
    def test_crash_before_the_session_was_removed(self, world, uploads, upload, call):
        """The repetition finds the session, or the link; the client sees nothing but a delay."""
        world.driver.hold(call)  # for ever
        crashed = started(uploads.finish(APP, ID, upload.token, DIGEST, None, Bytes(b"def")))
        assert not crashed.called
        other = world.open().uploads
        try:
            done(other.finish(APP, ID, upload.token, DIGEST, None, Bytes(b"def")))
        except Exception:
            assert "_layers" in call  # not linked yet: the true offset leads on
            upload = done(other.status(APP, ID))
            assert upload.offset == 6
            done(other.finish(APP, ID, upload.token, DIGEST, None, None))
        assert_blob(world, b"abcdef")

    def test_range_out_of_order_is_refused_all_the_same(self, world, uploads, upload):
        """That the blob is here already does not make a wrong range right."""
        done(world.blob(b"abcdef"))
        with refused(Code.RANGE_INVALID):
            done(uploads.finish(APP, ID, upload.token, DIGEST, Span(0, 3), Bytes(b"abc")))

    def test_other_length_is_refused_all_the_same(self, world, uploads, fresh):
        """The session holds as much as this request would have made, but not of that blob."""
        other = done(world.blob(b"something longer"))
        done(uploads.append(APP, ID, fresh.token, None, Bytes(b"abc")))
        with refused(Code.RANGE_INVALID):
            done(uploads.finish(APP, ID, fresh.token, other, None, Bytes(b"abc")))

    def test_two_at_once_both_succeed(self, world, uploads, upload):
        """The second finds the session removed under it, and the blob there."""
        digest = Digest.of(b"abc")
        gate = world.driver.hold("^commit")
        slow = started(uploads.finish(APP, ID, upload.token, digest, None, None))
        done(uploads.finish(APP, ID, upload.token, digest, None, None))
        gate.callback(None)
        assert slow.result == digest
        assert_blob(world, b"abc")

    def test_session_that_was_cancelled_meanwhile(self, world, uploads, upload):
        gate = world.driver.hold("^commit")
        slow = started(uploads.finish(APP, ID, upload.token, DIGEST, None, Bytes(b"def")))
        done(uploads.cancel(APP, ID, upload.token))
        gate.callback(None)
        with refused(Code.BLOB_UPLOAD_UNKNOWN):
            slow.result.raiseException()
        slow.addErrback(lambda _: None)


class DepartedClientTests:
    @pytest.mark.parametrize("call", ["^commit", "^put .*_layers", f"^delete {SESSION}$"])
    def test_commit_goes_on(self, world, uploads, upload, call):
        """From the commit on nobody stops it; the blob is there when the client asks again."""
        gate = world.driver.hold(call)
        task = started(uploads.finish(APP, ID, upload.token, DIGEST, None, Bytes(b"def")))
        task.cancel()
        assert task.result.check(CancelledError)
        task.addErrback(lambda _: None)
        gate.callback(None)
        done(world.registry.settled())
        assert_blob(world, b"abcdef")

    def test_before_it_everything_is_kept(self, world, uploads, upload):
        gate = world.driver.hold("^close")
        task = started(uploads.finish(APP, ID, upload.token, DIGEST, None, Bytes(b"def")))
        task.cancel()
        task.addErrback(lambda _: None)
        gate.callback(None)
        assert done(uploads.status(APP, ID)).offset == 6
        assert not world.has("blobs")

    @pytest.mark.parametrize("call", ["^commit", "^put .*_layers"])
    def test_failing_driver_leaves_the_session(self, world, uploads, upload, call):
        """A full disk at the last moment costs no byte that was sent."""
        world.driver.fail(call, NoSpace())
        with refused(Code.UNAVAILABLE):
            done(uploads.finish(APP, ID, upload.token, DIGEST, None, Bytes(b"def")))
        upload = done(uploads.status(APP, ID))
        assert upload.offset == 6
        done(uploads.finish(APP, ID, upload.token, DIGEST, None, None))
        assert_blob(world, b"abcdef")

    def test_session_that_stays_behind_spoils_nothing(self, world, uploads, upload):
        world.driver.fail("^delete", Unavailable())
        done(uploads.finish(APP, ID, upload.token, DIGEST, None, Bytes(b"def")))
        assert world.get(blob_path(DIGEST)) == b"abcdef"


class PushTests:
    def test_small_blob_costs_two_calls(self, world, uploads):
        assert done(uploads.push(APP, DIGEST, Bytes(b"abc", b"def"))) == DIGEST
        assert [call.split()[0] for call in world.calls] == ["put", "put"]
        assert_blob(world, b"abcdef")
        assert world.witness.told_of == [("lib/app", DIGEST)]

    @pytest.mark.parametrize("body", [Bytes(LARGE), Bytes(LARGE, length=None)])
    def test_large_blob_is_staged(self, world, uploads, body):
        done(uploads.push(APP, Digest.of(LARGE), body))
        assert [call.split()[0] for call in world.calls] == [
            *("put", "open_writer", "write", "close", "commit", "put", "delete")
        ]
        assert_blob(world, LARGE)

    @pytest.mark.parametrize("data", [b"abc", LARGE])
    @pytest.mark.parametrize("length", [-1, None])
    def test_other_bytes_leave_nothing(self, world, uploads, data, length):
        """Nobody knows of the session, so nothing of it stays."""
        with refused(Code.DIGEST_INVALID):
            done(uploads.push(APP, DIGEST, Bytes(data, length=length)))
        assert not world.has("blobs") and not world.has("APP/_uploads")

    @pytest.mark.parametrize("data", [b"abc", LARGE])
    @pytest.mark.parametrize("length", [2 * SMALL, SMALL, None])
    def test_cut_body_leaves_nothing(self, world, uploads, data, length):
        with pytest.raises(BodyCut):
            done(uploads.push(APP, DIGEST, cut(data, length=length)))
        assert not world.has("blobs") and not world.has("APP/_uploads")

    def test_cancelled_request_leaves_nothing(self, world, uploads):
        body = Fed()
        task = started(uploads.push(APP, DIGEST, body))
        body.feed(b"abc")
        task.cancel()
        assert task.result.check(CancelledError)
        task.addErrback(lambda _: None)
        done(world.registry.settled())
        assert not world.has("APP/_uploads")

    @pytest.mark.parametrize("length", [4, SMALL + 1])
    def test_body_shorter_than_declared(self, uploads, length):
        with refused(Code.SIZE_INVALID):
            done(uploads.push(APP, Digest.of(b"abc"), Bytes(b"abc", length=length)))

    def test_departed_client_stops_nothing(self, world, uploads):
        gate = world.driver.hold("^put .*_layers")
        task = started(uploads.push(APP, DIGEST, Bytes(b"abcdef")))
        task.cancel()
        task.addErrback(lambda _: None)
        gate.callback(None)
        assert_blob(world, b"abcdef")

    def test_session_lost_in_between(self, world, uploads):
        world.driver.fail("^commit", Missing())
        with refused(Code.BLOB_UPLOAD_UNKNOWN):
            done(uploads.push(APP, Digest.of(LARGE), Bytes(LARGE)))

    def test_end_is_awaited(self, world, uploads):
        body = Fed()
        task = started(uploads.push(APP, DIGEST, body))
        body.feed(b"abc")
        assert not task.called
        body.feed(b"def", END)
        assert task.result == DIGEST
