# SPDX-License-Identifier: Apache-2.0
"""Which program is the driver.

Room: process. A driver is found by its name among the installed ones (entry points of the group
``txregistry.drivers``, whose value is the module to run; its code is never imported here), or named
by a command or a socket in the configuration.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points

from attrs import field, frozen

GROUP = "txregistry.drivers"


class StartError(Exception):
    """The driver can't be had; one sentence for the operator that names the thing and the way
    out.
    """


@frozen
class DriverSpec:
    """A driver to start, or one to attach to.

    Attributes:
        name: for messages.
        command: program and arguments to start; None to attach.
        socket: path of the UNIX socket of a driver that somebody else starts; None to start one.
        options: handed to a started driver by descriptor; a driver on a socket has its own.
    """

    name: str
    command: tuple[str, ...] | None = None
    socket: str | None = None
    options: Mapping[str, object] = field(factory=dict, repr=False)


def installed_drivers() -> dict[str, str]:
    """Name -> module of each installed driver."""
    return {point.name: point.value for point in entry_points(group=GROUP)}


def find_driver(name: str, options: Mapping[str, object]) -> DriverSpec:
    """The installed driver of that name.

    Raises:
        StartError: there is none.
    """
    known = installed_drivers()
    module = known.get(name)
    if module is None:
        near = difflib.get_close_matches(name, known, 1)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        names = ", ".join(sorted(known)) or "none"
        raise StartError(f"there is no storage driver {name!r} (installed: {names}){guess}")
    return DriverSpec(name, command=(sys.executable, "-I", "-m", module), options=options)
