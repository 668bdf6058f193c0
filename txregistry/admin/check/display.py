# SPDX-License-Identifier: Apache-2.0
"""Shows how far a check is: a bar on a terminal, a line now and then anywhere else.

Room: admin. Must not know reports. Digests are spread evenly, and blobs come in their order: the
digest that a walk has reached says how much of it is done.
"""

from __future__ import annotations

from collections.abc import Callable

from txregistry.admin.check.inspection import Progress

#: Characters of a bar, and seconds between two of them, and between two lines. Arbitrary.
_BAR = 30
_BAR_INTERVAL = 0.1
_LINE_INTERVAL = 10.0

_CLEAR = "\r\x1b[K"


class Display:
    """Shows progress.

    Args:
        write: takes text for the terminal, or for whatever there is in its place.
        now: the clock, in seconds.
        is_terminal: whether a bar can be drawn.
        is_wanted: whether lines are to be written where it can't; else nothing is, so that a job
            that went well has nothing to mail.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        now: Callable[[], float],
        *,
        is_terminal: bool,
        is_wanted: bool = False,
    ) -> None:
        self._write = write
        self._now = now
        self._is_terminal = is_terminal
        self._is_shown = is_terminal or is_wanted
        self._next = now() + (0 if is_terminal else _LINE_INTERVAL)
        self._is_drawn = False

    def show(self, progress: Progress) -> None:
        """Show how far the check is, if the last time is long enough ago."""
        if not self._is_shown or self._now() < self._next:
            return
        self._next = self._now() + (_BAR_INTERVAL if self._is_terminal else _LINE_INTERVAL)
        if self._is_terminal:
            self._write(_CLEAR + _drawn(progress))
            self._is_drawn = True
        else:
            self._write(f"{_said(progress)}\n")

    def clear(self) -> None:
        """Take the bar away, so that something else can be written."""
        if self._is_drawn:
            self._write(_CLEAR)
            self._is_drawn = False


def _said(progress: Progress) -> str:
    share = "" if progress.fraction is None else f", about {progress.fraction:.0%}"
    return f"{progress.phase}: {progress.done}{share}"


def _drawn(progress: Progress) -> str:
    if progress.fraction is None:
        return _said(progress)
    filled = round(progress.fraction * _BAR)
    return f"[{'#' * filled}{'.' * (_BAR - filled)}] {_said(progress)}"
