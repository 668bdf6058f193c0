# SPDX-License-Identifier: Apache-2.0
"""A writer that survives the death of the driver it writes to.

Room: ipc. The front end keeps what the driver has not confirmed (``window``); when the lane breaks,
it asks for a fresh writer at the stored size and sends the rest again. The client that pushes sees
nothing of it. That is done when the next bytes arrive, or the upload is closed: one whose client is
silent costs a driver that dies again and again nothing, and no death counts against it.

States, and what moves between them; a lane may come and go in the first two:

    OPEN     write and close are taken
    CLOSING  close was called: the window is sent, confirmed and the size checked
    ENDED    answered, abandoned, or refused by what sending again can't mend; every later call is
             refused

The size to go on from is always the driver's (``WrongOffset.actual``), never our own last
confirmation.

A driver that is replaced while it lives closes the writer like any other, so that nothing has to
be sent again; the next one is opened on its successor. That and a recovery take turns.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger

from txregistry.ipc import commands
from txregistry.ipc.attempts import Attempts, Operation
from txregistry.ipc.budget import ReplayBudget
from txregistry.ipc.claims import Claims
from txregistry.ipc.deadlines import Deadlines
from txregistry.ipc.descriptors import make_lane
from txregistry.ipc.lanes import LANE_BUFFER, Outlet
from txregistry.ipc.link import Answer, Link, LinkLost, Links
from txregistry.ipc.window import WINDOW, ReplayWindow
from txregistry.storage.contract import Closing
from txregistry.storage.errors import Closed, Fenced, StorageError, Unavailable, WrongOffset

#: How often the driver may name another stored size at one opening. It grows while an older writer
#: stores what was on its lane; more often than this it makes no sense.
OPENINGS = 256

_log = Logger()


class _State(enum.Enum):
    OPEN = enum.auto()
    CLOSING = enum.auto()
    ENDED = enum.auto()


@frozen
class Terms:
    """What all writers of one driver share.

    Attributes:
        budget: memory of their windows.
        claims: who has which path.
        deadlines: for opening and closing.
        attempts: knows at how many deaths without a stored byte an upload is given up.
    """

    budget: ReplayBudget
    claims: Claims
    deadlines: Deadlines
    attempts: Attempts


class RemoteWriter:
    """``storage.contract.Writer`` over a link. Made by ``RemoteDriver.open_writer``, after ``open``
    succeeded.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        links: Links,
        terms: Terms,
        path: str,
        offset: int,
        algorithms: Sequence[str],
        states: str | None,
    ) -> None:
        self.progress: Callable[[int], None] | None = None
        self._reactor = reactor
        self._links = links
        self._claims = terms.claims
        self._deadlines = terms.deadlines
        self._attempts = terms.attempts
        self._path = path
        self._algorithms = list(algorithms)
        self._states = states
        self._window = ReplayWindow(terms.budget, offset)
        self._link: Link | None = None
        self._writer_id = 0
        self._outlet: Outlet | None = None
        self._room: Deferred[None] | None = None
        self._state = _State.OPEN
        self._refusal: StorageError = Closed("the writer was closed before", path=path)
        self._fruitless = 0
        self._changing = DeferredLock()  # lanes: recovering and moving on take turns
        self._is_held = False

    @property
    def offset(self) -> int:
        return self._window.offset

    @property
    def stored(self) -> int:
        return self._window.stored

    @property
    def appetite(self) -> int:
        return WINDOW

    # -- the contract

    async def open(self) -> None:
        """Claim the path on the driver at the present offset.

        Raises:
            WrongOffset: the stored size is another.
            StorageError: the driver's refusal, or Unavailable.
        """
        while True:
            await self._claims.settled(self._path)
            link = await self._links.link()
            try:
                async with self._claims.turn(self._path):
                    await self._open_on(link)
                    self._claims.take(self._path, self)
                return
            except LinkLost:
                self._count_fruitless()

    async def write(self, data: bytes) -> None:
        self._check()
        if data:
            self._window.add(data)
        if self._outlet is None:
            await self._recover()
        self._send()
        while self._window.is_full:
            if self._outlet is None:
                await self._recover()
                self._send()
            else:
                await self._wait()
                self._check()

    async def close(self) -> Closing:
        self._check()
        self._state = _State.CLOSING
        try:
            return await self._finish()
        finally:
            self._end()

    async def abandon(self) -> None:
        if self._state is _State.ENDED:
            return
        link = self._link
        self._let_go()
        self._end()
        if link is not None:
            await _abandon(link, self._writer_id)

    # -- lanes.Source

    def next_buffers(self, limit: int) -> Sequence[bytes | memoryview]:
        return () if self._is_held else self._window.unsent(limit)

    def sent(self, count: int) -> None:
        self._window.went_out(count)
        if not self._window.is_kept:
            self._wake()

    def confirmed(self, outlet: Outlet, offset: int) -> None:
        # Else a stale lane, old news, or nonsense: the size asked for at the next opening is the
        # truth.
        if outlet is self._outlet and offset <= self._window.sent:
            self._note(is_news=self._window.advance(offset))
            self._wake()

    def ended(self, outlet: Outlet) -> None:
        assert outlet is self._outlet  # those before it were closed, and say nothing
        self._outlet = None
        self._wake()

    # -- opening, again and again

    async def _open_on(self, link: Link) -> None:
        self._check_not_ended()
        ours, theirs = make_lane(LANE_BUFFER)
        try:
            arguments: dict[str, Any] = {"states": self._states} if self._states is not None else {}
            answer = await link.call(
                commands.OpenWriter,
                timeout=self._deadlines.operation,
                lane=theirs,
                discard=lambda late: _discard(link, late),
                path=self._path,
                offset=self._window.sent,
                algorithms=self._algorithms,
                **arguments,
            )
            if self._state is _State.ENDED:
                _discard(link, answer)
            self._check_not_ended()
        except BaseException:
            ours.close()
            raise
        self._let_go()
        self._link, self._writer_id = link, answer["writer"]
        self._window.make_room(answer["window"])
        self._outlet = Outlet(self._reactor, ours, self)
        link.watch(self._link_lost, when_retired=self._link_retired)

    async def _recover(self) -> None:
        """Get a fresh writer after the lane ended; what the driver has not stored is sent to it
        again.

        Raises:
            StorageError: it can't be had; the writer has ended.
        """
        async with self._changing:
            self._check_not_ended()
            if self._outlet is not None:  # the driver was replaced, and this goes on already
                return
            try:
                await self._explain_end()
                await self._reopen()
            except StorageError as error:
                self._end(error)
                raise

    async def _reopen(self) -> None:
        while self._outlet is None:
            self._count_fruitless()
            await self._reopen_on(await self._links.link())

    def _link_retired(self, link: Link) -> None:
        if link is self._link and self._state is _State.OPEN:
            Deferred.fromCoroutine(self._move_on(link))

    async def _move_on(self, link: Link) -> None:
        """Let the driver that is being replaced close its writer, and go on with its successor.

        Nobody waits for this: what it fails of is told to the next call.
        """
        async with self._changing:
            if link is not self._link or self._outlet is None or self._state is not _State.OPEN:
                return
            try:
                await self._close_on(link, self._outlet)
                await self._reopen()
            except StorageError as error:
                self._end(error)
            else:
                self._send()
                self._wake()

    async def _close_on(self, link: Link, outlet: Outlet) -> None:
        """End the lane where it is, and the driver's writer; if the driver dies of it, that is a
        death like any other.
        """
        self._is_held = True
        outlet.end()
        try:
            answer = await link.call(
                commands.CloseWriter, timeout=self._deadlines.close, writer=self._writer_id
            )
        except Unavailable:
            self._check_not_ended()
            self._lose()
            return
        finally:
            self._is_held = False
        self._check_not_ended()
        self._fruitless = 0
        self._note(is_news=self._window.advance(min(answer["size"], self._window.sent)))
        self._let_go()
        outlet.close()
        self._outlet = None

    async def _explain_end(self) -> None:
        """Ask why the lane ended, if the driver that ended it is still there.

        Raises:
            StorageError: a reason that sending again does not mend.
        """
        link = self._link
        if link is None:
            return
        self._let_go()
        try:
            await link.call(commands.CloseWriter, writer=self._writer_id)
        except Unavailable:
            return

    async def _reopen_on(self, link: Link) -> None:
        """Open at the size that the driver has; a lost link is left to the caller's next turn."""
        for _ in range(OPENINGS):
            try:
                async with self._claims.turn(self._path):
                    await self._open_on(link)
                return
            except LinkLost:
                return
            except WrongOffset as wrong:
                self._adopt(wrong)
        raise Unavailable("the driver names one stored size after the other", path=self._path)

    async def moved(self) -> None:
        if self._is_held:
            async with self._changing:
                pass

    def supersede(self) -> None:
        """A newer writer of this process has the path."""
        self._end(Fenced("a newer request took the path over", path=self._path))

    def _adopt(self, wrong: WrongOffset) -> None:
        actual = wrong.actual
        if not self._window.holds(actual) or actual == self._window.sent:
            raise Unavailable(
                f"the driver holds {actual} bytes, the replay window {self._window}",
                path=self._path,
            ) from wrong
        self._note(is_news=self._window.send_again_from(actual))
        _log.info(
            "upload goes on after a driver's death at {offset} of {path}",
            offset=actual,
            path=self._path,
        )

    def _count_fruitless(self) -> None:
        self._fruitless += 1
        if self._fruitless >= self._attempts.poison_deaths:
            what = Operation("Write", self._path, self._deadlines.operation)
            raise self._attempts.give_up(what, self._fruitless)

    # -- closing

    async def _finish(self) -> Closing:
        async with self._changing:  # a change of lanes that is under way comes to its end
            self._check_not_ended()
        while True:
            if self._outlet is None:
                await self._recover()
            outlet, link = self._outlet, self._link
            assert outlet is not None and link is not None
            outlet.end()
            try:
                answer = await link.call(
                    commands.CloseWriter, timeout=self._deadlines.close, writer=self._writer_id
                )
            except Unavailable:
                self._lose()
                continue
            except BaseException:
                self._let_go()  # it has ended, or does so without anybody waiting for it
                raise
            self._let_go()
            if answer["size"] == self._window.offset:
                self._note(is_news=self._window.advance(self._window.offset))
                return Closing(
                    answer["size"],
                    {item["algorithm"]: item["encoded"] for item in answer["digests"]},
                )
            self._lose()

    # -- the lane's end

    def _link_lost(self, link: Link) -> None:
        self._lose()

    def _lose(self) -> None:
        """Drop the lane, and the driver's writer without asking why it ended."""
        link = self._link
        self._let_go()
        if link is not None and not link.is_lost:
            Deferred.fromCoroutine(_abandon(link, self._writer_id))
        if self._outlet is not None:
            self._outlet.close()
            self._outlet = None
        self._wake()

    def _let_go(self) -> None:
        if self._link is not None:
            self._link.unwatch(self._link_lost)
            self._link = None

    def _end(self, refusal: StorageError | None = None) -> None:
        """Refuse every later call, and free what is held."""
        if self._state is not _State.ENDED:
            self._state = _State.ENDED
            self._refusal = refusal or self._refusal
            self._claims.release(self._path, self)
            self._lose()
            self._window.clear()

    # -- progress

    def _send(self) -> None:
        assert self._outlet is not None
        self._outlet.wake()

    def _note(self, *, is_news: bool) -> None:
        """The driver has told how much is stored."""
        if is_news:
            self._fruitless = 0
            if self.progress is not None:
                self.progress(self._window.stored)

    # -- waiting

    def _check(self) -> None:
        if self._state is not _State.OPEN:
            raise self._refusal

    def _check_not_ended(self) -> None:
        """Somebody may have abandoned the writer during an await, or a newer one taken its path."""
        if self._state is _State.ENDED:
            raise self._refusal

    async def _wait(self) -> None:
        assert self._room is None, "one write at a time"
        room: Deferred[None] = Deferred()
        self._room = room
        try:
            await room
        finally:
            self._room = None

    def _wake(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.called:
            room.callback(None)


async def _abandon(link: Link, writer_id: int) -> None:
    with contextlib.suppress(StorageError):  # else it is gone already, which is what was asked for
        await link.call(commands.AbandonWriter, writer=writer_id)


def _discard(link: Link, answer: Answer) -> None:
    """Free a writer that was opened for nobody."""
    Deferred.fromCoroutine(_abandon(link, answer["writer"]))
