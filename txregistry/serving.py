# SPDX-License-Identifier: Apache-2.0
"""``txregistry serve``: the service of ``twistd registry`` in the foreground, under a plain
reactor.

Must not know the command line. Every way in which a start fails is one sentence on standard error
and status 1.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from twisted.logger import globalLogBeginner

from txregistry import __version__
from txregistry.access_log import make_access_log
from txregistry.config import Configuration
from txregistry.process.spec import StartError
from txregistry.service import RegistryService
from txregistry.stacks import dump_on_signal
from txregistry.systemd import Systemd
from txregistry.telemetry import ConfiguredLog


def serve(configuration: Configuration, reread: Callable[[], Configuration]) -> int:
    """Serve until a signal ends it.

    Args:
        reread: reads the configuration again, when SIGHUP asks for it.

    Returns:
        The status for the operating system.
    """
    reactor = the_reactor()
    failures: list[str] = []

    def failed(sentence: str) -> None:
        failures.append(sentence)
        reactor.callWhenRunning(reactor.stop)

    log = ConfiguredLog(configuration.log, sys.stderr)
    globalLogBeginner.beginLoggingTo([log], redirectStandardIO=False)
    service = RegistryService(
        configuration,
        reactor,
        when_failed=failed,
        announce=announcement(is_logged=shows_announcement(configuration)),
        access_log=make_access_log(configuration.log, sys.stdout, reactor.seconds),
        reread=reread,
        adjust_log=log.adjust,
        systemd=Systemd.taken_from(os.environ, os.getpid()),
    )
    reload_on_hangup(service, reactor)
    try:
        service.privilegedStartService()
        service.startService()
    except StartError as error:
        return refuse(str(error))
    dump_on_signal(service.stacks, reactor)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
    return refuse(failures[0]) if failures else 0


def reload_on_hangup(service: RegistryService, reactor: Any) -> None:
    """Have SIGHUP reload a service, in the reactor's own time."""

    def reload(signum: int, frame: object) -> None:
        reactor.callFromThread(service.reload)

    signal.signal(signal.SIGHUP, reload)


def the_reactor() -> Any:
    """The process's reactor; asking for it installs the default one, so nobody asks before it is
    wanted.
    """
    from twisted.internet import reactor  # noqa: PLC0415

    return reactor


def refuse(sentences: str) -> int:
    """Say why not, in a line for each reason, and return the status that goes with it."""
    for sentence in sentences.splitlines():
        print(f"txregistry: {sentence}", file=sys.stderr)
    return 1


def spare_collector() -> None:
    """Have the garbage collector leave alone what the start has made, which stays for good.

    A request makes a few hundred objects and hardly a cycle: with Python's threshold of 700 the
    collector went through them, and often through everything, at every second or third request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def shows_announcement(configuration: Configuration) -> bool:
    """Say whether who reads standard output sees where the registry listens in the log already:
    both go to one terminal, file or journal.
    """
    try:
        out, err = os.fstat(sys.stdout.fileno()), os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):  # one of them is closed, or no file
        return False
    is_one = (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino)
    return is_one and configuration.log.level in ("debug", "info")


def announcement(*, is_logged: bool) -> Callable[[str], None]:
    """Return what says on standard output where the registry listens, once it does.

    Args:
        is_logged: the log says it to the same readers.
    """

    def announce(sentence: str) -> None:
        if not is_logged:
            print(f"txregistry {__version__}: {sentence}", flush=True)
        spare_collector()

    return announce
