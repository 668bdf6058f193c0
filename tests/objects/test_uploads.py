# SPDX-License-Identifier: Apache-2.0
"""The way of an upload into a bucket: when its bytes are stored, where they wait, what is left."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from txregistry.driver import Corrupt, Fenced, Internal, NoSpace, Unavailable, WrongOffset
from txregistry_drivers.objects import Capabilities, MemoryBucket, ObjectStore, Tuning
from txregistry_drivers.objects.buffering import Budget, PartBuffer
from txregistry_drivers.objects.record import SIZE, Record, Segment, parse, recorded_size

SMALLEST, PART = 40, 100


class Setting:
    """A store on a clock that stands still; nothing is flushed unless a test says so."""

    def __init__(self, **tuning):
        self.clock = Clock()
        self.bucket = MemoryBucket(Capabilities(smallest_piece=SMALLEST, most_pieces=20))
        self.tuning = Tuning(part_size=PART, **tuning)
        self.store = self.another()

    def another(self):
        store = ObjectStore(self.bucket, "", self.tuning, clock=self.clock.seconds)
        store.flusher.add = lambda appender: store.flusher._appenders.add(appender)  # no thread
        return store

    def upload(self, data, path="/u/data", offset=0):
        appender = self.store.append(path, offset)
        appender.append(memoryview(data))
        return appender.close()

    def fetch(self, path="/u/data"):
        content = self.store.open(path, 0)
        data = b"".join(iter(lambda: content.read(33), b""))
        content.close()
        return data


@pytest.fixture
def setting():
    return Setting()


class StoredTests:
    def test_full_parts_are_stored_on_the_way(self, setting):
        """What append answers is there for a reopening."""
        appender = setting.store.append("/u/data", 0)
        stored = 0
        for _ in range(50):
            stored = appender.append(memoryview(b"0123456789"))
        other = setting.another()
        assert stored >= 300
        assert other.stat("/u/data").size == stored
        assert appender.close() == 500

    def test_a_slow_upload_is_stored_every_half_minute(self, setting):
        """A few bytes wait no longer than that, and are counted at the next byte."""
        appender = setting.store.append("/u/data", 0)
        assert appender.append(memoryview(b"few")) == 0
        setting.clock.advance(29)
        setting.store.flusher.look()
        assert "u/data" not in setting.bucket.stored_keys()
        setting.clock.advance(1)
        setting.store.flusher.look()
        assert setting.store.stat("/u/data").size == 3
        assert appender.append(memoryview(b"!")) == 3
        setting.clock.advance(30)
        assert appender.append(memoryview(b"?")) == 5

    def test_many_uploads_are_stored_earlier(self):
        """What all of them would lose by a crash is bounded."""
        setting = Setting(unstored_limit=70)
        appenders = [setting.store.append(f"/u/{number}", 0) for number in range(4)]
        for number, appender in enumerate(appenders):
            appender.append(memoryview(bytes(20 + number)))
        setting.store.flusher.look()
        assert [appender.unstored for appender in appenders] == [20, 21, 22, 0]

    def test_small_uploads_leave_no_parts(self, setting):
        """One object from the beginning to the end."""
        setting.upload(b"small")
        assert setting.bucket.stored_keys() == ["u/data"]
        assert setting.bucket.calls["put"] == 1

    def test_a_short_tail_becomes_part_of_a_segment(self, setting):
        """Requests of any size make segments of the right size."""
        data = bytes(range(250))
        for start in range(0, 250, 10):
            setting.upload(data[start : start + 10], offset=start)
        assert setting.fetch() == data
        record = parse(setting.bucket.open("u/data").read(10_000), "")
        assert all(segment.size >= SMALLEST for segment in record.segments)
        setting.store.publish("/u/data", "/blob", 250)
        assert setting.fetch("/blob") == data

    def test_many_segments_become_one(self, setting):
        """Far more parts than a composition may have."""
        data = bytes(range(250)) * 40
        assert setting.upload(data) == 10_000
        assert setting.fetch() == data
        record = parse(setting.bucket.open("u/data").read(10_000), "")
        assert len(record.segments) < 20
        hidden = [key for key in setting.bucket.stored_keys() if "~/" in key]
        assert len(hidden) == len(record.segments), "segments that were grouped are still there"
        setting.store.publish("/u/data", "/blob", 10_000)
        assert setting.fetch("/blob") == data

    def test_what_was_put_is_continued(self, setting):
        """A large object of another registry is set aside on the server, not read."""
        setting.store.put("/u/data", bytes(500), if_absent=False, if_version=None)
        assert setting.upload(b"more", offset=500) == 504
        assert setting.fetch() == bytes(500) + b"more"

    def test_wrong_offsets_are_told(self, setting):
        """With the stored size, and nothing is made."""
        with pytest.raises(WrongOffset):
            setting.store.append("/u/data", 5)
        assert setting.bucket.stored_keys() == []
        setting.upload(bytes(300))
        for offset in (0, 299, 301):
            with pytest.raises(WrongOffset) as caught:
                setting.store.append("/u/data", offset)
            assert caught.value.actual == 300


class FailingTests:
    def test_a_part_that_is_not_stored_ends_the_writer(self, setting):
        """It is told at the next call, and the upload goes on from what was confirmed."""
        appender = setting.store.append("/u/data", 0)
        appender.append(memoryview(bytes(PART)))
        stored = appender.sync()

        def fail(method, key):
            if method == "put" and "~/" in key:
                raise Unavailable("no")

        setting.bucket.fault = fail
        with pytest.raises(Unavailable):
            for _ in range(20):
                appender.append(memoryview(bytes(PART)))
        with pytest.raises(Unavailable):
            appender.close()
        assert appender.close() == stored
        setting.bucket.fault = lambda method, key: None
        assert setting.upload(b"more", offset=stored) == stored + 4

    def test_a_failure_in_the_background_is_told_later(self, setting):
        """The flusher has nobody to tell; the next call does."""
        appender = setting.store.append("/u/data", 0)
        appender.append(memoryview(b"few"))

        def fail(method, key):
            raise Unavailable("no")

        setting.bucket.fault = fail
        setting.clock.advance(30)
        setting.store.flusher.look()
        with pytest.raises(Unavailable):
            appender.append(memoryview(b"more"))

    def test_a_fault_of_ours_ends_one_upload_alone(self, setting):
        """What nobody thought of, in the background: the others are flushed all the same."""
        broken = setting.store.append("/u/data", 0)
        broken.append(memoryview(b"few"))
        other = setting.store.append("/u/other", 0)
        other.append(memoryview(b"more"))

        def fail(method, key):
            if key == "u/data":
                raise ZeroDivisionError("a fault")

        setting.bucket.fault = fail
        setting.clock.advance(30)
        setting.store.flusher.look()
        assert setting.another().stat("/u/other").size == 4
        with pytest.raises(Internal, match="ZeroDivisionError"):
            broken.append(memoryview(b"more"))

    def test_bytes_that_can_not_be_read_back_hold_no_memory(self, setting, monkeypatch):
        """A part whose temporary file fails ends its upload, and no other waits for its share."""
        appender = setting.store.append("/u/data", 0)

        def fail(self):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(PartBuffer, "peek", fail)
        with pytest.raises(OSError):
            appender.append(memoryview(bytes(PART)))
        with pytest.raises(Internal):
            appender.close()
        shared = setting.store._resources
        assert (shared.memory.used, shared.in_flight.used) == (0, 0)

    def test_memory_is_given_back(self, setting):
        """Whatever ends a writer, its bytes count no more."""
        shared = setting.store._resources
        appender = setting.store.append("/u/data", 0)
        appender.append(memoryview(bytes(30)))
        assert shared.memory.used == 30
        other = setting.another().append("/u/data", 0)
        other.append(memoryview(b"x"))
        other.sync()
        with pytest.raises(Fenced):
            appender.close()
        assert (shared.memory.used, shared.in_flight.used) == (0, 0)

    def test_a_publication_that_is_interrupted_is_undone_with_its_session(self, setting):
        """After a crash in the middle nothing is open once the session is removed."""
        setting.upload(bytes(350))

        def crash(method, key):
            if method in ("finish", "undo", "delete"):
                raise SystemExit

        setting.bucket.fault = crash
        with pytest.raises(SystemExit):
            setting.store.publish("/u/data", "/blob", 350)
        setting.bucket.fault = lambda method, key: None
        assert setting.bucket.unfinished
        again = setting.another()
        again.publish("/u/data", "/blob", 350)
        again.delete("/u", if_version=None)
        assert setting.bucket.unfinished == set()
        assert setting.bucket.stored_keys() == ["blob"]


class BufferTests:
    def test_what_exceeds_the_budget_waits_in_a_file(self):
        """The bytes are the same, and the budget is given back."""
        budget = Budget(100)
        buffer, other = PartBuffer(budget), PartBuffer(budget)
        other.extend(bytes(60))
        for number in range(10):
            buffer.extend(bytes([number]) * 10)
        assert buffer.peek() == b"".join(bytes([number]) * 10 for number in range(10))
        assert budget.used == 60
        buffer.clear()
        other.clear()
        assert (budget.used, buffer.size) == (0, 0)
        buffer.extend(b"again")
        assert buffer.peek() == b"again"
        buffer.clear()

    def test_a_full_directory_is_no_space(self, monkeypatch):
        """The sentence names the directory."""

        def refuse(**options):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
        with pytest.raises(NoSpace, match=r"parts of uploads can't wait in .*: No space left"):
            PartBuffer(Budget(0)).extend(b"x")

    def test_a_disk_that_fills_up_is_no_space(self, monkeypatch):
        """At once, not when the part is stored; and it can be forgotten."""
        full = open("/dev/full", "r+b")  # noqa: SIM115  # closed by the buffer
        monkeypatch.setattr("tempfile.TemporaryFile", lambda **options: full)
        buffer = PartBuffer(Budget(0))
        with pytest.raises(NoSpace, match="No space left"):
            buffer.extend(b"x")
        buffer.clear()
        assert buffer.size == 0 and full.closed


class RecordTests:
    def test_a_record_comes_back(self):
        record = Record("w", 3, (Segment("a", 5), Segment("b", 7, is_group=True)), b"\ntail")
        assert parse(record.encode(), "") == record
        assert (record.size, recorded_size(record.metadata())) == (17, 17)
        assert recorded_size({}) is None

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"{}",
            b"{}\n",
            b"[1]\n",
            b'{"writer":"w","number":1,"segments":[["../x",5,false]]}\n',
            b'{"writer":"w","number":1,"segments":[["a",0,false]]}\n',
            b'{"writer":"w","number":1,"segments":[["a",5]]}\n',
            b"[" * 100_000 + b"\n",
        ],
    )
    def test_what_is_no_record_is_corrupt(self, data):
        """Whatever lies there is refused, and no other object is reached through it."""
        with pytest.raises(Corrupt):
            parse(data, "/u/data")

    @pytest.mark.parametrize("text", ["", "-1", "x", "9" * 30])
    def test_a_size_that_is_none_is_corrupt(self, text):
        with pytest.raises(Corrupt):
            recorded_size({SIZE: text})
