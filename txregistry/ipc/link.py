# SPDX-License-Identifier: Apache-2.0
"""The front end's end of one connection to a driver.

Room: ipc. Knows how to ask once and what each way of failing means; asking again is ``remote``'s
business, making the connection ``process``'s.

Calls are shielded: a caller that goes away never cancels what is on the wire, and a descriptor that
arrives for nobody is closed. Deadlines are swept once a second instead of one timer for each call.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols import amp
from twisted.python.failure import Failure

from txregistry.ipc import commands
from txregistry.ipc.commands import Refusal, decode_refusal
from txregistry.ipc.descriptors import DescriptorKeeper
from txregistry.storage.errors import Internal, InvalidPath, StorageError, Unavailable, Unsupported

Answer = dict[str, Any]

_log = Logger()


class LinkLost(Unavailable):
    """The connection ended before the answer: whether the operation was done is unknown."""

    code = "Unavailable"


class Links(Protocol):
    """Where a live connection comes from."""

    async def link(self) -> Link:
        """The current connection, waiting for one while the driver restarts.

        Raises:
            Unavailable: there was none within the configured patience.
        """


@define(eq=False)
class _Call:
    """One question on the wire. ``waiter`` is None once nobody waits for the answer any more."""

    name: str
    deadline: float
    waiter: Deferred[Answer] | None = field(default=None, init=False)


class Link(DescriptorKeeper):
    """One connection; ``call`` asks and awaits.

    Args:
        clock: for deadlines.
        when_lost: called once with this link when the connection has ended.
    """

    def __init__(self, clock: IReactorTime, when_lost: Callable[[Link], None]) -> None:
        super().__init__()
        self._clock = clock
        self._when_lost = when_lost
        self._calls: set[_Call] = set()
        self._sweep: IDelayedCall | None = None
        self.is_lost = False
        self.hello: Answer = {}
        #: Set after OpenFile was answered Unsupported: this driver's content is not files.
        self.has_no_files = False

    # -- asking

    async def call(self, command: type[amp.Command], *, timeout: float = 10.0, **arguments: Any) -> Answer:
        """Ask once.

        Args:
            timeout: seconds until the caller gives up; the call itself goes on and its answer is
                thrown away.

        Raises:
            LinkLost: the connection ended, the answer made no sense, or the deadline passed.
            StorageError: the driver's refusal.
        """
        call = _Call(command.__name__, self._clock.seconds() + timeout)
        waiter: Deferred[Answer] = Deferred(lambda _: self._forget(call))
        call.waiter = waiter
        try:
            answer = self.callRemote(command, **arguments)
        except amp.TooLong as error:
            raise InvalidPath("an argument is too long for the wire") from error
        self._calls.add(call)
        if self._sweep is None:
            self._sweep = self._clock.callLater(1.0, self._check_deadlines)
        answer.addCallbacks(self._answered, self._failed, callbackArgs=(call,), errbackArgs=(call,))
        return await waiter

    def tell(self, command: type[amp.Command], **arguments: Any) -> None:
        """Send a command that is not answered."""
        if not self.is_lost:
            self.callRemote(command, **arguments)

    async def greet(self) -> None:
        """Say hello; the answer is kept as ``hello``.

        Raises:
            Unsupported: there is no protocol version in common.
            BadOptions: the driver refuses its configuration.
        """
        hello = await self.call(
            commands.Hello, protocol_min=commands.PROTOCOL_MIN, protocol_max=commands.PROTOCOL_MAX
        )
        if not commands.PROTOCOL_MIN <= hello["protocol"] <= commands.PROTOCOL_MAX:
            raise Unsupported(
                f"the driver speaks protocol {hello['protocol']}, this registry"
                f" {commands.PROTOCOL_MIN} to {commands.PROTOCOL_MAX}"
            )
        self.hello = hello

    # -- answers

    def _answered(self, answer: Answer, call: _Call) -> None:
        self._calls.discard(call)
        waiter, call.waiter = call.waiter, None
        if waiter is not None:
            waiter.callback(answer)
        elif "file" in answer:
            os.close(answer["file"])
            self.tell(commands.Claim, claim=answer["claim"])

    def _failed(self, failure: Failure, call: _Call) -> None:
        self._calls.discard(call)
        waiter, call.waiter = call.waiter, None
        error = self._explain(failure, call)
        if waiter is not None:
            waiter.errback(error)

    def _explain(self, failure: Failure, call: _Call) -> StorageError:
        value = failure.value
        if isinstance(value, Refusal):
            return decode_refusal(value.code, str(value))
        if type(value) is Exception:
            return Internal(str(value)[:4000])
        if isinstance(value, amp.UnhandledCommand):
            return Unsupported(f"the driver does not know {call.name}")
        if not self.is_lost:
            # A descriptor that never came, a box that does not parse: nothing later on this
            # connection can be trusted.
            _log.error(
                "the driver's answer to {name} makes no sense: {error}", name=call.name, error=repr(value)
            )
            self.abort()
        return LinkLost(f"the driver's connection ended during {call.name}")

    def _forget(self, call: _Call) -> None:
        call.waiter = None

    def _check_deadlines(self) -> None:
        self._sweep = None
        now = self._clock.seconds()
        for call in [call for call in self._calls if call.deadline <= now]:
            waiter, call.waiter = call.waiter, None
            if waiter is not None:
                waiter.errback(LinkLost(f"the driver did not answer {call.name} in time"))
        if self._calls:
            self._sweep = self._clock.callLater(1.0, self._check_deadlines)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        self._when_lost(self)  # first: those who are refused below ask for the next link at once
        super().connectionLost(reason)
