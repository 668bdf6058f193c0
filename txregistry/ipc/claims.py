# SPDX-License-Identifier: Apache-2.0
"""Which writer of this process has a path.

Room: ipc. The driver fences an older writer when a newer one opens. After the driver's death it
knows neither, and whoever comes back first would seem the newer one: a request whose client has
long gone could fence the one that took its place. So a writer comes back only while the path is
still its own here; openings of one path take turns.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from attrs import define, field
from twisted.internet.defer import DeferredLock


class Holder(Protocol):
    """A writer."""

    def supersede(self) -> None:
        """Another writer has the path from now on."""

    async def moved(self) -> None:
        """Wait until a driver that is being replaced has closed it."""


@define(eq=False)
class _Path:
    lock: DeferredLock = field(factory=DeferredLock)
    holder: Holder | None = None


class Claims:
    """Paths and their newest writers."""

    def __init__(self) -> None:
        self._paths: dict[str, _Path] = {}

    def turn(self, path: str) -> Turn:
        """A turn at opening ``path``, as an asynchronous context."""
        return Turn(self, path)

    async def settled(self, path: str) -> None:
        """Wait until a driver that is being replaced writes to ``path`` no more. Call it before the
        turn, which the holder needs in order to go on elsewhere.
        """
        known = self._paths.get(path)
        if known is not None and known.holder is not None:
            await known.holder.moved()

    def take(self, path: str, holder: Holder) -> None:
        """Make ``holder`` the newest writer; its predecessor is told. Call it within the turn."""
        known = self._paths[path]
        before, known.holder = known.holder, holder
        if before is not None and before is not holder:
            before.supersede()

    def release(self, path: str, holder: Holder) -> None:
        """``holder`` has ended; repeatable."""
        known = self._paths.get(path)
        if known is not None and known.holder is holder:
            known.holder = None
            self._forget(path, known)

    def _enter(self, path: str) -> _Path:
        return self._paths.setdefault(path, _Path())

    def _forget(self, path: str, known: _Path) -> None:
        # Whoever waited for the turn has had it by now, and may have forgotten the path already.
        if known.holder is None and not known.lock.locked and self._paths.get(path) is known:
            del self._paths[path]


class Turn:
    """See :meth:`Claims.turn`."""

    def __init__(self, claims: Claims, path: str) -> None:
        self._claims = claims
        self._path = path

    async def __aenter__(self) -> None:
        self._known = self._claims._enter(self._path)
        await self._known.lock.acquire()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._known.lock.release()
        self._claims._forget(self._path, self._known)
