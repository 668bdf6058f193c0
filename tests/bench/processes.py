# SPDX-License-Identifier: Apache-2.0
"""What /proc tells about a process and everything that it started: processor time, peak memory,
names.

Knows nothing of registries. Source: proc(5), the files ``stat``, ``status``, ``cmdline`` and
``clear_refs``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from .failures import BenchError

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# clear_refs: 5 sets VmHWM back to the present resident size (Linux 4.0)
_RESET_PEAK = "5"


@frozen
class Process:
    """One process at one moment.

    Attributes:
        started: clock ticks since boot; with ``pid`` it names a process for good, since pids are
            used again.
        cpu_seconds: user and system time of it and of those of its children that have ended.
    """

    pid: int
    parent: int
    started: int
    cpu_seconds: float

    @property
    def name(self) -> str:
        """What runs there: the module that a Python interpreter runs, else the program."""
        words = _read(self.pid, "cmdline").split("\0")
        if "-m" in words[:-1]:
            return words[words.index("-m") + 1]
        return os.path.basename(words[0]) or f"process {self.pid}"

    @property
    def peak_mib(self) -> float:
        """The highest resident size since its start, or since ``reset_peaks``, in MiB."""
        for line in _read(self.pid, "status").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0.0


def find_process(pid: int) -> Process | None:
    """The process with this pid, or None if it is gone or only waits to be reaped."""
    # pid (comm) state ppid ...: comm may hold spaces and parentheses
    fields = _read(pid, "stat").rpartition(")")[2].split()
    if not fields or fields[0] in "ZX":
        return None
    ticks = sum(int(fields[index]) for index in (11, 12, 13, 14))  # utime stime cutime cstime
    return Process(
        pid, parent=int(fields[1]), started=int(fields[19]), cpu_seconds=ticks / _TICKS_PER_SECOND
    )


def find_tree(root: int) -> list[Process]:
    """A process and all below it, the eldest first; empty if it is gone."""
    found = (
        find_process(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()
    )
    everybody = {process.pid: process for process in found if process}
    tree = [everybody[root]] if root in everybody else []
    for process in tree:  # grows while it is walked
        tree += [child for child in everybody.values() if child.parent == process.pid]
    return tree


def cpu_seconds(tree: list[Process]) -> float:
    """User and system time of a tree."""
    return sum(process.cpu_seconds for process in tree)


def cpu_by_name(tree: list[Process]) -> dict[str, float]:
    """User and system time of each process of a tree."""
    return {name: process.cpu_seconds for name, process in _named(tree).items()}


def peaks_by_name(tree: list[Process]) -> dict[str, float]:
    """Peak resident memory of each process of a tree, in MiB."""
    return {name: process.peak_mib for name, process in _named(tree).items()}


def reset_peaks(tree: list[Process]) -> bool:
    """Let peak memory be counted from now on; False if the system does not permit it."""
    try:
        for process in tree:
            Path(f"/proc/{process.pid}/clear_refs").write_text(_RESET_PEAK)
    except PermissionError:
        return False
    except OSError as error:
        raise BenchError(f"a server's process ended during the bench ({error.strerror})") from error
    return True


def busy_seconds() -> float:
    """User and system time of everything on this machine since it was started."""
    user, nice, system, _idle, _wait, irq, softirq, *_ = Path("/proc/stat").read_text().split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq))) / _TICKS_PER_SECOND


def _named(tree: list[Process]) -> Mapping[str, Process]:
    """Names that are unique: the second of two workers is ``worker (2)``."""
    named: dict[str, Process] = {}
    for process in tree:
        name, others = process.name, 1
        while (name if others == 1 else f"{name} ({others})") in named:
            others += 1
        named[name if others == 1 else f"{name} ({others})"] = process
    return named


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
