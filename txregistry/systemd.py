# SPDX-License-Identifier: Apache-2.0
"""What systemd passes to a service and wants to hear from it; without systemd, nothing.

Must not know what is served. Source: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3).

The variables are taken out of the environment, so that no program that we start takes them for its
own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from attrs import field, frozen
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall


@frozen
class Passed:
    """A descriptor that systemd has opened for us, and its name in the socket unit.

    Attributes:
        is_shared: the main process has passed it on, to others too.
    """

    descriptor: int
    name: str
    is_shared: bool = False


@frozen
class Systemd:
    """Our systemd.

    Attributes:
        passed: sockets of socket units, in their order.
        watchdog: seconds between two signs of life that it wants, None for none.
    """

    passed: tuple[Passed, ...] = ()
    watchdog: float | None = None
    _address: str = field(default="", alias="address")

    @classmethod
    def taken_from(
        cls,
        environ: MutableMapping[str, str],
        pid: int,
        inherited: Callable[[], Sequence[int]] = lambda: inherited_descriptors(),
    ) -> Systemd:
        """Take what is meant for the process ``pid`` out of the environment."""
        names = environ.pop("LISTEN_FDNAMES", "").split(":")
        address = environ.pop("NOTIFY_SOCKET", "")
        period = environ.pop("WATCHDOG_USEC", "")
        is_watched = environ.pop("WATCHDOG_PID", "") in ("", str(pid))
        descriptors = inherited()
        padded = itertools.chain(names, itertools.repeat(""))  # who starts us may give no names
        passed = tuple(Passed(*each) for each in zip(descriptors, padded, strict=False))
        for each in passed:
            os.set_inheritable(each.descriptor, False)
        watchdog = int(period) / 2e6 if is_watched and period.isdecimal() else None
        return cls(passed, watchdog or None, address=address)

    # -- what it wants to hear

    def ready(self, status: str) -> None:
        """We serve (again)."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """We read our configuration; ``ready`` comes when that is done."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """We accept nothing more."""
        self._tell("STOPPING=1")

    def watch(self, clock: IReactorTime) -> Callable[[], None]:
        """Give signs of life, which a reactor that hangs does not give.

        Returns:
            What ends that.
        """
        if self.watchdog is None:
            return lambda: None
        watching = LoopingCall(self._tell, "WATCHDOG=1")
        watching.clock = clock
        watching.start(self.watchdog)
        return watching.stop

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        # "@" stands for the NUL of an abstract address.
        address = "\0" + self._address[1:] if self._address[:1] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as teller:
            teller.setblocking(False)
            with contextlib.suppress(OSError):  # nobody listens any more: serving goes on
                teller.sendto("\n".join(lines).encode(), address)


def inherited_descriptors() -> list[int]:
    """The descriptors that systemd has passed.

    Twisted takes them out of the environment when its endpoints are imported, and gives them out as
    endpoints only; those without names it drops.
    """
    found: list[int] = []
    while True:
        try:
            endpoint: Any = serverFromString(None, f"systemd:domain=UNIX:index={len(found)}")
        except IndexError:
            break
        found.append(endpoint.fileno)
    if found:
        return found
    with open("/proc/self/environ", "rb") as file:
        return unnamed_descriptors(file.read(), os.getpid())


def unnamed_descriptors(environ: bytes, pid: int) -> list[int]:
    """Return the descriptors of who starts us as systemd does and names none: systemd-socket-activate.

    Args:
        environ: what the process was started with, as the kernel has it.

    Source: sd_listen_fds(3).
    """
    pairs = (variable.partition(b"=") for variable in environ.split(b"\0"))
    values = {name: value for name, _, value in pairs}
    count = values.get(b"LISTEN_FDS", b"")
    if values.get(b"LISTEN_PID") != b"%d" % pid or b"LISTEN_FDNAMES" in values:
        return []
    return list(range(3, 3 + int(count))) if count.isdigit() and len(count) < 4 else []
