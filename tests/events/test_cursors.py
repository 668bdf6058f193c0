# SPDX-License-Identifier: Apache-2.0
"""Cursors, and the directory that they are kept in."""

import os

import pytest

from txregistry.events import QueueError
from txregistry.events.cursors import load_cursors, save_cursors
from txregistry.events.directory import QueueDirectory
from txregistry.events.segments import Position


def test_cursors_are_kept(tmp_path):
    cursors = {"a": Position(1, 2), 'naïve "name"/..': Position(3, 4)}
    save_cursors(str(tmp_path), cursors)
    assert load_cursors(str(tmp_path)) == cursors
    save_cursors(str(tmp_path), {"a": Position(5, 6)})
    assert load_cursors(str(tmp_path)) == {"a": Position(5, 6)}
    assert os.listdir(tmp_path) == ["cursors.json"]


@pytest.mark.parametrize(
    "text", [b"", b"\0" * 45, b"[]", b"{}", b'{"cursors": []}', b'{"cursors": {"a": [1]}}', b"\xff"]
)
def test_file_that_can_not_be_read_counts_as_none(tmp_path, text):
    """Everything is delivered again then: more than once rather than not at all."""
    (tmp_path / "cursors.json").write_bytes(text)
    assert load_cursors(str(tmp_path)) is None


def test_no_file_is_none(tmp_path):
    assert load_cursors(str(tmp_path)) is None


class DirectoryTests:
    def test_is_made_for_us_alone(self, tmp_path):
        directory = QueueDirectory(str(tmp_path / "a" / "queue"))
        assert os.stat(directory.path).st_mode & 0o777 == 0o700
        directory.close()

    def test_second_registry_is_refused_until_the_first_has_left(self, tmp_path):
        first = QueueDirectory(str(tmp_path))
        with pytest.raises(QueueError, match=r"another registry keeps its queue .*; give each one"):
            QueueDirectory(str(tmp_path))
        first.close()
        QueueDirectory(str(tmp_path)).close()

    def test_that_can_not_be_is_refused_in_one_sentence(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(QueueError, match=r"can't be kept in .*; name a directory"):
            QueueDirectory(str(tmp_path / "file" / "queue"))
