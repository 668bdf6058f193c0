# SPDX-License-Identifier: Apache-2.0
"""What a driver's process writes to its standard output and error: lines for our log.

Room: process. A line may begin with its level as sd-daemon(3) has it, so that what a driver calls
an error is one in our log as well::

    line = ["<" %x30-37 ">"] text       ; 0 to 2 critical, 3 error, 4 warning, 5 and 6 info, 7 debug

A line without is info. A driver that says too much is cut short: nobody reads it, and a log that
fills the disk would be the end of more than the driver.
"""

from __future__ import annotations

import re
from collections import deque

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel

#: Bytes of a line; what is beyond is cut off, or another line.
LINE_LIMIT = 4_000

#: Lines of one process in a second; the others are counted. Arbitrary: more than anybody reads.
LINES_LIMIT = 500

_LEVEL = re.compile(rb"<([0-7])>")
_LEVELS = (
    *(LogLevel.critical, LogLevel.critical, LogLevel.critical),
    *(LogLevel.error, LogLevel.warn, LogLevel.info, LogLevel.info, LogLevel.debug),
)

_log = Logger()


class Words:
    """The lines of one process.

    Args:
        name: of the driver, for the log.

    Attributes:
        last: the newest lines.
    """

    def __init__(self, name: str, clock: IReactorTime) -> None:
        self._name = name
        self._clock = clock
        self._partial: dict[int, bytes] = {}
        self._second = 0.0
        self._said = 0
        self.last: deque[str] = deque(maxlen=5)

    def take(self, stream: int, data: bytes) -> None:
        """``data`` came by one of the process's outputs."""
        *lines, partial = (self._partial.get(stream, b"") + data).split(b"\n")
        for line in lines:
            self._say(line)
        if len(partial) > LINE_LIMIT:
            self._say(partial)
            partial = b""
        self._partial[stream] = partial

    def end(self) -> None:
        """Nothing more will come."""
        for partial in self._partial.values():
            self._say(partial)
        self._partial.clear()
        self._tell_left_out()

    def _say(self, line: bytes) -> None:
        level = LogLevel.info
        found = _LEVEL.match(line)
        if found:
            level = _LEVELS[int(found[1])]
            line = line[found.end() :]
        text = line[:LINE_LIMIT].decode("utf-8", "backslashreplace").rstrip()
        if not text:
            return
        self.last.append(text)
        if self._has_room():
            _log.emit(level, "[{driver}] {line}", driver=self._name, line=text)

    def _has_room(self) -> bool:
        now = self._clock.seconds()
        if now - self._second >= 1.0:
            self._tell_left_out()
            self._second, self._said = now, 0
        self._said += 1
        return self._said <= LINES_LIMIT

    def _tell_left_out(self) -> None:
        count = self._said - LINES_LIMIT
        if count > 0:
            _log.warn(
                "driver {driver} says too much: {count} of its lines were left out",
                driver=self._name,
                count=count,
            )
