# SPDX-License-Identifier: Apache-2.0
"""The queue's files: lines are appended to the newest, read from any, and the oldest are removed
whole.

Room: events. Must not know what a line means, nor a reactor: everything here blocks::

    <directory>/0000000007.log      read by the slowest endpoint
                0000000008.log
                0000000009.log      the newest: appended to
                append.lock         held while somebody appends

Several processes may append to one directory. Whoever does holds the lock, and looks whether there
is a newer segment first; so once a segment has a successor nobody appends to it any more. A process
begins a segment of its own when it starts: what a crash tore stays where it is, at an end.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen

from txregistry.events.records import LINE_LIMIT

#: A segment that has so many bytes gets a successor. Arbitrary: the disk that a consumed event may
#: still take.
SEGMENT_SIZE = 4 * 1024 * 1024

_NAME = re.compile(r"([0-9]{10})\.log")
_LOCK = "append.lock"


@frozen(order=True)
class Position:
    """A place between two lines.

    Attributes:
        segment: its number.
        offset: bytes from its beginning.
    """

    segment: int = 0
    offset: int = 0


#: Before everything that is there.
BEGINNING = Position()


@frozen
class Chunk:
    """Whole lines that were read.

    Attributes:
        lines: without their line feeds, each with the position behind it.
        position: behind all of them, where to read on.
        cut: whether a line was passed over that has no end.
    """

    lines: tuple[tuple[bytes, Position], ...]
    position: Position
    cut: bool = False


def path_of(directory: str, number: int) -> str:
    """Return the path of a segment."""
    return os.path.join(directory, f"{number:010d}.log")


def numbers_in(directory: str) -> list[int]:
    """Return the numbers of the segments that are there, in order."""
    names = (_NAME.fullmatch(name) for name in os.listdir(directory))
    return sorted(int(name[1]) for name in names if name is not None)


class SegmentWriter:
    """Appends, for one process.

    Args:
        is_synced: what is asked to be durable is synced; else it survives the process only.
        after: a number that new segments are above.
        size: bytes after which a segment gets a successor.
    """

    def __init__(
        self, directory: str, *, is_synced: bool, after: int = 0, size: int = SEGMENT_SIZE
    ) -> None:
        self._directory = directory
        self._is_synced = is_synced
        self._size = size
        self._number = max([after, *numbers_in(directory)])
        self._file = -1
        self._is_doubtful = False
        self._lock = os.open(
            os.path.join(directory, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        with self._locked():
            self._begin()

    def append(self, lines: bytes, *, durable: bool) -> None:
        """Append whole lines.

        Args:
            durable: return only when they are on stable storage, if anything is synced.

        Raises:
            OSError: they may be there or not, whole or in part.
        """
        with self._locked():
            self._settle()
            self._write(lines)
        if durable and self._is_synced:
            try:
                os.fdatasync(self._file)
            except OSError:
                # The kernel may have dropped what it could not write: nothing more goes there.
                self._is_doubtful = True
                raise

    def close(self) -> None:
        """Append nothing any more."""
        for descriptor in (self._file, self._lock):
            os.close(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _settle(self) -> None:
        """Have the newest segment open, one that takes more."""
        state = os.fstat(self._file)
        if state.st_nlink == 0 or os.path.exists(path_of(self._directory, self._number + 1)):
            newest = max(numbers_in(self._directory), default=0)
            if newest > self._number:
                self._open(newest)
                state = os.fstat(self._file)
        if self._is_doubtful or state.st_nlink == 0 or state.st_size >= self._size:
            self._begin()

    def _begin(self) -> None:
        self._open(max([self._number, *numbers_in(self._directory)]) + 1)
        if self._is_synced:
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        self._is_doubtful = False

    def _open(self, number: int) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        opened = os.open(path_of(self._directory, number), flags, 0o600)
        previous, self._file, self._number = self._file, opened, number
        if previous >= 0:
            os.close(previous)

    def _write(self, lines: bytes) -> None:
        size = os.fstat(self._file).st_size
        # A process that died while it appended leaves a line without an end.
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            lines = b"\n" + lines
        view = memoryview(lines)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            os.ftruncate(self._file, size)
            raise


class SegmentReader:
    """Reads and removes. Any number of them may be at work beside the writers."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def read(self, position: Position, limit: int) -> Chunk:
        """Return the lines that follow ``position``.

        Args:
            limit: bytes, unless the first line alone has more.

        Returns:
            A chunk without lines and at the same position if there is nothing more yet.
        """
        # Listed before it is read: a segment that has a successor by now is complete.
        numbers = numbers_in(self._directory)
        if position.segment not in numbers:
            later = [number for number in numbers if number > position.segment]
            # A queue that was emptied by hand begins anew.
            return Chunk((), Position((later or numbers or [position.segment])[0]))
        data = self._data(position, limit)
        lines = []
        end = position.offset
        for line in data.split(b"\n")[:-1]:
            end += len(line) + 1
            lines.append((line, Position(position.segment, end)))
        if end > position.offset:
            return Chunk(tuple(lines), Position(position.segment, end))
        later = [number for number in numbers if number > position.segment]
        if later:
            return Chunk((), Position(later[0]), cut=bool(data))
        return Chunk((), position)

    def size_after(self, position: Position) -> int:
        """Return the bytes that follow ``position``."""
        total = 0
        for number in numbers_in(self._directory):
            if number >= position.segment:
                try:
                    total += os.stat(path_of(self._directory, number)).st_size
                except FileNotFoundError:
                    continue
                if number == position.segment:
                    total -= position.offset
        return max(0, total)

    def remove_before(self, segment: int) -> None:
        """Remove what is before a segment; the newest one stays in any case."""
        for number in numbers_in(self._directory)[:-1]:
            if number < segment:
                os.unlink(path_of(self._directory, number))

    def end(self) -> Position:
        """Return the position behind everything."""
        numbers = numbers_in(self._directory)
        if not numbers:
            return BEGINNING
        return Position(numbers[-1], os.stat(path_of(self._directory, numbers[-1])).st_size)

    def _data(self, position: Position, limit: int) -> bytes:
        """Return bytes up to ``limit``, or up to the end of the first line if that is longer."""
        with open(path_of(self._directory, position.segment), "rb", buffering=0) as file:
            file.seek(position.offset)
            data = file.read(limit)
            while b"\n" not in data and len(data) <= LINE_LIMIT and (more := file.read(limit)):
                data += more
        return data
