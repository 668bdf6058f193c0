# SPDX-License-Identifier: Apache-2.0
"""What the main process and a front end say to each other, on a socket between the two.

Room: fronts. Must not know the words' meaning. A frame is four bytes of length and a JSON list::

    ["say", word, members]              nobody answers
    ["ask", number, word, members]      answered by
    ["told", number, members]

Both ends are ours, so a frame that is none of these is a fault and ends the connection.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

#: What a word comes with: names -> what JSON can carry.
Members: TypeAlias = Mapping[str, Any]

#: An answer, now or later; None says nothing.
Told: TypeAlias = Members | Deferred[Members] | None

#: Takes a word; what it returns is the answer, if one was asked for.
Hears: TypeAlias = Callable[[str, Members], Told]

#: Bytes of a frame. Arbitrary: the stacks of thousands of requests.
FRAME_LIMIT = 64 * 1024 * 1024

log = Logger()


class Gone(Exception):
    """The other end is not there any more."""


class Channel(Int32StringReceiver):
    """One end.

    Args:
        hears: is told each word that comes.
        when_lost: called once when the other end is gone.
    """

    MAX_LENGTH = FRAME_LIMIT

    def __init__(self, hears: Hears, when_lost: Callable[[], None]) -> None:
        self._hears = hears
        self._when_lost = when_lost
        self._numbers = itertools.count()
        self._asked: dict[int, Deferred[Members]] = {}
        self._is_lost = False

    def say(self, word: str, **members: Any) -> None:
        """Tell the other end; nothing happens if it is gone."""
        self._send(["say", word, members])

    def ask(self, word: str, **members: Any) -> Deferred[Members]:
        """Return what the other end answers.

        Raises:
            Gone: it is not there.
        """
        answer: Deferred[Members] = Deferred()
        if self._is_lost or self.transport is None:
            answer.errback(Gone())
            return answer
        number = next(self._numbers)
        self._asked[number] = answer
        self._send(["ask", number, word, members])
        return answer

    def _send(self, frame: list[Any]) -> None:
        if self.transport is not None and not self._is_lost:
            self.sendString(json.dumps(frame).encode("ascii"))  # type: ignore[no-untyped-call]  # Twisted

    def close(self) -> None:
        """Say nothing more, once what was said has left."""
        if self.transport is not None:
            self.transport.loseConnection()

    # -- what Twisted tells

    def stringReceived(self, string: bytes) -> None:
        kind, *rest = json.loads(string)
        if kind == "say":
            self._hears(rest[0], rest[1])
        elif kind == "ask":
            self._answer(rest[0], self._hears(rest[1], rest[2]))
        else:
            asked = self._asked.pop(rest[0])
            if not asked.called:  # whoever asked may wait no longer
                asked.callback(rest[1])

    def _answer(self, number: int, told: Told) -> None:
        if isinstance(told, Deferred):
            told.addCallback(lambda members: self._send(["told", number, members]))
            told.addErrback(lambda failure: log.failure("no answer", failure))
        else:
            self._send(["told", number, told or {}])

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._is_lost = True
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            if not answer.called:
                answer.errback(Gone())
        self._when_lost()
