# SPDX-License-Identifier: Apache-2.0
"""The front end's end of one connection to a driver.

Room: ipc. Knows how to ask once and what each way of failing means; asking again is ``remote``'s
business, making the connection ``process``'s.

Calls are shielded: a caller that goes away never cancels what is on the wire, and what an answer
brings for nobody is given back. The driver's end of a lane belongs to the call that it travels with
until the answer: closed earlier, its number might be another file's when the kernel comes to send
it. Deadlines are swept once a second instead of one timer for each call.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol, TypeAlias

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.protocols import amp
from twisted.python.failure import Failure

from txregistry.errand import TRACED, TracedCall
from txregistry.ipc import commands
from txregistry.ipc.commands import Refusal, decode_refusal
from txregistry.ipc.descriptors import UNCLAIMED_LIMIT, DescriptorKeeper, identity
from txregistry.storage.errors import Internal, InvalidPath, StorageError, Unavailable, Unsupported

Answer = dict[str, Any]

#: Seconds until the caller of an operation that moves little gives up.
DEADLINE = 30.0

#: Seconds until an answer to Hello; the driver may just be starting.
HELLO_DEADLINE = 30.0

#: Calls in flight that carry a descriptor, in each direction: fewer than may wait for their boxes,
#: since those of boxes that are sent together all arrive before the first box.
PASSING_LIMIT = UNCLAIMED_LIMIT - 16

#: Calls that were given up and never answered, after which the connection is ended. Arbitrary; each
#: may hold a descriptor.
OVERDUE_LIMIT = 256


class LinkLost(Unavailable):
    """The connection ended before the answer: whether the operation was done is unknown.

    Args:
        was_in_flight: the question had left.
    """

    code = "Unavailable"

    def __init__(self, message: str = "", *, path: str = "", was_in_flight: bool = True) -> None:
        super().__init__(message, path=path)
        self.was_in_flight = was_in_flight


class NoAnswer(Unavailable):
    """The deadline passed before the answer: whether the operation was done is unknown."""

    code = "Unavailable"


class WhenSettled(Protocol):
    """Told how operations go."""

    def __call__(self, link: Link, *, is_answered: bool) -> None:
        """One was answered in time, or is past its deadline."""


Watcher: TypeAlias = "Callable[[Link], None]"


class Links(Protocol):
    """Where a live connection comes from."""

    async def link(self) -> Link:
        """The current connection, waiting for one while the driver restarts.

        Raises:
            Unavailable: there was none within the configured patience.
        """


@cache
def _brings_descriptor(command: type[amp.Command]) -> bool:
    return any(isinstance(kind, amp.Descriptor) for _, kind in command.response)


@define(eq=False)
class _Call:
    """One question. ``waiter`` is None once nobody waits for the answer any more."""

    command: type[amp.Command]
    arguments: dict[str, Any]
    began: float
    deadline: float
    lane: socket.socket | None
    discard: Callable[[Answer], object] | None
    traced: TracedCall | None = None
    waiter: Deferred[Answer] | None = None
    is_sent: bool = False

    @property
    def name(self) -> str:
        return self.command.__name__

    @property
    def is_operation(self) -> bool:
        """It is sent, and about the storage."""
        return self.is_sent and self.command not in (commands.Hello, commands.Ping)

    @property
    def brings_descriptor(self) -> bool:
        return _brings_descriptor(self.command)

    def close_lane(self) -> None:
        if self.lane is not None:
            self.lane.close()


class _Line:
    """Lets so many calls at a time have a descriptor on the way; the others wait here."""

    def __init__(self) -> None:
        self._inside: set[_Call] = set()
        self.waiting: deque[_Call] = deque()

    def enter(self, call: _Call) -> bool:
        """Whether the call may go at once."""
        if len(self._inside) < PASSING_LIMIT:
            self._inside.add(call)
            return True
        self.waiting.append(call)
        return False

    def leave(self, call: _Call) -> _Call | None:
        """Make room; returns the call that goes next."""
        if call in self._inside:
            self._inside.remove(call)
            while self.waiting:
                following = self.waiting.popleft()
                if following.waiter is not None:
                    self._inside.add(following)
                    return following
        return None


class Link(DescriptorKeeper):
    """One connection; ``call`` asks and awaits.

    Args:
        clock: for deadlines.
        when_lost: called once with this link when it is of no more use.
        when_settled: called for each operation that was answered in time, or is past its deadline.
        when_answered: told the name of each command that was answered, refusals included, and the
            seconds from when it was asked; nobody is told by default.

    Attributes:
        answered: operations that the driver answered, in time or not.
        is_retired: another one has taken its place.
    """

    def __init__(
        self,
        clock: IReactorTime,
        when_lost: Callable[[Link], None],
        *,
        when_settled: WhenSettled | None = None,
        when_answered: Callable[[str, float], None] | None = None,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._when_lost = when_lost
        self._when_settled = when_settled
        self._when_answered = when_answered
        self.answered = 0
        # Dicts for their order: who came first is told first, and a run can be repeated.
        self._calls: dict[_Call, None] = {}
        self._watchers: dict[Watcher, Watcher | None] = {}
        self._sending = _Line()
        self._receiving = _Line()
        self._sweep: IDelayedCall | None = None
        self.is_lost = False
        self.is_retired = False
        self.hello: Answer = {}
        #: Set after OpenFile was answered Unsupported: this driver's content is not files.
        self.has_no_files = False

    # -- asking

    async def call(
        self,
        command: type[amp.Command],
        *,
        timeout: float = DEADLINE,
        lane: socket.socket | None = None,
        discard: Callable[[Answer], object] | None = None,
        **arguments: Any,
    ) -> Answer:
        """Ask once.

        Args:
            timeout: seconds until the caller gives up; the call itself goes on and its answer is
                discarded.
            lane: the driver's end of a lane, which travels with the question; owned from here on.
            discard: given the answer if nobody waits for it any more.

        Raises:
            LinkLost: the connection ended.
            NoAnswer: the deadline passed.
            StorageError: the driver's refusal.
        """
        traced = TRACED.get()
        if traced is not None:
            arguments[commands.TRACEPARENT] = traced.traceparent
        began = self._clock.seconds()
        call = _Call(command, arguments, began, began + timeout, lane, discard, traced)
        if self.is_lost:
            call.close_lane()
            raise self._lost_before(call)
        waiter: Deferred[Answer] = Deferred(lambda _: self._give_up(call))
        call.waiter = waiter
        self._calls[call] = None
        if self._sweep is None:
            self._sweep = self._clock.callLater(1.0, self._check_deadlines)
        line = self._line(call)
        if line is None or line.enter(call):
            self._send(call)
        return await waiter

    def _line(self, call: _Call) -> _Line | None:
        if call.brings_descriptor:
            return self._receiving
        return self._sending if call.lane is not None else None

    def _send(self, call: _Call) -> None:
        call.is_sent = True
        if call.lane is not None:
            device, inode, _ = identity(call.lane.fileno())
            call.arguments |= {
                "lane": call.lane.fileno(),
                "lane_device": device,
                "lane_inode": inode,
            }
        try:
            answer = self.callRemote(call.command, **call.arguments)
        except (amp.TooLong, UnicodeEncodeError):
            if call.lane is not None:
                self.abort()  # it is queued, and would go with some other box
            self._refuse(call, InvalidPath("an argument can't be put on the wire"))
        else:
            answer.addCallbacks(
                self._answered, self._failed, callbackArgs=(call,), errbackArgs=(call,)
            )

    def tell(self, command: type[amp.Command], **arguments: Any) -> None:
        """Send a command that is not answered."""
        if not self.is_lost:
            self.callRemote(command, **arguments)

    async def greet(self, timeout: float = HELLO_DEADLINE) -> None:
        """Say hello; the answer is kept as ``hello``.

        Args:
            timeout: seconds until the answer; the driver may just be starting.

        Raises:
            Unsupported: there is no protocol version in common.
            BadOptions: the driver refuses its configuration.
        """
        hello = await self.call(
            commands.Hello,
            timeout=timeout,
            protocol_min=commands.PROTOCOL_MIN,
            protocol_max=commands.PROTOCOL_MAX,
        )
        if not commands.PROTOCOL_MIN <= hello["protocol"] <= commands.PROTOCOL_MAX:
            raise Unsupported(
                f"the driver speaks protocol {hello['protocol']}, this registry"
                f" {commands.PROTOCOL_MIN} to {commands.PROTOCOL_MAX}"
            )
        self.hello = hello

    # -- how it goes

    @property
    def is_fruitless(self) -> bool:
        """Something was asked of the driver, and nothing was answered."""
        return not self.answered and any(call.is_operation for call in self._calls)

    def overdue(self) -> list[str]:
        """Operations that are past their deadline and not answered."""
        now = self._clock.seconds()
        return [call.name for call in self._calls if call.deadline <= now and call.is_operation]

    def watch(self, watcher: Watcher, *, when_retired: Watcher | None = None) -> None:
        """Have ``watcher`` called when the connection has ended, and ``when_retired`` when what
        goes on for long is to go on elsewhere; for one that is retired, at once.
        """
        self._watchers[watcher] = when_retired
        if self.is_retired and when_retired is not None:
            when_retired(self)

    def unwatch(self, watcher: Watcher) -> None:
        self._watchers.pop(watcher, None)

    def retire(self) -> None:
        """Another connection has taken this one's place: what is under way is finished, and what
        has no end of its own goes on elsewhere.
        """
        self.is_retired = True
        for when_retired in tuple(self._watchers.values()):
            if when_retired is not None:
                when_retired(self)

    @property
    def is_idle(self) -> bool:
        """Nothing is asked on it, and nobody cares for its end."""
        return not self._calls and not self._watchers

    # -- answers

    def _note(self, call: _Call, *, is_answered: bool) -> None:
        if is_answered and self._when_answered is not None:
            self._when_answered(call.name, self._clock.seconds() - call.began)
        if not call.is_operation:
            return
        self.answered += is_answered
        if self._when_settled is not None and call.waiter is not None:
            self._when_settled(self, is_answered=is_answered)

    def ampBoxReceived(self, box: amp.AmpBox) -> None:
        if amp.COMMAND in box:
            self.distrust("a request, which is the registry's part")
            return
        super().ampBoxReceived(box)

    def _answered(self, answer: Answer, call: _Call) -> None:
        self._note(call, is_answered=True)
        elapsed = answer.pop(commands.ELAPSED, 0)
        if call.traced is not None:
            call.traced.elapsed_us += elapsed
        waiter = self._end(call)
        if waiter is not None:
            waiter.callback(answer)
        elif call.discard is not None:
            call.discard(answer)

    def _failed(self, failure: Failure, call: _Call) -> None:
        self._refuse(call, self._explain(failure, call))

    def _refuse(self, call: _Call, error: StorageError) -> None:
        waiter = self._end(call)
        if waiter is not None:
            waiter.errback(error)

    def _end(self, call: _Call) -> Deferred[Answer] | None:
        """The call is off the wire; returns who waits for it."""
        self._calls.pop(call, None)
        call.close_lane()
        return self._settle(call)

    def _give_up(self, call: _Call) -> None:
        self._settle(call)

    def _settle(self, call: _Call) -> Deferred[Answer] | None:
        """Nobody waits for the call any more; returns who did."""
        waiter, call.waiter = call.waiter, None
        if not call.is_sent:
            self._calls.pop(call, None)
            call.close_lane()
        line = self._line(call)
        following = line.leave(call) if line is not None else None
        if following is not None:
            self._send(following)
        return waiter

    def _explain(self, failure: Failure, call: _Call) -> StorageError:
        value = failure.value
        if isinstance(value, Refusal):
            self._note(call, is_answered=True)
            return decode_refusal(value.code, str(value))
        if isinstance(value, amp.UnhandledCommand):
            return Unsupported(f"the driver does not know {call.name}")
        if type(value) is Exception or isinstance(value, amp.UnknownRemoteError):
            # The table's last row, or a code of a later version of the protocol.
            return decode_refusal(Internal.code, _description(value))
        if self.is_ended:
            return LinkLost(f"the driver's connection ended during {call.name}")
        if call.brings_descriptor:
            # Which descriptor belongs to which box is not sure any more.
            self.distrust(f"an answer to {call.name} that makes no sense: {value!r}")
            return LinkLost(f"the driver's answer to {call.name} made no sense")
        return Internal(f"the driver's answer to {call.name} makes no sense: {value!r}"[:2000])

    # -- the end

    def _check_deadlines(self) -> None:
        self._sweep = None
        now = self._clock.seconds()
        overdue = [call for call in self._calls if call.deadline <= now]
        for call in overdue:
            self._note(call, is_answered=False)
            waiter = self._settle(call)
            if waiter is not None:
                waiter.errback(NoAnswer(f"the driver did not answer {call.name} in time"))
        if len(overdue) > OVERDUE_LIMIT:
            self.distrust(f"no answer to {len(overdue)} questions")
        elif self._calls and self._sweep is None and not self.is_lost:
            self._sweep = self._clock.callLater(1.0, self._check_deadlines)

    def abort(self) -> None:
        super().abort()
        self._lose()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lose()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        super().connectionLost(reason)
        watchers, self._watchers = self._watchers, {}
        for watcher in watchers:
            watcher(self)

    def _lose(self) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        self._when_lost(self)  # before anybody is refused, who then asks for the next link at once
        for line in (self._sending, self._receiving):
            while line.waiting:
                call = line.waiting.popleft()
                self._refuse(call, self._lost_before(call))

    def _lost_before(self, call: _Call) -> LinkLost:
        return LinkLost(f"the driver's connection ended before {call.name}", was_in_flight=False)


def _description(error: Exception) -> str:
    return error.description if isinstance(error, amp.UnknownRemoteError) else str(error)
