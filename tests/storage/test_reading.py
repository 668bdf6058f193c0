# SPDX-License-Identifier: Apache-2.0
"""Reads of content that is not what its size says, and reads of files."""

from __future__ import annotations

import os

import pytest
import pytest_twisted

from txregistry.storage.blocking import run_inline
from txregistry.storage.contract import FileContent
from txregistry.storage.errors import Corrupt, InvalidOffset
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore
from txregistry.storage.reading import PIECE, HostedReading, close_content, pieces


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4096)
    return FileContent(os.open(path, os.O_RDONLY), path.stat().st_size)


@pytest_twisted.ensureDeferred
async def test_file_is_read_at_explicit_offsets(file):
    """The position of the descriptor is left alone: it may be shared."""
    reading = HostedReading(run_inline, file, 5, 600_005)
    assert reading.file == file.descriptor
    chunks = [chunk async for chunk in reading]
    assert b"".join(chunks) == (bytes(range(256)) * 4096)[5:600_005]
    assert max(map(len, chunks)) <= PIECE
    assert os.lseek(file.descriptor, 0, os.SEEK_CUR) == 0
    await reading.aclose()
    assert reading.file is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file.descriptor)


@pytest_twisted.ensureDeferred
async def test_file_that_became_shorter_is_corrupt(file):
    """A read never ends early as if that were all."""
    reading = HostedReading(
        run_inline, FileContent(file.descriptor, file.size + 1), 0, file.size + 1
    )
    with pytest.raises(Corrupt, match="ends at"):
        async for _ in reading:
            pass
    await reading.aclose()


@pytest_twisted.ensureDeferred
async def test_file_that_can_t_be_read_is_corrupt(tmp_path):
    """What the disk refuses is told in the contract's words."""
    reading = HostedReading(run_inline, FileContent(os.open(tmp_path, os.O_RDONLY), 10), 0, 10)
    with pytest.raises(Corrupt, match="unreadable at offset 0"):
        await reading.__anext__()
    await reading.aclose()


@pytest_twisted.ensureDeferred
async def test_store_that_opens_beyond_the_end_is_put_right():
    """A start beyond the end is refused, also where the store does not look."""
    store = MemoryStore()
    store.put("/a", b"abc", if_absent=False, if_version=None)
    opened = store.open
    store.open = lambda path, start: opened(path, 0)
    with pytest.raises(InvalidOffset):
        await HostedDriver(store, run=run_inline).read("/a", 4)


def test_pieces_of_a_stream_come_in_order():
    """What is hashed later is read from the asked offset, in pieces."""
    store = MemoryStore()
    data = bytes(range(251)) * 3000
    store.put("/a", data, if_absent=False, if_version=None)
    content = store.open("/a", 7)
    assert b"".join(pieces(content, 7, 700_000)) == data[7:700_000]
    close_content(content)
