# SPDX-License-Identifier: Apache-2.0
"""What a driver that this process starts is given: its environment and its options.

Room: process. The options are a JSON document in a sealed memory file, whose descriptor the driver
inherits: a secret is in no environment and on no command line.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence

from txregistry.process.spec import ISOLATION, DriverSpec, StartError

#: Variables that every driver inherits; everything else (PYTHON*, LD_*, and proxies and credentials
#: but for the drivers that want them) is kept from it.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")

#: Descriptors of the socket, as sd_listen_fds has it, and of the options.
SOCKET_FD = 3
OPTIONS_FD = 4


def environment(spec: DriverSpec) -> dict[str, str]:
    """All variables of a driver's process."""
    return {
        **inherited(spec.environment),
        "LISTEN_FDS": "1",
        "LISTEN_FDNAMES": "driver",
        "TXREGISTRY_OPTIONS_FD": str(OPTIONS_FD),
        ISOLATION: spec.isolation,
    }


def inherited(wanted: Sequence[str]) -> dict[str, str]:
    """Our variables that a driver gets."""
    beginnings = tuple(name for name in wanted if name.endswith("_"))
    return {
        name: value
        for name, value in os.environ.items()
        if name in (*INHERITED, *wanted) or (beginnings and name.startswith(beginnings))
    }


def document(spec: DriverSpec) -> bytes:
    """The options, as they travel.

    Raises:
        StartError: they can't.
    """
    try:
        return json.dumps(dict(spec.options)).encode()
    except (TypeError, ValueError) as error:
        raise StartError(
            f"the options of storage driver {spec.name!r} can't be written as JSON: {error}"
        ) from error


def options_file(written: bytes) -> int:
    """A sealed memory file with the options, at offset 0; the caller closes it."""
    descriptor = os.memfd_create("driver-options", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, written)
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(
        descriptor,
        fcntl.F_ADD_SEALS,
        fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL,
    )
    return descriptor
