# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is to change a path.

Room: storage. Must not know what is changed. Everybody stands in one line; a turn comes when nobody
further ahead wants the same path, one above it or one below it::

    open_writer /u/1/data     goes                      delete /u/1      waits for both
    open_writer /u/2/data     goes                      commit /u/1/data waits for the delete

So turns on different paths never wait for each other, and none is overtaken for ever.
"""

from __future__ import annotations

from types import TracebackType

from twisted.internet.defer import Deferred


class Turns:
    """The line. Each turn is an asynchronous context: ``async with turns.of(path, ...):``."""

    def __init__(self) -> None:
        self.line: list[Turn] = []

    def of(self, *paths: str) -> Turn:
        """A turn on all of ``paths`` at once."""
        return Turn(self, paths)


class Turn:
    """One place in the line, taken when the context is entered and given up when it is left."""

    def __init__(self, turns: Turns, paths: tuple[str, ...]) -> None:
        self._turns = turns
        self._paths = paths
        self._come: Deferred[None] = Deferred()

    async def __aenter__(self) -> None:
        self._turns.line.append(self)
        self._check()
        try:
            await self._come
        except BaseException:
            self._leave()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self._turns.line.remove(self)
        for turn in tuple(self._turns.line):
            turn._check()

    def _check(self) -> None:
        """Go, unless somebody ahead is in the way."""
        if self._come.called:
            return
        ahead = self._turns.line[: self._turns.line.index(self)]
        theirs = [path for turn in ahead for path in turn._paths]
        if not any(overlap(mine, other) for mine in self._paths for other in theirs):
            self._come.callback(None)


def overlap(one: str, other: str) -> bool:
    """Whether two paths are the same, or one lies below the other."""
    return is_within(one, other) or is_within(other, one)


def is_within(path: str, directory: str) -> bool:
    """Whether ``path`` is ``directory`` or lies below it."""
    return path == directory or path.startswith(directory + "/")
