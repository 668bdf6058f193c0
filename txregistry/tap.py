# SPDX-License-Identifier: Apache-2.0
"""``twistd registry``: its options, and the service that it runs.

Must not know what the service does. Under twistd a configuration that can't be used is a usage
error; a start that fails ends the process with one sentence and status 1. The log is ours
(``log.*``) unless ``--logger`` or ``--syslog`` asks for another; in the background it goes to
``--logfile`` (twistd's default: ``twistd.log``), access log included.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO, cast

from twisted.application.app import ServerOptions
from twisted.application.service import IService, Service
from twisted.logger import ILogObserver, Logger
from twisted.python import usage
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile

from txregistry import __version__
from txregistry.access_log import make_access_log
from txregistry.config import ConfigError, Configuration, load
from txregistry.fronts import Outlet
from txregistry.process.spec import StartError
from txregistry.service import RegistryService
from txregistry.serving import reload_on_hangup, spare_collector, the_reactor
from txregistry.stacks import dump_on_signal
from txregistry.systemd import Systemd
from txregistry.telemetry import ConfiguredLog

_log = Logger()


class Options(usage.Options):
    """What stands after ``registry`` on twistd's command line.

    Attributes:
        configuration: read and checked.
        log_name: the file that the log goes to, "-" for standard error, None for what twistd makes
            of it.
    """

    synopsis = "[--config FILE]"
    longdesc = (
        "Serves an OCI registry. Without --config and REGISTRY_CONFIGURATION_PATH it stores in "
        "./registry-data and listens on 127.0.0.1:5000. Variables set keys of the file: REGISTRY_HTTP_ADDR "
        "sets http.addr."
    )
    optParameters = [  # noqa: RUF012  # Twisted's name and form
        [
            "config",
            "c",
            None,
            "Configuration file; else the one that REGISTRY_CONFIGURATION_PATH names.",
        ],
        ["addr", None, None, "Address to listen on, in place of http.addr: host:port."],
    ]
    compData = usage.Completions(optActions={"config": usage.CompleteFiles("*.y*ml")})

    configuration: Configuration
    log_name: str | None = None
    _path: str | None = None

    def opt_version(self) -> None:
        """Show the version and exit."""
        print(f"txregistry {__version__}")
        sys.exit(0)

    def read(self) -> Configuration:
        """Read the configuration that the options name.

        Raises:
            ConfigError: it can't be used.
        """
        configuration = load(self._path, os.environ, addr=self["addr"])
        if self._path is not None:
            self._path = os.path.abspath(self._path)  # twistd may change its directory
        return configuration

    def postOptions(self) -> None:
        self._path = self["config"]
        try:
            self.configuration = self.read()
        except ConfigError as error:
            raise usage.UsageError(str(error)) from None
        twistd = self.parent
        if isinstance(twistd, ServerOptions) and not (twistd["logger"] or twistd["syslog"]):
            self.log_name = twistd["logfile"] or ("-" if twistd["nodaemon"] else "twistd.log")


class TwistdService(RegistryService):
    """The registry as part of twistd's application, which asks its components for the log."""

    observer: ILogObserver | None = None

    def setServiceParent(self, parent: Any) -> None:
        Service.setServiceParent(self, parent)
        if self.observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.observer)


def _open_log(name: str) -> TextIO:
    """A log file as twistd has it: the next one begins after a megabyte, or at SIGUSR1."""
    file = LogFile.fromFullPath(name)

    def rotate(signum: int, frame: object) -> None:
        the_reactor().callFromThread(file.rotate)

    signal.signal(signal.SIGUSR1, rotate)
    return cast(TextIO, file)


def _outlet(name: str | None, file: TextIO | None) -> Outlet | None:
    """Return where the lines of front ends go: to our log's file, which only we may rotate, or by
    way of whatever log twistd was asked for. Where ours goes to standard error they do so themselves.
    """
    if name == "-":
        return None

    def write(line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace")
        if file is None:
            _log.info("{line}", line=text)
        else:
            file.write(text + "\n")
            file.flush()

    return write


def makeService(options: Options) -> IService:
    """The service for twistd."""
    reactor = the_reactor()
    sys.excepthook = _sentence_for(StartError, sys.excepthook)
    settings = options.configuration.log
    file = _open_log(options.log_name) if options.log_name not in (None, "-") else None

    log = ConfiguredLog(settings, file or sys.stderr)

    def failed(sentence: str) -> None:
        _log.critical("{sentence}", sentence=sentence)
        atexit.register(_end_with_failure)
        reactor.callWhenRunning(reactor.stop)

    service = TwistdService(
        options.configuration,
        reactor,
        when_failed=failed,
        announce=lambda sentence: spare_collector(),
        access_log=make_access_log(settings, file or sys.stdout, reactor.seconds),
        reread=options.read,
        adjust_log=log.adjust,
        systemd=Systemd.taken_from(os.environ, os.getpid()),
        outlet=_outlet(options.log_name, file),
    )
    if options.log_name is not None:
        service.observer = log
    reload_on_hangup(service, reactor)
    dump_on_signal(service.stacks, reactor)
    return cast(IService, service)


def _end_with_failure() -> None:
    """twistd knows no other way to a status than to end just before the interpreter would."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


Hook = Callable[[type[BaseException], BaseException, TracebackType | None], object]


def _sentence_for(expected: type[Exception], previous: Hook) -> Hook:
    """An exception hook that shows one kind of exception as its sentence and leaves others as they
    were.
    """

    def show(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if issubclass(kind, expected):
            print(f"txregistry: {error}", file=sys.stderr)
        else:
            previous(kind, error, traceback)

    return show
