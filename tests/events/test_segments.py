# SPDX-License-Identifier: Apache-2.0
"""The queue's files: what was appended is read once and in order, whatever was cut."""

import errno
import os

import pytest

from txregistry.events.segments import (
    BEGINNING,
    Position,
    SegmentReader,
    SegmentWriter,
    numbers_in,
    path_of,
)


@pytest.fixture
def make(tmp_path):
    writers = []

    def make_one(**words):
        writer = SegmentWriter(str(tmp_path), **{"is_synced": True} | words)
        writers.append(writer)
        return writer

    yield make_one
    for writer in writers:
        writer.close()


@pytest.fixture
def reader(tmp_path):
    return SegmentReader(str(tmp_path))


def everything(reader, position=BEGINNING, limit=1 << 16):
    """All lines from a position, and how many were cut."""
    lines, cuts = [], 0
    while True:
        chunk = reader.read(position, limit)
        if chunk.position == position:
            return lines, cuts, position
        lines += [line for line, _ in chunk.lines]
        cuts += chunk.cut
        position = chunk.position


def append(writer, *lines, durable=True):
    writer.append(b"".join(line + b"\n" for line in lines), durable=durable)


class OrderTests:
    @pytest.mark.parametrize("limit", [1, 3, 1 << 16])
    def test_lines_are_read_as_they_came(self, make, reader, limit):
        writer = make(size=10)
        wanted = [b"line %d" % number for number in range(20)]
        for line in wanted:
            append(writer, line)
        assert everything(reader, limit=limit)[:2] == (wanted, 0)

    def test_each_position_is_where_to_read_on(self, make, reader):
        append(make(), b"one", b"two", b"three")
        chunk = reader.read(Position(1), 100)
        for index, (_, after) in enumerate(chunk.lines):
            assert [line for line, _ in chunk.lines[index + 1 :]] == everything(reader, after)[0]

    def test_two_writers_take_turns(self, make, reader):
        """Several processes of one registry may write."""
        one, two = make(size=30), make(size=30)
        wanted = []
        for number in range(20):
            wanted.append(b"number %d" % number)
            append((one, two)[number % 2], wanted[-1])
        assert everything(reader)[0] == wanted

    def test_reader_waits_at_the_end(self, make, reader):
        writer = make()
        append(writer, b"one")
        _, _, position = everything(reader)
        assert reader.read(position, 100).position == position
        append(writer, b"two")
        assert everything(reader, position)[0] == [b"two"]

    def test_new_process_begins_a_segment(self, make, tmp_path):
        make()
        make()
        assert numbers_in(str(tmp_path)) == [1, 2]

    def test_segments_are_above_what_a_cursor_knows(self, make, tmp_path):
        """A queue that was emptied by hand must not be read from the middle."""
        make(after=7)
        assert numbers_in(str(tmp_path)) == [8]


class DamageTests:
    def test_torn_end_is_passed_over_once_a_successor_is_there(self, make, reader, tmp_path):
        append(make(), b"one")
        with open(path_of(str(tmp_path), 1), "ab") as file:
            file.write(b"tor")
        lines, cuts, position = everything(reader)
        assert (lines, cuts) == ([b"one"], 0)  # somebody may be writing it
        append(make(), b"two")
        assert everything(reader, position)[:2] == ([b"two"], 1)

    def test_line_after_a_torn_one_is_whole(self, make, reader, tmp_path):
        """Another process died while it appended; ours goes on in the same file."""
        writer = make()
        with open(path_of(str(tmp_path), 1), "ab") as file:
            file.write(b"tor")
        append(writer, b"two")
        assert everything(reader)[0] == [b"tor", b"two"]

    def test_write_that_fails_in_the_middle_leaves_nothing(self, make, reader, monkeypatch):
        writer = make()
        append(writer, b"one")
        real = os.write

        def fill_up(descriptor, data):
            if len(data) < 5:
                raise OSError(errno.ENOSPC, "full")
            return real(descriptor, data[: len(data) - 4])

        monkeypatch.setattr(os, "write", fill_up)
        with pytest.raises(OSError, match="full"):
            append(writer, b"two two")
        monkeypatch.undo()
        append(writer, b"three")
        assert everything(reader)[:2] == ([b"one", b"three"], 0)

    def test_nothing_more_goes_where_a_sync_failed(self, make, tmp_path, monkeypatch):
        writer = make()

        def fail(descriptor):
            raise OSError(errno.EIO, "bad disk")

        monkeypatch.setattr(os, "fdatasync", fail)
        with pytest.raises(OSError, match="bad disk"):
            append(writer, b"one")
        monkeypatch.undo()
        append(writer, b"two")
        assert numbers_in(str(tmp_path)) == [1, 2]

    def test_segment_that_was_removed_by_hand_is_not_written_to(self, make, reader, tmp_path):
        writer = make()
        os.unlink(path_of(str(tmp_path), 1))
        append(writer, b"one")
        assert everything(reader)[0] == [b"one"]

    def test_position_in_what_is_gone_is_the_next_that_is_there(self, make, reader):
        make(after=4)
        append(make(), b"one")
        assert everything(reader, Position(2, 77))[0] == [b"one"]
        assert everything(reader, Position(99, 77))[0] == [b"one"]

    def test_empty_directory_has_nothing(self, reader):
        assert everything(reader, Position(3, 4)) == ([], 0, Position(3))
        assert reader.end() == BEGINNING
        assert reader.size_after(BEGINNING) == 0

    def test_line_without_end_is_given_up(self, make, reader, tmp_path, monkeypatch):
        """Memory stays bounded by the longest line that there can be."""
        monkeypatch.setattr("txregistry.events.segments.LINE_LIMIT", 100)
        make()
        with open(path_of(str(tmp_path), 1), "ab") as file:
            file.write(b"x" * 1000)
        append(make(), b"two")
        assert everything(reader, limit=10)[:2] == ([b"two"], 1)


class DurabilityTests:
    @pytest.mark.parametrize(
        ("durable", "is_synced", "syncs"), [(True, True, 1), (False, True, 0), (True, False, 0)]
    )
    def test_only_what_must_be_durable_is_synced(
        self, make, monkeypatch, durable, is_synced, syncs
    ):
        calls = []
        writer = make(is_synced=is_synced)
        monkeypatch.setattr(os, "fdatasync", calls.append)
        append(writer, b"one", durable=durable)
        assert len(calls) == syncs

    def test_name_of_a_new_segment_is_synced_with_its_directory(self, make, monkeypatch):
        calls = []
        monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append(os.fstat(descriptor)))
        make()
        assert len(calls) == 1
        make(is_synced=False)
        assert len(calls) == 1

    def test_nobody_else_may_read_it(self, make, tmp_path):
        make()
        assert os.stat(path_of(str(tmp_path), 1)).st_mode & 0o777 == 0o600


class SizeTests:
    def test_size_is_what_follows(self, make, reader):
        writer = make(size=10)
        for _ in range(3):
            append(writer, b"123456789")
        assert reader.size_after(BEGINNING) == 30
        assert reader.size_after(Position(2, 4)) == 16
        assert reader.size_after(reader.end()) == 0

    def test_what_is_read_is_removed_but_never_the_newest(self, make, reader, tmp_path):
        writer = make(size=10)
        for _ in range(3):
            append(writer, b"123456789")
        reader.remove_before(2)
        assert numbers_in(str(tmp_path)) == [2, 3]
        reader.remove_before(99)
        assert numbers_in(str(tmp_path)) == [3]

    def test_other_files_are_left_alone(self, make, reader, tmp_path):
        make()
        (tmp_path / "1.log").touch()
        (tmp_path / "notes").touch()
        reader.remove_before(99)
        assert {"1.log", "notes"} < set(os.listdir(tmp_path))
