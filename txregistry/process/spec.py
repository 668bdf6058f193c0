# SPDX-License-Identifier: Apache-2.0
"""Which program is the driver.

Room: process. A driver is found by its name among the installed ones (entry points of the group
``txregistry.drivers``, whose value is the module to run; its code is never imported here), or named
by a command or a socket in the configuration.
"""

from __future__ import annotations

import difflib
import grp
import os
import pwd
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import TypeVar

from attrs import field, frozen

T = TypeVar("T")

GROUP = "txregistry.drivers"

#: The variable that tells a driver how far it is to confine itself: off, preferred or required.
ISOLATION = "TXREGISTRY_ISOLATION"

#: The member of the options document that is not the store's: the middlewares before its redirects.
MIDDLEWARE = "middleware"


#: What clients of a network service are told by the environment.
_NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
)

#: Driver -> variables that it inherits, since its vendor's tools find credentials by them; one that
#: ends with an underscore is the beginning of names.
ENVIRONMENT: dict[str, tuple[str, ...]] = {
    "s3": ("AWS_", *_NETWORK),
    "s3aws": ("AWS_", *_NETWORK),
    "azure": ("AZURE_", "IDENTITY_", "MSI_", *_NETWORK),
    "gcs": ("GOOGLE_", "CLOUDSDK_", *_NETWORK),
    "swift": ("OS_", *_NETWORK),
}


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
        isolation: ``off``, ``preferred``: whatever can be had; ``required``: all, or no start.
        environment: variables that a started driver inherits beside the harmless ones, as in
            :data:`ENVIRONMENT`.
        user, group: ids that a started driver runs under; None for those of this process.
    """

    name: str
    command: tuple[str, ...] | None = None
    socket: str | None = None
    options: Mapping[str, object] = field(factory=dict, repr=False)
    isolation: str = "preferred"
    environment: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None


def installed_drivers() -> dict[str, str]:
    """Name -> module of each installed driver."""
    return {point.name: point.value for point in entry_points(group=GROUP)}


def user_ids(user: str, group: str) -> tuple[int | None, int | None]:
    """The ids of a user and a group that are named, or given as numbers; empty for none.

    Without a group it is the user's own.

    Raises:
        StartError: there is no such user or group, or this process may not become it.
    """
    if not user and not group:
        return None, None
    entry = None
    uid = int(user) if user.isdigit() else None
    if user and uid is None:
        entry = _named(pwd.getpwnam, user, "user")
        uid = entry.pw_uid
    if group:
        gid: int | None = (
            int(group) if group.isdigit() else _named(grp.getgrnam, group, "group").gr_gid
        )
    else:
        gid = entry.pw_gid if entry is not None else uid
    if os.geteuid() != 0 and (uid, gid) != (os.geteuid(), os.getegid()):
        raise StartError(
            "storage.user and storage.group need a start as root: remove them, or start the registry as root"
        )
    return uid, gid


def _named(look: Callable[[str], T], name: str, kind: str) -> T:
    try:
        return look(name)
    except KeyError as error:
        raise StartError(
            f"there is no {kind} {name!r}: create it, or correct storage.{kind}"
        ) from error


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
    return DriverSpec(
        name,
        command=(sys.executable, "-I", "-m", module),
        options=options,
        environment=ENVIRONMENT.get(name, ()),
    )
