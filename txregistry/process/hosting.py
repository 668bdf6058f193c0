# SPDX-License-Identifier: Apache-2.0
"""The driver's own process: what ``python -m txregistry_drivers.<name>`` runs.

Room: process. Started by a registry it finds its listening socket on descriptor 3 and its options
on another (see ``child``); started by hand or by systemd, with ``--socket PATH`` or an inherited
socket, and ``--options FILE``.

A store that refuses its options is not fatal here: Hello carries the reason to the registry, which
prints it as one sentence. A store whose backend can't be reached is made later.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import faulthandler
import json
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

import txregistry
from txregistry.ipc.responder import Responder
from txregistry.ipc.serving import Serving
from txregistry.middleware import StoreRedirects, make_chain
from txregistry.process.accepting import Acceptor
from txregistry.process.isolation import confine
from txregistry.process.limits import allow_descriptors
from txregistry.process.place import BACKLOG
from txregistry.process.spec import ISOLATION, MIDDLEWARE
from txregistry.storage.contract import Driver, Store
from txregistry.storage.errors import BadOptions, Internal, StorageError
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.redirecting import Redirects

T = TypeVar("T")

#: Threads for blocking calls of the store, unless it says how many ``threads`` it wants.
THREADS = 16

#: One of so many threads is for looks at something small alone: these don't wait for writes.
_LOOKING = 4

#: Most of these where no network is waited for: a look is short there, and more of them at once
#: only wake each other up.
_NEAR_LOOKING = 8

#: Seconds between two tries to make a store whose backend can't be reached.
MAKE_INTERVAL = 5.0

#: Seconds that writers may take to store what arrived when the process is asked to end.
DRAIN_TIMEOUT = 20.0

#: Levels as sd-daemon(3) has them.
_PREFIXES = {LogLevel.critical: "<2>", LogLevel.error: "<3>", LogLevel.warn: "<4>"}

_FIRST_INHERITED = 3
_PR_SET_PDEATHSIG = 1

_log = Logger()


def main(create: Callable[[Mapping[str, object]], Store], name: str = "") -> None:
    """Run a driver until it is told to end; never returns.

    Args:
        create: makes the store of its options, or raises BadOptions with a sentence for the
            operator.
        name: for messages before there is a store; by default the program's.
    """
    from twisted.internet import reactor  # noqa: PLC0415  # chosen here, in the driver's own process

    arguments = _arguments()
    _log_to_stderr()
    allow_descriptors()
    try:
        listener = _listener(arguments.socket)
        options = _options(arguments.options)
    except (OSError, ValueError) as error:
        sys.exit(f"{name or sys.argv[0]}: {error}")
    try:
        Host(reactor, create, options, name).run(listener)
    finally:
        if arguments.socket is not None:
            with contextlib.suppress(OSError):
                os.unlink(arguments.socket)


class Host:
    """One driver process.

    Args:
        reactor: runs it.
        create: makes the store; tried again for as long as its refusal says that this may help.
    """

    def __init__(
        self,
        reactor: Any,
        create: Callable[[Mapping[str, object]], Store],
        options: Mapping[str, object],
        name: str,
    ) -> None:
        self._reactor = reactor
        self._create = create
        self._options = {key: value for key, value in options.items() if key != MIDDLEWARE}
        self._middleware = options.get(MIDDLEWARE) or []
        self._connections: set[_Connection] = set()
        self._store: Store | None = None
        self._is_ending = False
        self._lookers = ThreadPool(0, 1, "looks")
        driver = self._make()
        if self._store is not None:
            name = self._store.name
        self._size_threads()
        measures, missing = self._confine()
        if missing and os.environ.get(ISOLATION) == "required":
            driver = BadOptions(
                f"storage.isolation is required, and {missing} can't be had here: use a kernel that has it"
                " (see the documentation), or set storage.isolation: preferred"
            )
        self.serving = Serving(driver, name or "driver", txregistry.__version__, reactor, reactor)
        self.serving.isolation = ",".join(measures) or "none"

    def _confine(self) -> tuple[tuple[str, ...], str]:
        """Give up what the store does not need, before there is a thread that would keep it.

        Returns:
            The measures reached, and those that were wanted and could not be had, for a message.
        """
        if os.environ.get(ISOLATION, "off") == "off":
            return (), ""
        directories = getattr(self._store, "directories", None)
        needs_network = getattr(self._store, "needs_network", True)
        measures = confine(directories, needs_network=needs_network)
        wanted = {"no-new-privs", "limits"}
        wanted |= {"files"} if directories is not None else set()
        wanted |= set() if needs_network else {"network"}
        return measures, " and ".join(sorted(wanted - set(measures)))

    def _make(self) -> Driver | StorageError:
        """The driver, or why there is none; blocking."""
        try:
            self._store = store = self._create(self._options)
        except StorageError as refusal:
            return refusal
        except Exception as error:  # a driver author's code, as in the responder
            _log.failure("the store can't be made")
            return Internal(f"{type(error).__name__}: {error}")
        try:
            redirects = self._redirects(store)
        except BadOptions as refusal:
            store.close()
            self._store = None
            return refusal
        return HostedDriver(store, run=self._in_thread, look=self._looking, redirects=redirects)

    def _redirects(self, store: Store) -> Redirects | None:
        if not self._middleware:
            return None
        return make_chain(self._middleware, StoreRedirects(store))

    async def _make_later(self) -> None:
        """Wait for a backend that can't be reached; operations are refused meanwhile."""
        while isinstance(self.serving.driver, StorageError) and self.serving.driver.is_retryable:
            _log.warn("the store can't be made yet: {refusal}", refusal=str(self.serving.driver))
            await deferLater(self._reactor, MAKE_INTERVAL)
            self.serving.driver = await self._in_thread(self._make)
            self._size_threads()

    def _size_threads(self) -> None:
        """Let the store have as many threads as it says, a part of them for looks alone."""
        threads = max(int(getattr(self._store, "threads", THREADS)), 2)
        lookers = max(threads // _LOOKING, 1)
        if not getattr(self._store, "needs_network", True):
            lookers = min(lookers, _NEAR_LOOKING)
        self._lookers.adjustPoolsize(0, lookers)
        self._reactor.suggestThreadPoolSize(threads - lookers)

    def run(self, listener: socket.socket) -> None:
        """Serve connections that come in on ``listener``, until the process is told to end."""
        factory = Factory.forProtocol(lambda: _Connection(self.serving, self._connections))
        factory.noisy = False
        acceptor = Acceptor(self._reactor, listener, factory)
        acceptor.start()
        if "TXREGISTRY_OPTIONS_FD" in os.environ:
            self._end_with_parent()
        self._reactor.addSystemEventTrigger("before", "shutdown", self._drain, acceptor)
        self._reactor.callWhenRunning(self._begin)
        self._reactor.run()
        if self._store is not None:
            self._store.close()

    def _begin(self) -> None:
        self._lookers.start()
        self._reactor.addSystemEventTrigger("after", "shutdown", self._lookers.stop)
        # The reactor's own handler complains about a second signal, and parents like to send two.
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(self.end))
        # A terminal sends it to all its processes; what it shows goes to the registry's log.
        faulthandler.register(signal.SIGQUIT, file=2, all_threads=True)
        Deferred.fromCoroutine(self._make_later())

    def end(self) -> None:
        """End the process once what arrived is stored; repeatable."""
        if not self._is_ending:
            self._is_ending = True
            self._reactor.stop()

    def _looking(self, work: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._lookers, work)

    def _in_thread(self, work: Callable[[], T]) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)

    def _drain(self, acceptor: Acceptor) -> Deferred[Any]:
        """Take no more connections and end those that there are; what arrived on their lanes is
        stored first.
        """
        self._is_ending = True
        acceptor.stop()
        for connection in tuple(self._connections):
            connection.end()
        settled = self.serving.settled()
        self._reactor.callLater(DRAIN_TIMEOUT, settled.cancel)
        return settled.addErrback(lambda _: [])

    def _end_with_parent(self) -> None:
        """Exit when the registry does: by the kernel's signal, and by the end of descriptor 0."""
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        self._reactor.addReader(_Lifeline(self._reactor, self.end))


class _Connection(Responder):
    def __init__(self, serving: Serving, connections: set[_Connection]) -> None:
        super().__init__(serving)
        self._connections = connections

    def connectionMade(self) -> None:
        super().connectionMade()
        self._connections.add(self)

    def connectionLost(self, *reason: Any) -> None:
        self._connections.discard(self)
        super().connectionLost(*reason)

    def end(self) -> None:
        """End the connection, and its writers when they have stored what arrived."""
        self.orphan_writers()
        assert self.transport is not None
        self.transport.loseConnection()


@implementer(IReadDescriptor)
class _Lifeline:
    """Reads descriptor 0, which ends when the registry does."""

    def __init__(self, reactor: Any, ended: Callable[[], None]) -> None:
        self._reactor = reactor
        self._ended = ended

    def fileno(self) -> int:
        return 0

    def logPrefix(self) -> str:
        return "lifeline"

    def doRead(self) -> None:
        if not os.read(0, 4096):
            self.connectionLost(None)

    def connectionLost(self, reason: Failure | None) -> None:
        self._reactor.removeReader(self)
        self._ended()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="A storage driver for txregistry, as a process of its own."
    )
    parser.add_argument(
        "--socket", metavar="PATH", help="UNIX socket to listen on, if none is inherited"
    )
    parser.add_argument("--options", metavar="FILE", help="the driver's options as a JSON object")
    return parser.parse_args()


def _listener(path: str | None) -> socket.socket:
    """The socket that was inherited (sd_listen_fds), or one bound at ``path``.

    Raises:
        ValueError: there is neither.
        OSError: it can't be bound.
    """
    if path is None:
        owner = os.environ.pop("LISTEN_PID", str(os.getpid()))
        if os.environ.pop("LISTEN_FDS", "0") != "1" or owner != str(os.getpid()):
            raise ValueError("no socket to listen on: give one with --socket PATH")
        os.set_inheritable(_FIRST_INHERITED, False)
        return socket.socket(fileno=_FIRST_INHERITED)
    if os.path.lexists(path):
        _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o117)
    try:
        listener.bind(path)
    finally:
        os.umask(mask)
    listener.listen(BACKLOG)
    return listener


def _remove_stale(path: str) -> None:
    """Remove the socket of a driver that is gone.

    Raises:
        ValueError: somebody listens on it, or it is no socket.
    """
    if not stat.S_ISSOCK(os.lstat(path).st_mode):  # to connect to a file is refused as well
        raise ValueError(f"{path} is there and is no socket: choose another --socket")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
    except OSError as error:
        raise ValueError(f"{path} is there and can't be replaced: {error.strerror}") from error
    else:
        raise ValueError(f"another driver listens on {path}: stop it, or choose another --socket")
    finally:
        probe.close()


def _options(path: str | None) -> Mapping[str, object]:
    """The options document: from the inherited descriptor, else from ``path``, else empty.

    Raises:
        ValueError: it is not a JSON object.
        OSError: it can't be read.
    """
    inherited = os.environ.get("TXREGISTRY_OPTIONS_FD")
    if inherited is None and path is None:
        return {}
    with open(int(inherited) if inherited is not None else str(path), "rb") as file:
        document = json.loads(file.read() or b"{}")
    if not isinstance(document, dict):
        raise ValueError("the options are not a JSON object")
    return document


def _log_to_stderr() -> None:
    predicate = LogLevelFilterPredicate(LogLevel.info)
    predicate.setLogLevelForNamespace("twisted", LogLevel.warn)
    observer: ILogObserver = textFileLogObserver(sys.stderr, timeFormat=None)
    if "TXREGISTRY_OPTIONS_FD" in os.environ or "JOURNAL_STREAM" in os.environ:
        observer = FileLogObserver(sys.stderr, leveled)
    globalLogBeginner.beginLoggingTo(
        [FilteringLogObserver(observer, [predicate])], redirectStandardIO=False
    )


def leveled(event: LogEvent) -> str:
    """An event for a reader who knows sd-daemon(3): each line begins with its level."""
    text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    prefix = _PREFIXES.get(event.get("log_level"), "<6>")
    return "".join(f"{prefix}{line}\n" for line in text.splitlines())


__all__ = ["BadOptions", "Host", "main"]
