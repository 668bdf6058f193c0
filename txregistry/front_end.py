# SPDX-License-Identifier: Apache-2.0
"""One of several front ends: a process that the main one has started to serve on its sockets.

Everything that it serves with comes by descriptor (``fronts.assignment``): its share of the
configuration, the listening sockets, the path of the driver's socket. From then on it does what
``sharing`` says, and otherwise what a registry does that serves alone.

    SIGTERM        requests in progress are finished, then it ends; the main process starts another
    SIGQUIT        it writes what it is at to its log
    SIGHUP SIGINT  are for the main process, which passes on what they mean

If the main process ends, the kernel ends this one: nothing may go on listening that nobody keeps.
"""

from __future__ import annotations

import ctypes
import io
import os
import signal
import socket
import sys
from base64 import b64decode
from collections.abc import Callable
from typing import Any, TextIO

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger, globalLogBeginner

from txregistry.access_log import make_access_log
from txregistry.config import Configuration
from txregistry.events import QueueError, Spool
from txregistry.fronts import Assignment, Channel, Members, Told
from txregistry.fronts.assignment import ASSIGNMENT_FD, CHANNEL_FD
from txregistry.health import Problem
from txregistry.notifying import plan_of, source_of
from txregistry.oci.names import UploadId
from txregistry.process.spec import StartError
from txregistry.registry import Change, OpenSessions, Parse
from txregistry.service import RegistryService
from txregistry.serving import spare_collector, the_reactor
from txregistry.stacks import dump_on_signal
from txregistry.storage.errors import Unavailable
from txregistry.systemd import Passed, Systemd
from txregistry.telemetry import ConfiguredLog
from txregistry.translation import OpenedDriver, attach_driver

#: Bytes of a line that are written in one piece. Arbitrary: more than any line has.
LINE_LIMIT = 256 * 1024

_PR_SET_PDEATHSIG = 1

_log = Logger()


class FrontEnd:
    """What this process does.

    Args:
        assignment: what it was told at its start.
    """

    def __init__(self, assignment: Assignment, reactor: Any) -> None:
        self._assignment = assignment
        self._reactor = reactor
        self._secret = assignment.secret
        self._spool: Spool | None = None
        self._opened: OpenedDriver | None = None
        self._is_failing = False
        self._log = ConfiguredLog(assignment.configuration.log, lines_to(2))
        self._channel = Channel(self._hear, self._lost)
        self._words: dict[str, Callable[[Members], Told]] = {
            "ping": lambda _: {"answered": self._opened.answered if self._opened else 0},
            "reload": self._reload,
            "secret": self._take_secret,
            "health": self._take_health,
            "session": self._learn_of_session,
            "numbers": self._numbers,
            "stacks": lambda _: {"text": self._service.stacks()},
            "in_use": self._say_whether_in_use,
            "change_over": self._change_over,
        }
        configuration = assignment.configuration
        self._service = RegistryService(
            configuration,
            reactor,
            when_failed=self._failed,
            announce=self._ready,
            access_log=make_access_log(configuration.log, lines_to(1), reactor.seconds),
            opener=self._open_driver,
            queue=self._open_queue,
            secret=self._find_secret,
            reread=lambda: self._assignment.configuration,
            adjust_log=self._log.adjust,
            systemd=Systemd(
                tuple(
                    Passed(entry.descriptor, entry.name, is_shared=True)
                    for entry in assignment.entries
                )
            ),
        )
        self._take_health(assignment.problems)

    def run(self) -> int:
        """Serve until the end; returns the status for the operating system."""
        globalLogBeginner.beginLoggingTo([self._log], redirectStandardIO=False)
        factory = Factory.forProtocol(lambda: self._channel)
        factory.noisy = False
        self._reactor.adoptStreamConnection(CHANNEL_FD, socket.AF_UNIX, factory)
        os.close(CHANNEL_FD)
        try:
            self._service.privilegedStartService()
            self._service.startService()
        except StartError as error:
            self._failed(str(error))
        dump_on_signal(self._service.stacks, self._reactor)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._end)
        self._reactor.run()
        return int(self._is_failing)

    def _end(self) -> Any:
        return self._service.stopService() if self._service.running else None

    def _failed(self, sentence: str) -> None:
        """Tell the main process why not, and end; there is nothing to tell people here."""
        self._is_failing = True
        self._channel.say("failed", sentence=sentence)
        self._reactor.callWhenRunning(self._reactor.stop)

    def _ready(self, sentence: str) -> None:
        spare_collector()
        registry = self._service.registry
        assert registry is not None
        registry.uploads.open_sessions.tell = self._tell_of_session
        self._channel.say("ready")

    # -- what it serves with

    def _open_driver(self, configuration: Configuration, reactor: Any) -> OpenedDriver:
        told = self._assignment
        self._opened = attach_driver(configuration, reactor, name=told.driver, socket=told.socket)
        return self._opened

    def _open_queue(self, configuration: Configuration, reactor: Any, parse: Parse) -> Spool | None:
        plan = plan_of(configuration)
        if not plan.endpoints:
            return None
        source = attrs.evolve(source_of(configuration), instance=self._assignment.instance)
        try:
            self._spool = Spool(plan, reactor, source=source, parse=parse, grew=self._tell_growth)
        except QueueError as error:
            raise StartError(str(error)) from error
        return self._spool

    async def _find_secret(self, configuration: Configuration, opened: OpenedDriver) -> bytes:
        if self._secret is None:
            raise Unavailable("the main process has not learned it yet")
        return self._secret

    # -- what it says

    def _tell_growth(self) -> None:
        if self._spool is not None:
            self._channel.say("queued", **attrs.asdict(self._spool.growth()))

    def _tell_of_session(self, change: Change) -> None:
        self._channel.say("session", **attrs.asdict(change))

    # -- what it hears

    def _hear(self, word: str, members: Members) -> Told:
        return self._words[word](members)

    def _lost(self) -> None:
        """The main process is gone, or about to be."""
        if self._reactor.running:
            self._reactor.stop()

    def _reload(self, members: Members) -> None:
        self._assignment = Assignment.loaded(io.BytesIO(b64decode(members["document"])))
        self._service.reload()

    def _take_secret(self, members: Members) -> None:
        self._secret = bytes.fromhex(members["secret"])

    def _take_health(self, members: Members) -> None:
        self._service.watch.board.tell(
            [Problem(*problem) for problem in members["problems"]],
            has_failing_check=members["has_failing_check"],
        )

    def _learn_of_session(self, members: Members) -> None:
        if (sessions := self._sessions) is not None:
            sessions.learn(Change(**members))

    def _numbers(self, members: Members) -> Members:
        return {"numbers": self._service.watch.numbers().to_json()}

    def _change_over(self, members: Members) -> Told:
        async def change_over() -> Members:
            if self._opened is not None:
                await self._opened.change_over(members["limit"])
            return {}

        return Deferred.fromCoroutine(change_over())

    def _say_whether_in_use(self, members: Members) -> Members:
        sessions = self._sessions
        return {
            "is_in_use": sessions is not None and sessions.is_attended(UploadId(members["session"]))
        }

    @property
    def _sessions(self) -> OpenSessions | None:
        registry = self._service.registry
        return None if registry is None else registry.uploads.open_sessions


def lines_to(descriptor: int) -> TextIO:
    """Return a stream that gives each line to the kernel in one piece, since others write there
    too.
    """
    raw = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw, LINE_LIMIT), "utf-8", "backslashreplace")


def end_with_main() -> None:
    """Have the kernel end this process when the main one is gone, however that went.

    What happened before this call is found by the end of the channel.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def main() -> int:
    """Serve as one of several."""
    end_with_main()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with open(ASSIGNMENT_FD, "rb") as file:
        assignment = Assignment.loaded(file)
    return FrontEnd(assignment, the_reactor()).run()


if __name__ == "__main__":
    sys.exit(main())
