# SPDX-License-Identifier: Apache-2.0
"""The lab's end of ``shim.c``: builds it, starts drivers under it, and says what to strike."""

from __future__ import annotations

import ctypes
import errno
import functools
import mmap
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.functional.servers import need

_PATHS = 1024
_TRACE_AT = 4096
_TRACE_SIZE = 64 * 1024 * 1024

#: The kinds of calls, in the order of their bits.
_KINDS = (
    *("open", "create", "mkdir", "write", "truncate", "sync", "link", "rename"),
    *("unlink", "stat", "read", "send", "copy", "utime", "lock", "list"),
)
KINDS = {name: 1 << position for position, name in enumerate(_KINDS)}

#: Calls between which a death makes a difference.
CHANGES = (
    "create",
    "mkdir",
    "write",
    "truncate",
    "sync",
    "link",
    "rename",
    "unlink",
    "copy",
    "utime",
    "send",
)

_ACTIONS = {"kill": 1, "fail": 2, "shorten": 3}

_NAMES = ("mkdir", "link", "rename", "unlink", "create")

#: What each call may be refused with.
ERRORS = {
    errno.EIO: ("open", "read", "stat", "list", "write", "truncate", "sync", "unlink", *_NAMES),
    errno.ENOSPC: ("write", "sync", "copy", "mkdir", "link", "rename", "create"),
    errno.EDQUOT: ("write", "sync", "copy", "mkdir", "link", "create"),
    errno.EMFILE: ("open", "create", "list"),
    errno.EROFS: ("write", "truncate", *_NAMES),
    errno.EINTR: ("open", "create", "read", "write", "sync", "truncate", "lock"),
}


class _Control(ctypes.Structure):
    _fields_ = (
        ("seen", ctypes.c_uint64),
        ("strike_at", ctypes.c_uint64),
        ("struck", ctypes.c_uint64),
        ("trace_length", ctypes.c_uint64),
        ("trace_size", ctypes.c_uint64),
        ("kinds", ctypes.c_uint32),
        ("action", ctypes.c_uint32),
        ("error", ctypes.c_int32),
        ("is_armed", ctypes.c_uint32),
        ("root", ctypes.c_char * _PATHS),
        ("left_out", ctypes.c_char * _PATHS),
        ("what", ctypes.c_char * _PATHS),
    )


@functools.cache
def build():
    """Compile the shim, once; returns where it is."""
    need("gcc")
    directory = tempfile.mkdtemp(prefix="faults-shim-")
    library = Path(directory) / "shim.so"
    source = Path(__file__).with_name("shim.c")
    command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source, "-ldl"]
    subprocess.run([str(part) for part in command], check=True)
    return library


def storage_of(command, root, **options):
    """The ``storage`` section for a driver that this starts."""
    return {
        "external": {"command": command, "options": {"rootdirectory": str(root), **options}},
        "delete": {"enabled": True},
    }


class Shim:
    """Drivers of one root that run under the shim, and what happens to their calls.

    Args:
        directory: for the file that both ends share.
        root: of the store; only calls that touch what lies below it count.
        left_out: a pattern of paths below the root whose syncs do nothing.
    """

    def __init__(self, directory, root, *, left_out=""):
        self._file = Path(directory) / "control"
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("wb") as file:
            file.truncate(_TRACE_AT + _TRACE_SIZE)
        with self._file.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._control = _Control.from_buffer(self._memory)
        self._control.root = os.fsencode(root).rstrip(b"/")
        self._control.left_out = os.fsencode(left_out)
        self._root = root

    def storage(self, **options):
        """The ``storage`` section of a configuration whose driver runs under the shim."""
        program = (sys.executable, "-I", "-m", "txregistry_drivers.filesystem")
        preloaded = (f"{name}={value}" for name, value in self.environment.items())
        return storage_of([need("env"), *preloaded, *program], self._root, **options)

    @property
    def environment(self):
        """What puts a program under the shim."""
        return {"LD_PRELOAD": str(build()), "FAULTS_CONTROL": str(self._file)}

    def arm(self, kinds, *, strike_at=0, action="kill", error=0):
        """Count calls of these kinds from now on, and strike the one of that number."""
        control = self._control
        control.is_armed = 0
        control.seen = control.struck = 0
        control.kinds = sum(KINDS[kind] for kind in kinds)
        control.action = _ACTIONS[action]
        control.error = error
        control.strike_at = strike_at
        control.what = b""
        control.is_armed = 1

    def disarm(self):
        self._control.is_armed = 0

    @property
    def seen(self):
        """Calls counted since it was armed."""
        return self._control.seen

    @property
    def struck(self):
        """What was struck: a call and its path; empty if nothing was."""
        return self._control.what.decode() if self._control.struck else ""

    def start_trace(self):
        self._control.trace_length = 0
        self._control.trace_size = _TRACE_SIZE

    def stop_trace(self):
        self._control.trace_size = 0

    def kinds_in_trace(self):
        """The kind of each call so far, as :meth:`arm` counts them."""
        kinds = {"rmdir": "unlink", "flock": "lock"}
        for _, name, _, fields in self.trace():
            yield "create" if name == "open" and "c" in fields[1] else kinds.get(name, name)

    def position(self):
        """How much of the trace is written: everything before it has happened."""
        assert self._control.trace_length < _TRACE_SIZE, "no room for more of the trace"
        return self._control.trace_length

    def trace(self):
        """The calls so far: (position after it, name, result, fields)."""
        data = self._memory[_TRACE_AT : _TRACE_AT + self.position()]
        calls, position = [], 0
        for line in data.split(b"\n")[:-1]:
            position += len(line) + 1
            name, result, *fields = line.decode().split("\t")
            calls.append((position, name, int(result), fields))
        return calls

    def close(self):
        del self._control
        self._memory.close()
