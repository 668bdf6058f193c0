# SPDX-License-Identifier: Apache-2.0
"""Small programs in the place of drivers, and ways to look at them from outside."""

from __future__ import annotations

import os
import sys

#: A real driver whose storage is gone with it.
MEMORY = "from txregistry.driver import MemoryStore, main; main(lambda options: MemoryStore())"

#: Waits until the registry is gone; knows no protocol.
IDLE = "import sys; print('up', flush=True); sys.stdin.buffer.read()"


def python(text):
    """The command that runs a program without anything it does not need."""
    return (sys.executable, "-I", "-S", "-c", text)


def driver(text):
    """The command that runs a program on top of this package."""
    return (sys.executable, "-I", "-c", text)


def is_alive(pid):
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ignored_signals(pid):
    """The signals that a process ignores."""
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.split(":\t", 1) for line in file)
    mask = int(fields["SigIgn"], 16)
    return {number for number in range(1, 65) if mask & 1 << number - 1}


def environment(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        return dict(pair.split(b"=", 1) for pair in file.read().split(b"\0") if pair)


def command_line(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().split(b"\0")[:-1]


def descriptors(pid):
    """Number -> what is open there."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
    return found
