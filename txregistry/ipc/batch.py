# SPDX-License-Identifier: Apache-2.0
"""Small reads of one turn of the reactor share a command.

Room: ipc. A busy front end asks for many small links at once; one box, one hop into a thread and
one answer for all of them cost little more than for one.

    turn     get(a)   get_several(b, c)   get(d)
               |             |              |
    end        '-- GetSeveral(a, b, c, d) --'     answered item by item

Each group is told when its last one came.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.protocols import amp

from txregistry.errand import TRACED, TracedCall
from txregistry.ipc import commands
from txregistry.ipc.attempts import SUSPECT_DEATHS, GivenUp
from txregistry.ipc.items import Item
from txregistry.ipc.link import Answer, Links
from txregistry.storage.contract import Content
from txregistry.storage.errors import Internal, StorageError, Unsupported

#: What one read came to: content, a refusal, or the size of content that must be read by a lane.
Outcome: TypeAlias = Content | StorageError | int

#: Paths in one command, and their bytes: links are about 100 bytes, so the answer fits one AMP
#: value.
BATCH_LIMIT = 64
PATHS_LIMIT = 60_000


@define(eq=False)
class _Group:
    """The reads of one call."""

    outcomes: list[Outcome | None]
    missing: int
    waiter: Deferred[list[Outcome]] = field(factory=lambda: Deferred(lambda _: None))

    def give(self, index: int, outcome: Outcome) -> None:
        """One of the reads has ended."""
        self.outcomes[index] = outcome
        self.missing -= 1
        if not self.missing and not self.waiter.called:  # else nobody waits any more
            self.waiter.callback(self.outcomes)  # type: ignore[arg-type]  # none is None now


_Waiting: TypeAlias = tuple[str, _Group, int]


class Batch:
    """Collects reads and asks for them.

    Args:
        ask: asks the driver until there is an answer (``RemoteDriver.ask``).
        links: tell what the driver can do.
        clock: ends the turn of the reactor in which reads are collected.
    """

    def __init__(
        self, ask: Callable[..., Awaitable[Answer]], links: Links, clock: IReactorTime
    ) -> None:
        self._ask = ask
        self._links = links
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._traced: TracedCall | None = None

    def get(self, paths: Sequence[str]) -> Deferred[list[Outcome]]:
        """Read each of ``paths``, of which there is at least one; the outcomes are in their
        order.
        """
        group = _Group([None] * len(paths), len(paths))
        if not self._waiting:
            self._clock.callLater(0, self._send)
            self._traced = None
        if self._traced is None:
            self._traced = TRACED.get()
        self._waiting += [(path, group, index) for index, path in enumerate(paths)]
        return group.waiter

    def _send(self) -> None:
        waiting = [one for one in self._waiting if not one[1].waiter.called]
        self._waiting = []
        # A box goes with the first trace that waits for it; the others' spans have no inside.
        before = TRACED.set(self._traced)
        while waiting:
            count = fitting([path for path, _, _ in waiting[:BATCH_LIMIT]])
            batch, waiting = waiting[:count], waiting[count:]
            Deferred.fromCoroutine(self._get_all(batch))
        TRACED.reset(before)

    async def _get_all(self, batch: list[_Waiting]) -> None:
        while len(batch) > 1:
            try:
                items = await self._get_several([path for path, _, _ in batch])
            except (Unsupported, GivenUp):  # each by itself then: one of them may be poison
                break
            except StorageError as error:
                for _, group, index in batch:
                    group.give(index, error)
                return
            for (path, group, index), item in zip(batch, items, strict=False):
                group.give(index, _outcome(path, item))
            batch = batch[len(items) :]
        for one in batch:
            Deferred.fromCoroutine(self._get_one(*one))

    async def _get_several(self, paths: list[str]) -> list[Item]:
        link = await self._links.link()
        if "get-several" not in link.hello["features"]:
            raise Unsupported("the driver answers one at a time")
        answer = await self._ask(commands.GetSeveral, paths[0], deaths=SUSPECT_DEATHS, paths=paths)
        items: list[Item] = answer["items"]
        if not items:
            raise Internal("the driver answered a batch with nothing")
        return items

    async def _get_one(self, path: str, group: _Group, index: int) -> None:
        try:
            answer = await self._ask(commands.Get, path, path=path)
        except StorageError as error:
            group.give(index, error)
            return
        content = answer["content"]
        group.give(
            index, answer["size"] if content is None else Content(content, answer["version"])
        )


def _outcome(path: str, item: Item) -> Outcome:
    """What an item says; one that makes no sense is the driver's fault, and only that item's."""
    code = item.get(b"error")
    try:
        if code is not None:
            description = item.get(b"description", b"").decode("utf-8", "replace")
            return commands.decode_refusal(code.decode("ascii", "replace"), description)
        content = item.get(b"content")
        if content is None:
            size: Any = commands.Whole().fromString(item[b"size"])
            return int(size)
        return Content(content, item[b"version"].decode("utf-8"))
    except (KeyError, ValueError, amp.AmpError):
        return Internal("the driver's answer to one of several makes no sense", path=path)


def fitting(paths: Sequence[str]) -> int:
    """How many of the paths fit one list; at least one."""
    room = PATHS_LIMIT
    for count, path in enumerate(paths):
        room -= 2 + len(path)
        if room < 0:
            return count
    return len(paths)
