# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of a segment wait until there are enough of them.

Drivers: objects. Must not know buckets. In memory while the budget that all uploads share has room,
else in a temporary file without a name, which goes with the process.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from txregistry.driver import NoSpace


class Budget:
    """Bytes that all uploads share.

    Args:
        total: bytes; what is asked for at once may be more, if nobody else has any.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._used = 0
        self._changed = threading.Condition()

    @property
    def used(self) -> int:
        return self._used

    def take(self, count: int) -> bool:
        """Take if there is room."""
        with self._changed:
            if self._used + count > self._total:
                return False
            self._used += count
            return True

    def wait(self, count: int) -> None:
        """Take as soon as there is room."""
        with self._changed:
            while self._used and self._used + count > self._total:
                self._changed.wait()
            self._used += count

    def give(self, count: int) -> None:
        """Give back."""
        with self._changed:
            self._used -= count
            self._changed.notify_all()

    @contextmanager
    def spent(self, count: int) -> Iterator[None]:
        """Have it, as soon as there is room, for as long as this lasts."""
        self.wait(count)
        try:
            yield
        finally:
            self.give(count)


class PartBuffer:
    """Bytes that wait, for one thread at a time."""

    def __init__(self, memory: Budget) -> None:
        self._memory = memory
        # Its bytes can be had without a second copy of them, which a bytearray's can't.
        self._held = io.BytesIO()
        self._file: IO[bytes] | None = None
        self.size = 0

    def extend(self, data: memoryview | bytes) -> None:
        """Take bytes.

        Raises:
            NoSpace: the directory of temporary files is full.
        """
        if self._file is None and self._memory.take(len(data)):
            self._held.write(data)
        else:
            self._spill(data)
        self.size += len(data)

    def peek(self) -> bytes:
        """All of them; no copy while they are in memory."""
        if self._file is None:
            return self._held.getvalue()
        self._file.seek(0)
        return self._file.read(self.size)

    def clear(self) -> None:
        """Forget them; repeatable."""
        self._forget_held()
        if self._file is not None:
            with contextlib.suppress(OSError):  # of bytes that found no room, and are not wanted
                self._file.close()
            self._file = None
        self.size = 0

    def _spill(self, data: memoryview | bytes) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="txregistry-")  # noqa: SIM115  # closed by clear
                self._file.write(self._held.getbuffer())
                self._forget_held()
            self._file.seek(self.size)
            self._file.write(data)
            self._file.flush()  # a full disk is told here, and not at some later call
        except OSError as err:
            raise NoSpace(
                f"parts of uploads can't wait in {tempfile.gettempdir()}: {err.strerror}"
            ) from err

    def _forget_held(self) -> None:
        self._memory.give(self._held.tell())
        self._held = io.BytesIO()
