# SPDX-License-Identifier: Apache-2.0
"""Files that are read again when they change."""

import os

import pytest
import pytest_twisted
from twisted.logger import globalLogPublisher

from txregistry.identify.watching import FileError, WatchedFile
from txregistry.storage.blocking import run_inline


@pytest.fixture
def logged():
    events = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


def parse(data, path):
    if data.startswith(b"bad"):
        raise FileError(f"{path} is bad")
    return data.decode(), ()


class FileOnDisk:
    """A file that changes by being replaced, as careful editors do."""

    def __init__(self, directory, **options):
        self.path = directory / "file"
        self.reads = 0
        self.write("one")
        self.watched = WatchedFile(str(self.path), parse, run_inline, limit=100, **options)

    def write(self, text, mode=0o600):
        new = self.path.with_suffix(".new")
        new.write_text(text)
        os.chmod(new, mode)
        os.replace(new, self.path)


@pytest_twisted.ensureDeferred
async def test_changed_file_is_read_again_and_told_of(tmp_path):
    file, told = FileOnDisk(tmp_path), []
    file.watched.changed.append(lambda: told.append(file.watched()))
    file.watched.load()
    assert file.watched() == "one"
    await file.watched.refresh()
    assert told == []
    file.write("two")
    await file.watched.refresh()
    assert told == ["two"]


@pytest_twisted.ensureDeferred
async def test_file_that_goes_bad_leaves_what_was_good_and_is_complained_of_once(tmp_path, logged):
    """A slip of an editor locks nobody out, and nobody in."""
    file = FileOnDisk(tmp_path)
    file.watched.load()
    file.write("bad")
    await file.watched.refresh()
    await file.watched.refresh()
    file.path.unlink()
    await file.watched.refresh()
    await file.watched.refresh()
    errors = [event["error"] for event in logged if "error" in event]
    assert [error.partition("(")[0] for error in errors] == [
        f"{file.path} is bad",
        f"{file.path} can't be read ",
    ]
    assert file.watched() == "one"
    file.write("two")
    await file.watched.refresh()
    assert file.watched() == "two"


def test_file_that_can_not_be_used_at_the_start_stops_it(tmp_path):
    """Missing, bad, too large, or anybody's to write: one sentence that names it."""
    file = FileOnDisk(tmp_path)
    for text, mode, part in [
        ("bad", 0o600, "is bad"),
        ("x" * 101, 0o600, "is larger than 100 bytes"),
        ("one", 0o602, "everybody on this host may write to"),
    ]:
        file.write(text, mode)
        with pytest.raises(FileError, match=part):
            file.watched.load()
    file.path.unlink()
    with pytest.raises(FileError, match="No such file or directory"):
        file.watched.load()
    os.mkfifo(file.path)
    with pytest.raises(FileError, match="is no plain file"):
        file.watched.load()


def test_secret_file_that_anybody_may_read_is_warned_of(tmp_path, logged):
    file = FileOnDisk(tmp_path, is_secret=lambda value: value != "two")
    file.watched.load()
    assert logged == []
    file.write("one", 0o644)
    file.watched.load()
    assert [event["warning"] for event in logged] == [
        f"everybody on this host may read {file.path}; chmod o-r it"
    ]
    file.write("two", 0o644)
    file.watched.load()
    assert len(logged) == 1
