# SPDX-License-Identifier: Apache-2.0
"""What S3 may do to us, and what becomes of it: on a server of our own that fails as it is told."""

from __future__ import annotations

import hashlib
import threading

import pytest

from txregistry.driver import (
    BadOptions,
    Changed,
    Denied,
    Exists,
    Fenced,
    Missing,
    NoSpace,
    Throttled,
    Unavailable,
    WrongOffset,
)
from txregistry_drivers.objects import Capabilities, ObjectStore, Tuning
from txregistry_drivers.s3 import create
from txregistry_drivers.s3.bucket import S3Bucket
from txregistry_drivers.s3.client import make_client, make_session
from txregistry_drivers.s3.options import read_options

from .fake import FakeS3, Fault, Limits

BUSY = Fault("status", 503, "SlowDown", {"Retry-After": "7"})
BROKEN = Fault("status", 500, "InternalError")
LOST = Fault("lost")

#: More of them than there are retries.
OUTAGE = 20


def noise(size):
    return hashlib.shake_128(b"s3").digest(size)


@pytest.fixture
def fake():
    with FakeS3() as fake:
        yield fake


def options_for(fake, **more):
    return {
        "bucket": "bkt",
        "regionendpoint": fake.url,
        "accesskey": "AKIATESTING",
        "secretkey": "very-secret",
        "maxattempts": 3,
        "multipartcopymaxconcurrency": 4,
        **more,
    }


def store_on(fake, *, tuning=None, **more):
    """A store that keeps to the fake's limits."""
    options = read_options(options_for(fake, **more))
    capabilities = Capabilities(
        if_absent=fake.has_conditions,
        if_version=fake.has_conditions,
        delete_if_version=fake.has_conditions,
        copy_limit=fake.limits.copy_limit,
        smallest_piece=fake.limits.smallest_part,
        most_pieces=fake.limits.most_parts,
        good_piece=10_000,
    )
    session = make_session(options)
    client, plain = (make_client(options, session, has_checksums=has) for has in (True, False))
    bucket = S3Bucket(client, plain, options, capabilities)
    return ObjectStore(bucket, "", tuning or Tuning(part_size=2000, copy_threshold=20_000))


@pytest.fixture
def store(fake):
    store = store_on(fake)
    yield store
    store.close()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """botocore waits between two tries; nobody here has to."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)


def fetch(store, path, start=0):
    content = store.open(path, start)
    try:
        return b"".join(iter(lambda: content.read(700), b""))
    finally:
        content.close()


def upload(store, path, data, piece=500):
    appender = store.append(path, 0)
    for start in range(0, len(data), piece):
        appender.append(memoryview(data)[start : start + piece])
    return appender.close()


class RetryTests:
    @pytest.mark.parametrize("fault", [BUSY, BROKEN, LOST], ids=["503", "500", "lost"])
    def test_a_passing_fault_is_not_seen(self, fake, store, fault):
        """Any request may fail once or lose its answer; the push goes on and nothing is left."""
        data = noise(30_500)
        operations = (
            *("PutObject", "GetObject", "HeadObject", "CreateMultipartUpload", "UploadPart"),
            *("UploadPartCopy", "CompleteMultipartUpload", "ListObjectsV2", "DeleteObjects"),
        )
        for operation in operations:
            fake.fail(operation, fault)
        assert upload(store, "/u/1/data", data) == len(data)
        store.publish("/u/1/data", "/blob", len(data))
        assert fetch(store, "/blob") == data
        store.delete("/u/1", if_version=None)
        assert list(fake.objects) == ["blob"]
        left = set(fake.uploads)
        assert left == set() or fault is LOST  # a create whose answer is lost can't be known
        assert not any(fake.faults.values())

    def test_an_error_in_a_200_is_an_error(self, fake, store):
        """Copies and completions may answer 200 and an error; that is no success."""
        data = noise(30_000)
        error = Fault("error-in-200", code="InternalError")
        for operation in ("UploadPartCopy", "CompleteMultipartUpload"):
            fake.fail(operation, error)
        upload(store, "/u/data", data)
        store.publish("/u/data", "/blob", len(data))
        assert fetch(store, "/blob") == data
        store.put("/small", b"x", if_absent=False, if_version=None)
        fake.fail("CopyObject", *[error] * OUTAGE)
        with pytest.raises(Unavailable):
            store.move("/small", "/moved")
        assert fetch(store, "/small") == b"x"

    def test_a_publication_that_fails_leaves_nothing(self, fake, store):
        """A part that can't be copied ends the upload that it was for, and a repetition succeeds."""
        data = noise(30_000)
        upload(store, "/u/data", data)
        fake.fail("UploadPartCopy", *[BROKEN] * OUTAGE)
        with pytest.raises(Unavailable):
            store.publish("/u/data", "/blob", len(data))
        assert fake.uploads == {}
        assert "blob" not in fake.objects
        fake.faults.clear()
        store.publish("/u/data", "/blob", len(data))
        assert fetch(store, "/blob") == data

    def test_a_cut_body_is_asked_for_again(self, fake, store):
        """A read goes on where the connection broke, of the same object, and gives up in the end."""
        data = noise(30_000)
        store.put("/blob", data, if_absent=False, if_version=None)
        fake.fail("GetObject", Fault("cut", at=100), Fault("cut", at=5000), Fault("cut", at=0))
        assert fetch(store, "/blob") == data
        fake.fail("GetObject", *[Fault("cut", at=0)] * OUTAGE)
        with pytest.raises(Unavailable, match="broke at 0"):
            fetch(store, "/blob")

    def test_a_read_never_mixes_two_objects(self, fake, store):
        """What was replaced while a connection broke is not read on."""
        store.put("/blob", noise(30_000), if_absent=False, if_version=None)
        fake.fail("GetObject", Fault("cut", at=100))
        content = store.open("/blob", 0)
        assert content.read(100) == noise(100)
        store.put("/blob", bytes(30_000), if_absent=False, if_version=None)
        with pytest.raises(Unavailable):
            content.read(100)
        content.close()


class LostAnswerTests:
    def test_a_conditional_put_recognises_its_own(self, fake, store):
        """The answer is lost, the retry meets what it put itself: that is a success."""
        fake.fail("PutObject", LOST)
        version = store.put("/key", b"1", if_absent=True, if_version=None)
        fake.fail("PutObject", LOST)
        store.put("/key", b"2", if_absent=False, if_version=version)
        assert store.get("/key").data == b"2"
        with pytest.raises(Changed):
            store.put("/key", b"3", if_absent=False, if_version=version)
        with pytest.raises(Exists):
            store.put("/key", b"3", if_absent=True, if_version=None)

    def test_a_lost_completion_is_a_completion(self, fake, store):
        """The upload is gone because it was completed: the object is looked at, whatever the retries
        were answered.
        """
        for number, faults in enumerate([(LOST,), (LOST, *[BROKEN] * (OUTAGE - 1))]):
            data = noise(30_000 + number)
            upload(store, f"/u/{number}", data)
            fake.fail("CompleteMultipartUpload", *faults)
            store.publish(f"/u/{number}", f"/blob-{number}", len(data))
            assert fetch(store, f"/blob-{number}") == data
            assert fake.uploads == {}

    def test_a_completion_that_fails_is_none(self, fake, store):
        """Nothing is there, or what was there before: the failure is told."""
        data = noise(30_000)
        upload(store, "/u/data", data)
        fake.fail("CompleteMultipartUpload", *[BROKEN] * OUTAGE)
        with pytest.raises(Unavailable):
            store.publish("/u/data", "/blob", len(data))
        assert "blob" not in fake.objects


class MeaningTests:
    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (BUSY, Throttled),
            (Fault("status", 429, "TooManyRequests"), Throttled),
            (BROKEN, Unavailable),
            (Fault("status", 403, "AccessDenied"), Denied),
            (Fault("status", 403, "RequestTimeTooSkewed"), Denied),
            (Fault("status", 400, "ExpiredToken"), Denied),
            (Fault("status", 507, "InsufficientStorage"), NoSpace),
            (Fault("status", 400, "QuotaExceeded"), NoSpace),
            (Fault("status", 404, "NoSuchBucket"), Unavailable),
            (LOST, Unavailable),
        ],
        ids=lambda value: getattr(value, "code", ""),
    )
    def test_a_lasting_fault_has_a_meaning(self, fake, store, fault, kind):
        """What does not pass is told as what it is, without a secret."""
        fake.fail("PutObject", *[fault] * OUTAGE)
        with pytest.raises(kind) as caught:
            store.put("/key", b"x", if_absent=False, if_version=None)
        assert "very-secret" not in str(caught.value) + repr(caught.value)

    def test_patience_is_passed_on(self, fake, store):
        """Retry-After of the server reaches the client."""
        fake.fail("GetObject", *[BUSY] * OUTAGE)
        with pytest.raises(Throttled) as caught:
            store.get("/key")
        assert caught.value.retry_after == 7

    def test_a_server_that_is_away_is_unavailable(self):
        """A refused connection at the start is waited out; it is no mistake of the operator."""
        with FakeS3() as fake:
            options = options_for(fake)
        with pytest.raises(Unavailable, match="can't be reached"):
            create(options)


class LimitTests:
    def test_more_parts_than_a_composition_takes(self):
        """Limits of parts and of copies hold for uploads of any size: segments become groups, and
        groups are copied in ranges.
        """
        limits = Limits(smallest_part=100, most_parts=50, copy_limit=3000)
        with FakeS3(limits) as fake:
            store = store_on(fake, tuning=Tuning(part_size=200, copy_threshold=1000))
            data = noise(20_000)
            upload(store, "/u/data", data, piece=200)
            assert fetch(store, "/u/data") == data
            assert fetch(store, "/u/data", 12_345) == data[12_345:]
            store.publish("/u/data", "/blob", len(data))
            assert fetch(store, "/blob") == data
            store.delete("/u", if_version=None)
            assert list(fake.objects) == ["blob"]
            store.move("/blob", "/moved")  # larger than one copy
            assert fetch(store, "/moved") == data
            store.close()

    def test_small_content_is_one_put(self, fake, store):
        """Neither content that is put nor a small upload is ever multipart."""
        store.put("/a", b"x" * 5000, if_absent=False, if_version=None)
        assert fake.calls == {"PutObject": 1}
        fake.calls.clear()
        upload(store, "/u/data", noise(900))
        store.publish("/u/data", "/blob", 900)
        assert fake.calls["PutObject"] == 1
        assert fake.calls["CopyObject"] == 1
        assert "CreateMultipartUpload" not in fake.calls

    def test_nothing_is_an_upload_too(self, fake, store):
        """Zero bytes are staged, published and read."""
        assert upload(store, "/u/data", b"") == 0
        assert store.stat("/u/data").size == 0
        store.publish("/u/data", "/blob", 0)
        assert fetch(store, "/blob") == b""
        assert fetch(store, "/blob", 0) == b""

    def test_more_uploads_than_a_page(self, fake):
        """However many uploads are open, each is found by its own record."""
        with FakeS3(Limits(page=7)) as fake:
            store = store_on(fake)
            for number in range(30):
                upload(store, f"/u/{number}/data", noise(2500))
            names = store.list("/u", "", 1000).children
            assert sorted(int(child.name) for child in names) == list(range(30))
            again = store.append("/u/17/data", 2500)
            assert again.append(memoryview(b"more")) <= 2504
            assert again.close() == 2504
            store.delete("/u", if_version=None)
            assert fake.objects == {}
            store.close()


class ClonesTests:
    def test_a_server_that_copies_no_parts(self):
        """Then the bytes go through us."""
        with FakeS3(copies_parts=False) as fake:
            store = store_on(fake)
            data = noise(30_000)
            upload(store, "/u/data", data)
            store.publish("/u/data", "/blob", len(data))
            assert fetch(store, "/blob") == data
            assert fake.calls["UploadPart"] >= 15
            store.close()

    def test_a_server_that_removes_one_at_a_time(self, fake, store):
        """Some know no DeleteObjects, or want an MD5 with it."""
        for name in "abc":
            store.put(f"/d/{name}", b"", if_absent=False, if_version=None)
        fake.fail("DeleteObjects", Fault("status", 400, "MissingContentMD5"))
        store.delete("/d", if_version=None)
        assert fake.objects == {}
        assert fake.calls["DeleteObject"] == 3

    def test_the_probe_finds_what_there_is(self, capfd):
        """Conditions that are ignored, and checksums that end up in the content, are noticed."""
        with FakeS3() as fake:
            store = create(options_for(fake))
            store.close()
            assert fake.objects == {}
        assert "has checksums, put if absent, put if unchanged, delete if" in capfd.readouterr().err
        with FakeS3(has_conditions=False) as fake:
            store = create(options_for(fake))
            store.close()
        assert "lacks put if absent, put if unchanged, delete" in capfd.readouterr().err

    @pytest.mark.parametrize(
        ("code", "status", "sentence"),
        [
            ("NoSuchBucket", 404, "bucket 'bkt' does not exist: create it"),
            ("InvalidAccessKeyId", 403, "accesskey is not known to the server"),
            ("SignatureDoesNotMatch", 403, "secretkey is wrong"),
        ],
    )
    def test_a_hopeless_start_is_one_sentence(self, fake, code, status, sentence):
        """What no waiting mends is told at once."""
        fake.fail("PutObject", *[Fault("status", status, code)] * OUTAGE)
        with pytest.raises(BadOptions, match=sentence) as caught:
            create(options_for(fake))
        assert "very-secret" not in str(caught.value)

    def test_a_bucket_that_may_only_be_read(self, fake, capfd):
        """Read permission alone serves pulls."""
        fake.fail("PutObject", *[Fault("status", 403, "AccessDenied")] * OUTAGE)
        store = create(options_for(fake))
        fake.faults.clear()
        fake.place("a", b"x")
        assert fetch(store, "/a") == b"x"
        assert "can be read, not written to" in capfd.readouterr().err
        store.close()


class OvertakenTests:
    def test_a_writer_of_another_host_ends_ours(self, fake, store):
        """Who opens an upload last has it; the other one's bytes spoil nothing."""
        other = store_on(fake)
        data = noise(9000)
        first = store.append("/u/data", 0)
        first.append(memoryview(data)[:5000])
        size = first.sync()
        first.append(memoryview(b"lost" * 100))
        second = other.append("/u/data", size)
        with pytest.raises(Fenced):
            first.sync()
        second.append(memoryview(data)[5000:])
        assert second.close() == 9000
        assert fetch(store, "/u/data") == data
        with pytest.raises(WrongOffset) as caught:
            store.append("/u/data", size)
        assert caught.value.actual == 9000
        other.close()

    def test_two_finish_at_once(self, fake, store):
        """Both publish, one removes the session while the other still copies."""
        other = store_on(fake)
        data = noise(30_000)
        upload(store, "/u/data", data)
        barrier = threading.Barrier(2)
        failures = []

        def finish(one):
            barrier.wait()
            try:
                one.publish("/u/data", "/blob", len(data))
                one.delete("/u", if_version=None)
            except Missing as refusal:
                failures.append(refusal)

        threads = [threading.Thread(target=finish, args=(one,)) for one in (store, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(failures) <= 1
        assert fetch(store, "/blob") == data
        other.close()


class KeptTests:
    def test_encryption_and_class_are_on_every_path(self, fake):
        """Put, copy and multipart alike: no object is stored without the key."""
        store = store_on(fake, encrypt=True, keyid="key-1", storageclass="STANDARD_IA")
        data = noise(30_000)
        store.put("/put", b"x", if_absent=False, if_version=None)
        upload(store, "/small/data", noise(500))
        store.publish("/small/data", "/copied", 500)
        upload(store, "/u/data", data)
        for found in fake.objects.values():
            assert found.given["x-amz-server-side-encryption"] == "aws:kms"
            assert found.given["x-amz-server-side-encryption-aws-kms-key-id"] == "key-1"
        store.publish("/u/data", "/composed", len(data))
        for key in ("put", "copied", "composed"):
            assert fake.objects[key].given["x-amz-storage-class"] == "STANDARD_IA"
            assert fake.objects[key].given["x-amz-server-side-encryption"] == "aws:kms"
        segments = [one for key, one in fake.objects.items() if "~/" in key]
        assert segments
        assert all("x-amz-storage-class" not in one.given for one in segments)
        store.close()
