# SPDX-License-Identifier: Apache-2.0
"""A driver that this process starts, watches and starts again.

Room: process. Each run of the program (``run``) gets, and nothing else:

    0   a pipe that ends when this process does: the driver exits then
    1 2 pipes whose lines go to our log
    3   the listening socket (the sd_listen_fds convention: LISTEN_FDS=1, LISTEN_PID)
    4   its options as a JSON document, by a sealed memory file (TXREGISTRY_OPTIONS_FD=4)

The listening socket is ours and outlives the run: a connection made while it restarts waits in the
backlog. The interrupt of a terminal, which goes to all its processes, does not reach the driver:
the registry ends it after the last request.

A run may be replaced while it works (``relief``): its successor has a socket of its own, and takes
over name and all with ``promote``.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorProcess, IReactorTime
from twisted.logger import Logger

from txregistry.process import inheritance
from txregistry.process.place import Place, where
from txregistry.process.run import REAP_TIMEOUT, Run
from txregistry.process.spec import DriverSpec, StartError
from txregistry.process.supervision import Supervision

#: Processes that may hang in the kernel before no other one is started.
HANGING_LIMIT = 2

_log = Logger()


class WhenDied(Protocol):
    """Told of each death that was not asked for."""

    def __call__(self, *, has_greeted: bool) -> None:
        """``has_greeted``: that run of the driver had said hello."""


class ChildDriver:
    """Runs the program of a spec, again whenever it ends.

    Args:
        end_timeout: seconds until a run that was asked to end for good is killed.
        when_died: called after each death that was not asked for, before the next start is thought
            of.
        greetings: how often a driver has said hello.
        pause: seconds until the next start.

    Attributes:
        deaths: how often it ended without being asked to.
    """

    def __init__(
        self,
        spec: DriverSpec,
        reactor: IReactorProcess,
        clock: IReactorTime,
        *,
        end_timeout: float = Supervision().end_timeout,
        when_died: WhenDied = lambda *, has_greeted: None,
        greetings: Callable[[], int] = lambda: 0,
        pause: Callable[[], float] = lambda: 0.0,
    ) -> None:
        assert spec.command is not None
        self._spec = spec
        self._command = spec.command
        self._document = b""
        self._reactor = reactor
        self._clock = clock
        self._end_timeout = end_timeout
        self._when_died = when_died
        self._greetings = greetings
        self._pause = pause
        self._greeted_before = 0
        self._is_stopping = False
        self._later: IDelayedCall | None = None
        self._reaping: IDelayedCall | None = None
        self._place: Place | None = None
        self._listener: socket.socket | None = None
        self._run: Run | None = None
        self._last: Run | None = None
        self._beside: set[Run] = set()
        self._successor: Run | None = None
        self._hanging: set[Run] = set()
        self.deaths = 0

    @property
    def path(self) -> str:
        """Of the socket to connect to; empty before :meth:`bind`."""
        return self._place.path if self._place is not None else ""

    @property
    def pid(self) -> int | None:
        """Of the present run, or None."""
        return self._run.pid if self._run is not None else None

    @property
    def last_words(self) -> str:
        """The last line that the driver wrote, for an error message."""
        return self._last.last_words if self._last is not None else ""

    @property
    def has_given_up(self) -> bool:
        """The last run ended by itself, which the next one is likely to do as well."""
        return self.deaths > 0 and self._last is not None and not self._last.was_killed

    def bind(self) -> None:
        """Make the socket, so that its path is known.

        Raises:
            StartError: the program is not there, its options can't be passed, or there is no place
                for the socket.
        """
        program = shutil.which(self._command[0])
        if program is None:
            raise StartError(
                f"the storage driver's program {self._command[0]!r} does not exist or can't be executed:"
                " correct storage.external.command"
            )
        # It is started in another directory.
        self._command = (os.path.abspath(program), *self._command[1:])
        self._document = inheritance.document(self._spec)
        try:
            self._place = Place()
            self._listener = self._place.listen()
        except OSError as error:
            path = self.path
            self._remove_place()
            raise StartError(
                f"the socket of storage driver {self._spec.name!r} can't be made"
                f" at {path or where()}: {error}; XDG_RUNTIME_DIR or TMPDIR may name"
                " another directory"
            ) from error

    def start(self) -> None:
        """Start the program; :meth:`bind` comes before."""
        self._greeted_before = self._greetings()
        try:
            self._mend_place()
            assert self._listener is not None
            run = Run(self._spec.name, self._listener, self._clock)
            self._launch(run)
        except OSError as error:  # no process, memory or descriptor left for it
            self._died(f"can't be started: {error}")
            return
        self._run = self._last = run

    def check_path(self) -> None:
        """Make sure that ``path`` leads to the driver. If somebody removed the socket, the present
        run is ended, since it can't be given another one; the next run gets it.

        Raises:
            OSError: it does not, for now.
        """
        if self._place is None:
            raise FileNotFoundError("the driver was stopped")
        try:
            self._place.check()
        except OSError as error:
            if self._run is not None:
                _log.error(
                    "driver {driver} is ended, since nobody can reach it: {error}",
                    driver=self._spec.name,
                    error=str(error),
                )
                self.kill()
            raise

    def _mend_place(self) -> None:
        """Make the socket again if it was removed.

        Raises:
            OSError: it can't be made.
        """
        assert self._place is not None and self._listener is not None
        try:
            self._place.check()
        except OSError:
            listener = self._place.listen()
            self._listener.close()
            self._listener = listener
            _log.warn(
                "driver {driver}: its socket was removed and is made again at {path}; keep whatever"
                " cleans up there away from it",
                driver=self._spec.name,
                path=self.path,
            )

    def _launch(self, run: Run) -> None:
        run.start(self._reactor, self._spec, self._command, self._document)
        run.ended.addCallback(self._ended, run)

    # -- its end

    def _ended(self, how: str, run: Run) -> str:
        if run in self._beside:
            self._beside.remove(run)
            _log.info(
                "driver {driver}: a process beside it ended: {how}", driver=self._spec.name, how=how
            )
        elif run in self._hanging:
            self._hanging.remove(run)
            _log.warn("driver {driver} ended at last: {how}", driver=self._spec.name, how=how)
            if self._run is None and len(self._hanging) == HANGING_LIMIT - 1:
                self._start_later()
        else:
            self._stop_reaping()
            self._died(f"ended: {how}")
        return how

    def _died(self, what: str) -> None:
        self._run = None
        if self._is_stopping:
            return
        self.deaths += 1
        _log.warn("driver {driver} {what}", driver=self._spec.name, what=what)
        self._when_died(has_greeted=self._greetings() > self._greeted_before)
        if len(self._hanging) < HANGING_LIMIT:
            self._start_later()
        else:
            _log.error(
                "driver {driver}: {count} of its processes were killed and are not gone, so no"
                " other one is started; look after its disk",
                driver=self._spec.name,
                count=len(self._hanging),
            )

    def _start_later(self) -> None:
        if not self._is_stopping and (self._later is None or not self._later.active()):
            delay = self._pause()
            _log.info(
                "driver {driver} is started again{when}",
                driver=self._spec.name,
                when=f" in {delay:.2g} s" if delay else "",
            )
            self._later = self._clock.callLater(delay, self.start)

    def terminate(self) -> None:
        """Ask the present run to end; it is started again."""
        if self._run is not None:
            self._run.ask_to_end()

    def kill(self) -> None:
        """End the present run at once; it is started again."""
        if self._run is None:
            return
        self._run.kill()
        if self._reaping is None:
            self._reaping = self._clock.callLater(REAP_TIMEOUT, self._give_up)

    def _give_up(self) -> None:
        """The present run was killed and is not gone: leave it to the kernel."""
        self._reaping = None
        run = self._run
        if run is None or self._is_stopping:
            return
        self._hanging.add(run)
        run.was_killed = True
        self._died(f"was killed and does not end: process {run.pid} hangs in the kernel")

    def _stop_reaping(self) -> None:
        reaping, self._reaping = self._reaping, None
        if reaping is not None and reaping.active():
            reaping.cancel()

    # -- another one in its place

    @property
    def next_path(self) -> str:
        """Of the socket of a successor that was launched."""
        return self._place.next_path if self._place is not None else ""

    def launch_successor(self) -> Run:
        """Start another run beside the present one; its socket is at ``next_path``.

        Raises:
            OSError: nothing is left for it, or the driver is not in a state to be replaced.
        """
        if self._place is None or self._is_stopping or self._run is None or self._hanging:
            raise OSError("the driver is just being started or stopped, or a process of it hangs")
        run = Run(self._spec.name, self._place.listen_next(), self._clock)
        try:
            self._launch(run)
        except OSError:
            run.listener.close()
            self._place.forget_next()
            raise
        self._beside.add(run)
        self._successor = run
        return run

    def promote(self, successor: Run) -> Run | None:
        """Make a successor the present run.

        Returns:
            The run whose place it took; its end is the caller's, by :meth:`dismiss`. None if that
            has ended already.

        Raises:
            OSError: its socket is gone; everything is as it was.
        """
        assert self._place is not None and self._listener is not None
        self._place.promote_next()
        self._stop_reaping()
        self._cancel_later()
        before = self._run
        if before is not None:
            self._beside.add(before)
        self._listener.close()
        self._beside.discard(successor)
        self._successor = None
        self._run, self._last, self._listener = successor, successor, successor.listener
        self._greeted_before = self._greetings() - 1
        if successor.is_over:
            self._died("ended as soon as it had said hello")
        return before

    async def dismiss(self, run: Run, *, is_at_once: bool = False) -> None:
        """End a run that is not the present one.

        Args:
            is_at_once: it is given no time.
        """
        if run is self._successor:
            self._successor = None
            run.listener.close()
            if self._place is not None:
                self._place.forget_next()
        await run.end(0.0 if is_at_once else self._end_timeout)
        if run in self._beside:  # not even when it was killed
            self._beside.remove(run)
            self._hanging.add(run)

    # -- the end of all

    async def stop(self) -> None:
        """Ask the driver to end, kill it if it does not, and remove the socket."""
        self._is_stopping = True
        self._stop_reaping()
        self._cancel_later()
        runs = [*self._beside, *([self._run] if self._run is not None else [])]
        for ending in [Deferred.fromCoroutine(run.end(self._end_timeout)) for run in runs]:
            await ending
        if self._successor is not None:
            self._successor.listener.close()
        if self._listener is not None:
            self._listener.close()
        self._remove_place()

    def _cancel_later(self) -> None:
        if self._later is not None and self._later.active():
            self._later.cancel()

    def _remove_place(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            place.remove()
